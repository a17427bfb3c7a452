/*
 * A list by last use and one lock, held only for pointer work: reading and
 * decompressing a frame takes a thousand times longer.
 */
#include "store/frame_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct cached_loader {
	struct cached_loader *next;
	struct frame_loader loader;
};

void frame_cache_init(struct frame_cache *cache, size_t limit)
{
	memset(cache, 0, sizeof(*cache));
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->loaded, NULL);
	cache->limit = limit;
}

static void list_remove(struct frame_cache *cache, struct frame *frame)
{
	*(frame->newer ? &frame->newer->older : &cache->newest) = frame->older;
	*(frame->older ? &frame->older->newer : &cache->oldest) = frame->newer;
}

static void list_add(struct frame_cache *cache, struct frame *frame)
{
	frame->newer = NULL;
	frame->older = cache->newest;
	*(frame->older ? &frame->older->newer : &cache->oldest) = frame;
	cache->newest = frame;
}

/* Take a frame that nobody has out of everything; its data is the caller's then. */
static uint8_t *detach(struct frame_cache *cache, struct frame *frame)
{
	uint8_t *data = frame->data;

	list_remove(cache, frame);
	cache->size -= frame->size;
	if (*frame->home == frame)
		*frame->home = NULL;
	free(frame);
	return data;
}

void frame_cache_release(struct frame_cache *cache)
{
	while (cache->oldest)
		free(detach(cache, cache->oldest));
	for (size_t i = 0; i < FRAME_CACHE_SPARES; i++)
		free(cache->spares[i].data);
	while (cache->loaders) {
		struct cached_loader *loader = cache->loaders;

		cache->loaders = loader->next;
		frame_loader_release(&loader->loader);
		free(loader);
	}
	pthread_cond_destroy(&cache->loaded);
	pthread_mutex_destroy(&cache->lock);
}

/* Keep memory for a frame of that size, in place of what was kept longest. */
static void keep_spare(struct frame_cache *cache, uint8_t *data, size_t size)
{
	struct spare_memory *spares = cache->spares;

	free(spares[FRAME_CACHE_SPARES - 1].data);
	memmove(spares + 1, spares, (FRAME_CACHE_SPARES - 1) * sizeof(*spares));
	spares[0] = (struct spare_memory){data, size};
}

static uint8_t *take_spare(struct frame_cache *cache, size_t size)
{
	for (size_t i = 0; i < FRAME_CACHE_SPARES; i++) {
		struct spare_memory *spare = &cache->spares[i];
		uint8_t *data = spare->data;

		if (!data || spare->size != size)
			continue;
		spare->data = NULL;
		spare->size = 0;
		return data;
	}
	return NULL;
}

/*
 * Room for ${size} bytes: the oldest frames that nobody has go. Their memory is kept for
 * frames of their size, since fresh memory costs a third of what decompression does.
 */
static void make_room(struct frame_cache *cache, size_t size)
{
	struct frame *frame = cache->oldest;

	while (frame && cache->size + size > cache->limit) {
		struct frame *newer = frame->newer;

		if (frame->pins == 0) {
			size_t had = frame->size;

			keep_spare(cache, detach(cache, frame), had);
		}
		frame = newer;
	}
}

static struct cached_loader *take_loader(struct frame_cache *cache)
{
	struct cached_loader *loader = cache->loaders;

	if (!loader)
		return memory_zalloc(sizeof(*loader));
	cache->loaders = loader->next;
	return loader;
}

/* A size class, so that frames of about the same size can take over each other's memory. */
static size_t allocation_size(uint32_t raw_size)
{
	const size_t step = raw_size > FRAME_RAW_MIN / 2 ? 512U << 10 : 64U << 10;

	return raw_size < step ? raw_size : (raw_size + step - 1) / step * step;
}

/* Load the frame that is in state FRAME_LOADING and pinned by us. The lock is not held. */
static int load(struct frame_loader *loader, const struct pack_reader *pack, uint32_t number,
		struct frame *frame, struct error **err)
{
	if (!frame->data)
		frame->data = malloc(frame->size);
	if (!frame->data)
		return error_set(err, ERROR_FAILED, "no memory for a frame of %zu bytes",
				 frame->size);
	return frame_loader_load(loader, pack, number, frame->data, err);
}

/* Enter a new frame and load it; the lock is held, and released meanwhile. */
static struct frame *add_frame(struct frame_cache *cache, struct pack_reader *pack, uint32_t number,
			       struct error **err)
{
	struct frame *frame = memory_zalloc(sizeof(*frame));
	struct cached_loader *loader = take_loader(cache);
	struct frame_record record;
	int result;

	pack_reader_frame(pack, number, &record);
	frame->size = allocation_size(record.raw_size);
	make_room(cache, frame->size);
	frame->data = take_spare(cache, frame->size);
	frame->home = &pack->frames[number];
	frame->pins = 1;
	frame->state = FRAME_LOADING;
	*frame->home = frame;
	cache->size += frame->size;
	list_add(cache, frame);
	pthread_mutex_unlock(&cache->lock);
	result = load(&loader->loader, pack, number, frame, err);
	pthread_mutex_lock(&cache->lock);
	loader->next = cache->loaders;
	cache->loaders = loader;
	frame->state = result == 0 ? FRAME_READY : FRAME_FAILED;
	/* Whoever waits for a failed frame tries it anew and gets an error of its own. */
	if (result < 0)
		*frame->home = NULL;
	pthread_cond_broadcast(&cache->loaded);
	return frame;
}

/* The lock is held. */
static void unpin(struct frame_cache *cache, struct frame *frame)
{
	if (--frame->pins > 0)
		return;
	if (frame->state == FRAME_FAILED || cache->size > cache->limit)
		free(detach(cache, frame));
}

struct frame *frame_cache_pin(struct frame_cache *cache, struct pack_reader *pack, uint32_t number,
			      struct error **err)
{
	struct frame *frame;

	pthread_mutex_lock(&cache->lock);
	for (;;) {
		frame = pack->frames[number];
		if (!frame) {
			frame = add_frame(cache, pack, number, err);
			break;
		}
		frame->pins++;
		list_remove(cache, frame);
		list_add(cache, frame);
		while (frame->state == FRAME_LOADING)
			pthread_cond_wait(&cache->loaded, &cache->lock);
		if (frame->state == FRAME_READY)
			break;
		unpin(cache, frame);
	}
	if (frame->state == FRAME_FAILED) {
		unpin(cache, frame);
		frame = NULL;
	}
	pthread_mutex_unlock(&cache->lock);
	return frame;
}

void frame_cache_unpin(struct frame_cache *cache, struct frame *frame)
{
	pthread_mutex_lock(&cache->lock);
	unpin(cache, frame);
	pthread_mutex_unlock(&cache->lock);
}
