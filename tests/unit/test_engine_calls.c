/* Calls that engines answer in different ways, against a scripted engine. */
#include "test_engine_server.h"

#define MIB (1u << 20)

/* ---- evened out ---- */

/* A second pause is 409 or 500; what counts is the state. */
static bool pause_refused(struct server *server, int fd, const char *request)
{
	if (strstr(request, "GET "))
		return server_answer(fd, "200 OK",
				     server->step ? "[{\"Id\":\"xy\",\"State\":\"running\"},"
						    "{\"Id\":\"x\",\"State\":\"paused\"}]"
						  : "[{\"Id\":\"x\",\"State\":\"running\"}]");
	return server_answer(fd, "500 Oops", "{\"message\":\"cannot, already so\"}");
}

static void test_pause_is_judged_by_the_state(void **state)
{
	struct server server;
	struct engine *engine;
	struct error *error = NULL;
	bool changed = true;

	(void)state;
	server_start(&server, pause_refused);
	engine = server_engine(&server);
	server.step = 1;
	assert_int_equal(0, container_pause(engine, "x", &changed, &error));
	assert_false(changed);
	assert_int_equal(-1, container_unpause(engine, "x", &changed, &error));
	assert_error(error, ERROR_FAILED, "already so");
	server.step = 0;
	assert_int_equal(0, container_unpause(engine, "x", &changed, &error));
	assert_false(changed);
	assert_int_equal(-1, container_pause(engine, "x", &changed, &error));
	assert_error(error, ERROR_FAILED, "already so");
	engine_free(engine);
	server_stop(&server);
}

/* runc fails to freeze a busy container now and then; the third time it succeeds. */
static bool pause_fails_twice(struct server *server, int fd, const char *request)
{
	if (strstr(request, "GET "))
		return server_answer(fd, "200 OK", "[{\"Id\":\"x\",\"State\":\"running\"}]");
	if (++server->step < 3)
		return server_answer(
			fd, "500 Oops",
			"{\"message\":\"OCI runtime pause failed: unable to freeze\"}");
	return server_answer(fd, "204 No Content", "");
}

static void test_pause_is_tried_again(void **state)
{
	struct server server;
	struct engine *engine;
	struct error *error = NULL;
	bool changed = false;

	(void)state;
	server_start(&server, pause_fails_twice);
	engine = server_engine(&server);
	server.step = 0;
	assert_int_equal(0, container_pause(engine, "x", &changed, &error));
	assert_true(changed);
	assert_int_equal(3, server.step);
	engine_free(engine);
	server_stop(&server);
}

static struct buffer seen;

static bool see_commit(struct server *server, int fd, const char *request)
{
	(void)server;
	buffer_clear(&seen);
	buffer_append_string(&seen, request);
	server_body(fd, request, &seen);
	return server_answer(fd, "201 Created", "{\"Id\":\"abc\"}");
}

static char *commit_with(const char *ping_header, const char *text, struct error **err)
{
	struct server server;
	struct engine *engine;
	struct json *config = json_parse(text, strlen(text), NULL);
	char *id;

	assert_non_null(config);
	server_start(&server, see_commit);
	server.ping_header = ping_header;
	engine = server_engine(&server);
	id = image_commit(engine, "helper", config, "a comment", NULL, err);
	json_free(config);
	engine_free(engine);
	server_stop(&server);
	return id;
}

static void test_commit(void **state)
{
	static const char config[] = "{\"Labels\":{\"a\":\"{\\\"b\\\": 1}\"},\"Env\":[\"K=a b\"],"
				     "\"Cmd\":[\"x y\"],\"User\":\"0\"}";
	static const char podman4[] = "Api-Version: 1.41\r\nLibpod-API-Version: 4.3.1\r\n";
	static const char podman5[] = "Api-Version: 1.41\r\nLibpod-API-Version: 5.4.2\r\n";
	struct error *error = NULL;
	char *id;

	(void)state;
	buffer_init(&seen, MIB);
	id = commit_with(podman5, config, &error);
	assert_string_equal(id, "sha256:abc");
	free(id);
	assert_non_null(
		strstr(seen.data, "/commit?pause=false&container=helper&comment=a%20comment "));
	assert_non_null(strstr(seen.data, config));
	id = commit_with(podman4, config, &error);
	assert_string_equal(id, "sha256:abc");
	free(id);
	assert_non_null(strstr(seen.data, "&changes=LABEL%20a%3D%7B%22b%22%3A%201%7D"));
	assert_non_null(strstr(seen.data, "&changes=ENV%20K%3Da%20b"));
	assert_non_null(strstr(seen.data, "&changes=CMD%20%5B%22x%20y%22%5D"));
	assert_non_null(strstr(seen.data, "&changes=USER%200"));
	assert_non_null(strstr(seen.data, "\r\n\r\n{}"));
	assert_null(commit_with(podman4, "{\"Labels\":{\"a\":\"b\\nc\"}}", &error));
	assert_error(error, ERROR_UNSUPPORTED, "LABEL a");
	assert_null(commit_with(podman4, "{\"Labels\":{\"a\":\"say \\\"b\\\"\"}}", &error));
	assert_error(error, ERROR_UNSUPPORTED, "LABEL a");
	buffer_release(&seen);
}

static bool send_logs(struct server *server, int fd, const char *request)
{
	static const char frames[] = "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n"
				     "\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n";
	static const char raw[] = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nof a terminal\n";

	assert_non_null(strstr(request, "tail=20"));
	return server->step ? server_send(fd, raw, sizeof(raw) - 1)
			    : server_send(fd, frames, sizeof(frames) - 1);
}

static void test_logs(void **state)
{
	struct server server;
	struct engine *engine;
	struct buffer output;

	(void)state;
	buffer_init(&output, 100);
	server_start(&server, send_logs);
	engine = server_engine(&server);
	assert_int_equal(0, container_logs(engine, "x", 20, &output, NULL));
	assert_string_equal(output.data, "out\nerr\n");
	server.step = 1;
	buffer_clear(&output);
	assert_int_equal(0, container_logs(engine, "x", 20, &output, NULL));
	assert_string_equal(output.data, "of a terminal\n");
	engine_free(engine);
	server_stop(&server);
	buffer_release(&output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_is_judged_by_the_state),
		cmocka_unit_test(test_pause_is_tried_again),
		cmocka_unit_test(test_commit),
		cmocka_unit_test(test_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
