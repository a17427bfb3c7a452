/* The hijacked stream and exec against a scripted engine. */
#include "test_engine_server.h"

#include "base/text.h"

#define MIB (1u << 20)

static const char upgraded[] = "HTTP/1.1 101 UPGRADED\r\nContent-Type: "
			       "application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n"
			       "Upgrade: tcp\r\n\r\n";

/* out "hello", err "oops", an empty frame, stdin's number for stdout "!" */
static const char two_streams[] = "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\4oops"
				  "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1!";
#define TWO_STREAMS_SIZE (sizeof(two_streams) - 1)

/* Everything that comes, until the end. Returns the error of the end. */
static struct error *collect(struct attachment *attachment, struct buffer *out, struct buffer *err)
{
	struct error *error = NULL;
	char block[777];
	int stream = 0;
	ssize_t count;

	while ((count = attachment_read(attachment, &stream, block, sizeof(block), 5000, &error)) >
	       0)
		buffer_append(stream == 2 ? err : out, block, (size_t)count);
	if (count == 0)
		fail_msg("nothing came for five seconds");
	return error;
}

/* The header and the first ${step} bytes of the frames glued together, then the rest. */
static bool send_split(struct server *server, int fd, const char *request)
{
	char first[sizeof(upgraded) + TWO_STREAMS_SIZE];
	size_t header = sizeof(upgraded) - 1, cut = (size_t)server->step;

	assert_non_null(strstr(request, "POST /v1.41/containers/x/attach?stream=1&stdin=1&stdout=1"
					"&stderr=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(request, "\r\nUpgrade: tcp\r\n"));
	memcpy(first, upgraded, header);
	memcpy(first + header, two_streams, cut);
	server_send(fd, first, header + cut);
	usleep(3000);
	server_send(fd, two_streams + cut, TWO_STREAMS_SIZE - cut);
	return false;
}

static void test_frames_cut_at_every_byte(void **state)
{
	struct server server;
	struct engine *engine;
	struct buffer out, err;

	(void)state;
	buffer_init(&out, 100);
	buffer_init(&err, 100);
	server_start(&server, send_split);
	engine = server_engine(&server);
	for (size_t cut = 0; cut <= TWO_STREAMS_SIZE; cut++) {
		struct attachment *attachment;
		struct error *error = NULL;

		server.step = (int)cut;
		attachment = container_attach(engine, "x", &error);
		assert_non_null(attachment);
		error = collect(attachment, &out, &err);
		assert_string_equal(out.data, "hello!");
		assert_string_equal(err.data, "oops");
		assert_error(error, ERROR_ENGINE, "the stream ended");
		attachment_free(attachment);
		buffer_clear(&out);
		buffer_clear(&err);
	}
	engine_free(engine);
	server_stop(&server);
	buffer_release(&out);
	buffer_release(&err);
}

/* What an engine sends instead of a stream, or in it, and how that ends. */
struct answer {
	const char *text;
	size_t size;
	bool refused; /* by container_attach() already */
	enum error_kind kind;
	const char *part;
};

static const struct answer *answer;

static bool send_answer(struct server *server, int fd, const char *request)
{
	(void)server;
	(void)request;
	server_send(fd, answer->text, answer->size);
	return false;
}

#define ANSWER(text) text, sizeof(text) - 1

static void test_bad_streams(void **state)
{
	static const struct answer answers[] = {
		{ANSWER("HTTP/1.1 200 OK\r\n\r\n\1\0\0\0\0\0\0\2ok"), false, ERROR_ENGINE,
		 "the stream ended"},
		{ANSWER("HTTP/1.1 200 OK\r\n\r\n\1\0\0\0\0\0\0\5ok"), false, ERROR_ENGINE,
		 "inside a frame"},
		{ANSWER("HTTP/1.1 200 OK\r\n\r\n\1\0\0\0\0\0"), false, ERROR_ENGINE,
		 "inside a frame"},
		{ANSWER("HTTP/1.1 200 OK\r\n\r\nA terminal's text"), false, ERROR_ENGINE,
		 "not multiplexed"},
		{ANSWER("HTTP/1.1 200 OK\r\n\r\n\3\0\0\0\0\0\0\5went\n"), false, ERROR_ENGINE,
		 "broke off the stream: went"},
		{ANSWER("HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n{\"message\":\"none x\"}"),
		 true, ERROR_NOT_FOUND, "(404: none x)"},
		{ANSWER("HTTP/1.1 409 Conflict\r\n\r\n"), true, ERROR_FAILED, "(409)"},
		{ANSWER("HTTP/1.1 204 No Content\r\n\r\n"), true, ERROR_ENGINE, "204 instead"},
		{ANSWER("HTTP/1.1 200 OK\r\n"), true, ERROR_ENGINE, "before it began"},
		{ANSWER(""), true, ERROR_ENGINE, "before it began"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct server server;
		struct engine *engine;
		struct attachment *attachment;
		struct error *error = NULL;
		struct buffer out;

		answer = &answers[i];
		buffer_init(&out, 100);
		server_start(&server, send_answer);
		engine = server_engine(&server);
		attachment = container_attach(engine, "x", &error);
		assert_int_equal(attachment == NULL, answer->refused);
		if (attachment)
			error = collect(attachment, &out, &out);
		assert_error(error, answer->kind, answer->part);
		attachment_free(attachment);
		engine_free(engine);
		server_stop(&server);
		buffer_release(&out);
	}
}

/* A header that never ends. */
static bool send_long_header(struct server *server, int fd, const char *request)
{
	(void)server;
	(void)request;
	server_text(fd, "HTTP/1.1 101 UPGRADED\r\n");
	while (server_text(fd, "X-Long: 0123456789012345678901234567890123456789\r\n"))
		;
	return false;
}

static void test_endless_header_is_capped(void **state)
{
	struct server server;
	struct engine *engine;
	struct error *error = NULL;

	(void)state;
	server_start(&server, send_long_header);
	engine = server_engine(&server);
	assert_null(container_attach(engine, "x", &error));
	assert_error(error, ERROR_ENGINE, "has no end");
	engine_free(engine);
	server_stop(&server);
}

/* Write ${sent} bytes in frames before reading a single one, then read to the end and tell. */
static bool write_before_reading(struct server *server, int fd, const char *request)
{
	static char frame[8 + 65536] = {1, 0, 0, 0, 0, 1, 0, 0};
	char block[65536], tail[8 + 20] = {2, 0, 0, 0, 0, 0, 0, 20};
	unsigned long sum = 0, total = 0;
	ssize_t count;

	(void)server;
	(void)request;
	server_text(fd, upgraded);
	for (unsigned i = 0; i < 64; i++) {
		memset(frame + 8, 'a' + (int)(i % 26), 65536);
		if (!server_send(fd, frame, sizeof(frame)))
			return false;
	}
	while ((count = recv(fd, block, sizeof(block), 0)) > 0) {
		for (ssize_t i = 0; i < count; i++)
			sum = sum * 31 + (unsigned char)block[i];
		total += (unsigned long)count;
	}
	snprintf(tail + 8, 20, "%08lx %lx", total, sum & 0xffff);
	server_send(fd, tail, sizeof(tail));
	return false;
}

static void test_both_sides_write_first(void **state)
{
	struct server server;
	struct engine *engine;
	struct attachment *attachment;
	struct error *error = NULL;
	struct buffer out, err;
	char *data = malloc(4 * MIB), expected[20];
	unsigned long sum = 0;

	(void)state;
	for (size_t i = 0; i < 4 * MIB; i++) {
		data[i] = (char)(i * 7 >> 3);
		sum = sum * 31 + (unsigned char)data[i];
	}
	buffer_init(&out, 8 * MIB);
	buffer_init(&err, 100);
	server_start(&server, write_before_reading);
	engine = server_engine(&server);
	attachment = container_attach(engine, "x", &error);
	assert_non_null(attachment);
	assert_int_equal(0, attachment_write(attachment, data, 4 * MIB, &error));
	assert_int_equal(0, attachment_close_input(attachment));
	error = collect(attachment, &out, &err);
	assert_error(error, ERROR_ENGINE, "the stream ended");
	assert_int_equal(out.size, 64 * 65536);
	for (size_t i = 0; i < out.size; i++)
		if (out.data[i] != (char)('a' + (i >> 16) % 26))
			fail_msg("wrong byte at %zu", i);
	snprintf(expected, sizeof(expected), "%08x %lx", 4 * MIB, sum & 0xffff);
	assert_string_equal(err.data, expected);
	attachment_free(attachment);
	engine_free(engine);
	server_stop(&server);
	buffer_release(&out);
	buffer_release(&err);
	free(data);
}

/* Say why, and close without reading. */
static bool leave_a_word(struct server *server, int fd, const char *request)
{
	(void)server;
	(void)request;
	server_text(fd, upgraded);
	server_send(fd, "\2\0\0\0\0\0\0\3why", 11);
	return false;
}

static void test_last_words_are_read_after_a_failed_write(void **state)
{
	struct server server;
	struct engine *engine;
	struct attachment *attachment;
	struct error *error = NULL;
	struct buffer out, err;
	static char data[8 * MIB];

	(void)state;
	buffer_init(&out, 100);
	buffer_init(&err, 100);
	server_start(&server, leave_a_word);
	engine = server_engine(&server);
	attachment = container_attach(engine, "x", &error);
	assert_non_null(attachment);
	assert_int_equal(-1, attachment_write(attachment, data, sizeof(data), &error));
	assert_int_equal(error->kind, ERROR_ENGINE);
	error_free(error);
	error_free(collect(attachment, &out, &err));
	assert_string_equal(err.data, "why");
	attachment_free(attachment);
	engine_free(engine);
	server_stop(&server);
	buffer_release(&out);
	buffer_release(&err);
}

/* ---- waiting ---- */

static bool stay_silent(struct server *server, int fd, const char *request)
{
	(void)request;
	server_text(fd, upgraded);
	while (!server->stop)
		usleep(10000);
	return false;
}

static volatile int interrupted;

static void *interrupt_soon(void *context)
{
	(void)context;
	usleep(150000);
	interrupted = 1;
	return NULL;
}

static void test_waiting_has_an_end(void **state)
{
	struct server server;
	struct engine *engine;
	struct attachment *attachment;
	struct error *error = NULL;
	static char data[8 * MIB];
	pthread_t thread;
	char byte;
	int stream;
	uint64_t start;

	(void)state;
	interrupted = 0;
	server_start(&server, stay_silent);
	engine = server_engine(&server);
	engine_set_cancel(engine, &interrupted);
	attachment = container_attach(engine, "x", &error);
	assert_non_null(attachment);
	assert_int_equal(0, attachment_read(attachment, &stream, &byte, 1, 0, &error));
	start = clock_monotonic_ms();
	assert_int_equal(0, attachment_read(attachment, &stream, &byte, 1, 60, &error));
	assert_true(clock_monotonic_ms() - start >= 59);
	pthread_create(&thread, NULL, interrupt_soon, NULL);
	assert_int_equal(-1, attachment_read(attachment, &stream, &byte, 1, -1, &error));
	assert_error(error, ERROR_CANCELLED, "interrupted");
	/* Nobody reads there: a write waits, and ends as well. */
	assert_int_equal(-1, attachment_write(attachment, data, sizeof(data), &error));
	assert_error(error, ERROR_CANCELLED, "interrupted");
	pthread_join(thread, NULL);
	attachment_free(attachment);
	engine_free(engine);
	server_stop(&server);
}

/* ---- exec ---- */

#define CHATTY_FRAMES 10000

static struct buffer exec_body;

/* Echo the input on stdout, a word on stderr; the exit code is known at the third question. */
static bool run_exec(struct server *server, int fd, const char *request)
{
	struct buffer input;
	char frame[8] = {1};

	if (strstr(request, "POST /v1.41/containers/x/exec ")) {
		buffer_clear(&exec_body);
		server_body(fd, request, &exec_body);
		return server_answer(fd, "201 Created", "{\"Id\":\"e1\"}");
	}
	if (strstr(request, "GET /v1.41/exec/e1/json ")) {
		server->step++;
		if (server->step == 1)
			return server_answer(fd, "200 OK", "{\"Running\":true,\"ExitCode\":null}");
		if (server->step == 2)
			return server_answer(fd, "200 OK", "{\"Running\":false,\"ExitCode\":null}");
		return server_answer(fd, "200 OK", "{\"Running\":false,\"ExitCode\":7}");
	}
	assert_non_null(strstr(request, "POST /v1.41/exec/e1/start "));
	server_body(fd, request, NULL);
	server_text(fd, upgraded);
	if (server->sent) {
		/* the command that never ends */
		while (!server->stop)
			usleep(10000);
		return false;
	}
	buffer_init(&input, 4 * MIB);
	for (;;) {
		char block[65536];
		ssize_t count = recv(fd, block, sizeof(block), 0);

		if (count <= 0)
			break;
		buffer_append(&input, block, (size_t)count);
		frame[4] = 0;
		frame[5] = (char)(count >> 16);
		frame[6] = (char)(count >> 8);
		frame[7] = (char)count;
		server_send(fd, frame, 8);
		server_send(fd, block, (size_t)count);
	}
	server_send(fd, "\2\0\0\0\0\0\0\3err", 11);
	buffer_release(&input);
	return false;
}

/* The same command, read as it comes: all of it, then how it ended. */
static void check_stream(struct engine *engine, struct container_exec exec)
{
	CLEANUP(cleanup_exec_stream_free) struct exec_stream *stream = NULL;
	struct error *error = NULL;
	struct buffer said;
	char block[70000];
	size_t size = 0;
	ssize_t count;
	int exit_code = 0;

	buffer_init(&said, 100);
	exec.errors = &said;
	stream = exec_stream_open(engine, "x", &exec, &error);
	assert_non_null(stream);
	while ((count = exec_stream_read(stream, block, sizeof(block), &error)) > 0) {
		assert_memory_equal(block, (const char *)exec.input + size, (size_t)count);
		size += (size_t)count;
	}
	assert_int_equal(count, 0);
	assert_int_equal(size, exec.input_size);
	assert_string_equal(said.data, "err");
	assert_int_equal(exec_stream_exit_code(stream, &exit_code, &error), 0);
	assert_int_equal(exit_code, 7);
	buffer_release(&said);
}

static void count_echo(void *context, int stream, const void *data, size_t size)
{
	size_t *counts = context;

	(void)data;
	counts[stream == 2] += size;
}

/* Fed with more than any buffer takes: what it says meanwhile is handed on, or both would wait. */
static void check_fed(struct engine *engine, struct container_exec exec)
{
	CLEANUP(cleanup_exec_stream_free) struct exec_stream *stream = NULL;
	struct error *error = NULL;
	size_t counts[2] = {0, 0};
	int exit_code = 0;

	exec.input = NULL;
	exec.asks = true;
	exec.sink = count_echo;
	exec.context = counts;
	stream = exec_stream_open(engine, "x", &exec, &error);
	assert_non_null(stream);
	for (int i = 0; i < 32; i++) {
		char *piece = calloc(1, 2 * MIB);

		assert_int_equal(exec_stream_feed(stream, piece, 2 * MIB, &error), 1);
		free(piece);
	}
	assert_int_equal(exec_stream_finish(stream, 20000, &error), 0);
	assert_int_equal(counts[0], 64 * MIB);
	assert_int_equal(counts[1], 3);
	assert_int_equal(exec_stream_exit_code(stream, &exit_code, &error), 0);
	assert_int_equal(exit_code, 7);
}

static void test_exec(void **state)
{
	static const char *const arguments[] = {"cat", "-", NULL};
	static const char *const environment[] = {"A=b", NULL};
	struct server server;
	struct engine *engine;
	struct error *error = NULL;
	struct buffer out, err;
	char *input = malloc(3 * MIB);
	struct container_exec exec = {.user = "postgres",
				      .environment = environment,
				      .arguments = arguments,
				      .input = input,
				      .input_size = 3 * MIB,
				      .output = &out,
				      .errors = &err,
				      .timeout_ms = 20000};

	(void)state;
	memset(input, 'i', 3 * MIB);
	buffer_init(&exec_body, 10000);
	buffer_init(&out, 4 * MIB);
	buffer_init(&err, 2);
	server_start(&server, run_exec);
	engine = server_engine(&server);
	assert_int_equal(0, container_exec(engine, "x", &exec, &error));
	assert_int_equal(exec.exit_code, 7);
	assert_int_equal(out.size, 3 * MIB);
	assert_memory_equal(out.data, input, 3 * MIB);
	/* What does not fit is cut, and that is no failure. */
	assert_string_equal(err.data, "er");
	assert_string_equal(exec_body.data,
			    "{\"Cmd\":[\"cat\",\"-\"],\"Env\":[\"A=b\"],\"User\":\"postgres\","
			    "\"AttachStdin\":true,\"AttachStdout\":true,\"AttachStderr\":true,"
			    "\"Tty\":false}");
	check_stream(engine, exec);
	check_fed(engine, exec);
	/* stderr joins stdout where nobody asks for it apart. */
	exec.errors = NULL;
	exec.input = NULL;
	exec.input_size = 0;
	buffer_clear(&out);
	server.sent = 1;
	exec.timeout_ms = 200;
	assert_int_equal(-1, container_exec(engine, "x", &exec, &error));
	assert_error(error, ERROR_FAILED, "did not end within 200 ms");
	engine_free(engine);
	server_stop(&server);
	buffer_release(&exec_body);
	buffer_release(&out);
	buffer_release(&err);
	free(input);
}

/* A tool that writes little by little, and one more line only when it is asked for it. */
static bool run_chatty(struct server *server, int fd, const char *request)
{
	char byte;

	(void)server;
	if (strstr(request, "POST /v1.41/containers/x/exec ")) {
		server_body(fd, request, NULL);
		return server_answer(fd, "201 Created", "{\"Id\":\"e1\"}");
	}
	if (strstr(request, "GET /v1.41/exec/e1/json "))
		return server_answer(fd, "200 OK", "{\"Running\":false,\"ExitCode\":0}");
	server_body(fd, request, NULL);
	server_text(fd, upgraded);
	for (int i = 0; i < CHATTY_FRAMES; i++)
		server_send(fd, i % 10 ? "\1\0\0\0\0\0\0\5line\n" : "\2\0\0\0\0\0\0\5word\n", 13);
	if (recv(fd, &byte, 1, 0) == 1)
		server_send(fd, "\1\0\0\0\0\0\0\7answer\n", 15);
	return false;
}

static void test_what_comes_in_small_pieces_is_gathered(void **state)
{
	static const char *const arguments[] = {"chat", NULL};
	CLEANUP(cleanup_exec_stream_free) struct exec_stream *stream = NULL;
	const size_t lines = CHATTY_FRAMES / 10 * 9 * strlen("line\n");
	struct buffer said;
	struct container_exec exec = {.arguments = arguments, .asks = true, .errors = &said};
	struct error *error = NULL;
	struct engine *engine;
	struct server server;
	size_t size = 0, reads = 0;
	static char block[4 * CHATTY_FRAMES];

	(void)state;
	buffer_init(&said, CHATTY_FRAMES);
	server_start(&server, run_chatty);
	engine = server_engine(&server);
	stream = exec_stream_open(engine, "x", &exec, &error);
	assert_non_null(stream);
	/* It is not waited for more than there is: nothing comes before the question. */
	for (; size < lines; reads++) {
		ssize_t count = exec_stream_read(stream, block, sizeof(block), &error);

		assert_in_range(count, 1, sizeof(block));
		size += (size_t)count;
	}
	assert_int_equal(size, lines);
	assert_in_range(reads, 2, CHATTY_FRAMES / 10);
	assert_int_equal(said.size, CHATTY_FRAMES / 10 * strlen("word\n"));
	exec_stream_write(stream, "?", 1);
	assert_int_equal(exec_stream_read(stream, block, sizeof(block), &error), 7);
	assert_memory_equal(block, "answer\n", 7);
	assert_int_equal(exec_stream_read(stream, block, sizeof(block), &error), 0);
	assert_null(error);
	engine_free(engine);
	server_stop(&server);
	buffer_release(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_cut_at_every_byte),
		cmocka_unit_test(test_bad_streams),
		cmocka_unit_test(test_endless_header_is_capped),
		cmocka_unit_test(test_both_sides_write_first),
		cmocka_unit_test(test_last_words_are_read_after_a_failed_write),
		cmocka_unit_test(test_waiting_has_an_end),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_what_comes_in_small_pieces_is_gathered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
