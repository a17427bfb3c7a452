/*
 * The feeding side of the store: bytes of streams go straight into batches,
 * are cut there, and the batches' references come back in order. Only this
 * thread touches struct store_writer; what workers share is in worker_shared.
 */
#include "store/writer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/chunker.h"
#include "store/worker.h"

/*
 * The feeding thread cuts two to four gigabytes a second: more workers than
 * this would only wait, and hold 4 MiB each.
 */
#define WORKERS_DEFAULT_MAX 8
#define WORKERS_MAX 64

struct store_writer {
	struct worker_shared shared;
	struct worker **workers;
	unsigned worker_count;
	store_sink *sink;
	void *sink_context;
	bool failed;   /* or ended by finish */
	bool finished; /* the packs are good and stay */
	int compression_level;

	struct batch *batch; /* being filled; NULL: none yet */
	struct chunker chunker;
	bool stream_is_open;
	uint64_t cookie;
	enum chunking chunking;
	uint32_t block_size;
	uint32_t stream_first; /* chunk of the batch that is the stream's first in it */

	atomic_uint_fast64_t raw_bytes, chunks;
};

static unsigned worker_count(unsigned wanted)
{
	long cores;

	if (wanted)
		return wanted < WORKERS_MAX ? wanted : WORKERS_MAX;
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (cores < 1)
		return 1;
	return cores < WORKERS_DEFAULT_MAX ? (unsigned)cores : WORKERS_DEFAULT_MAX;
}

static int start_workers(struct store_writer *writer, unsigned count, struct error **err)
{
	if (!writer->workers)
		writer->workers = memory_zalloc(count * sizeof(struct worker *));
	while (writer->worker_count < count) {
		struct worker *worker = worker_new(&writer->shared, writer->compression_level, err);

		if (!worker)
			return -1;
		writer->workers[writer->worker_count++] = worker;
	}
	return 0;
}

struct store_writer *store_writer_open(const struct store_writer_options *options,
				       struct error **err)
{
	struct store_writer *writer = memory_zalloc(sizeof(*writer));
	struct worker_shared *shared = &writer->shared;
	unsigned count = worker_count(options->workers);
	int queue, known, packs;

	writer->sink = options->sink;
	writer->sink_context = options->sink_context;
	writer->compression_level = options->compression_level;
	shared->parent = options->known;
	chunker_init(&writer->chunker);
	/* All three are set up whatever happens, so that store_writer_free() may release them. */
	queue = batch_queue_init(&shared->queue, count + count / 2 + 2, err);
	known = known_table_init(&shared->known, queue < 0 ? NULL : err);
	packs = pack_writer_init(&shared->packs, options, &shared->known,
				 queue < 0 || known < 0 ? NULL : err);
	if (queue < 0 || known < 0 || packs < 0 || start_workers(writer, count, err) < 0) {
		store_writer_free(writer);
		return NULL;
	}
	return writer;
}

/* The writer ends with the first error, which every later call repeats. */
static int fail(struct store_writer *writer, struct error *error, struct error **err)
{
	writer->failed = true;
	if (error)
		batch_queue_fail(&writer->shared.queue, error);
	return batch_queue_check(&writer->shared.queue, err);
}

static int deliver(struct store_writer *writer, const struct batch *batch, struct error **err)
{
	struct error *error = NULL;

	for (uint32_t i = 0; i < batch->stream_count; i++) {
		const struct batch_stream *stream = &batch->streams[i];

		if (writer->sink(writer->sink_context, stream->cookie, batch->refs + stream->first,
				 stream->count, stream->last, &error) == 0)
			continue;
		if (!error)
			error_set(&error, ERROR_FAILED, "the references could not be kept");
		return fail(writer, error, err);
	}
	return 0;
}

/* Give what the workers are through with to the sink; ${wait}: at least one batch. */
static int deliver_done(struct store_writer *writer, bool wait, struct error **err)
{
	struct batch_queue *queue = &writer->shared.queue;
	struct batch *batch;

	while ((batch = batch_queue_reap(queue, wait))) {
		if (deliver(writer, batch, err) < 0)
			return -1;
		batch_queue_recycle(queue);
		wait = false;
	}
	if (batch_queue_check(queue, NULL) < 0)
		return fail(writer, NULL, err);
	return 0;
}

static int need_batch(struct store_writer *writer, struct error **err)
{
	if (writer->failed)
		return fail(writer, NULL, err);
	if (writer->batch)
		return 0;
	if (deliver_done(writer, false, err) < 0)
		return -1;
	writer->batch = batch_queue_empty(&writer->shared.queue);
	if (!writer->batch) {
		if (deliver_done(writer, true, err) < 0)
			return -1;
		writer->batch = batch_queue_empty(&writer->shared.queue);
	}
	writer->stream_first = 0;
	return 0;
}

static void add_chunk(struct batch *batch, size_t size)
{
	batch->refs[batch->chunk_count++].size = (uint32_t)size;
	batch->complete += size;
}

static bool is_fixed(enum chunking chunking)
{
	return chunking == CHUNKING_FIXED || chunking == CHUNKING_SCATTERED;
}

static enum frame_kind frame_kind(enum chunking chunking)
{
	switch (chunking) {
	case CHUNKING_SCATTERED:
		return FRAME_SCATTERED;
	case CHUNKING_FINE:
		return FRAME_CATALOG;
	case CHUNKING_CONTENT:
	case CHUNKING_FIXED:
		break;
	}
	return FRAME_USUAL;
}

/* Cut as many chunks as the bytes behind the last cut hold. */
static void cut(struct store_writer *writer)
{
	struct batch *batch = writer->batch;
	size_t size;

	if (is_fixed(writer->chunking)) {
		while (batch->filled - batch->complete >= writer->block_size)
			add_chunk(batch, writer->block_size);
		return;
	}
	while ((size = chunker_next(&writer->chunker, batch->data + batch->complete,
				    batch->filled - batch->complete)))
		add_chunk(batch, size);
}

/* Enter the stream's chunks in this batch, if any, or its end. */
static void close_part(struct store_writer *writer, bool last)
{
	struct batch *batch = writer->batch;
	struct batch_stream *stream = &batch->streams[batch->stream_count];

	stream->cookie = writer->cookie;
	stream->first = writer->stream_first;
	stream->count = batch->chunk_count - writer->stream_first;
	stream->last = last;
	stream->kind = frame_kind(writer->chunking);
	if (last || stream->count)
		batch->stream_count++;
	writer->stream_first = batch->chunk_count;
}

/* Hand the batch to the workers and carry a chunk that is not complete into the next. */
static int dispatch(struct store_writer *writer, struct error **err)
{
	struct batch *batch = writer->batch;
	size_t rest = batch->filled - batch->complete;

	if (writer->stream_is_open)
		close_part(writer, false);
	atomic_fetch_add(&writer->raw_bytes, batch->complete);
	atomic_fetch_add(&writer->chunks, batch->chunk_count);
	writer->batch = NULL;
	batch_queue_submit(&writer->shared.queue);
	if (!rest)
		return 0;
	/* Workers read only complete chunks, and nobody but us refills it: the rest is still there. */
	if (need_batch(writer, err) < 0)
		return -1;
	memmove(writer->batch->data, batch->data + batch->complete, rest);
	writer->batch->filled = rest;
	return 0;
}

static int dispatch_if_full(struct store_writer *writer, struct error **err)
{
	const struct batch *batch = writer->batch;

	if (batch->complete >= BATCH_FULL || batch->chunk_count >= BATCH_CHUNKS_FULL ||
	    batch->stream_count >= BATCH_STREAMS_FULL)
		return dispatch(writer, err);
	return 0;
}

int store_writer_begin(struct store_writer *writer, uint64_t cookie, enum chunking chunking,
		       uint32_t block_size, struct error **err)
{
	if (writer->failed)
		return fail(writer, NULL, err);
	if (writer->stream_is_open)
		return error_set(err, ERROR_FAILED, "a stream is begun inside another");
	if (is_fixed(chunking) &&
	    (block_size < CHUNK_BLOCK_SIZE_MIN || block_size > CHUNK_SIZE_MAX))
		return error_set(err, ERROR_USAGE, "blocks of %u bytes: they must have %u to %u",
				 block_size, CHUNK_BLOCK_SIZE_MIN, CHUNK_SIZE_MAX);
	writer->cookie = cookie;
	writer->chunking = chunking;
	writer->block_size = block_size;
	writer->stream_is_open = true;
	writer->stream_first = writer->batch ? writer->batch->chunk_count : 0;
	chunker_reset(&writer->chunker, chunking == CHUNKING_FINE ? CHUNK_FINE_SHIFT : 0);
	return 0;
}

uint8_t *store_writer_space(struct store_writer *writer, size_t *size, struct error **err)
{
	if (!writer->stream_is_open) {
		error_set(err, ERROR_FAILED, "bytes are fed outside of a stream");
		return NULL;
	}
	if (need_batch(writer, err) < 0)
		return NULL;
	*size = BATCH_SIZE - writer->batch->filled;
	return writer->batch->data + writer->batch->filled;
}

int store_writer_commit(struct store_writer *writer, size_t size, struct error **err)
{
	struct batch *batch = writer->batch;

	if (writer->failed)
		return fail(writer, NULL, err);
	if (!writer->stream_is_open || !batch || size > BATCH_SIZE - batch->filled)
		return error_set(err, ERROR_FAILED,
				 "more bytes are committed than there was space");
	batch->filled += size;
	cut(writer);
	return dispatch_if_full(writer, err);
}

int store_writer_end(struct store_writer *writer, struct error **err)
{
	struct batch *batch;

	if (!writer->stream_is_open)
		return error_set(err, ERROR_FAILED, "a stream is ended that was not begun");
	if (need_batch(writer, err) < 0)
		return -1;
	batch = writer->batch;
	if (batch->filled > batch->complete)
		add_chunk(batch, batch->filled - batch->complete);
	close_part(writer, true);
	writer->stream_is_open = false;
	return dispatch_if_full(writer, err);
}

int store_writer_put(struct store_writer *writer, uint64_t cookie, enum chunking chunking,
		     uint32_t block_size, const void *data, size_t size, struct error **err)
{
	const uint8_t *bytes = data;

	if (store_writer_begin(writer, cookie, chunking, block_size, err) < 0)
		return -1;
	while (size) {
		size_t count;
		uint8_t *space = store_writer_space(writer, &count, err);

		if (!space)
			return -1;
		if (count > size)
			count = size;
		memcpy(space, bytes, count);
		if (store_writer_commit(writer, count, err) < 0)
			return -1;
		bytes += count;
		size -= count;
	}
	return store_writer_end(writer, err);
}

int store_writer_flush(struct store_writer *writer, struct error **err)
{
	struct batch_queue *queue = &writer->shared.queue;

	if (writer->failed)
		return fail(writer, NULL, err);
	if (writer->batch && (writer->batch->stream_count || writer->batch->chunk_count) &&
	    dispatch(writer, err) < 0)
		return -1;
	while (queue->delivered < queue->submitted)
		if (deliver_done(writer, true, err) < 0)
			return -1;
	return 0;
}

static void join_workers(struct store_writer *writer)
{
	for (unsigned i = 0; i < writer->worker_count; i++)
		worker_free(writer->workers[i]);
	writer->worker_count = 0;
}

int store_writer_renew(struct store_writer *writer, struct error **err)
{
	unsigned count = writer->worker_count;

	if (writer->stream_is_open && !writer->failed)
		return error_set(err, ERROR_FAILED, "the workers are renewed inside a stream");
	if (store_writer_flush(writer, err) < 0)
		return -1;
	batch_queue_drain(&writer->shared.queue);
	join_workers(writer);
	batch_queue_reopen(&writer->shared.queue);
	if (batch_queue_check(&writer->shared.queue, NULL) < 0)
		return fail(writer, NULL, err);
	if (start_workers(writer, count, err) < 0) {
		batch_queue_stop(&writer->shared.queue);
		writer->failed = true;
		return -1;
	}
	return 0;
}

int store_writer_finish(struct store_writer *writer, struct pack_info **packs, size_t *count,
			struct error **err)
{
	struct error *error = NULL;

	if (writer->stream_is_open && !writer->failed)
		error_set(&error, ERROR_FAILED, "the store is finished inside a stream");
	if (error)
		return fail(writer, error, err);
	if (store_writer_flush(writer, err) < 0)
		return -1;
	batch_queue_drain(&writer->shared.queue);
	join_workers(writer);
	if (batch_queue_check(&writer->shared.queue, NULL) < 0)
		return fail(writer, NULL, err);
	if (pack_writer_finish(&writer->shared.packs, packs, count, &error) < 0)
		return fail(writer, error, err);
	writer->finished = true;
	writer->failed = true;
	batch_queue_stop(&writer->shared.queue);
	return 0;
}

void store_writer_totals(struct store_writer *writer, struct store_writer_totals *totals)
{
	totals->raw_bytes = atomic_load(&writer->raw_bytes);
	totals->chunks = atomic_load(&writer->chunks);
	totals->new_bytes = atomic_load(&writer->shared.new_bytes);
	totals->new_chunks = atomic_load(&writer->shared.new_chunks);
	totals->stored_bytes = atomic_load(&writer->shared.packs.stored_bytes);
}

void store_writer_free(struct store_writer *writer)
{
	if (!writer)
		return;
	batch_queue_stop(&writer->shared.queue);
	join_workers(writer);
	free(writer->workers);
	pack_writer_release(&writer->shared.packs, writer->finished);
	known_table_release(&writer->shared.known);
	batch_queue_release(&writer->shared.queue);
	free(writer);
}
