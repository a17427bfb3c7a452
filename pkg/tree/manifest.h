/*
 * manifest.json: what a snapshot holds, and the hashes that all else hangs on.
 * It ends with a seal, the hash of every byte before it. FORMAT.md has an example.
 */
#ifndef SIDESNAP_TREE_MANIFEST_H
#define SIDESNAP_TREE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "store/hash.h"
#include "store/writer.h"
#include "tree/catalog.h"

#define MANIFEST_FORMAT 2	/* the newest; this is read and all before it */
#define MANIFEST_FORMAT_PLAIN 1 /* of a manifest without a dump: older programs read it */
#define MANIFEST_SIZE_MAX (16U << 20)
#define STORE_DIRECTORY "/.sidesnap" /* in an image */
#define MANIFEST_NAME "manifest.json"
#define AGENT_NAME "agent"

/* What this program is built for, as OCI images name it. */
#if defined(__x86_64__)
#define MANIFEST_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define MANIFEST_ARCHITECTURE "arm64"
#else
#error "name this architecture as OCI images do"
#endif

enum tree_kind {
	TREE_VOLUME, /* a named or anonymous volume */
	TREE_BIND,   /* a bind mount */
	TREE_OWN,    /* the container's own changed files; path "/" */
	TREE_DUMP,   /* a database's own dump: one file, loaded at the first boot (tree/dump.h) */
};

/* tree_kind_name(kind): As in manifests, labels and results. */
const char *tree_kind_name(enum tree_kind kind);

struct tree_record {
	enum tree_kind kind;
	char *name; /* volume at the source, the bind's source path, a dump's driver; "" for own */
	struct string_list
		paths;	  /* where the source had it mounted; of a dump what its load fills */
	struct hash hash; /* of the catalog, without fingerprints */
	/*
	 * What the hash was before a consolidation cut the same files otherwise: a volume that
	 * is marked with one of these holds this tree. Oldest first.
	 */
	struct hash *former;
	size_t former_count;
	uint64_t entries, bytes;  /* records; apparent bytes of regular files */
	struct catalog_root root; /* of the catalog */
	struct catalog_root seed; /* of the image's content at the first path; count 0: none */
	struct string_list
		excluded; /* relative paths that were left out on request: never touched by a restore */
	struct string_list
		skipped; /* relative paths of sockets and unreadable kinds: never touched either */
};

void tree_record_init(struct tree_record *record);
void tree_record_release(struct tree_record *record);

/* tree_record_name(record, from): It gets kind, name, paths, excluded and skipped of ${from}. */
void tree_record_name(struct tree_record *record, const struct tree_record *from);

/*
 * tree_record_add_former(record, hash): A former hash, unless it is known or the present one.
 * Of more than TREE_FORMER_MAX the oldest is forgotten.
 */
#define TREE_FORMER_MAX 64
void tree_record_add_former(struct tree_record *record, const struct hash *hash);

/* tree_record_is(record, hash): Whether this is its hash or a former one. */
bool tree_record_is(const struct tree_record *record, const struct hash *hash);

struct manifest {
	char *id, *parent, *lineage, *created; /* parent may be "" */
	struct tree_record *trees;
	size_t tree_count;
	struct pack_info *packs; /* all that the trees need, older layers' too */
	size_t pack_count;
	struct hash agent;  /* of /.sidesnap/agent */
	char *architecture; /* "amd64", of the agent */
	struct json *
		extra; /* members that others own: "driver", "omitted_variables", ...; never NULL */
};

void manifest_init(struct manifest *manifest);
void manifest_release(struct manifest *manifest);

/* manifest_add_tree(manifest): One more, initialised; where it is holds until the next is added. */
struct tree_record *manifest_add_tree(struct manifest *manifest);

/* manifest_add_packs(manifest, packs, count): Copies of them behind those that it has. */
void manifest_add_packs(struct manifest *manifest, const struct pack_info *packs, size_t count);

/* manifest_print(manifest, hash): The sealed text, to be freed; its hash in *hash. */
char *manifest_print(const struct manifest *manifest, struct hash *hash);

/*
 * manifest_parse(manifest, text, size, err):
 * Into an initialised manifest. ERROR_DAMAGED when the seal or anything in it does not
 * hold (counts, names, paths, duplicate trees); ERROR_UNSUPPORTED for a newer format.
 */
int manifest_parse(struct manifest *manifest, const char *text, size_t size, struct error **err);

/*
 * manifest_check_label(text, expected, err): ERROR_DAMAGED unless ${expected} is the hash of the text, 64
 * digits.
 */
int manifest_check_label(const struct buffer *text, const char *expected, struct error **err);

/*
 * manifest_note_run(manifest), manifest_is_of_this_run(manifest):
 * Fingerprints are believed in the run of the machine that they are from: after a crash a
 * file may hold newer data than its times say, since fdatasync() need not write the latter.
 */
void manifest_note_run(struct manifest *manifest);
bool manifest_is_of_this_run(const struct manifest *manifest);

/* manifest_read(manifest, store_fd, hash, err): Parse manifest.json of a store directory; hash may be NULL. */
int manifest_read(struct manifest *manifest, int store_fd, struct hash *hash, struct error **err);

/* manifest_write(manifest, store_fd, hash, err): Atomically, fsynced. */
int manifest_write(const struct manifest *manifest, int store_fd, struct hash *hash,
		   struct error **err);

/* manifest_own_tree(manifest): The one of the container's own files; NULL: none. */
const struct tree_record *manifest_own_tree(const struct manifest *manifest);

/* manifest_dump(manifest): The database's dump, of which there is at most one; NULL: none. */
const struct tree_record *manifest_dump(const struct manifest *manifest);

/* manifest_format(manifest): The number that its text has: 2 where there is a dump, else 1. */
unsigned manifest_format(const struct manifest *manifest);

/* manifest_store(manifest, store_fd, err): store_open() with its packs. */
struct store *manifest_store(const struct manifest *manifest, int store_fd, struct error **err);

#endif
