/* Requests of the engine client against a scripted engine. */
#include "test_engine_server.h"

#include "base/tar.h"
#include "base/text.h"
#include "engine/archive.h"

#define MIB (1u << 20)

/* ---- negotiation ---- */

static bool answer_empty_object(struct server *server, int fd, const char *request)
{
	(void)server;
	server_body(fd, request, NULL);
	return server_answer(fd, "200 OK", "{}");
}

static void expect_version(const char *ping_header, const char *version)
{
	struct server server;
	struct engine *engine;

	server_start(&server, answer_empty_object);
	server.ping_header = ping_header;
	engine = server_engine(&server);
	assert_string_equal(engine_api_version(engine), version);
	engine_free(engine);
	server_stop(&server);
}

static void test_version_is_the_lower_of_both(void **state)
{
	(void)state;
	expect_version("Api-Version: 1.41\r\n", "1.41");
	expect_version("Api-Version: 1.47\r\n", "1.47");
	expect_version("Api-Version: 1.99\r\n", "1.51");
	setenv("DOCKER_API_VERSION", "1.43", 1);
	expect_version("Api-Version: 1.51\r\n", "1.43");
	unsetenv("DOCKER_API_VERSION");
}

static bool answer_version(struct server *server, int fd, const char *request)
{
	(void)server;
	assert_non_null(strstr(request, "GET /version HTTP/1.1"));
	return server_answer(fd, "200 OK", "{\"ApiVersion\":\"1.45\"}");
}

static void test_version_without_ping_header(void **state)
{
	struct server server;
	struct engine *engine;

	(void)state;
	server_start(&server, answer_version);
	server.ping_header = "";
	engine = server_engine(&server);
	assert_string_equal(engine_api_version(engine), "1.45");
	engine_free(engine);
	server_stop(&server);
}

static void test_version_too_old(void **state)
{
	struct server server;
	struct error *error = NULL;

	(void)state;
	server_start(&server, answer_empty_object);
	server.ping_header = "Api-Version: 1.30\r\n";
	assert_null(engine_open(server.url, &error));
	assert_non_null(error->hint);
	assert_error(error, ERROR_UNSUPPORTED, "1.30");
	server_stop(&server);
}

static bool refuse_version(struct server *server, int fd, const char *request)
{
	(void)server;
	if (strstr(request, " /version "))
		return server_answer(fd, "200 OK",
				     "{\"ApiVersion\":\"1.70\",\"MinAPIVersion\":\"1.60\"}");
	return server_answer(fd, "400 Bad Request",
			     "{\"message\":\"client version 1.51 is too old. Minimum supported API "
			     "version is 1.60\"}");
}

static void test_version_refused_names_the_range(void **state)
{
	struct server server;
	struct engine *engine;
	struct error *error = NULL;

	(void)state;
	server_start(&server, refuse_version);
	server.ping_header = "Api-Version: 1.70\r\n";
	engine = server_engine(&server);
	assert_null(engine_info(engine, &error));
	assert_int_equal(error->http_status, 400);
	assert_non_null(strstr(error->hint, "too old"));
	assert_error(error, ERROR_UNSUPPORTED, "1.60 to 1.70");
	engine_free(engine);
	server_stop(&server);
}

static void test_no_engine(void **state)
{
	struct error *error = NULL;

	(void)state;
	assert_null(engine_open("unix:///tmp/test-engine-none/socket", &error));
	assert_non_null(strstr(error->hint, "start the engine"));
	assert_error(error, ERROR_ENGINE, "No such file");
	assert_null(engine_open("tcp://127.0.0.1:1", &error));
	assert_error(error, ERROR_ENGINE, "Connection refused");
}

/* ---- answers ---- */

static bool answer_chunked(struct server *server, int fd, const char *request)
{
	(void)server;
	(void)request;
	return server_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			       "5\r\n{\"Id\"\r\n1\r\n:\r\n") &&
	       usleep(20000) == 0 && server_text(fd, "5\r\n\"abc\"\r\n1\r\n}\r\n0\r\n\r\n");
}

static void test_chunked_answer(void **state)
{
	struct server server;
	struct engine *engine;
	struct json *json;

	(void)state;
	server_start(&server, answer_chunked);
	engine = server_engine(&server);
	json = container_inspect(engine, "x", NULL);
	assert_string_equal(json_string(json, "Id"), "abc");
	json_free(json);
	/* The connection of _ping and of both is the same. */
	json_free(container_inspect(engine, "x", NULL));
	assert_int_equal(server.connections, 1);
	engine_free(engine);
	server_stop(&server);
}

struct refusal {
	const char *ping_header, *status, *body;
	enum error_kind kind;
	const char *part;
};

static struct refusal refusal;

static bool answer_refusal(struct server *server, int fd, const char *request)
{
	(void)server;
	server_body(fd, request, NULL);
	return server_answer(fd, refusal.status, refusal.body);
}

static void test_refusals(void **state)
{
	static const char docker[] = "Api-Version: 1.41\r\n";
	static const char podman[] = "Api-Version: 1.41\r\nLibpod-API-Version: 5.4.2\r\n";
	static const struct refusal cases[] = {
		{docker, "404 Not Found", "{\"message\":\"No such container: x\"}", ERROR_NOT_FOUND,
		 "(404: No such container: x)"},
		{docker, "409 Conflict", "{\"message\":\"name \\\"/x\\\" is already in use by y\"}",
		 ERROR_EXISTS, "already in use"},
		{docker, "409 Conflict", "{\"message\":\"Container x is paused\"}", ERROR_FAILED,
		 "(409: Container x is paused)"},
		{docker, "500 Oops", "{\"message\":\"write /x: no space left on device\"}",
		 ERROR_NO_SPACE, "no space"},
		{docker, "500 Oops", "plain\ntext\x1b[31m", ERROR_FAILED, "(500: plain text [31m)"},
		{docker, "500 Oops", "", ERROR_FAILED, "engine refused (500)"},
		{podman, "500 Oops",
		 "{\"cause\":\"that name is already in use\",\"message\":\"create\"}", ERROR_EXISTS,
		 "create: that name is already in use"},
		{podman, "500 Oops",
		 "{\"cause\":\"image not known\",\"message\":\"a: image not known\"}",
		 ERROR_NOT_FOUND, "(500: a: image not known)"},
		{docker, "500 Oops", "{\"message\":\"a: image not known\"}", ERROR_FAILED, "image"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct server server;
		struct engine *engine;
		struct error *error = NULL;

		refusal = cases[i];
		server_start(&server, answer_refusal);
		server.ping_header = refusal.ping_header;
		engine = server_engine(&server);
		assert_int_equal(-1, container_start(engine, "x", &error));
		assert_int_equal(error->http_status, (int)strtol(refusal.status, NULL, 10));
		assert_error(error, refusal.kind, refusal.part);
		engine_free(engine);
		server_stop(&server);
	}
}

static bool answer_cut(struct server *server, int fd, const char *request)
{
	(void)server;
	(void)request;
	server_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Id\":");
	return false;
}

static void test_cut_answer(void **state)
{
	struct server server;
	struct engine *engine;
	struct error *error = NULL;

	(void)state;
	server_start(&server, answer_cut);
	engine = server_engine(&server);
	assert_null(container_inspect(engine, "x", &error));
	assert_error(error, ERROR_ENGINE, "broke");
	engine_free(engine);
	server_stop(&server);
}

static bool answer_damaged(struct server *server, int fd, const char *request)
{
	(void)server;
	(void)request;
	return server_answer(fd, "200 OK", "{\"Id\":}");
}

static void test_damaged_answer(void **state)
{
	struct server server;
	struct engine *engine;
	struct error *error = NULL;

	(void)state;
	server_start(&server, answer_damaged);
	engine = server_engine(&server);
	assert_null(container_inspect(engine, "x", &error));
	assert_error(error, ERROR_ENGINE, "damaged");
	engine_free(engine);
	server_stop(&server);
}

static bool answer_endless(struct server *server, int fd, const char *request)
{
	static char block[65536];

	(void)request;
	memset(block, ' ', sizeof(block));
	server_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
	while (!server->stop && server_send(fd, block, sizeof(block)))
		server->sent += sizeof(block);
	return false;
}

static void test_endless_answer_is_capped(void **state)
{
	struct server server;
	struct engine *engine;
	struct error *error = NULL;

	(void)state;
	server_start(&server, answer_endless);
	engine = server_engine(&server);
	assert_null(container_inspect(engine, "x", &error));
	assert_error(error, ERROR_ENGINE, "larger than");
	assert_true(server.sent < 80 * MIB);
	/* The object is of use afterwards. */
	assert_null(container_inspect(engine, "x", &error));
	assert_error(error, ERROR_ENGINE, "larger than");
	engine_free(engine);
	server_stop(&server);
}

/* ---- repeated or not ---- */

/* Dies on the connection that /_ping was made on, answers on any other. */
static bool die_once(struct server *server, int fd, const char *request)
{
	if (server->step++ == 0)
		return false;
	server_body(fd, request, NULL);
	return server_answer(fd, "200 OK", "{\"Id\":\"second\"}");
}

static void test_dead_connection_is_replaced_for_get(void **state)
{
	struct server server;
	struct engine *engine;
	struct json *json;

	(void)state;
	server_start(&server, die_once);
	engine = server_engine(&server);
	json = container_inspect(engine, "x", NULL);
	assert_string_equal(json_string(json, "Id"), "second");
	assert_int_equal(server.requests, 2);
	json_free(json);
	engine_free(engine);
	server_stop(&server);
}

static void test_post_is_never_repeated(void **state)
{
	struct server server;
	struct engine *engine;
	struct json *body = json_new_object();
	struct error *error = NULL;

	(void)state;
	server_start(&server, die_once);
	engine = server_engine(&server);
	assert_null(container_create(engine, "x", body, &error));
	assert_error(error, ERROR_ENGINE, "broke");
	assert_int_equal(server.requests, 1);
	json_free(body);
	engine_free(engine);
	server_stop(&server);
}

/* ---- uploads ---- */

struct supply {
	size_t left;
	bool fails;
};

static ssize_t supply_source(void *context, void *data, size_t size, struct error **err)
{
	struct supply *supply = context;

	if (supply->fails && supply->left < MIB)
		return error_set(err, ERROR_DAMAGED, "the source is bad");
	if (size > supply->left)
		size = supply->left;
	memset(data, 'x', size);
	supply->left -= size;
	return (ssize_t)size;
}

static bool take_upload(struct server *server, int fd, const char *request)
{
	assert_non_null(strstr(request, "Expect: 100-continue"));
	assert_non_null(strstr(request, "PUT /v1.41/containers/c%2Fd/archive?path=%2Fa%20b HTTP"));
	server_text(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	server->sent = server_body(fd, request, NULL);
	return server_answer(fd, "200 OK", "");
}

static void test_upload(void **state)
{
	struct server server;
	struct engine *engine;
	struct supply supply = {.left = 5 * MIB + 17};
	struct error *error = NULL;

	(void)state;
	server_start(&server, take_upload);
	engine = server_engine(&server);
	assert_int_equal(
		0, container_archive_put(engine, "c/d", "/a b", supply_source, &supply, &error));
	assert_int_equal(server.sent, 5 * MIB + 17);
	supply = (struct supply){.left = 5 * MIB, .fails = true};
	assert_int_equal(
		-1, container_archive_put(engine, "c/d", "/a b", supply_source, &supply, &error));
	assert_error(error, ERROR_DAMAGED, "the source is bad");
	engine_free(engine);
	server_stop(&server);
}

static const char early_refusal[] =
	"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n"
	"{\"message\":\"no such path\"}";

/* Refuse at once, before or after a little of the body, and close with the rest unread. */
static bool refuse_early(struct server *server, int fd, const char *request)
{
	char block[3000];

	(void)request;
	if (server->step) {
		server_text(fd, "HTTP/1.1 100 Continue\r\n\r\n");
		recv(fd, block, sizeof(block), 0);
	}
	server_text(fd, early_refusal);
	return false;
}

static void test_early_refusal_of_an_upload_is_heard(void **state)
{
	(void)state;
	for (int round = 0; round < 30; round++) {
		struct server server;
		struct engine *engine;
		struct supply supply = {.left = 64 * MIB};
		struct error *error = NULL;

		server_start(&server, refuse_early);
		server.step = round % 3;
		engine = server_engine(&server);
		assert_int_equal(-1, container_archive_put(engine, "x", "/", supply_source, &supply,
							   &error));
		assert_int_equal(error->http_status, 404);
		assert_error(error, ERROR_NOT_FOUND, "no such path");
		assert_true(supply.left > 0);
		engine_free(engine);
		server_stop(&server);
	}
}

/* From memory, so without asking first whether to go on: the send fails in the middle. */
static void test_early_refusal_of_a_body_is_heard(void **state)
{
	struct server server;
	struct engine *engine;
	struct buffer body;

	(void)state;
	buffer_init(&body, MIB);
	assert_int_equal(0, buffer_reserve(&body, 900000));
	memset(body.data, 'x', 900000);
	body.size = 900000;
	server_start(&server, refuse_early);
	engine = server_engine(&server);
	for (int round = 0; round < 50; round++) {
		struct error *error = NULL;

		assert_int_equal(-1, container_archive_put_buffer(engine, "x", "/", &body, &error));
		assert_error(error, ERROR_NOT_FOUND, "no such path");
	}
	engine_free(engine);
	server_stop(&server);
	buffer_release(&body);
}

/* podman's pipe to its unpacker breaks: once, then not. */
static bool break_pipe_once(struct server *server, int fd, const char *request)
{
	server_body(fd, request, NULL);
	if (server->step++ == 0)
		return server_answer(fd, "500 Oops", "{\"message\":\"write |1: broken pipe\"}");
	return server_answer(fd, "200 OK", "");
}

static void test_broken_pipe_of_podman_is_repeated(void **state)
{
	struct server server;
	struct engine *engine;
	struct buffer archive;
	struct error *error = NULL;

	(void)state;
	buffer_init(&archive, 100);
	buffer_append_string(&archive, "tar");
	server_start(&server, break_pipe_once);
	server.ping_header = "Api-Version: 1.41\r\nLibpod-API-Version: 4.3.1\r\n";
	engine = server_engine(&server);
	assert_int_equal(0, container_archive_put_buffer(engine, "x", "/", &archive, &error));
	assert_int_equal(server.requests, 2);
	engine_free(engine);
	server_stop(&server);
	/* Not on docker. */
	server_start(&server, break_pipe_once);
	engine = server_engine(&server);
	assert_int_equal(-1, container_archive_put_buffer(engine, "x", "/", &archive, &error));
	assert_error(error, ERROR_FAILED, "broken pipe");
	engine_free(engine);
	server_stop(&server);
	buffer_release(&archive);
}

/* ---- downloads ---- */

static bool send_megabytes(struct server *server, int fd, const char *request)
{
	static char block[65536];

	(void)request;
	server_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n");
	for (int i = 0; i < 1024 && server_send(fd, block, sizeof(block)); i++)
		server->sent += sizeof(block);
	return false;
}

struct collected {
	struct server *server;
	size_t total, ahead;
	bool fails;
};

static int slow_sink(void *context, const void *data, size_t size, struct error **err)
{
	struct collected *collected = context;

	(void)data;
	if (collected->fails)
		return error_set(err, ERROR_NO_SPACE, "the sink is full");
	if (!collected->total)
		usleep(300000);
	collected->total += size;
	if (collected->server->sent > collected->total &&
	    collected->server->sent - collected->total > collected->ahead)
		collected->ahead = collected->server->sent - collected->total;
	return 0;
}

static void test_slow_reader_holds_the_engine_back(void **state)
{
	struct server server;
	struct engine *engine;
	struct collected collected = {.server = &server};
	struct error *error = NULL;

	(void)state;
	server_start(&server, send_megabytes);
	engine = server_engine(&server);
	assert_int_equal(0, container_archive_get(engine, "x", "/", slow_sink, &collected, &error));
	assert_int_equal(collected.total, 64 * MIB);
	assert_true(collected.ahead < 4 * MIB);
	collected.fails = true;
	assert_int_equal(-1,
			 container_archive_get(engine, "x", "/", slow_sink, &collected, &error));
	assert_error(error, ERROR_NO_SPACE, "the sink is full");
	engine_free(engine);
	server_stop(&server);
}

/* Twice nothing, as podman does while it unmounts, then an archive. */
static bool send_archive_late(struct server *server, int fd, const char *request)
{
	struct buffer archive;
	struct tar_entry entry = {.path = "dir/", .mode = S_IFDIR | 0750, .uid = 7};
	char header[128];

	if (strstr(request, "/json"))
		return server_answer(fd, "200 OK", "{\"nested\":true}");
	if (server->step++ < 2)
		return server_answer(fd, "200 OK", "");
	buffer_init(&archive, MIB);
	tar_append_plain(&archive, &entry, NULL, NULL);
	if (server->step != 4)
		tar_finish_plain(&archive, NULL);
	snprintf(header, sizeof(header), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		 archive.size);
	server_text(fd, header);
	server_send(fd, archive.data, archive.size);
	buffer_release(&archive);
	return true;
}

static int see_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	struct json *json = container_inspect(context, "x", err);

	assert_true(json_bool(json, "nested"));
	json_free(json);
	assert_string_equal(entry->path, "dir");
	assert_int_equal(entry->uid, 7);
	return 0;
}

static void test_empty_archive_is_asked_for_again(void **state)
{
	static const struct tar_callbacks callbacks = {.entry = see_entry};
	struct server server;
	struct engine *engine;
	struct error *error = NULL;

	(void)state;
	server_start(&server, send_archive_late);
	engine = server_engine(&server);
	assert_int_equal(0,
			 container_archive_read(engine, "x", "/dir", &callbacks, engine, &error));
	assert_int_equal(server.step, 3);
	/* One without its end is an error, not a short archive. */
	assert_int_equal(-1,
			 container_archive_read(engine, "x", "/dir", &callbacks, engine, &error));
	assert_error(error, ERROR_DAMAGED, "breaks off");
	engine_free(engine);
	server_stop(&server);
}

static bool answer_stat(struct server *server, int fd, const char *request)
{
	(void)server;
	assert_non_null(strstr(request, "HEAD /v1.41/"));
	return server_text(fd, "HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: "
			       "eyJuYW1lIjoiYSIsInNpemUiOjV9\r\nContent-Length: 77\r\n\r\n");
}

static void test_archive_stat(void **state)
{
	struct server server;
	struct engine *engine;
	struct json *json;

	(void)state;
	server_start(&server, answer_stat);
	engine = server_engine(&server);
	for (int i = 0; i < 2; i++) {
		json = container_archive_stat(engine, "x", "/a", NULL);
		assert_int_equal(json_int(json, "size"), 5);
		json_free(json);
	}
	engine_free(engine);
	server_stop(&server);
}

/* ---- interruption ---- */

static volatile int interrupted;

static void *interrupt_soon(void *context)
{
	(void)context;
	usleep(200000);
	interrupted = 1;
	return NULL;
}

static bool never_answer(struct server *server, int fd, const char *request)
{
	(void)request;
	if (server->step)
		server_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
	while (!server->stop)
		usleep(10000);
	return false;
}

static void test_interruption(void **state)
{
	(void)state;
	for (int step = 0; step < 2; step++) {
		struct server server;
		struct engine *engine;
		struct error *error = NULL;
		pthread_t thread;
		uint64_t start = clock_monotonic_ms();

		interrupted = 0;
		server_start(&server, never_answer);
		server.step = step;
		engine = server_engine(&server);
		engine_set_cancel(engine, &interrupted);
		pthread_create(&thread, NULL, interrupt_soon, NULL);
		assert_null(container_inspect(engine, "x", &error));
		assert_error(error, ERROR_CANCELLED, "interrupted");
		assert_true(clock_monotonic_ms() - start < 2000);
		pthread_join(thread, NULL);
		engine_free(engine);
		server_stop(&server);
	}
}

static bool answer_late(struct server *server, int fd, const char *request)
{
	(void)server;
	server_body(fd, request, NULL);
	while (!interrupted)
		usleep(10000);
	usleep(300000); /* longer than an interruption takes */
	return server_answer(fd, "201 Created", "{\"Id\":\"sha256:abc\"}");
}

/* What was made has an owner: a container and an image are told of, the next request is not sent. */
static void test_what_is_made_is_waited_for(void **state)
{
	(void)state;
	for (int step = 0; step < 2; step++) {
		CLEANUP(cleanup_json_free) struct json *body = json_new_object();
		struct server server;
		struct engine *engine;
		struct error *error = NULL;
		pthread_t thread;
		cleanup_free char *id = NULL;

		interrupted = 0;
		server_start(&server, answer_late);
		engine = server_engine(&server);
		engine_set_cancel(engine, &interrupted);
		pthread_create(&thread, NULL, interrupt_soon, NULL);
		id = step ? image_commit(engine, "x", body, "", "", &error)
			  : container_create(engine, "x", body, &error);
		assert_null(error);
		assert_string_equal(id, "sha256:abc");
		pthread_join(thread, NULL);
		assert_null(container_create(engine, "y", body, &error));
		assert_error(error, ERROR_CANCELLED, "interrupted");
		assert_int_equal(server.requests, 1);
		engine_free(engine);
		server_stop(&server);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_is_the_lower_of_both),
		cmocka_unit_test(test_version_without_ping_header),
		cmocka_unit_test(test_version_too_old),
		cmocka_unit_test(test_version_refused_names_the_range),
		cmocka_unit_test(test_no_engine),
		cmocka_unit_test(test_chunked_answer),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_cut_answer),
		cmocka_unit_test(test_damaged_answer),
		cmocka_unit_test(test_endless_answer_is_capped),
		cmocka_unit_test(test_dead_connection_is_replaced_for_get),
		cmocka_unit_test(test_post_is_never_repeated),
		cmocka_unit_test(test_upload),
		cmocka_unit_test(test_early_refusal_of_an_upload_is_heard),
		cmocka_unit_test(test_early_refusal_of_a_body_is_heard),
		cmocka_unit_test(test_broken_pipe_of_podman_is_repeated),
		cmocka_unit_test(test_slow_reader_holds_the_engine_back),
		cmocka_unit_test(test_empty_archive_is_asked_for_again),
		cmocka_unit_test(test_archive_stat),
		cmocka_unit_test(test_interruption),
		cmocka_unit_test(test_what_is_made_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
