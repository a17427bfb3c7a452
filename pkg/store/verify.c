/*
 * Every byte of every pack. Header and footer were checked when the pack was
 * opened, and that the frames leave no gap; here come the frames, and that the
 * chunks fill each of them exactly.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pthread.h>
#include <signal.h>

#include "base/memory.h"
#include "store/reader_private.h"

#define WORKERS_MAX 64
#define STACK_SIZE (512U << 10)

struct verify {
	struct store *store;
	void (*progress)(void *context, uint64_t stored_bytes);
	void *context;
	pthread_mutex_t lock; /* of all below */
	size_t pack;	      /* being verified */
	uint32_t *order;      /* its chunks, by frame and offset */
	uint32_t *first;      /* of each frame in order, and one behind the last */
	uint32_t frame;	      /* the next to take */
	struct store_verify_totals totals;
	struct error *error; /* the first damage found */
};

struct place {
	uint32_t offset, index;
};

static int compare_places(const void *left, const void *right)
{
	const struct place *a = left, *b = right;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int damaged(const struct pack_reader *pack, uint32_t number, const char *what,
		   struct error **err)
{
	struct frame_record frame;

	pack_reader_frame(pack, number, &frame);
	return error_set(err, ERROR_DAMAGED, "pack %s is damaged at offset %llu: %s", pack->name,
			 (unsigned long long)frame.offset, what);
}

/* Sort a pack's chunks by their frames: count, sum up, distribute. */
static int order_chunks(struct verify *verify, const struct pack_reader *pack, struct error **err)
{
	struct chunk_record chunk;

	free(verify->order);
	free(verify->first);
	verify->order = malloc(((size_t)pack->chunk_count + 1) * sizeof(*verify->order));
	verify->first = calloc((size_t)pack->frame_count + 2, sizeof(*verify->first));
	if (!verify->order || !verify->first)
		return error_set(err, ERROR_FAILED, "no memory to verify pack %s", pack->name);
	for (uint32_t i = 0; i < pack->chunk_count; i++) {
		pack_reader_chunk(pack, i, &chunk);
		verify->first[chunk.frame + 2]++;
	}
	for (uint32_t i = 0; i < pack->frame_count; i++)
		verify->first[i + 2] += verify->first[i + 1];
	for (uint32_t i = 0; i < pack->chunk_count; i++) {
		pack_reader_chunk(pack, i, &chunk);
		verify->order[verify->first[chunk.frame + 1]++] = i;
	}
	return 0;
}

/* The chunks of a frame must follow one another from its first byte to its last. */
static int check_chunks(const struct verify *verify, const struct pack_reader *pack,
			uint32_t number, const uint8_t *raw, struct error **err)
{
	uint32_t first = verify->first[number], count = verify->first[number + 1] - first;
	cleanup_free struct place *places = memory_array(NULL, count, sizeof(*places));
	struct frame_record frame;
	struct chunk_record chunk;
	uint32_t offset = 0;
	struct hash hash;

	pack_reader_frame(pack, number, &frame);
	for (uint32_t i = 0; i < count; i++) {
		pack_reader_chunk(pack, verify->order[first + i], &chunk);
		places[i] = (struct place){chunk.offset, verify->order[first + i]};
	}
	qsort(places, count, sizeof(*places), compare_places);
	for (uint32_t i = 0; i < count; i++) {
		pack_reader_chunk(pack, places[i].index, &chunk);
		if (chunk.offset != offset)
			return damaged(pack, number, "its chunks do not fill the frame", err);
		hash_data(&hash, raw + offset, chunk.size);
		if (!hash_equal(&hash, &chunk.id))
			return damaged(pack, number, "a chunk does not have its hash", err);
		offset += chunk.size;
	}
	if (offset != frame.raw_size)
		return damaged(pack, number, "its chunks do not fill the frame", err);
	return 0;
}

/* The next frame of the current pack; false when there is none or damage was found. */
static bool take_frame(struct verify *verify, uint32_t *number)
{
	const struct pack_reader *pack = &verify->store->packs[verify->pack];
	bool taken;

	pthread_mutex_lock(&verify->lock);
	taken = !verify->error && verify->frame < pack->frame_count;
	if (taken)
		*number = verify->frame++;
	pthread_mutex_unlock(&verify->lock);
	return taken;
}

/* Enter the result of a frame. */
static void report(struct verify *verify, uint32_t number, struct error *error)
{
	const struct pack_reader *pack = &verify->store->packs[verify->pack];
	struct frame_record frame;

	pack_reader_frame(pack, number, &frame);
	pthread_mutex_lock(&verify->lock);
	if (error && verify->error)
		error_free(error);
	else if (error)
		verify->error = error;
	if (!error) {
		verify->totals.frames++;
		verify->totals.chunks += verify->first[number + 1] - verify->first[number];
		verify->totals.raw_bytes += frame.raw_size;
		verify->totals.stored_bytes += frame.stored_size;
		if (verify->progress)
			verify->progress(verify->context, verify->totals.stored_bytes);
	}
	pthread_mutex_unlock(&verify->lock);
}

static void *run(void *argument)
{
	struct verify *verify = argument;
	const struct pack_reader *pack = &verify->store->packs[verify->pack];
	uint8_t *raw = malloc(FRAME_RAW_MAX);
	struct frame_loader loader = {0};
	uint32_t number;

	while (take_frame(verify, &number)) {
		struct error *error = NULL;

		if (!raw)
			error_set(&error, ERROR_FAILED, "no memory to verify pack %s", pack->name);
		else if (frame_loader_load(&loader, pack, number, raw, &error) == 0)
			check_chunks(verify, pack, number, raw, &error);
		report(verify, number, error);
	}
	frame_loader_release(&loader);
	free(raw);
	return NULL;
}

/* Other threads beside this one; where one cannot be started the rest do its work. */
static unsigned start_helpers(struct verify *verify, pthread_t *threads, unsigned count)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	unsigned started = 0;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (started < count && pthread_create(&threads[started], &attributes, run, verify) == 0)
		started++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return started;
}

static unsigned worker_count(unsigned wanted, const struct pack_reader *pack)
{
	long cores = wanted ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 1)
		cores = 1;
	if (cores > WORKERS_MAX)
		cores = WORKERS_MAX;
	return (unsigned)cores < pack->frame_count ? (unsigned)cores : pack->frame_count;
}

static int verify_pack(struct verify *verify, unsigned workers, struct error **err)
{
	const struct pack_reader *pack = &verify->store->packs[verify->pack];
	pthread_t threads[WORKERS_MAX];
	unsigned started;

	if (order_chunks(verify, pack, err) < 0)
		return -1;
	verify->frame = 0;
	started = start_helpers(verify, threads, worker_count(workers, pack) - 1);
	run(verify);
	while (started)
		pthread_join(threads[--started], NULL);
	if (verify->error) {
		struct error *error = STEAL_POINTER(verify->error);

		if (err)
			*err = error;
		else
			error_free(error);
		return -1;
	}
	verify->totals.packs++;
	verify->totals.stored_bytes +=
		PACK_HEADER_SIZE + pack_footer_size(pack->frame_count, pack->chunk_count);
	return 0;
}

int store_verify(struct store *store, unsigned workers,
		 void (*progress)(void *context, uint64_t stored_bytes), void *context,
		 struct store_verify_totals *totals, struct error **err)
{
	struct verify verify = {.store = store, .progress = progress, .context = context};
	int result = 0;

	pthread_mutex_init(&verify.lock, NULL);
	for (; result == 0 && verify.pack < store->count; verify.pack++)
		result = verify_pack(&verify, workers, err);
	pthread_mutex_destroy(&verify.lock);
	free(verify.order);
	free(verify.first);
	if (totals)
		*totals = verify.totals;
	return result;
}
