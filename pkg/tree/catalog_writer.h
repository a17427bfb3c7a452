/*
 * Building a stored catalog while the references of its entries are still under way:
 * entries wait in order, are encoded when complete, and the catalog's stream is fed to
 * the store between the streams of data. Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_CATALOG_WRITER_H
#define SIDESNAP_TREE_CATALOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/writer.h"
#include "tree/catalog.h"
#include "tree/draft.h"
#include "tree/manifest.h"
#include "tree/sequence.h"

/* An entry whose content is being stored. Made by catalog_writer_push(). */
struct pending_entry;

struct catalog_writer;

/* catalog_writer_new(), catalog_writer_free(): The store's writer is borrowed and set later. */
struct catalog_writer *catalog_writer_new(void);
void catalog_writer_free(struct catalog_writer *writer); /* NULL ok */

/* catalog_writer_attach(writer, store): Before anything else; catalog_writer_sink is its sink. */
void catalog_writer_attach(struct catalog_writer *writer, struct store_writer *store);
store_sink catalog_writer_sink;

/* catalog_writer_begin(writer, partial, err): A new catalog. */
int catalog_writer_begin(struct catalog_writer *writer, bool partial, struct error **err);

/*
 * catalog_writer_begin_draft(writer, draft, err): The same, but nothing goes to the store: the
 * regular files that are not hot, or whose pages have hashes, are added to ${draft}
 * (borrowed until the end).
 */
int catalog_writer_begin_draft(struct catalog_writer *writer, struct draft *draft,
			       struct error **err);

/* catalog_writer_add(writer, entry, err): The next record, complete. Nothing may be pending. */
int catalog_writer_add(struct catalog_writer *writer, const struct catalog_entry *entry,
		       struct error **err);

/* catalog_writer_push(writer, entry): A copy of it, without contents, takes its place in order. */
struct pending_entry *catalog_writer_push(struct catalog_writer *writer,
					  const struct catalog_entry *entry);

/*
 * pending_entry_stream(entry, hole): The next stream of the store carries on its content
 * behind ${hole} bytes of hole. Returns the stream's cookie.
 */
uint64_t pending_entry_stream(struct pending_entry *entry, uint64_t hole);

/*
 * pending_entry_pages(entry, page, key, earlier):
 * Hashes of pages go with its content, made with ${key}. ${earlier}: the record that parts
 * of the content will be copied from, whose lists are used on; NULL: none.
 */
void pending_entry_pages(struct pending_entry *entry, uint32_t page, const uint8_t *key,
			 const struct catalog_entry *earlier);

/* pending_entry_hash(entry, hash): Of the next page of what comes by streams or as a chunk. */
void pending_entry_hash(struct pending_entry *entry, const uint8_t *hash);

/* pending_entry_copy(entry, cursor, from, to): It carries on with what is there. */
void pending_entry_copy(struct pending_entry *entry, struct sequence_cursor *cursor, uint64_t from,
			uint64_t to);

/* pending_entry_hole(entry, length): It carries on with a hole. */
void pending_entry_hole(struct pending_entry *entry, uint64_t length);

/* pending_entry_chunk(entry, ref): It carries on with a whole chunk that is in the store. */
void pending_entry_chunk(struct pending_entry *entry, const struct chunk_ref *ref);

/*
 * catalog_writer_contents(writer, entry, earlier, is_reused): Its contents are those of
 * ${earlier}, copied; nothing else may be added. ${is_reused}: as draft_add().
 */
void catalog_writer_contents(struct catalog_writer *writer, struct pending_entry *entry,
			     const struct catalog_entry *earlier, bool is_reused);

/*
 * catalog_writer_complete(writer, entry, hole, is_hot, err):
 * All its streams have ended; ${hole} bytes of hole follow. Feeds what is ready of the
 * catalog to the store, so no stream may be open.
 */
int catalog_writer_complete(struct catalog_writer *writer, struct pending_entry *entry,
			    uint64_t hole, bool is_hot, struct error **err);

/*
 * catalog_writer_end(writer, record, root, err): As capture_catalog_end(). Of a draft: ends it,
 * and sets entries and bytes of ${record} only.
 */
int catalog_writer_end(struct catalog_writer *writer, struct tree_record *record,
		       struct catalog_root *root, struct error **err);

#endif
