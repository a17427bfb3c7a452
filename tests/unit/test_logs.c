/*
 * The logs of several containers as one: lines put together from whatever pieces arrive, and merged by
 * their times.
 */
#include "test_engine_server.h"

#include "base/cleanup.h"
#include "base/memory.h"
#include "project/project.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define TIME "2026-01-31T13:15:0"

static const char *wanted_in_request; /* of the logs; NULL: nothing */

static void add_frame(struct buffer *log, int stream, const char *text)
{
	unsigned char header[8] = {(unsigned char)stream};
	size_t size = strlen(text);

	header[6] = (unsigned char)(size >> 8);
	header[7] = (unsigned char)size;
	buffer_append(log, header, sizeof(header));
	buffer_append(log, text, size);
}

static void fill_a(struct buffer *log)
{
	add_frame(log, 1, TIME "1.000000000Z a one\n");
	/* A long line comes as several messages, each with its time; another stream is between them. */
	add_frame(log, 1, TIME "3.000000000Z a lo");
	add_frame(log, 2, TIME "3.100000000Z a error\n");
	add_frame(log, 1, TIME "3.200000000Z ng\n");
	add_frame(log, 1, TIME "5.000000000Z no end");
}

/* Of a terminal: no frames. */
static void fill_b(struct buffer *log)
{
	buffer_append_string(log, TIME "0.500000000Z b one\r\n" TIME "2.000000000Z b two\r\n" TIME
				       "4.000000000Z \r\n");
}

/* In pieces that end anywhere. */
static bool send_log(int fd, const struct buffer *log)
{
	char header[128];

	snprintf(header, sizeof(header), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		 log->size);
	if (!server_text(fd, header))
		return false;
	for (size_t i = 0; i < log->size; i += 7) {
		const struct timespec pause = {.tv_nsec = 1000000L};
		size_t left = log->size - i;

		if (!server_send(fd, log->data + i, left < 7 ? left : 7))
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

static bool answer(struct server *server, int fd, const char *request)
{
	struct buffer log;
	bool keep;

	(void)server;
	if (strstr(request, "/containers/json"))
		return server_answer(fd, "200 OK",
				     "[{\"Id\":\"" ID_A "\",\"Names\":[\"/a\"],\"Labels\":{}},"
				     "{\"Id\":\"" ID_B "\",\"Names\":[\"/b\"],\"Labels\":{}}]");
	if (strstr(request, ID_A "/json"))
		return server_answer(fd, "200 OK",
				     "{\"Id\":\"" ID_A
				     "\",\"Name\":\"/a\",\"Config\":{\"Tty\":false,"
				     "\"Labels\":{\"com.docker.compose.service\":\"web\"}}}");
	if (strstr(request, ID_B "/json"))
		return server_answer(fd, "200 OK",
				     "{\"Id\":\"" ID_B
				     "\",\"Name\":\"/b\",\"Config\":{\"Tty\":true}}");
	if (strstr(request, "/info"))
		return server_answer(fd, "200 OK", "{\"SystemTime\":\"2026-01-31T14:00:00.5Z\"}");
	assert_non_null(strstr(request, "/logs?"));
	assert_non_null(strstr(request, "timestamps=1"));
	if (wanted_in_request && !strstr(request, wanted_in_request))
		return server_answer(fd, "400 Bad Request", "{\"message\":\"not asked so\"}");
	buffer_init(&log, 1U << 16);
	if (strstr(request, ID_A))
		fill_a(&log);
	else
		fill_b(&log);
	keep = send_log(fd, &log);
	buffer_release(&log);
	return keep;
}

static int add_line(void *context, const struct project_log_line *line, struct error **err)
{
	(void)err;
	buffer_printf(context, "%.5s %s/%s %d %s\n", line->time + 17,
		      line->service ? line->service : "-", line->name, line->stream, line->text);
	return 0;
}

static int nothing(void *context, struct error **err)
{
	(void)context;
	(void)err;
	return 0;
}

static char *logs(const struct project_logs_options *more, struct error **err)
{
	struct server server;
	struct session session = {0};
	struct string_list names;
	struct buffer text;
	struct project_logs_options options = *more;
	int result;

	server_start(&server, answer);
	session.engine = server_engine(&server);
	session.progress = progress_new(VERBOSITY_QUIET);
	string_list_init(&names);
	string_list_add(&names, "a");
	string_list_add(&names, "b");
	buffer_init(&text, 1U << 16);
	options.names = &names;
	options.line = add_line;
	options.idle = nothing;
	options.context = &text;
	result = project_logs(&session, &options, err);
	string_list_release(&names);
	progress_free(session.progress);
	engine_free(session.engine);
	server_stop(&server);
	if (result == 0)
		return buffer_steal(&text);
	buffer_release(&text);
	return NULL;
}

static void test_merged(void **state)
{
	const struct project_logs_options options = {.tail = LOG_TAIL_ALL};
	struct error *error = NULL;
	cleanup_free char *text = logs(&options, &error);

	(void)state;
	if (!text)
		fail_msg("%s", error->message);
	assert_string_equal(text, "00.50 -/b 1 b one\n"
				  "01.00 web/a 1 a one\n"
				  "02.00 -/b 1 b two\n"
				  "03.10 web/a 2 a error\n"
				  "03.00 web/a 1 a long\n"
				  "04.00 -/b 1 \n"
				  "05.00 web/a 1 no end\n");
}

static void test_pattern(void **state)
{
	const struct project_logs_options options = {.tail = 5, .pattern = "^(b two|a long)$"};
	struct error *error = NULL;
	cleanup_free char *text = NULL;

	(void)state;
	wanted_in_request = "tail=5";
	text = logs(&options, &error);
	wanted_in_request = NULL;
	if (!text)
		fail_msg("%s", error->message);
	assert_string_equal(text, "02.00 -/b 1 b two\n03.00 web/a 1 a long\n");
}

/* What is ago is counted back from the engine's clock, which may not be ours. */
static void test_times(void **state)
{
	const struct project_logs_options options = {
		.tail = LOG_TAIL_ALL, .since = "1h", .until = "2026-01-31T13:30:00Z"};
	struct error *error = NULL;
	cleanup_free char *text = NULL;

	(void)state;
	wanted_in_request = "since=1769864400.500000000&until=1769866200.000000000";
	text = logs(&options, &error);
	wanted_in_request = NULL;
	if (!text)
		fail_msg("%s", error->message);
}

static void test_refused(void **state)
{
	struct project_logs_options options = {.tail = LOG_TAIL_ALL, .pattern = "("};
	struct error *error = NULL;

	(void)state;
	assert_null(logs(&options, &error));
	assert_error(error, ERROR_USAGE, "--grep");
	options = (struct project_logs_options){.since = "soon"};
	assert_null(logs(&options, &error));
	assert_error(error, ERROR_USAGE, "--since");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
