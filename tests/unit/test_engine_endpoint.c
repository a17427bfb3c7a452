/* Where the engine is, by environment and by the client's configuration. */
#include "test_support.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "engine/endpoint.h"

static char home[64];

static void write_file(const char *path, const char *text)
{
	cleanup_free char *full = memory_printf("%s/%s", home, path);

	for (char *slash = strchr(full + strlen(home) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	assert_int_equal(0, io_write_file_atomic(AT_FDCWD, full, text, strlen(text), 0644, NULL));
}

static int set_up(void **state)
{
	static const char *const names[] = {"DOCKER_HOST", "DOCKER_CONTEXT",	"DOCKER_CONFIG",
					    "DOCKER_TLS",  "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
	snprintf(home, sizeof(home), "/tmp/test-endpoint-XXXXXX");
	assert_non_null(mkdtemp(home));
	setenv("HOME", home, 1);
	return 0;
}

static int remove_item(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(home, remove_item, 8, FTW_DEPTH | FTW_PHYS);
}

static struct endpoint *resolve(const char *host)
{
	struct error *error = NULL;
	struct endpoint *endpoint = endpoint_resolve(host, &error);

	if (error)
		print_error("%s\n", error->message);
	assert_non_null(endpoint);
	return endpoint;
}

static void expect_refusal(const char *host, enum error_kind kind, const char *part)
{
	struct error *error = NULL;

	assert_null(endpoint_resolve(host, &error));
	assert_int_equal(error->kind, kind);
	if (!strstr(error->message, part))
		fail_msg("\"%s\" lacks \"%s\"", error->message, part);
	error_free(error);
}

static void test_default_is_the_local_socket(void **state)
{
	struct endpoint *endpoint = resolve(NULL);

	(void)state;
	assert_string_equal(endpoint->socket_path, "/var/run/docker.sock");
	assert_string_equal(endpoint->name, "unix:///var/run/docker.sock");
	assert_false(endpoint->tls);
	endpoint_free(endpoint);
}

static void test_order_of_sources(void **state)
{
	struct endpoint *endpoint;

	(void)state;
	write_file(".docker/config.json", "{\"currentContext\":\"configured\"}");
	write_file(".docker/contexts/meta/1/meta.json",
		   "{\"Name\":\"configured\",\"Endpoints\":{\"docker\":{\"Host\":\"unix:///c\"}}}");
	write_file(".docker/contexts/meta/2/meta.json",
		   "{\"Name\":\"wanted\",\"Endpoints\":{\"docker\":{\"Host\":\"unix:///w\"}}}");
	write_file(".docker/contexts/meta/3/meta.json", "damaged");
	endpoint = resolve(NULL);
	assert_string_equal(endpoint->socket_path, "/c");
	endpoint_free(endpoint);
	setenv("DOCKER_CONTEXT", "wanted", 1);
	endpoint = resolve(NULL);
	assert_string_equal(endpoint->socket_path, "/w");
	endpoint_free(endpoint);
	setenv("DOCKER_CONTEXT", "default", 1);
	endpoint = resolve("");
	assert_string_equal(endpoint->socket_path, "/var/run/docker.sock");
	endpoint_free(endpoint);
	setenv("DOCKER_HOST", "unix:///h", 1);
	endpoint = resolve(NULL);
	assert_string_equal(endpoint->socket_path, "/h");
	endpoint_free(endpoint);
	endpoint = resolve("unix:///a");
	assert_string_equal(endpoint->socket_path, "/a");
	endpoint_free(endpoint);
}

static void test_context_trouble(void **state)
{
	(void)state;
	setenv("DOCKER_CONTEXT", "none", 1);
	expect_refusal(NULL, ERROR_NOT_FOUND, "no docker context \"none\"");
	unsetenv("DOCKER_CONTEXT");
	write_file(".docker/config.json", "{");
	expect_refusal(NULL, ERROR_USAGE, "config.json");
	write_file(".docker/config.json", "{\"currentContext\":\"far\"}");
	write_file(".docker/contexts/meta/1/meta.json",
		   "{\"Name\":\"far\",\"Endpoints\":{\"docker\":{\"Host\":\"ssh://u@h\"}}}");
	expect_refusal(NULL, ERROR_UNSUPPORTED, "docker context \"far\"");
}

static void test_context_brings_its_tls_files(void **state)
{
	struct endpoint *endpoint;

	(void)state;
	write_file("elsewhere/config.json", "{\"currentContext\":\"far\"}");
	write_file("elsewhere/contexts/meta/ab/meta.json",
		   "{\"Name\":\"far\",\"Endpoints\":{\"docker\":{\"Host\":\"tcp://h:9\","
		   "\"SkipTLSVerify\":false}}}");
	write_file("elsewhere/contexts/tls/ab/docker/ca.pem", "x");
	write_file("elsewhere/contexts/tls/ab/docker/cert.pem", "x");
	write_file("elsewhere/contexts/tls/ab/docker/key.pem", "x");
	{
		cleanup_free char *path = memory_printf("%s/elsewhere", home);

		setenv("DOCKER_CONFIG", path, 1);
	}
	endpoint = resolve(NULL);
	assert_true(endpoint->tls);
	assert_true(endpoint->tls_verify);
	assert_string_equal(endpoint->authority, "h:9");
	assert_non_null(strstr(endpoint->authorities, "/tls/ab/docker/ca.pem"));
	assert_non_null(strstr(endpoint->certificate, "/tls/ab/docker/cert.pem"));
	assert_non_null(strstr(endpoint->key, "/tls/ab/docker/key.pem"));
	endpoint_free(endpoint);
}

static void test_tls_of_the_environment(void **state)
{
	struct endpoint *endpoint, *copy;

	(void)state;
	write_file("certs/ca.pem", "x");
	write_file("certs/cert.pem", "x");
	endpoint = resolve("tcp://h");
	assert_false(endpoint->tls);
	assert_string_equal(endpoint->authority, "h:2375");
	endpoint_free(endpoint);
	{
		cleanup_free char *path = memory_printf("%s/certs", home);

		setenv("DOCKER_CERT_PATH", path, 1);
	}
	endpoint = resolve("tcp://h");
	assert_true(endpoint->tls);
	assert_false(endpoint->tls_verify);
	endpoint_free(endpoint);
	setenv("DOCKER_TLS_VERIFY", "1", 1);
	endpoint = resolve("tcp://h/base/");
	copy = endpoint_copy(endpoint);
	endpoint_free(endpoint);
	assert_true(copy->tls_verify);
	assert_string_equal(copy->authority, "h:2376");
	assert_string_equal(copy->base_path, "/base");
	assert_non_null(strstr(copy->authorities, "certs/ca.pem"));
	assert_null(copy->key);
	endpoint_free(copy);
	/* A unix socket has none, whatever the environment says. */
	endpoint = resolve("unix:///x");
	assert_false(endpoint->tls);
	endpoint_free(endpoint);
	setenv("DOCKER_CERT_PATH", "/none", 1);
	expect_refusal("tcp://h", ERROR_USAGE, "no readable ca.pem");
}

static void test_addresses(void **state)
{
	struct endpoint *endpoint = resolve("tcp://[::1]:77");

	(void)state;
	assert_string_equal(endpoint->authority, "[::1]:77");
	assert_string_equal(endpoint->base_path, "");
	endpoint_free(endpoint);
	endpoint = resolve("tcp://[::1]");
	assert_string_equal(endpoint->authority, "[::1]:2375");
	endpoint_free(endpoint);
	endpoint = resolve("https://h:443");
	assert_true(endpoint->tls && endpoint->tls_verify);
	endpoint_free(endpoint);
	endpoint = resolve("/run/x.sock");
	assert_string_equal(endpoint->socket_path, "/run/x.sock");
	endpoint_free(endpoint);
	expect_refusal("ssh://u@h", ERROR_UNSUPPORTED, "ssh://");
	expect_refusal("npipe:////./pipe/x", ERROR_UNSUPPORTED, "named pipes");
	expect_refusal("tcp://", ERROR_USAGE, "no address");
	expect_refusal("tcp://:5", ERROR_USAGE, "no address");
	expect_refusal("tcp://h:x", ERROR_USAGE, "no address");
	expect_refusal("tcp://h:99999", ERROR_USAGE, "no address");
	expect_refusal("tcp://h:1/a\r\nX: y", ERROR_USAGE, "no address");
	expect_refusal("tcp://u@h:1", ERROR_USAGE, "no address");
	expect_refusal("unix://x", ERROR_USAGE, "absolute");
	expect_refusal("h:1", ERROR_USAGE, "no address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_default_is_the_local_socket, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_order_of_sources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_context_trouble, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_context_brings_its_tls_files, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_tls_of_the_environment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
