/*
 * The worker threads: hash the chunks of a batch, leave out what is known,
 * pass the rest to the frame builder.
 */
#ifndef SIDESNAP_STORE_WORKER_H
#define SIDESNAP_STORE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "store/frame_builder.h"
#include "store/known.h"
#include "store/queue.h"
#include "store/reader.h"

/* What the workers of one writer share. */
struct worker_shared {
	struct batch_queue queue;
	struct known_table known;
	struct pack_writer packs;
	const struct store *parent; /* chunks that need no copy; may be NULL */
	atomic_uint_fast64_t new_bytes, new_chunks;
};

struct worker {
	struct worker_shared *shared;
	struct frame_builder frames[FRAME_KINDS];
	pthread_t thread;
	uint32_t claims[BATCH_CHUNKS_MAX];
};

/* worker_new(shared, level, err): A running worker; NULL on failure. */
struct worker *worker_new(struct worker_shared *shared, int level, struct error **err);

/* worker_free(worker): Join it (the queue must be drained or stopped) and free it. NULL ok. */
void worker_free(struct worker *worker);

#endif
