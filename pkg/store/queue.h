/*
 * The fixed set of buffers between the feeding thread and the workers: filled
 * and delivered in order by the one, worked on in any order by the others.
 */
#ifndef SIDESNAP_STORE_QUEUE_H
#define SIDESNAP_STORE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/format.h"
#include "store/writer.h"

#define BATCH_SPACE_MIN (64U << 10) /* what store_writer_space() promises */
#define BATCH_FULL FRAME_RAW_MIN    /* whole chunks: one frame's worth */
#define BATCH_SIZE (BATCH_FULL + CHUNK_SIZE_MAX + BATCH_SPACE_MIN)
#define BATCH_STREAMS_FULL 4096
#define BATCH_CHUNKS_FULL 4096
/* One commit adds at most a buffer of the smallest blocks to a batch that is not full yet. */
#define BATCH_CHUNKS_MAX (BATCH_CHUNKS_FULL + BATCH_SIZE / CHUNK_BLOCK_SIZE_MIN + 2)

/* The part of a stream that is in one batch. */
struct batch_stream {
	uint64_t cookie;
	uint32_t first, count; /* of the batch's chunks */
	bool last;
	enum frame_kind kind;
};

struct batch {
	uint8_t *data;	 /* BATCH_SIZE bytes; the chunks follow one another from 0 */
	size_t filled;	 /* bytes */
	size_t complete; /* bytes in chunks */
	uint32_t chunk_count, stream_count;
	bool done; /* by a worker */
	struct batch_stream streams[BATCH_STREAMS_FULL + 2];
	struct chunk_ref refs[BATCH_CHUNKS_MAX]; /* ids are the worker's to fill in */
};

struct batch_queue {
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the workers */
	pthread_cond_t done; /* for the feeding thread */
	struct batch **batches;
	size_t capacity;
	uint64_t submitted, taken, delivered; /* only grow; modulo capacity they index batches */
	bool draining;			      /* nothing more will be submitted */
	bool stopped;			      /* by a failure or by batch_queue_stop() */
	struct error *error;		      /* the first one */
};

/* batch_queue_init(queue, capacity, err): Allocate the batches. */
int batch_queue_init(struct batch_queue *queue, size_t capacity, struct error **err);

/* batch_queue_release(queue): Free them. No thread may use it any more. */
void batch_queue_release(struct batch_queue *queue);

/* batch_queue_empty(queue): The batch to fill next, emptied; NULL: all are in use. Feeding thread. */
struct batch *batch_queue_empty(struct batch_queue *queue);

/* batch_queue_submit(queue): Hand the batch that batch_queue_empty() gave to the workers. */
void batch_queue_submit(struct batch_queue *queue);

/*
 * batch_queue_reap(queue, wait):
 * The oldest batch if it is done, waiting for that when ${wait}; to be passed to
 * batch_queue_recycle(). NULL: nothing submitted, not done yet, or stopped.
 */
struct batch *batch_queue_reap(struct batch_queue *queue, bool wait);

/* batch_queue_recycle(queue): The batch that was reaped is free again. */
void batch_queue_recycle(struct batch_queue *queue);

/* batch_queue_take(queue): The next batch for a worker; NULL when there will be none. */
struct batch *batch_queue_take(struct batch_queue *queue);

/* batch_queue_done(queue, batch): The worker is through with it. */
void batch_queue_done(struct batch_queue *queue, struct batch *batch);

/* batch_queue_drain(queue): Nothing more comes: workers end after what is there. */
void batch_queue_drain(struct batch_queue *queue);

/* batch_queue_reopen(queue): The opposite, once all workers have ended. */
void batch_queue_reopen(struct batch_queue *queue);

/* batch_queue_fail(queue, error): Stop all, keep the first error (owned from here on). */
void batch_queue_fail(struct batch_queue *queue, struct error *error);

/* batch_queue_stop(queue): Stop all at once without an error. */
void batch_queue_stop(struct batch_queue *queue);

/* batch_queue_check(queue, err): 0, or -1 with a copy of the first error. */
int batch_queue_check(struct batch_queue *queue, struct error **err);

#endif
