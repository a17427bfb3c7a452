/*
 * Decompressed frames, shared by all threads of a reader: the one that comes
 * first loads, others wait for it; what is pinned stays.
 */
#ifndef SIDESNAP_STORE_FRAME_CACHE_H
#define SIDESNAP_STORE_FRAME_CACHE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/pack_reader.h"

#define FRAME_CACHE_SPARES 8

struct frame {
	struct frame **home; /* the pack's pointer to us */
	struct frame *newer, *older;
	uint8_t *data;
	size_t size; /* allocated */
	unsigned pins;
	enum { FRAME_LOADING, FRAME_READY, FRAME_FAILED } state;
	/* One more than the number of the chunk that had its hash last; 0: none yet. */
	atomic_uint_fast32_t verified;
};

struct frame_cache {
	pthread_mutex_t lock; /* of all below, and of the frames and every pack's array of them */
	pthread_cond_t loaded;
	struct frame *newest, *oldest;
	size_t size, limit;
	struct cached_loader *loaders; /* not in use */
	struct spare_memory {
		uint8_t *data;
		size_t size;
	} spares[FRAME_CACHE_SPARES]; /* of frames that are gone, for the next ones */
};

/* frame_cache_init(cache, limit): Keeps at most ${limit} bytes beside what is pinned. */
void frame_cache_init(struct frame_cache *cache, size_t limit);

/* frame_cache_release(cache): No frame may be pinned. The packs must still be there. */
void frame_cache_release(struct frame_cache *cache);

/* frame_cache_pin(cache, pack, number, err): The frame, loaded, until frame_cache_unpin(). */
struct frame *frame_cache_pin(struct frame_cache *cache, struct pack_reader *pack, uint32_t number,
			      struct error **err);

/* frame_cache_unpin(cache, frame): One pin less. */
void frame_cache_unpin(struct frame_cache *cache, struct frame *frame);

#endif
