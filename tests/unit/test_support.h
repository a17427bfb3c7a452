/*
 * For every test: cmocka with what it needs before it, and a few ways to say what must
 * happen.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the above first */
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
#include "base/json.h"

#define UNUSED __attribute__((unused))

static UNUSED void must(int result, struct error **error)
{
	if (result < 0)
		fail_msg("%s", *error ? (*error)->message : "failed without an error");
	assert_null(*error);
}

static UNUSED void must_fail(int result, struct error **error, enum error_kind kind)
{
	assert_int_equal(result, -1);
	assert_non_null(*error);
	if ((*error)->kind != kind)
		fail_msg("kind %d: %s", (int)(*error)->kind, (*error)->message);
	error_free(*error);
	*error = NULL;
}

static UNUSED struct json *parsed(const char *text)
{
	struct error *error = NULL;
	struct json *json = json_parse(text, strlen(text), &error);

	if (!json)
		fail_msg("%s", error->message);
	return json;
}

/* All of a file, to be freed. */
static UNUSED char *file_text(const char *path)
{
	struct buffer text;

	buffer_init(&text, 1U << 20);
	if (io_read_file(AT_FDCWD, path, &text, NULL) < 0)
		fail_msg("cannot read %s", path);
	return buffer_steal(&text);
}

/* Longer than files stay hot. */
static UNUSED void cool_down(void)
{
	const struct timespec time = {.tv_nsec = 130 * 1000000L};

	nanosleep(&time, NULL);
}

#endif
