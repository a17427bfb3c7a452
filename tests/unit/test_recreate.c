/*
 * The create body from an inspect. data/recreate.json holds answers of a real engine (20.10)
 * with the bodies that were checked by hand; the rest are single rules.
 */
#include "test_support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"
#include "snapshot/restore/recreate.h"

static struct json *load(const char *path)
{
	struct error *error = NULL;
	struct buffer text;
	struct json *json;

	buffer_init(&text, 1U << 20);
	if (io_read_file(AT_FDCWD, path, &text, &error) < 0)
		fail_msg("%s", error->message);
	json = parsed(text.data);
	buffer_release(&text);
	return json;
}

static void same(const char *what, const struct json *is, const struct json *expected)
{
	cleanup_free char *a = json_print(is, true), *b = json_print(expected, true);

	if (!json_equal(is, expected))
		fail_msg("%s: is\n%s\nbut should be\n%s", what, a, b);
}

static void test_answers_of_an_engine(void **state)
{
	CLEANUP(cleanup_json_free) struct json *file = load("tests/unit/data/recreate.json");
	size_t count = 0;

	(void)state;
	json_for_each(item, json_get(file, "cases")) {
		struct recreate_source source = {.inspect = json_get(item, "inspect"),
						 .old_image = json_get(file, "image"),
						 .image = "snap:1",
						 .boot = true};
		struct recreation made;

		recreate(&source, &made);
		same(json_string(item, "case"), made.body, json_get(item, "body"));
		same(json_string(item, "case"), made.connect, json_get(item, "connect"));
		assert_null(made.disconnect);
		recreation_release(&made);
		count++;
	}
	assert_int_equal(count, 4);
}

/* Make it and compare one member of the body. */
static void expect_body(const char *inspect, const char *image, bool boot, const char *member,
			const char *expected)
{
	CLEANUP(cleanup_json_free) struct json *container = parsed(inspect);
	CLEANUP(cleanup_json_free) struct json *of = image ? parsed(image) : NULL;
	CLEANUP(cleanup_json_free) struct json *value = expected ? parsed(expected) : NULL;
	struct recreate_source source = {
		.inspect = container, .old_image = of, .image = "s", .boot = boot};
	struct recreation made;

	recreate(&source, &made);
	same(member, json_get(made.body, member), value);
	recreation_release(&made);
}

static void test_entrypoint_of_the_old_image_is_left_out(void **state)
{
	const char *image = "{\"Config\":{\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"]}}";

	(void)state;
	expect_body("{\"Config\":{\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"]}}", image, true,
		    "Entrypoint", NULL);
	expect_body("{\"Config\":{\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"]}}", image, true, "Cmd",
		    NULL);
	expect_body("{\"Config\":{\"Entrypoint\":[\"e\"],\"Cmd\":[\"d\"]}}", image, true, "Cmd",
		    "[\"d\"]");
	expect_body("{\"Config\":{\"Entrypoint\":[\"f\"],\"Cmd\":null}}", image, true, "Entrypoint",
		    "[\"/.sidesnap/agent\",\"boot\",\"--\",\"f\"]");
	expect_body("{\"Config\":{\"Entrypoint\":[\"f\"],\"Cmd\":null}}", image, true, "Cmd", "[]");
	/* The same entrypoint given again, which drops the image's command. */
	expect_body("{\"Config\":{\"Entrypoint\":[\"e\"],\"Cmd\":null}}", image, true, "Entrypoint",
		    "[\"/.sidesnap/agent\",\"boot\",\"--\",\"e\"]");
}

static void test_boot_is_never_doubled(void **state)
{
	const char *image =
		"{\"Config\":{\"Entrypoint\":[\"/.sidesnap/agent\",\"boot\",\"--\",\"e\"]}}";

	(void)state;
	expect_body("{\"Config\":{\"Entrypoint\":[\"/.sidesnap/agent\",\"boot\",\"--\",\"f\"]}}",
		    image, true, "Entrypoint", "[\"/.sidesnap/agent\",\"boot\",\"--\",\"f\"]");
	expect_body("{\"Config\":{\"Entrypoint\":[\"/.sidesnap/agent\",\"boot\",\"--\",\"e\"]}}",
		    image, true, "Entrypoint", NULL);
	/* Another's container that only follows is no snapshot. */
	expect_body("{\"Config\":{\"Entrypoint\":null,\"Cmd\":[\"x\"]}}",
		    "{\"Config\":{\"Entrypoint\":[\"e\"]}}", false, "Entrypoint", "[\"\"]");
}

static void test_labels(void **state)
{
	(void)state;
	expect_body(
		"{\"Config\":{\"Labels\":{\"a\":\"1\",\"b\":\"2\",\"com.docker.compose.project\":\"p\","
		"\"sidesnap.id\":\"00\",\"sidesnap.role\":\"snapshot\",\"sidesnap.freeze\":\"false\"}}}",
		"{\"Config\":{\"Labels\":{\"a\":\"1\",\"com.docker.compose.project\":\"p\","
		"\"sidesnap.id\":\"00\",\"sidesnap.role\":\"snapshot\"}}}",
		true, "Labels",
		"{\"b\":\"2\",\"com.docker.compose.project\":\"p\",\"sidesnap.freeze\":\"false\"}");
}

static void test_environment_is_compared_with_its_values(void **state)
{
	(void)state;
	expect_body("{\"Config\":{\"Env\":[\"A=1\",\"B=3\",\"C=\"]}}",
		    "{\"Config\":{\"Env\":[\"A=1\",\"B=2\"]}}", true, "Env", "[\"B=3\",\"C=\"]");
	expect_body("{\"Config\":{\"Env\":[\"A=1\"]}}", NULL, true, "Env", "[\"A=1\"]");
}

static void test_host_name_belongs_to_whose_network_it_is(void **state)
{
	(void)state;
	expect_body("{\"Id\":\"0123456789abcdef\",\"Config\":{\"Hostname\":\"0123456789ab\"}}",
		    NULL, true, "Hostname", NULL);
	expect_body("{\"Id\":\"0123456789abcdef\",\"Config\":{\"Hostname\":\"h\"},\"HostConfig\":{"
		    "\"NetworkMode\":\"container:x\"}}",
		    NULL, true, "Hostname", NULL);
	expect_body("{\"Id\":\"0123456789abcdef\",\"Config\":{\"Hostname\":\"h\"}}", NULL, true,
		    "Hostname", "\"h\"");
}

static void test_addresses(void **state)
{
	const char *network =
		"\"Config\":{\"Hostname\":\"h\"},\"HostConfig\":{\"NetworkMode\":\"n\"},"
		"\"NetworkSettings\":{\"Networks\":{\"n\":{\"MacAddress\":\"02:00:00:00:"
		"00:01\",\"IPAddress\":\"10.0.0.5\",\"Aliases\":[\"a\",\"0123456789ab\","
		"\"h\",\"a\"]}}}}";
	cleanup_free char *running = memory_printf(
		"{\"Id\":\"0123456789abcdef\",\"State\":{\"Running\":true},%s", network);
	cleanup_free char *stopped = memory_printf("{\"Id\":\"0123456789abcdef\",%s", network);

	(void)state;
	expect_body(running, NULL, true, "NetworkingConfig",
		    "{\"EndpointsConfig\":{\"n\":{\"Aliases\":[\"a\"]}}}");
	/* Stopped, the engine shows it only where a person wanted it. */
	expect_body(
		stopped, NULL, true, "NetworkingConfig",
		"{\"EndpointsConfig\":{\"n\":{\"Aliases\":[\"a\"],\"MacAddress\":\"02:00:00:00:00:"
		"01\"}}}");
}

static void test_networks_taken_away_and_namespaces_renewed(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *left = parsed(
		"{\"HostConfig\":{\"NetworkMode\":\"n\"},\"NetworkSettings\":{\"Networks\":{\"m\":{}}}}");
	CLEANUP(cleanup_json_free)
	struct json *follower = parsed(
		"{\"HostConfig\":{\"NetworkMode\":\"container:aa\",\"PidMode\":\"container:bb\","
		"\"IpcMode\":\"container:cc\"}}");
	const char *const old_ids[] = {"aa", "bb"}, *const new_ids[] = {"xx", "yy"};
	struct recreate_source source = {.inspect = left, .image = "s"};
	struct recreation made;
	const struct json *host;

	(void)state;
	recreate(&source, &made);
	assert_string_equal(made.disconnect, "n");
	assert_string_equal(json_string(json_first(made.connect), "network"), "m");
	recreation_release(&made);
	source = (struct recreate_source){.inspect = follower,
					  .image = "s",
					  .old_ids = old_ids,
					  .new_ids = new_ids,
					  .id_count = 2};
	recreate(&source, &made);
	host = json_get(made.body, "HostConfig");
	assert_string_equal(json_string(host, "NetworkMode"), "container:xx");
	assert_string_equal(json_string(host, "PidMode"), "container:yy");
	assert_string_equal(json_string(host, "IpcMode"), "container:cc");
	recreation_release(&made);
}

static void test_engine_defaults_are_left_to_the_engine(void **state)
{
	(void)state;
	expect_body(
		"{\"HostConfig\":{\"MaskedPaths\":[],\"KernelMemory\":0,\"Dns\":null,\"Links\":[\"/o:/"
		"me/alias\"],\"Memory\":8589934592}}",
		NULL, true, "HostConfig",
		"{\"MaskedPaths\":[],\"Memory\":8589934592,\"Links\":[\"o:alias\"]}");
}

static void test_mounts_for_a_helper(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = parsed(
		"{\"HostConfig\":{\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/d/\","
		"\"VolumeOptions\":{\"Subpath\":\"s\"}}]},\"Mounts\":[{\"Type\":\"volume\",\"Name\":"
		"\"v\",\"Destination\":\"/d\"},{\"Type\":\"bind\",\"Source\":\"/b\",\"Destination\":"
		"\"/e\"}]}");
	CLEANUP(cleanup_json_free) struct json *volume = NULL, *bind = NULL;
	CLEANUP(cleanup_json_free)
	struct json *expected = parsed(
		"{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/t\",\"VolumeOptions\":{\"NoCopy\":"
		"true,\"Subpath\":\"s\"}}");

	(void)state;
	assert_null(recreate_mount_at(inspect, "/x"));
	volume = recreate_helper_mount(inspect, recreate_mount_at(inspect, "/d//"), "/t");
	same("volume", volume, expected);
	bind = recreate_helper_mount(inspect, recreate_mount_at(inspect, "/e"), "/t");
	assert_string_equal(json_string(bind, "Source"), "/b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_of_an_engine),
		cmocka_unit_test(test_entrypoint_of_the_old_image_is_left_out),
		cmocka_unit_test(test_boot_is_never_doubled),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_environment_is_compared_with_its_values),
		cmocka_unit_test(test_host_name_belongs_to_whose_network_it_is),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_networks_taken_away_and_namespaces_renewed),
		cmocka_unit_test(test_engine_defaults_are_left_to_the_engine),
		cmocka_unit_test(test_mounts_for_a_helper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
