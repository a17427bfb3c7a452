/*
 * A worker ends when the queue is drained, having written its last frame, or
 * when anything failed anywhere. It never takes a signal meant for the program.
 */
#include "store/worker.h"

#include <signal.h>
#include <stdlib.h>

#define STACK_SIZE (512U << 10) /* musl's default is too little to be sure of */

static int process(struct worker *worker, struct batch *batch, struct error **err)
{
	struct worker_shared *shared = worker->shared;
	const uint8_t *data = batch->data;
	uint64_t bytes = 0, chunks = 0;

	for (uint32_t i = 0; i < batch->chunk_count; data += batch->refs[i++].size) {
		struct chunk_ref *ref = &batch->refs[i];

		hash_data(&ref->id, data, ref->size);
		worker->claims[i] = 0;
		if (shared->parent && store_has(shared->parent, &ref->id))
			worker->claims[i] = KNOWN_ALREADY;
	}
	if (known_table_claim(&shared->known, batch->refs, batch->chunk_count, worker->claims,
			      err) < 0)
		return -1;
	for (uint32_t i = 0; i < batch->chunk_count; i++) {
		if (worker->claims[i] != KNOWN_ALREADY) {
			bytes += batch->refs[i].size;
			chunks++;
		}
	}
	atomic_fetch_add(&shared->new_bytes, bytes);
	atomic_fetch_add(&shared->new_chunks, chunks);
	if (!chunks)
		return 0;
	for (size_t i = 0; i < FRAME_KINDS; i++)
		if (frame_builder_add(&worker->frames[i], batch, worker->claims, err) < 0)
			return -1;
	return 0;
}

static int flush(struct worker *worker, struct error **err)
{
	for (size_t i = 0; i < FRAME_KINDS; i++)
		if (frame_builder_flush(&worker->frames[i], err) < 0)
			return -1;
	return 0;
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	struct batch_queue *queue = &worker->shared->queue;
	struct error *error = NULL;
	struct batch *batch;

	while ((batch = batch_queue_take(queue))) {
		if (process(worker, batch, &error) < 0) {
			batch_queue_fail(queue, error);
			return NULL;
		}
		batch_queue_done(queue, batch);
	}
	if (batch_queue_check(queue, NULL) == 0 && flush(worker, &error) < 0)
		batch_queue_fail(queue, error);
	return NULL;
}

static int start(struct worker *worker)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int result;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&worker->thread, &attributes, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return result;
}

static void release(struct worker *worker)
{
	for (size_t i = 0; i < FRAME_KINDS; i++)
		frame_builder_release(&worker->frames[i]);
	free(worker);
}

struct worker *worker_new(struct worker_shared *shared, int level, struct error **err)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int result = 0;

	if (!worker) {
		error_set(err, ERROR_FAILED, "no memory for a worker");
		return NULL;
	}
	worker->shared = shared;
	for (size_t i = 0; i < FRAME_KINDS && result == 0; i++)
		result = frame_builder_init(&worker->frames[i], &shared->packs, (enum frame_kind)i,
					    level, err);
	if (result == 0) {
		result = start(worker);
		if (result == 0)
			return worker;
		error_set_errno(err, result, "cannot start a thread");
	}
	release(worker);
	return NULL;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	pthread_join(worker->thread, NULL);
	release(worker);
}
