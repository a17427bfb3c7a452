/*
 * A ring with three cursors. One lock a megabyte costs nothing, so there is
 * nothing cleverer in here.
 */
#include "store/queue.h"

#include <stdlib.h>
#include <string.h>

int batch_queue_init(struct batch_queue *queue, size_t capacity, struct error **err)
{
	memset(queue, 0, sizeof(*queue));
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->work, NULL);
	pthread_cond_init(&queue->done, NULL);
	queue->batches = calloc(capacity, sizeof(struct batch *));
	if (!queue->batches)
		return error_set(err, ERROR_FAILED, "no memory for buffers");
	queue->capacity = capacity;
	for (size_t i = 0; i < capacity; i++) {
		struct batch *batch = queue->batches[i] = malloc(sizeof(*batch));

		if (batch)
			batch->data = malloc(BATCH_SIZE);
		if (!batch || !batch->data)
			return error_set(err, ERROR_FAILED, "no memory for %zu buffers", capacity);
	}
	return 0;
}

void batch_queue_release(struct batch_queue *queue)
{
	for (size_t i = 0; i < queue->capacity; i++) {
		if (queue->batches[i])
			free(queue->batches[i]->data);
		free(queue->batches[i]);
	}
	free(queue->batches);
	error_free(queue->error);
	pthread_cond_destroy(&queue->done);
	pthread_cond_destroy(&queue->work);
	pthread_mutex_destroy(&queue->lock);
}

static struct batch *batch_at(const struct batch_queue *queue, uint64_t number)
{
	return queue->batches[number % queue->capacity];
}

/* submitted and delivered are the feeding thread's own: it may read them without the lock. */
struct batch *batch_queue_empty(struct batch_queue *queue)
{
	struct batch *batch;

	if (queue->submitted - queue->delivered >= queue->capacity)
		return NULL;
	batch = batch_at(queue, queue->submitted);
	batch->filled = batch->complete = 0;
	batch->chunk_count = batch->stream_count = 0;
	batch->done = false;
	return batch;
}

void batch_queue_submit(struct batch_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->submitted++;
	pthread_cond_signal(&queue->work);
	pthread_mutex_unlock(&queue->lock);
}

struct batch *batch_queue_reap(struct batch_queue *queue, bool wait)
{
	struct batch *batch = NULL;

	if (queue->submitted == queue->delivered)
		return NULL;
	pthread_mutex_lock(&queue->lock);
	batch = batch_at(queue, queue->delivered);
	while (wait && !batch->done && !queue->stopped)
		pthread_cond_wait(&queue->done, &queue->lock);
	if (!batch->done || queue->stopped)
		batch = NULL;
	pthread_mutex_unlock(&queue->lock);
	return batch;
}

void batch_queue_recycle(struct batch_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->delivered++;
	pthread_mutex_unlock(&queue->lock);
}

struct batch *batch_queue_take(struct batch_queue *queue)
{
	struct batch *batch = NULL;

	pthread_mutex_lock(&queue->lock);
	while (queue->taken == queue->submitted && !queue->draining && !queue->stopped)
		pthread_cond_wait(&queue->work, &queue->lock);
	if (queue->taken < queue->submitted && !queue->stopped)
		batch = batch_at(queue, queue->taken++);
	pthread_mutex_unlock(&queue->lock);
	return batch;
}

void batch_queue_done(struct batch_queue *queue, struct batch *batch)
{
	pthread_mutex_lock(&queue->lock);
	batch->done = true;
	if (batch == batch_at(queue, queue->delivered))
		pthread_cond_signal(&queue->done);
	pthread_mutex_unlock(&queue->lock);
}

void batch_queue_drain(struct batch_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->draining = true;
	pthread_cond_broadcast(&queue->work);
	pthread_mutex_unlock(&queue->lock);
}

void batch_queue_reopen(struct batch_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->draining = false;
	pthread_mutex_unlock(&queue->lock);
}

void batch_queue_fail(struct batch_queue *queue, struct error *error)
{
	if (!error)
		error_set(&error, ERROR_FAILED, "a callback of the store writer failed");
	pthread_mutex_lock(&queue->lock);
	if (queue->error)
		error_free(error);
	else
		queue->error = error;
	queue->stopped = true;
	pthread_cond_broadcast(&queue->work);
	pthread_cond_broadcast(&queue->done);
	pthread_mutex_unlock(&queue->lock);
}

void batch_queue_stop(struct batch_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->stopped = true;
	pthread_cond_broadcast(&queue->work);
	pthread_cond_broadcast(&queue->done);
	pthread_mutex_unlock(&queue->lock);
}

int batch_queue_check(struct batch_queue *queue, struct error **err)
{
	int result = 0;

	pthread_mutex_lock(&queue->lock);
	if (queue->stopped) {
		const struct error *error = queue->error;

		result = error_set(err, error ? error->kind : ERROR_FAILED, "%s",
				   error ? error->message : "the store writer was stopped");
		if (error && error->hint)
			error_hint(err, "%s", error->hint);
	}
	pthread_mutex_unlock(&queue->lock);
	return result;
}
