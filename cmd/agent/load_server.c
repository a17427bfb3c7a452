/*
 * The image's own entrypoint fills an empty data directory, with a server of its own that must
 * not be taken for the one to load into: only when the child itself has become the server, as
 * the entrypoints of official images do by exec, is that over.
 */
#include "load_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"

#define POLL_MS 20
#define INITIALISE_MS (60U * 60 * 1000) /* until the child is the server */
#define ANSWER_MS (15U * 60 * 1000)	/* from then on until a way in works */
#define STOP_MS (60U * 60 * 1000)
#define PROBE_MS 30000
#define END_MS 20000	 /* of one whose data is thrown away */
#define QUIET_MS 10000	 /* what takes longer is said */
#define INIT_DEPTH_MAX 4 /* of inits within the image */

static void rest(void)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

	nanosleep(&pause, NULL);
}

/* ---- start ---- */

static bool is_any_set(const struct json *names)
{
	json_for_each(name, names)
		if (getenv(json_string_or(name, NULL, "")))
			return true;
	return false;
}

static bool is_secret(const struct load_server *server, const char *name)
{
	return json_bool(json_path(server->values->load, "values", name), "secret");
}

/* What the image's initialisation asks for, where the container does not say it. */
static void set_initial(struct load_server *server, struct string_list *environment)
{
	const struct json *boot = json_get(server->values->load, "boot");

	json_for_each(item, json_get(boot, "initial")) {
		const char *name = json_key(item);
		cleanup_free char *value = NULL, *pair = NULL;

		if (is_any_set(json_get(item, "unless")))
			continue;
		value = load_values_expand(server->values, json_string_or(item, "value", ""));
		if (!value)
			continue;
		pair = memory_printf("%s=%s", name, value);
		load_set_variable(environment, pair);
		json_for_each(known, json_get(boot, "values"))
			if (strcmp(json_string_or(known, NULL, ""), name) == 0)
				load_values_set(server->values, json_key(known), value,
						is_secret(server, json_key(known)));
	}
}

int load_server_start(struct load_server *server, char **arguments, struct error **err)
{
	const struct json *boot = json_get(server->values->load, "boot");
	struct string_list words, environment;
	cleanup_fd int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct load_program program = {
		.input = input < 0 ? STDIN_FILENO : input,
		.output = STDOUT_FILENO,
		.errors = STDERR_FILENO,
		.leads = true,
		.privilege = server->privilege,
	};
	int result;

	string_list_init(&words);
	string_list_init(&environment);
	for (char **variable = environ; *variable; variable++)
		string_list_add(&environment, *variable);
	set_initial(server, &environment);
	for (char **word = arguments; *word; word++)
		string_list_add(&words, *word);
	json_for_each(item, json_get(boot, "arguments")) {
		cleanup_free char *word =
			load_values_expand(server->values, json_string_or(item, NULL, ""));

		if (word)
			string_list_add(&words, word);
	}
	program.arguments = words.items;
	program.environment = environment.items;
	result = load_process_start(&server->process, &program, err);
	string_list_release(&words);
	string_list_release(&environment);
	return result;
}

/* ---- until it is there ---- */

static bool read_words(pid_t pid, struct buffer *words)
{
	cleanup_free char *path = memory_printf("/proc/%d/cmdline", (int)pid);
	cleanup_error struct error *ignored = NULL;

	buffer_init(words, 1U << 20);
	return io_read_file(AT_FDCWD, path, words, &ignored) == 0 && words->size;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Some servers put a title there once they run: "redis-server *:6379", "postgres: ...". */
static bool is_named(const char *word, const struct json *names)
{
	cleanup_free char *first = memory_strndup(word, strcspn(word, " :"));

	json_for_each(item, names)
		if (strcmp(base_name(first), json_string_or(item, NULL, "")) == 0)
			return true;
	return false;
}

/* A server that runs in an interpreter is told by another word of its command line. */
static bool has_word(const struct buffer *words, const struct json *patterns)
{
	const char *end = words->data + words->size;

	for (const char *word = words->data; word < end; word += strlen(word) + 1)
		json_for_each(item, patterns)
			if (text_match(json_string_or(item, NULL, ""), word))
				return true;
	return false;
}

static bool is_init(const char *word)
{
	static const char *const names[] = {"tini", "tini-static", "docker-init", "dumb-init",
					    "catatonit"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(base_name(word), names[i]) == 0)
			return true;
	return false;
}

/* The only child of a process; 0: none, or several. */
static pid_t only_child(pid_t pid)
{
	cleanup_free char *path = memory_printf("/proc/%d/task/%d/children", (int)pid, (int)pid);
	cleanup_error struct error *ignored = NULL;
	struct buffer text;
	char *end = NULL;
	long child = 0;

	buffer_init(&text, 65536);
	if (io_read_file(AT_FDCWD, path, &text, &ignored) == 0 && text.size)
		child = strtol(text.data, &end, 10);
	if (child && strspn(end, " \n") != strlen(end))
		child = 0;
	buffer_release(&text);
	return (pid_t)child;
}

/* An init within the image stays what it is, and its child becomes the server. */
static bool is_server(const struct load_server *server)
{
	const struct json *load = server->values->load;
	pid_t pid = server->process.pid;
	bool result = false;

	for (int depth = 0; depth < INIT_DEPTH_MAX && pid && !result; depth++) {
		struct buffer words;
		bool goes_on = false;

		if (read_words(pid, &words)) {
			result = is_named(words.data, json_get(load, "processes")) ||
				 has_word(&words, json_get(load, "arguments"));
			goes_on = is_init(words.data);
		}
		buffer_release(&words);
		pid = goes_on ? only_child(pid) : 0;
	}
	return result;
}

static int check_alive(struct load_server *server, struct error **err)
{
	cleanup_free char *why = NULL;

	if (load_check_signal(err) < 0)
		return -1;
	if (!load_process_look(&server->process))
		return 0;
	why = load_process_describe(&server->process);
	error_set(err, ERROR_FAILED, "the server ended before anything could be loaded (%s)", why);
	return error_hint(err,
			  "its own output above says why; for its first start the container has to "
			  "run the database's server, not another command");
}

static void say_slow(uint64_t since_ms, bool *is_said, const char *what)
{
	if (*is_said || clock_monotonic_ms() - since_ms < QUIET_MS)
		return;
	fprintf(stderr, "sidesnap: %s\n", what);
	*is_said = true;
}

static int await_initialisation(struct load_server *server, struct error **err)
{
	uint64_t begin_ms = clock_monotonic_ms();
	bool is_said = false;

	while (!is_server(server)) {
		if (check_alive(server, err) < 0)
			return -1;
		if (clock_monotonic_ms() - begin_ms > INITIALISE_MS) {
			error_set(err, ERROR_FAILED,
				  "the container's command has not become the server itself within "
				  "an hour");
			return error_hint(err, "a dump can be loaded where the image's entrypoint "
					       "ends with an exec of the server");
		}
		say_slow(begin_ms, &is_said, "waiting for the server's own initialisation");
		rest();
	}
	return 0;
}

/* The first way whose version can be asked for. */
static int find_way(struct load_server *server, struct error **err)
{
	const struct json *load = server->values->load;
	cleanup_error struct error *problem = NULL;

	json_for_each(way, json_get(load, "ways")) {
		const struct load_run run = {
			.values = server->values,
			.privilege = server->privilege,
			.way = way,
			.server = &server->process,
			.timeout_ms = PROBE_MS,
		};

		if (!load_values_have(server->values, json_get(way, "needs")))
			continue;
		error_free(STEAL_POINTER(problem));
		if (load_run(&run, json_get(load, "version"), &problem) == 0) {
			server->way = way;
			return 0;
		}
	}
	if (!problem)
		return error_set(err, ERROR_FAILED, "no way in is known");
	error_append(err, STEAL_POINTER(problem));
	return -1;
}

int load_server_await(struct load_server *server, struct error **err)
{
	uint64_t begin_ms;
	bool is_said = false;

	if (await_initialisation(server, err) < 0)
		return -1;
	begin_ms = clock_monotonic_ms();
	for (;;) {
		cleanup_error struct error *problem = NULL;

		if (check_alive(server, err) < 0)
			return -1;
		/*
		 * Asked again: the server may have come up between two ways, and the first that works is
		 * the one that the driver's author prefers.
		 */
		if (find_way(server, &problem) == 0 && find_way(server, &problem) == 0)
			return 0;
		if (check_alive(server, err) < 0)
			return -1;
		if (clock_monotonic_ms() - begin_ms > ANSWER_MS) {
			error_append(err, STEAL_POINTER(problem));
			return error_prefix(err, "the server lets nobody in");
		}
		say_slow(begin_ms, &is_said, "waiting for the server to answer");
		rest();
	}
}

/* ---- its end ---- */

static bool await_end(struct load_server *server, uint64_t most_ms)
{
	uint64_t begin_ms = clock_monotonic_ms();
	bool is_said = false;

	while (!load_process_look(&server->process)) {
		if (clock_monotonic_ms() - begin_ms > most_ms)
			return false;
		say_slow(begin_ms, &is_said, "waiting for the server to write what it holds");
		rest();
	}
	return true;
}

/* Ended as it was told to, in one of the ways in which programs do that. */
static bool ended_well(const struct load_server *server)
{
	int status = server->process.status;

	if (WIFSIGNALED(status))
		return WTERMSIG(status) == server->stop_signal;
	return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 128 + server->stop_signal;
}

int load_server_stop(struct load_server *server, struct error **err)
{
	cleanup_free char *why = NULL;

	(void)kill(server->process.pid, server->stop_signal);
	if (!await_end(server, STOP_MS))
		return error_set(err, ERROR_FAILED, "the server has not ended within an hour");
	if (ended_well(server))
		return 0;
	why = load_process_describe(&server->process);
	return error_set(err, ERROR_FAILED, "the server did not end as it should (%s)", why);
}

void load_server_end(struct load_server *server)
{
	if (!server->process.pid || load_process_look(&server->process))
		return;
	(void)kill(server->process.pid, server->stop_signal);
	if (!await_end(server, END_MS))
		load_process_kill(&server->process);
}
