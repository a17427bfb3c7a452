/* Which registry a name means, and the credentials that docker's client would have for it. */
#include "test_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "remote/credentials.h"
#include "remote/registry.h"

static char directory[] = "/tmp/test-remote-XXXXXX";

static void write_file(const char *name, const char *content, mode_t mode)
{
	cleanup_free char *path = memory_printf("%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
}

static int set_up(void **state)
{
	cleanup_free char *path = NULL;

	(void)state;
	assert_non_null(mkdtemp(directory));
	path = memory_printf("%s:%s", directory, getenv("PATH"));
	setenv("PATH", path, 1);
	setenv("DOCKER_CONFIG", directory, 1);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"config.json", "docker-credential-test", "asked"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cleanup_free char *path = memory_printf("%s/%s", directory, names[i]);

		unlink(path);
	}
	rmdir(directory);
	return 0;
}

/* ---- names ---- */

static void test_hosts(void **state)
{
	static const struct {
		const char *name, *host;
		bool takes;
	} cases[] = {
		{"demo:before", "docker.io", false},
		{"demo", "docker.io", false},
		{"team/db:1", "docker.io", true},
		{"library/db", "docker.io", false},
		{"docker.io/team/db", "docker.io", true},
		{"docker.io/db", "docker.io", false},
		{"index.docker.io/team/db", "docker.io", true},
		{"localhost/sidesnap/db:x", "localhost", false},
		{"localhost:5000/db", "localhost:5000", true},
		{"registry.example/db", "registry.example", true},
		{"registry:5000/team/db:1", "registry:5000", true},
		{"[::1]:5000/db", "[::1]:5000", true},
		{"Upper/db", "Upper", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup_free char *host = registry_host(cases[i].name);

		assert_string_equal(host, cases[i].host);
		if (registry_takes(cases[i].name) != cases[i].takes)
			fail_msg("%s", cases[i].name);
	}
	assert_string_equal(registry_key("docker.io"), "https://index.docker.io/v1/");
	assert_string_equal(registry_key("a.example"), "a.example");
}

/* ---- config.json ---- */

static void expect(const char *host, const char *username, const char *password, const char *token)
{
	struct credentials found;
	struct error *error = NULL;

	if (credentials_find(host, NULL, &found, &error) < 0)
		fail_msg("%s: %s", host, error->message);
	assert_string_equal(text_or(found.username, ""), username);
	assert_string_equal(text_or(found.password, ""), password);
	assert_string_equal(text_or(found.identity_token, ""), token);
	assert_int_equal(credentials_are_known(&found), *username || *token);
	credentials_release(&found);
}

static void expect_failure(const char *host, const char *says, const char *never)
{
	struct credentials found;
	struct error *error = NULL;

	assert_int_equal(credentials_find(host, NULL, &found, &error), -1);
	if (!strstr(error->message, says))
		fail_msg("no \"%s\" in: %s", says, error->message);
	assert_null(strstr(error->message, never));
	assert_non_null(strstr(error->hint, "docker login"));
	assert_false(credentials_are_known(&found));
	error_free(error);
}

static void test_file(void **state)
{
	(void)state;
	/* ada:se:cret, eve:pw */
	write_file(
		"config.json",
		"{\"auths\":{\"a.example:5000\":{\"auth\":\"YWRhOnNlOmNyZXQ=\"},"
		"\"https://b.example/v1/\":{\"auth\":\"ZXZlOnB3\"},"
		"\"https://index.docker.io/v1/\":{\"auth\":\"ZXZlOnB3\",\"identitytoken\":\"tok\"},"
		"\"c.example\":{\"username\":\"u\",\"password\":\"p\"},"
		"\"bad.example\":{\"auth\":\"c2VjcmV0\"},\"worse.example\":{\"auth\":\"secret!\"},"
		"\"empty.example\":{}}}",
		0600);
	expect("a.example:5000", "ada", "se:cret", "");
	expect("a.example", "", "", "");
	expect("b.example", "eve", "pw", "");
	expect("docker.io", "eve", "pw", "tok");
	expect("c.example", "u", "p", "");
	expect("empty.example", "", "", "");
	expect_failure("bad.example", "base64", "secret");
	expect_failure("worse.example", "base64", "secret!");
	write_file("config.json", "{\"auths\":", 0600);
	expect_failure("a.example", "config.json", "never");
	write_file("config.json", "[]", 0600);
	expect("a.example", "", "", "");
}

static void test_no_file(void **state)
{
	(void)state;
	setenv("DOCKER_CONFIG", "/nonexistent", 1);
	expect("a.example", "", "", "");
	unsetenv("DOCKER_CONFIG");
	setenv("HOME", "/nonexistent", 1);
	expect("a.example", "", "", "");
	unsetenv("HOME");
	expect("a.example", "", "", "");
	setenv("DOCKER_CONFIG", directory, 1);
}

/* ---- helpers ---- */

static void test_helper(void **state)
{
	(void)state;
	write_file(
		"docker-credential-test",
		"#!/bin/sh\n[ \"$1\" = get ] || exit 9\nread -r key\necho \"$key\" >>\"$DOCKER_CONFIG/asked\"\n"
		"case $key in\n"
		"a.example) echo '{\"ServerURL\":\"x\",\"Username\":\"ada\",\"Secret\":\"pw\"}' ;;\n"
		"https://index.docker.io/v1/) echo '{\"Username\":\"<token>\",\"Secret\":\"tok\"}' ;;\n"
		"none.example) echo 'credentials not found in native keychain'; exit 1 ;;\n"
		"locked.example) echo 'the keychain is locked' >&2; exit 3 ;;\n"
		"odd.example) echo '{\"Username\":\"ada\"}' ;;\n"
		"spilt.example) echo '{\"Secret\":\"hunter2\"}'; exit 1 ;;\n"
		"esac\n",
		0700);
	write_file("config.json",
		   "{\"credsStore\":\"test\",\"credHelpers\":{\"gone.example\":\"missing\"},"
		   "\"auths\":{\"none.example\":{\"auth\":\"ZXZlOnB3\"}}}",
		   0600);
	expect("a.example", "ada", "pw", "");
	expect("docker.io", "", "", "tok");
	expect("none.example", "", "", "");
	expect_failure("locked.example", "keychain is locked", "ada");
	expect_failure("odd.example", "not understood", "ada");
	expect_failure("spilt.example", "exit code 1", "hunter2");
	expect_failure("gone.example", "docker-credential-missing", "never");
	/* One helper for one host, and files for all others. */
	write_file(
		"config.json",
		"{\"credHelpers\":{\"a.example\":\"test\"},\"auths\":{\"a.example\":{\"auth\":\"ZXZlOnB3\"},"
		"\"b.example\":{\"auth\":\"ZXZlOnB3\"}}}",
		0600);
	expect("a.example", "ada", "pw", "");
	expect("b.example", "eve", "pw", "");
}

/* ---- the engine's header ---- */

static void expect_header(const char *host, struct credentials credentials, const char *json)
{
	cleanup_free char *header = credentials_header(host, &credentials);
	size_t size;
	cleanup_free char *text = (char *)text_unbase64(header, &size);

	assert_null(strpbrk(header, "+/"));
	assert_string_equal(text, json);
}

static void test_header(void **state)
{
	static char ada[] = "ada", odd[] = "\xc3\xbf?\xc3\xbe>~~~", token[] = "tok";

	(void)state;
	expect_header("a.example", (struct credentials){0}, "{}");
	expect_header(
		"a.example", (struct credentials){.username = ada, .password = odd},
		"{\"serveraddress\":\"a.example\",\"username\":\"ada\",\"password\":\"\xc3\xbf?\xc3\xbe>~~~\"}");
	expect_header(
		"docker.io", (struct credentials){.identity_token = token},
		"{\"serveraddress\":\"https://index.docker.io/v1/\",\"identitytoken\":\"tok\"}");
}

static void expect_password(const char *input, const char *password)
{
	struct error *error = NULL;
	char *found = NULL;
	int pair[2], result;

	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], input, strlen(input)), strlen(input));
	close(pair[1]);
	result = credentials_read_password(pair[0], &found, &error);
	close(pair[0]);
	if (password) {
		assert_int_equal(result, 0);
		assert_string_equal(found, password);
	} else {
		assert_int_equal(result, -1);
		assert_int_equal(error->kind, ERROR_USAGE);
	}
	free(found);
	error_free(error);
}

static void test_password(void **state)
{
	(void)state;
	expect_password("secret\n", "secret");
	expect_password("secret", "secret");
	expect_password("two\nlines\r\n", "two\nlines");
	expect_password(" blanks \n", " blanks ");
	expect_password("\n", NULL);
	expect_password("", NULL);
}

/* ---- programs ---- */

static int run_shell(const char *script, uint64_t timeout_ms, const volatile int *cancel,
		     struct process *process, struct error **err)
{
	*process = (struct process){
		.arguments = (const char *const[]){"sh", "-c", script, NULL},
		.input = "input",
		.input_size = 5,
		.timeout_ms = timeout_ms,
		.cancel = cancel,
		.output = process->output,
		.errors = process->errors,
	};
	return process_run(process, err);
}

static void test_process(void **state)
{
	CLEANUP(buffer_release) struct buffer output, errors;
	struct process process = {.output = &output, .errors = &errors};
	struct error *error = NULL;
	int cancel = 1;

	(void)state;
	buffer_init(&output, 100);
	buffer_init(&errors, 100);
	assert_int_equal(run_shell("cat; echo wrong >&2; exit 7", 10000, NULL, &process, &error),
			 0);
	assert_string_equal(output.data, "input");
	assert_string_equal(errors.data, "wrong\n");
	assert_int_equal(process.exit_code, 7);
	assert_int_equal(run_shell("kill -9 $$", 10000, NULL, &process, &error), 0);
	assert_int_equal(process.exit_code, 128 + 9);
	/* More than fits is dropped, and the program does not wait for us for ever. */
	assert_int_equal(run_shell("head -c 300000 /dev/zero", 10000, NULL, &process, &error), 0);
	assert_int_equal(process.exit_code, 0);
	assert_int_equal(run_shell("exec sleep 100", 200, NULL, &process, &error), -1);
	assert_int_equal(error->kind, ERROR_FAILED);
	error_free(STEAL_POINTER(error));
	assert_int_equal(run_shell("exec sleep 100", 10000, &cancel, &process, &error), -1);
	assert_int_equal(error->kind, ERROR_CANCELLED);
	error_free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),	cmocka_unit_test(test_file),
		cmocka_unit_test(test_no_file), cmocka_unit_test(test_helper),
		cmocka_unit_test(test_header),	cmocka_unit_test(test_password),
		cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
