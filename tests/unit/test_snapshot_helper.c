/*
 * Telling helpers from look-alikes: a container inherits every label of its image,
 * so labels alone must never make one a helper that doctor would remove.
 */
#include "test_support.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "snapshot/helper/helper_lock.h"

#define NONCE "0123456789abcdef0123456789abcdef"

static bool is_helper(const char *name, const char *role, const char *nonce, const char *program)
{
	cleanup_free char *text =
		memory_printf("{\"Name\":\"%s\",\"Config\":{\"Labels\":{\"sidesnap.role\":\"%s\","
			      "\"sidesnap.nonce\":\"%s\"},\"Entrypoint\":[\"%s\",\"helper\"]}}",
			      name, role, nonce, program);
	CLEANUP(cleanup_json_free) struct json *inspect = json_parse(text, strlen(text), NULL);

	assert_non_null(inspect);
	return helper_is_ours(inspect);
}

static void only_all_of_it_makes_a_helper(void **state)
{
	const char *name = "/sidesnap-0123456789ab-create", *program = "/" NONCE "/agent";

	(void)state;
	assert_true(is_helper(name, "helper", NONCE, program));
	assert_false(is_helper(name, "snapshot", NONCE, program));
	assert_false(is_helper(name, "helper", "", "//agent"));
	assert_false(is_helper(name, "helper", NONCE, "/.sidesnap/agent"));
	assert_false(is_helper("/sidesnap", "helper", NONCE, program));
	assert_false(is_helper("/sidesnap-0123456789ab", "helper", NONCE, program));
	assert_false(is_helper("/db", "helper", NONCE, program));
	assert_false(helper_is_ours(NULL));
}

static void the_lock_is_named_after_the_target(void **state)
{
	cleanup_free char *a = helper_lock_name("0123456789abcdef0123", "create");
	cleanup_free char *b = helper_lock_name(NULL, "verify");
	cleanup_free char *c = helper_lock_name(NULL, "verify");

	(void)state;
	assert_string_equal(a, "sidesnap-0123456789ab-create");
	assert_string_not_equal(b, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_all_of_it_makes_a_helper),
		cmocka_unit_test(the_lock_is_named_after_the_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
