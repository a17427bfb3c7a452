/*
 * The labels of labels.h and those of docs/reference.md are the same, each with a value
 * described, so that neither is changed alone.
 */
#include "test_support.h"

#include <fcntl.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

/* Names that follow ${before} and end at ${end}. */
static void collect(const char *text, const char *before, char end, struct string_list *names)
{
	for (const char *at = text; (at = strstr(at, before)); at++) {
		const char *name = strstr(at, "sidesnap."), *stop;
		const char *line_end = at + strcspn(at + 1, "\n");
		char copy[64];

		stop = name ? strchr(name, end) : NULL;
		if (!stop || stop > line_end + 1 || (size_t)(stop - name) >= sizeof(copy))
			continue;
		memcpy(copy, name, (size_t)(stop - name));
		copy[stop - name] = 0;
		/* The prefix is no label, and one label has two meanings. */
		if (strcmp(copy, "sidesnap.") != 0 && !string_list_has(names, copy))
			string_list_add(names, copy);
	}
}

static void both_have_the_same(void **state)
{
	cleanup_free char *header = file_text("pkg/snapshot/labels.h");
	cleanup_free char *page = file_text("docs/reference.md");
	CLEANUP(string_list_release) struct string_list defined, documented;

	(void)state;
	string_list_init(&defined);
	string_list_init(&documented);
	collect(header, "#define LABEL_", '"', &defined);
	collect(page, "\n| `sidesnap.", '`', &documented);
	assert_true(defined.count >= 30);
	for (size_t i = 0; i < defined.count; i++)
		if (!string_list_has(&documented, defined.items[i]))
			fail_msg("%s is not in docs/reference.md", defined.items[i]);
	for (size_t i = 0; i < documented.count; i++)
		if (!string_list_has(&defined, documented.items[i]))
			fail_msg("%s is not in pkg/snapshot/labels.h", documented.items[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_have_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
