/*
 * The sort of records against qsort() over the same rows in memory, with so little memory of its own
 * that it needs several passes; what it takes of memory; what it leaves behind.
 */
#include "test_support.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "snapshot/compare/data_sort.h"

#define FIELDS 3
#define FIELD_MAX 6
#define ROWS 20000

struct row {
	struct record_field fields[FIELDS];
	char data[FIELDS][FIELD_MAX];
};

static const char alphabet[] = "ab\t\n\\\0\xff";

static void random_row(struct row *row)
{
	memset(row, 0, sizeof(*row));
	for (size_t i = 0; i < FIELDS; i++) {
		struct record_field *field = &row->fields[i];

		field->is_null = rand() % 7 == 0;
		field->kept = field->is_null ? 0 : (size_t)(rand() % FIELD_MAX);
		field->size = field->kept;
		for (size_t j = 0; j < field->kept; j++)
			row->data[i][j] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		/* of one that is larger than is kept, the hash decides */
		if (i == FIELDS - 1 && field->kept && rand() % 2) {
			field->size += 1 + (size_t)(rand() % 2);
			field->hash.bytes[0] = (uint8_t)(rand() % 3);
		}
	}
}

static void point(struct row *row)
{
	for (size_t i = 0; i < FIELDS; i++)
		row->fields[i].data = row->data[i];
}

static struct record record_of(struct row *row)
{
	point(row);
	return (struct record){.fields = row->fields, .count = FIELDS};
}

static int compare_rows(const void *a, const void *b)
{
	struct row x = *(const struct row *)a, y = *(const struct row *)b;
	const struct record from = record_of(&x), to = record_of(&y);
	const struct record_field *p = &x.fields[FIELDS - 1], *q = &y.fields[FIELDS - 1];
	int order = record_key_compare(&from, &to, FIELDS);

	if (order || p->is_null)
		return order;
	if (p->size != q->size)
		return p->size < q->size ? -1 : 1;
	return memcmp(p->hash.bytes, q->hash.bytes, HASH_SIZE);
}

static void assert_same(const struct record *record, struct row *row)
{
	point(row);
	assert_int_equal(record->count, FIELDS);
	for (size_t i = 0; i < FIELDS; i++)
		assert_true(record_field_equal(&record->fields[i], &row->fields[i]));
}

static void sorts_like_qsort(size_t count, size_t memory)
{
	static struct row rows[ROWS];
	struct record_sort *sort = record_sort_new(memory);
	const struct record *record;

	for (size_t i = 0; i < count; i++) {
		struct record one;

		random_row(&rows[i]);
		one = record_of(&rows[i]);
		assert_int_equal(record_sort_add(sort, &one, NULL), 0);
	}
	qsort(rows, count, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(record_sort_next(sort, &record, NULL), 1);
		assert_same(record, &rows[i]);
	}
	assert_int_equal(record_sort_next(sort, &record, NULL), 0);
	assert_int_equal(record_sort_next(sort, &record, NULL), 0);
	record_sort_free(sort);
}

static void test_against_qsort(void **state)
{
	const char *given = getenv("SIDESNAP_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

	(void)state;
	printf("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 200; round++)
		sorts_like_qsort((size_t)(rand() % 300), 1U << (rand() % 18));
	/* in memory; in a few runs; in so many that they are merged twice, and thrice */
	sorts_like_qsort(ROWS, 64U << 20);
	sorts_like_qsort(ROWS, 256U << 10);
	sorts_like_qsort(ROWS, 8U << 10);
	sorts_like_qsort(ROWS, 300);
}

/* 64 MiB of records through 1 MiB; one of them is larger than that. */
static void test_memory_is_bounded(void **state)
{
	struct record_sort *sort = record_sort_new(1U << 20);
	char *data = memory_zalloc(3U << 20);
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, most = 0;
	const struct record *record;
	size_t count = 0;

	(void)state;
	for (uint32_t i = 0; i < 65536; i++) {
		struct record_field field = {.data = data, .kept = 1000, .size = 1000};
		const struct record one = {.fields = &field, .count = 1};
		size_t now;

		snprintf(data, 16, "%08x", i * 2654435761U);
		if (i == 777)
			field.kept = field.size = 3U << 20;
		assert_int_equal(record_sort_add(sort, &one, NULL), 0);
		now = mallinfo2().uordblks + mallinfo2().hblkhd - before;
		most = now > most ? now : most;
	}
	/* its arena, where each record is, and the buffer of the file */
	assert_true(most < 2U << 20);
	data[8] = '\0';
	while (record_sort_next(sort, &record, NULL) > 0) {
		assert_true(memcmp(data, record->fields[0].data, 8) <= 0 || !count);
		memcpy(data, record->fields[0].data, 8);
		count++;
		size_t now = mallinfo2().uordblks + mallinfo2().hblkhd - before;

		most = now > most ? now : most;
	}
	assert_int_equal(count, 65536);
	/* a buffer for each of the runs that are merged, and the large one */
	assert_true(most < (64U * 65536 + (4U << 20)));
	record_sort_free(sort);
	free(data);
}

static size_t temporary_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t count = 0;
	struct dirent *entry;

	while ((entry = readdir(directory)) != NULL) {
		char target[256];
		ssize_t size =
			readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);

		target[size > 0 ? size : 0] = '\0';
		count += strstr(target, "/tmp/") && strstr(target, "(deleted)");
	}
	closedir(directory);
	return count;
}

/* Without a name from the first byte on: whatever ends the program, nothing is left. */
static void test_its_file_has_no_name(void **state)
{
	struct record_sort *sort = record_sort_new(100);
	struct record_field field = {.data = "some text", .kept = 9, .size = 9};
	const struct record one = {.fields = &field, .count = 1};

	(void)state;
	assert_int_equal(temporary_files(), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(record_sort_add(sort, &one, NULL), 0);
	assert_int_equal(temporary_files(), 1);
	record_sort_free(sort);
	assert_int_equal(temporary_files(), 0);
}

/* ---- behind a reader ---- */

struct text {
	const char *data;
	size_t position;
};

static ssize_t read_text(void *context, void *data, size_t size, struct error **err)
{
	struct text *text = context;
	size_t left = strlen(text->data) - text->position;
	size_t take = left < 3 ? left : 3;

	(void)err;
	assert_true(size >= 3);
	memcpy(data, text->data + text->position, take);
	text->position += take;
	return (ssize_t)take;
}

static void test_a_reader_that_sorts(void **state)
{
	struct text text = {"b\t2\na\t1\nb\t1\n\\.\nz\ny\n\\.\n", 0};
	struct record_reader *reader = record_reader_new(read_text, &text, 1, 100);
	static const char *const expected[] = {"a1", "b1", "b2"};
	const struct record *record;

	(void)state;
	record_reader_again(reader, 1);
	assert_int_equal(record_reader_sort(reader, NULL), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(record_next(reader, &record, NULL), 1);
		assert_int_equal(record->fields[0].data[0], expected[i][0]);
		assert_int_equal(record->fields[1].data[0], expected[i][1]);
	}
	assert_int_equal(record_next(reader, &record, NULL), 0);
	/* the list behind it comes as it is */
	record_reader_again(reader, 1);
	assert_int_equal(record_next(reader, &record, NULL), 1);
	assert_int_equal(record->fields[0].data[0], 'z');
	record_reader_free(reader);
}

static void test_what_ends_too_early_is_no_list(void **state)
{
	struct text text = {"b\t2\na\t1", 0};
	struct record_reader *reader = record_reader_new(read_text, &text, 1, 100);
	struct error *error = NULL;

	(void)state;
	assert_int_equal(record_reader_sort(reader, &error), -1);
	assert_string_equal(error->message, "the output ends within a record");
	error_free(error);
	record_reader_free(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_qsort),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_its_file_has_no_name),
		cmocka_unit_test(test_a_reader_that_sorts),
		cmocka_unit_test(test_what_ends_too_early_is_no_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
