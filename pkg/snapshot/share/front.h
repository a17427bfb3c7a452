/*
 * The front of a layer's archive, as a registry has it: the archive is sorted by name, so that
 * manifest.json and the packs of catalogs stand before the packs of data (pkg/store/FORMAT.md), and the
 * rest need not be fetched. All of it is input of which nothing has been checked.
 */
#ifndef SIDESNAP_SNAPSHOT_FRONT_H
#define SIDESNAP_SNAPSHOT_FRONT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/gzip.h"

/* Bytes of all packs of catalogs in one layer: a million files have some 30 MiB. */
#define FRONT_PACKS_MAX (256U << 20)

struct front_file {
	char name[80]; /* below packs/ */
	struct buffer data;
};

struct front {
	struct front_file manifest; /* its data is empty: there is none */
	struct front_file *packs;
	size_t pack_count;

	/* private */
	bool manifest_only;
	struct gunzip *gunzip; /* NULL: it is not compressed, or has not begun */
	struct buffer raw;     /* of the archive */
};

/* front_init(front, manifest_only): Before the first byte; ${manifest_only}: no packs are wanted. */
void front_init(struct front *front, bool manifest_only);
void front_release(struct front *front);

enum front_end {
	FRONT_FAILED = -1,
	FRONT_ENOUGH, /* what there is of these files has been met */
	FRONT_MORE,   /* more of the archive is needed */
};

/*
 * front_feed(front, data, size, is_last, err):
 * The next bytes of an archive, compressed by gzip or not. FRONT_FAILED: ERROR_DAMAGED, or
 * ERROR_UNSUPPORTED where it is larger or other than what is read here.
 */
enum front_end front_feed(struct front *front, const void *data, size_t size, bool is_last,
			  struct error **err);

#endif
