/*
 * Records as databases print them, and the merge of two streams: against a model that holds both in
 * memory, over random rows that are cut at random places.
 */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "snapshot/compare/data_merge.h"

/* ---- a stream in memory ---- */

struct text {
	const char *data;
	size_t size, position;
	size_t piece; /* bytes at a time; 0: random */
};

static ssize_t read_text(void *context, void *data, size_t size, struct error **err)
{
	struct text *text = context;
	size_t left = text->size - text->position;
	size_t take = text->piece ? text->piece : (size_t)(rand() % 9) + 1;

	(void)err;
	take = take < left ? take : left;
	take = take < size ? take : size;
	memcpy(data, text->data + text->position, take);
	text->position += take;
	return (ssize_t)take;
}

static void assert_field(const struct record *record, size_t index, const char *data, size_t size)
{
	assert_true(index < record->count);
	assert_false(record->fields[index].is_null);
	assert_int_equal(record->fields[index].size, size);
	assert_memory_equal(record->fields[index].data, data, size);
}

static void test_escapes_cut_at_every_byte(void **state)
{
	static const char stream[] = "a\\tb\\n\\\\\t\\N\t\t\\b\\f\\r\\v\\0\\x\n\n\\N\n\\\\N\n";

	(void)state;
	for (size_t piece = 1; piece < sizeof(stream); piece++) {
		struct text text = {stream, sizeof(stream) - 1, 0, piece};
		struct record_reader *reader = record_reader_new(read_text, &text, 1, 100);
		const struct record *record = NULL;

		assert_int_equal(record_next(reader, &record, NULL), 1);
		assert_int_equal(record->count, 4);
		assert_field(record, 0, "a\tb\n\\", 5);
		assert_true(record->fields[1].is_null);
		assert_field(record, 2, "", 0);
		assert_field(record, 3, "\b\f\r\v\0x", 6);
		/* no column at all is one empty field: the two cannot be told apart, and need not be */
		assert_int_equal(record_next(reader, &record, NULL), 1);
		assert_int_equal(record->count, 1);
		assert_field(record, 0, "", 0);
		assert_int_equal(record_next(reader, &record, NULL), 1);
		assert_true(record->fields[0].is_null);
		assert_int_equal(record_next(reader, &record, NULL), 1);
		assert_field(record, 0, "\\N", 2);
		assert_int_equal(record_next(reader, &record, NULL), 0);
		record_reader_free(reader);
	}
}

/* Lists one after the other, of which a row that looks like the mark is none. */
static void test_end_marks(void **state)
{
	static const char stream[] = "a\n\\\\.\n\\.\n\\.\nb\tc\n\\.\n";
	struct text text = {stream, sizeof(stream) - 1, 0, 0};
	struct record_reader *reader = record_reader_new(read_text, &text, 1, 100);
	const struct record *record;
	struct error *error = NULL;

	(void)state;
	record_reader_again(reader, 1);
	assert_int_equal(record_next(reader, &record, NULL), 1);
	assert_field(record, 0, "a", 1);
	assert_int_equal(record_next(reader, &record, NULL), 1);
	assert_field(record, 0, "\\.", 2);
	assert_int_equal(record_next(reader, &record, NULL), 0);
	assert_int_equal(record_next(reader, &record, NULL), 0);
	record_reader_again(reader, 2);
	assert_int_equal(record_next(reader, &record, NULL), 1);
	assert_field(record, 1, "c", 1);
	assert_int_equal(record_next(reader, &record, NULL), 0);
	assert_int_equal(record_next(reader, &record, &error), -1);
	assert_string_equal(error->message, "the output ends within a list");
	error_free(error);
	record_reader_free(reader);
}

static void fails(const char *stream, size_t keys, const char *message)
{
	struct text text = {stream, strlen(stream), 0, 3};
	struct record_reader *reader = record_reader_new(read_text, &text, keys, 100);
	const struct record *record;
	struct error *error = NULL;
	int result;

	while ((result = record_next(reader, &record, &error)) > 0)
		;
	assert_int_equal(result, -1);
	assert_int_equal(error->kind, ERROR_FAILED);
	assert_string_equal(error->message, message);
	error_free(error);
	record_reader_free(reader);
}

static void test_what_is_no_stream_of_records(void **state)
{
	CLEANUP(buffer_release) struct buffer many;

	(void)state;
	fails("a\tb\nc", 1, "the output ends within a record");
	fails("a\\", 1, "the output ends within a record");
	fails("\\Nx\n", 1, "a field has both a value and none");
	fails("x\\N\n", 1, "a field has both a value and none");
	buffer_init(&many, 1U << 22);
	for (size_t i = 0; i <= RECORD_KEY_KEPT; i++)
		buffer_append(&many, "k", 1);
	fails(many.data, 1, "a key is larger than 1048576 bytes");
	buffer_clear(&many);
	for (size_t i = 0; i < RECORD_FIELDS_MAX; i++)
		buffer_append(&many, "\t", 1);
	fails(many.data, 1, "a record has more than 4096 fields");
}

/* Of a huge field little is kept, and a difference anywhere in it is seen. */
static void test_huge_fields(void **state)
{
	const size_t size = 3U << 20;
	char *a = memory_alloc(size + 4), *b = memory_alloc(size + 4);
	static const size_t places[] = {0, RECORD_FIELD_KEPT - 1, RECORD_FIELD_KEPT,
					(3U << 20) - 1};

	(void)state;
	memset(a, 'x', size + 4);
	memcpy(a, "k\t", 2);
	memcpy(a + size + 2, "\t\n", 2);
	for (size_t i = 0; i <= 4; i++) {
		struct text one = {a, size + 4, 0, 50000}, other = {b, size + 4, 0, 777};
		struct record_reader *x = record_reader_new(read_text, &one, 1, RECORD_FIELD_KEPT);
		struct record_reader *y =
			record_reader_new(read_text, &other, 1, RECORD_FIELD_KEPT);
		const struct record *from, *to;

		memcpy(b, a, size + 4);
		if (i < 4)
			b[2 + places[i]] = 'y';
		assert_int_equal(record_next(x, &from, NULL), 1);
		assert_int_equal(record_next(y, &to, NULL), 1);
		assert_int_equal(from->fields[1].size, size);
		assert_int_equal(from->fields[1].kept, RECORD_FIELD_KEPT);
		assert_int_equal(record_field_equal(&from->fields[1], &to->fields[1]), i == 4);
		assert_true(record_field_equal(&from->fields[2], &to->fields[2]));
		record_reader_free(x);
		record_reader_free(y);
	}
	free(a);
	free(b);
}

/* ---- the merge against a model ---- */

#define KEYS 2
#define ROWS_MAX 40
#define FIELD_MAX 4

/* Few values, so that keys meet; with every byte that is written in another way. */
static const char alphabet[] = "a\tb\n\\N\xff\x01";

struct field {
	char data[FIELD_MAX];
	size_t size;
	bool is_null;
};

struct row {
	struct field fields[KEYS + 1];
	bool is_matched;
};

struct rows {
	struct row rows[ROWS_MAX];
	size_t count;
	struct buffer text;
};

static int compare_fields(const struct field *a, const struct field *b)
{
	int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);

	if (a->is_null || b->is_null)
		return b->is_null - a->is_null;
	return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int compare_keys(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	for (size_t i = 0; i < KEYS; i++) {
		int order = compare_fields(&x->fields[i], &y->fields[i]);

		if (order)
			return order;
	}
	return 0;
}

static void random_field(struct field *field)
{
	memset(field, 0, sizeof(*field));
	field->is_null = rand() % 8 == 0;
	field->size = field->is_null ? 0 : (size_t)(rand() % FIELD_MAX);
	for (size_t i = 0; i < field->size; i++)
		field->data[i] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
}

static void write_field(struct buffer *text, const struct field *field)
{
	if (field->is_null)
		buffer_append(text, "\\N", 2);
	for (size_t i = 0; i < field->size; i++) {
		char byte = field->data[i];

		if (byte == '\t' || byte == '\n')
			buffer_append(text, byte == '\t' ? "\\t" : "\\n", 2);
		else if (byte == '\\')
			buffer_append(text, "\\\\", 2);
		else
			buffer_append(text, &byte, 1);
	}
}

static bool has_key(const struct rows *rows, const struct row *row)
{
	for (size_t i = 0; i < rows->count; i++)
		if (compare_keys(&rows->rows[i], row) == 0)
			return true;
	return false;
}

static void write_rows(struct rows *rows)
{
	qsort(rows->rows, rows->count, sizeof(*rows->rows), compare_keys);
	buffer_clear(&rows->text);
	for (size_t i = 0; i < rows->count; i++)
		for (size_t j = 0; j <= KEYS; j++) {
			write_field(&rows->text, &rows->rows[i].fields[j]);
			buffer_append(&rows->text, j == KEYS ? "\n" : "\t", 1);
		}
}

/* ${like}: some rows of it are in this one too, some with another value. */
static void random_rows(struct rows *rows, const struct rows *like, bool unique)
{
	size_t count = (size_t)(rand() % ROWS_MAX);

	rows->count = 0;
	while (count--) {
		struct row row = {0};

		for (size_t j = 0; j <= KEYS; j++)
			random_field(&row.fields[j]);
		if (like && like->count && rand() % 2) {
			row = like->rows[(size_t)rand() % like->count];
			if (rand() % 3 == 0)
				random_field(&row.fields[KEYS]);
		}
		if (!unique || !has_key(rows, &row))
			rows->rows[rows->count++] = row;
	}
	write_rows(rows);
}

struct found {
	size_t added, removed, changed, same;
};

static int count_pair(void *context, const struct record *from, const struct record *to,
		      struct error **err)
{
	struct found *found = context;

	(void)err;
	found->added += !from;
	found->removed += !to;
	if (from && to) {
		bool same = record_field_equal(&from->fields[KEYS], &to->fields[KEYS]);

		assert_int_equal(record_key_compare(from, to, KEYS), 0);
		found->same += same;
		found->changed += !same;
	}
	return 0;
}

static void merge(const struct rows *from, const struct rows *to, struct found *found)
{
	struct text a = {from->text.data, from->text.size, 0, 0},
		    b = {to->text.data, to->text.size, 0, 0};
	struct record_reader *x = record_reader_new(read_text, &a, KEYS, 2);
	struct record_reader *y = record_reader_new(read_text, &b, KEYS, 2);
	struct error *error = NULL;

	memset(found, 0, sizeof(*found));
	if (data_merge(x, y, KEYS, count_pair, found, &error) < 0)
		fail_msg("%s", error->message);
	record_reader_free(x);
	record_reader_free(y);
}

/* Every row of the one against every row of the other. */
static void model(struct rows *from, struct rows *to, struct found *found)
{
	memset(found, 0, sizeof(*found));
	for (size_t j = 0; j < to->count; j++)
		to->rows[j].is_matched = false;
	for (size_t i = 0; i < from->count; i++) {
		size_t j = 0;

		while (j < to->count &&
		       (to->rows[j].is_matched || compare_keys(&from->rows[i], &to->rows[j]) != 0))
			j++;
		if (j == to->count) {
			found->removed++;
			continue;
		}
		to->rows[j].is_matched = true;
		if (compare_fields(&from->rows[i].fields[KEYS], &to->rows[j].fields[KEYS]) == 0)
			found->same++;
		else
			found->changed++;
	}
	for (size_t j = 0; j < to->count; j++)
		found->added += !to->rows[j].is_matched;
}

static void test_merge_against_a_model(void **state)
{
	const char *given = getenv("SIDESNAP_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	static struct rows from, to;
	size_t changed = 0, same = 0;

	(void)state;
	printf("seed %u\n", seed);
	srand(seed);
	buffer_init(&from.text, 1U << 20);
	buffer_init(&to.text, 1U << 20);
	for (int round = 0; round < 3000; round++) {
		struct found found, expected;
		bool unique = round % 3;

		random_rows(&from, NULL, unique);
		random_rows(&to, &from, unique);
		merge(&from, &to, &found);
		model(&from, &to, &expected);
		assert_int_equal(found.added, expected.added);
		assert_int_equal(found.removed, expected.removed);
		assert_int_equal(found.changed, expected.changed);
		assert_int_equal(found.same, expected.same);
		changed += found.changed;
		same += found.same;
	}
	/* the rounds were of use */
	assert_true(changed > 1000 && same > 1000);
	buffer_release(&from.text);
	buffer_release(&to.text);
}

static void merge_fails(const char *from, size_t keys, const char *message)
{
	struct text text = {from, strlen(from), 0, 5};
	struct record_reader *reader = record_reader_new(read_text, &text, keys, 100);
	struct error *error = NULL;
	struct found found = {0};

	assert_int_equal(data_merge(reader, NULL, keys, count_pair, &found, &error), -1);
	assert_int_equal(error->kind, ERROR_FAILED);
	assert_string_equal(error->message, message);
	error_free(error);
	record_reader_free(reader);
}

static void test_wrong_order_is_an_error(void **state)
{
	static const char message[] = "the records did not come in the order of their keys' bytes";

	(void)state;
	merge_fails("b\nc\na\n", 1, message);
	merge_fails("2\n10\n", 1, message);
	merge_fails("a\n\\N\n", 1, message);
	merge_fails("ab\na\n", 1, message);
	merge_fails("a\tb\na\ta\n", 2, message);
	/* as a sort by a language has it */
	merge_fails("a\nB\n", 1, message);
	merge_fails("a\tb\nc\n", 2, "a record has 1 fields instead of 2");
}

static void test_one_side_alone(void **state)
{
	struct text text = {"a\nb\nb\n", 6, 0, 2};
	struct record_reader *reader = record_reader_new(read_text, &text, 1, 100);
	struct found found = {0};

	(void)state;
	assert_int_equal(data_merge(NULL, reader, 1, count_pair, &found, NULL), 0);
	assert_int_equal(found.added, 3);
	assert_int_equal(found.removed, 0);
	record_reader_free(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escapes_cut_at_every_byte),
		cmocka_unit_test(test_end_marks),
		cmocka_unit_test(test_what_is_no_stream_of_records),
		cmocka_unit_test(test_huge_fields),
		cmocka_unit_test(test_merge_against_a_model),
		cmocka_unit_test(test_wrong_order_is_an_error),
		cmocka_unit_test(test_one_side_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
