/*
 * A ring of windows. Whoever has nothing to do takes the next one that nobody has: the threads,
 * and the caller too when the one that it wants is not there yet.
 */
#include "tree/capture/page_reader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"

/* The reading and comparing of what was hashed takes a third of the time: more would wait. */
#define THREADS_MAX 4
#define SLOTS (2 * THREADS_MAX)
/* What is shorter is read in the time that a thread takes to start. */
#define WORTHWHILE_BYTES (2U << 20)
#define STACK_SIZE (512U << 10) /* musl's default is too little to be sure of */

enum slot_state { SLOT_EMPTY, SLOT_TAKEN, SLOT_READY };

struct slot {
	enum slot_state state;
	struct page_window window;
	size_t hash_capacity;
	bool is_last; /* the file ends in it */
	int number;   /* errno of a read that failed */
};

struct page_reader {
	struct page_range range;
	uint64_t base, step, count; /* windows: of ${step} bytes from ${base} on, so many */
	struct slot slots[SLOTS];
	pthread_t threads[THREADS_MAX];
	unsigned thread_count;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t taken, given; /* windows; at most SLOTS apart */
	bool holds_one;	       /* the caller has the one before ${given} */
	bool is_ending;
};

struct page_reader *page_reader_new(void)
{
	struct page_reader *reader = memory_zalloc(sizeof(*reader));

	pthread_mutex_init(&reader->lock, NULL);
	pthread_cond_init(&reader->changed, NULL);
	return reader;
}

void page_reader_free(struct page_reader *reader)
{
	if (!reader)
		return;
	page_reader_end(reader);
	for (size_t i = 0; i < SLOTS; i++) {
		free(reader->slots[i].window.data);
		free(reader->slots[i].window.hashes);
	}
	pthread_cond_destroy(&reader->changed);
	pthread_mutex_destroy(&reader->lock);
	free(reader);
}

static uint64_t page_up(uint32_t page, uint64_t at)
{
	return (at + page - 1) / page * page;
}

const uint8_t *page_window_hash(const struct page_window *window, uint32_t page, uint64_t at)
{
	if (at % page || at < window->first_page || at + page > window->at + window->size)
		return NULL;
	return window->hashes + (at - window->first_page) / page * PAGE_HASH_SIZE;
}

static void make_room(const struct page_reader *reader, struct slot *slot)
{
	size_t hashes = PAGE_WINDOW_SIZE / reader->range.page;

	if (!slot->window.data)
		slot->window.data = memory_alloc(PAGE_WINDOW_SIZE);
	if (hashes <= slot->hash_capacity)
		return;
	slot->window.hashes = memory_array(slot->window.hashes, hashes, PAGE_HASH_SIZE);
	slot->hash_capacity = hashes;
}

/* Without the lock: the slot is the caller's. */
static void fill(const struct page_reader *reader, struct slot *slot, uint64_t index)
{
	const struct page_range *range = &reader->range;
	struct page_window *window = &slot->window;
	uint64_t from = reader->base + index * reader->step, to = from + reader->step;
	ssize_t size;
	uint8_t *hash;

	make_room(reader, slot);
	window->at = from < range->from ? range->from : from;
	to = to < range->to ? to : range->to;
	size = io_pread_full(range->fd, window->data, (size_t)(to - window->at), window->at);
	slot->number = size < 0 ? errno : 0;
	window->size = size < 0 ? 0 : (size_t)size;
	slot->is_last = window->size < to - window->at;
	window->first_page = page_up(range->page, window->at);
	hash = window->hashes;
	for (uint64_t page = window->first_page; page + range->page <= window->at + window->size;
	     page += range->page, hash += PAGE_HASH_SIZE)
		page_hasher_run(range->hasher, window->data + (page - window->at), hash);
}

static bool can_take(const struct page_reader *reader)
{
	return !reader->is_ending && reader->taken < reader->count &&
	       reader->slots[reader->taken % SLOTS].state == SLOT_EMPTY;
}

/* With the lock, which is given up meanwhile. */
static void take(struct page_reader *reader)
{
	uint64_t index = reader->taken++;
	struct slot *slot = &reader->slots[index % SLOTS];

	slot->state = SLOT_TAKEN;
	pthread_mutex_unlock(&reader->lock);
	fill(reader, slot, index);
	pthread_mutex_lock(&reader->lock);
	slot->state = SLOT_READY;
	pthread_cond_broadcast(&reader->changed);
}

static void *run(void *context)
{
	struct page_reader *reader = context;

	pthread_mutex_lock(&reader->lock);
	while (!reader->is_ending && reader->taken < reader->count) {
		if (can_take(reader))
			take(reader);
		else
			pthread_cond_wait(&reader->changed, &reader->lock);
	}
	pthread_mutex_unlock(&reader->lock);
	return NULL;
}

/* The caller is one of those that work. One that cannot be started is done without. */
static void start_threads(struct page_reader *reader)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_attr_t attributes;
	sigset_t all, before;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (long i = 1; i < cores && i < THREADS_MAX; i++) {
		if (pthread_create(&reader->threads[reader->thread_count], &attributes, run,
				   reader) != 0)
			break;
		reader->thread_count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

void page_reader_begin(struct page_reader *reader, const struct page_range *range)
{
	uint64_t end;

	reader->range = *range;
	reader->step = PAGE_WINDOW_SIZE - PAGE_WINDOW_SIZE % range->block;
	reader->base = range->from - range->from % range->block;
	end = range->to > range->from ? range->to - reader->base : 0;
	reader->count = (end + reader->step - 1) / reader->step;
	reader->taken = reader->given = 0;
	reader->holds_one = reader->is_ending = false;
	for (size_t i = 0; i < SLOTS; i++)
		reader->slots[i].state = SLOT_EMPTY;
	if (end >= WORTHWHILE_BYTES)
		start_threads(reader);
}

int page_reader_next(struct page_reader *reader, struct page_window *window)
{
	struct slot *slot;

	pthread_mutex_lock(&reader->lock);
	if (reader->holds_one) {
		reader->slots[(reader->given - 1) % SLOTS].state = SLOT_EMPTY;
		reader->holds_one = false;
		pthread_cond_broadcast(&reader->changed);
	}
	if (reader->given == reader->count || reader->is_ending) {
		pthread_mutex_unlock(&reader->lock);
		return 0;
	}
	slot = &reader->slots[reader->given % SLOTS];
	while (slot->state != SLOT_READY) {
		if (can_take(reader))
			take(reader);
		else
			pthread_cond_wait(&reader->changed, &reader->lock);
	}
	reader->given++;
	reader->holds_one = true;
	/* also where it could not be read */
	if (slot->is_last) {
		reader->is_ending = true;
		pthread_cond_broadcast(&reader->changed);
	}
	*window = slot->window;
	pthread_mutex_unlock(&reader->lock);
	errno = slot->number;
	if (slot->number)
		return -1;
	return window->size > 0;
}

void page_reader_end(struct page_reader *reader)
{
	pthread_mutex_lock(&reader->lock);
	reader->is_ending = true;
	pthread_cond_broadcast(&reader->changed);
	pthread_mutex_unlock(&reader->lock);
	while (reader->thread_count)
		pthread_join(reader->threads[--reader->thread_count], NULL);
}
