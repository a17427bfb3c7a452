/*
 * A stored stream read piece by piece: the bytes of a sequence of chunks, whose
 * references come from an array or from another such stream. Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_STREAM_H
#define SIDESNAP_TREE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/reader.h"

struct stream {
	struct store *store;
	const struct chunk_ref *refs; /* where they are an array */
	size_t count, next;
	struct stream *list;	     /* else where they come from */
	struct chunk_ref ref, ahead; /* the chunk that the next byte is in, the one behind it */
	bool has_ref, has_ahead;
	struct chunk chunk;
	bool held;	 /* its bytes: only once they are asked for */
	size_t position; /* in it */
};

/* stream_init(stream, store, refs, count): Over an array of references; all borrowed. */
void stream_init(struct stream *stream, struct store *store, const struct chunk_ref *refs,
		 size_t count);

/* stream_init_list(stream, store, list): Over the references that another stream holds. */
void stream_init_list(struct stream *stream, struct store *store, struct stream *list);

void stream_release(struct stream *stream);

/* stream_read(stream, data, size, err): Bytes put: less than ${size} only at the end; -1. */
ssize_t stream_read(struct stream *stream, void *data, size_t size, struct error **err);

/* stream_skip(stream, size, err): Go over bytes without reading them. As stream_read(). */
ssize_t stream_skip(struct stream *stream, size_t size, struct error **err);

/*
 * stream_same_ahead(a, b, size, err): How many of the next bytes are the same in both, as the
 * chunks that they are in tell, of which two are looked at. 0: that is not known. 0 or -1.
 */
int stream_same_ahead(struct stream *a, struct stream *b, size_t *size, struct error **err);

#endif
