/*
 * An external merge sort. What is sorted are records as they are kept, not as they came: of a value of
 * any size its beginning and a hash, so that neither memory nor disk need room for it.
 */
#include "snapshot/compare/data_sort.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"

#define RUNS_MERGED 64	  /* at once */
#define RUN_BUFFER 65536U /* bytes of each; more where a record is larger */

/* A record in one piece: this, then for each field its head, its kept bytes and its hash. */
struct packed {
	uint32_t size; /* in bytes, with this */
	uint32_t count;
};

struct packed_field {
	uint64_t size;
	uint32_t kept;
	uint32_t is_null;
};

struct run {
	uint64_t offset, end; /* of what is not yet read, in the file */
	char *data;
	size_t capacity, size, position; /* position: of the record that is next */
};

struct record_sort {
	size_t memory;
	char *arena; /* records that are in no run yet */
	size_t used;
	const char **packed; /* each of them */
	size_t count, capacity, position;
	FILE *spool;
	uint64_t spooled;
	struct run *runs;
	size_t run_count, run_capacity, first_run;
	struct run **heap; /* runs that have a record, the smallest first */
	size_t heap_count;
	struct run *given; /* whose record was given last */
	struct record record;
	size_t field_capacity;
	bool is_ended;
};

struct record_sort *record_sort_new(size_t memory)
{
	struct record_sort *sort = memory_zalloc(sizeof(*sort));

	sort->memory = memory;
	return sort;
}

void record_sort_free(struct record_sort *sort)
{
	if (!sort)
		return;
	for (size_t i = 0; i < sort->run_count; i++)
		free(sort->runs[i].data);
	free(sort->runs);
	free(sort->heap);
	free(sort->packed);
	free(sort->arena);
	free(sort->record.fields);
	if (sort->spool)
		fclose(sort->spool);
	free(sort);
}

/* ---- records in one piece ---- */

static bool has_hash(const struct packed_field *head)
{
	return head->size > head->kept;
}

static size_t packed_size(const struct record *record)
{
	size_t size = sizeof(struct packed);

	for (size_t i = 0; i < record->count; i++) {
		const struct record_field *field = &record->fields[i];

		size += sizeof(struct packed_field) + field->kept;
		if (field->size > field->kept)
			size += HASH_SIZE;
	}
	return size;
}

static char *put(char *place, const void *data, size_t size)
{
	if (size)
		memcpy(place, data, size);
	return place + size;
}

static void pack(char *place, const struct record *record, size_t size)
{
	const struct packed whole = {(uint32_t)size, (uint32_t)record->count};

	place = put(place, &whole, sizeof(whole));
	for (size_t i = 0; i < record->count; i++) {
		const struct record_field *field = &record->fields[i];
		const struct packed_field head = {field->size, (uint32_t)field->kept,
						  field->is_null};

		place = put(place, &head, sizeof(head));
		place = put(place, field->data, field->kept);
		if (has_hash(&head))
			place = put(place, field->hash.bytes, HASH_SIZE);
	}
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Both begin with a head; *size is what both take. */
static int compare_fields(const char *a, const char *b, size_t sizes[2])
{
	struct packed_field x, y;
	int order;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	sizes[0] = sizeof(x) + x.kept + (has_hash(&x) ? HASH_SIZE : 0);
	sizes[1] = sizeof(y) + y.kept + (has_hash(&y) ? HASH_SIZE : 0);
	if (x.is_null || y.is_null)
		return compare_numbers(y.is_null, x.is_null);
	order = memcmp(a + sizeof(x), b + sizeof(y), x.kept < y.kept ? x.kept : y.kept);
	if (order == 0)
		order = compare_numbers(x.kept, y.kept);
	if (order == 0)
		order = compare_numbers(x.size, y.size);
	if (order == 0 && has_hash(&x))
		order = memcmp(a + sizeof(x) + x.kept, b + sizeof(y) + y.kept, HASH_SIZE);
	return order;
}

static int compare_packed(const char *a, const char *b)
{
	struct packed x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	a += sizeof(x);
	b += sizeof(y);
	for (uint32_t i = 0; i < x.count && i < y.count; i++) {
		size_t sizes[2];
		int order = compare_fields(a, b, sizes);

		if (order)
			return order;
		a += sizes[0];
		b += sizes[1];
	}
	return compare_numbers(x.count, y.count);
}

static int compare_places(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return compare_packed(*x, *y);
}

static void unpack(struct record_sort *sort, const char *place)
{
	struct record *record = &sort->record;
	struct packed whole;

	memcpy(&whole, place, sizeof(whole));
	place += sizeof(whole);
	if (whole.count > sort->field_capacity) {
		sort->field_capacity = whole.count;
		record->fields = memory_array(record->fields, whole.count, sizeof(*record->fields));
	}
	record->count = whole.count;
	for (size_t i = 0; i < record->count; i++) {
		struct record_field *field = &record->fields[i];
		struct packed_field head;

		memcpy(&head, place, sizeof(head));
		place += sizeof(head);
		memset(field, 0, sizeof(*field));
		field->data = place;
		field->kept = head.kept;
		field->size = head.size;
		field->is_null = head.is_null;
		place += head.kept;
		if (!has_hash(&head))
			continue;
		memcpy(field->hash.bytes, place, HASH_SIZE);
		place += HASH_SIZE;
	}
}

/* ---- runs ---- */

static struct run *add_run(struct record_sort *sort)
{
	struct run *run;

	if (sort->run_count == sort->run_capacity) {
		sort->run_capacity = sort->run_capacity ? 2 * sort->run_capacity : 16;
		sort->runs = memory_array(sort->runs, sort->run_capacity, sizeof(*sort->runs));
	}
	run = &sort->runs[sort->run_count++];
	*run = (struct run){.offset = sort->spooled, .end = sort->spooled};
	return run;
}

/* To the end of the file, and of its last run. */
static int spool(struct record_sort *sort, const char *packed, struct error **err)
{
	struct packed whole;

	memcpy(&whole, packed, sizeof(whole));
	if (!sort->spool && !(sort->spool = io_open_spool(err)))
		return -1;
	if (fwrite(packed, 1, whole.size, sort->spool) != whole.size) {
		error_set_errno(err, errno, "cannot write a temporary file for sorting");
		return error_hint(err, "/tmp needs room for the keys of the largest table, and up "
				       "to 8 KiB of each of its values");
	}
	sort->spooled += whole.size;
	sort->runs[sort->run_count - 1].end = sort->spooled;
	return 0;
}

static int spill(struct record_sort *sort, struct error **err)
{
	qsort(sort->packed, sort->count, sizeof(*sort->packed), compare_places);
	add_run(sort);
	for (size_t i = 0; i < sort->count; i++)
		if (spool(sort, sort->packed[i], err) < 0)
			return -1;
	sort->used = sort->count = 0;
	return 0;
}

int record_sort_add(struct record_sort *sort, const struct record *record, struct error **err)
{
	size_t size = packed_size(record);
	/* What qsort() needs of its own is as much again as the places. */
	size_t places = 2 * (sort->count + 1) * sizeof(*sort->packed);

	if (sort->count && sort->used + size + places > sort->memory && spill(sort, err) < 0)
		return -1;
	if (!sort->arena)
		sort->arena = memory_alloc(sort->memory);
	if (size > sort->memory) {
		cleanup_free char *alone = memory_alloc(size);

		pack(alone, record, size);
		add_run(sort);
		return spool(sort, alone, err);
	}
	if (sort->count == sort->capacity) {
		sort->capacity = sort->capacity ? 2 * sort->capacity : 1024;
		sort->packed = memory_array(sort->packed, sort->capacity, sizeof(*sort->packed));
	}
	pack(sort->arena + sort->used, record, size);
	sort->packed[sort->count++] = sort->arena + sort->used;
	sort->used += size;
	return 0;
}

/* ---- reading runs ---- */

static int fill(struct record_sort *sort, struct run *run, size_t wanted, struct error **err)
{
	uint64_t left = run->end - run->offset;
	size_t take;

	run->size -= run->position;
	if (run->size)
		memmove(run->data, run->data + run->position, run->size);
	run->position = 0;
	if (run->capacity < wanted) {
		run->capacity = wanted < RUN_BUFFER ? RUN_BUFFER : wanted;
		run->data = memory_array(run->data, run->capacity, 1);
	}
	take = run->capacity - run->size;
	take = left < take ? (size_t)left : take;
	if (io_pread_full(fileno(sort->spool), run->data + run->size, take, run->offset) !=
	    (ssize_t)take)
		return error_set(err, ERROR_FAILED, "cannot read the temporary file for sorting");
	run->offset += take;
	run->size += take;
	return 0;
}

/* The record that is next is wholly in memory: 1; there is none: 0. */
static int look(struct record_sort *sort, struct run *run, struct error **err)
{
	struct packed whole;

	if (run->position == run->size && run->offset == run->end)
		return 0;
	if (run->size - run->position < sizeof(whole) && fill(sort, run, RUN_BUFFER, err) < 0)
		return -1;
	memcpy(&whole, run->data + run->position, sizeof(whole));
	if (run->size - run->position < whole.size && fill(sort, run, whole.size, err) < 0)
		return -1;
	return 1;
}

static const char *next_of(const struct run *run)
{
	return run->data + run->position;
}

static void sift(struct record_sort *sort, size_t index)
{
	for (;;) {
		size_t least = index;

		for (size_t child = 2 * index + 1; child <= 2 * index + 2; child++)
			if (child < sort->heap_count &&
			    compare_packed(next_of(sort->heap[child]), next_of(sort->heap[least])) <
				    0)
				least = child;
		if (least == index)
			return;
		struct run *run = sort->heap[index];

		sort->heap[index] = sort->heap[least];
		sort->heap[least] = run;
		index = least;
	}
}

/* The first of those that are left, ${count} of them. */
static int begin_merge(struct record_sort *sort, size_t count, struct error **err)
{
	if (fflush(sort->spool) != 0)
		return error_set_errno(err, errno, "cannot write a temporary file for sorting");
	sort->heap = memory_array(sort->heap, RUNS_MERGED, sizeof(*sort->heap));
	sort->heap_count = 0;
	sort->given = NULL;
	for (size_t i = 0; i < count; i++) {
		struct run *run = &sort->runs[sort->first_run + i];
		int result = look(sort, run, err);

		if (result < 0)
			return -1;
		if (result > 0)
			sort->heap[sort->heap_count++] = run;
	}
	for (size_t i = sort->heap_count; i-- > 0;)
		sift(sort, i);
	return 0;
}

/* Valid until the next call. */
static int merge_next(struct record_sort *sort, const char **packed, struct error **err)
{
	struct run *run = sort->given;

	if (run) {
		struct packed whole;
		int result;

		memcpy(&whole, next_of(run), sizeof(whole));
		run->position += whole.size;
		result = look(sort, run, err);
		if (result < 0)
			return -1;
		if (result == 0) {
			free(STEAL_POINTER(run->data));
			sort->heap[0] = sort->heap[--sort->heap_count];
		}
		sift(sort, 0);
	}
	if (!sort->heap_count) {
		sort->given = NULL;
		return 0;
	}
	sort->given = sort->heap[0];
	*packed = next_of(sort->given);
	return 1;
}

/* The oldest runs become one, as often as there are too many. */
static int reduce(struct record_sort *sort, struct error **err)
{
	while (sort->run_count - sort->first_run > RUNS_MERGED) {
		const char *packed;
		int result;

		/* the place of the new one, before runs are pointed at */
		add_run(sort);
		if (begin_merge(sort, RUNS_MERGED, err) < 0)
			return -1;
		while ((result = merge_next(sort, &packed, err)) > 0)
			if (spool(sort, packed, err) < 0)
				return -1;
		if (result < 0)
			return -1;
		sort->first_run += RUNS_MERGED;
	}
	return 0;
}

static int end(struct record_sort *sort, struct error **err)
{
	sort->is_ended = true;
	if (!sort->run_count) {
		if (sort->count)
			qsort(sort->packed, sort->count, sizeof(*sort->packed), compare_places);
		return 0;
	}
	if (sort->count && spill(sort, err) < 0)
		return -1;
	free(STEAL_POINTER(sort->arena));
	free(STEAL_POINTER(sort->packed));
	return reduce(sort, err) < 0 ||
			       begin_merge(sort, sort->run_count - sort->first_run, err) < 0
		       ? -1
		       : 0;
}

int record_sort_next(struct record_sort *sort, const struct record **record, struct error **err)
{
	const char *packed = NULL;
	int result = 1;

	if (!sort->is_ended && end(sort, err) < 0)
		return -1;
	if (sort->run_count)
		result = merge_next(sort, &packed, err);
	else if (sort->position < sort->count)
		packed = sort->packed[sort->position++];
	else
		result = 0;
	if (result <= 0)
		return result;
	unpack(sort, packed);
	*record = &sort->record;
	return 1;
}
