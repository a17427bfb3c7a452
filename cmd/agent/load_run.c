/*
 * An exit code of 0 is not enough: tools go on after statements that failed, and say so in
 * their output alone. And a tool that ends before it has read all has not loaded all.
 */
#include "load_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/io.h"
#include "base/memory.h"

#define LINE_SIZE_MAX 8192U /* what is longer is judged by its begin */
#define SHOWN_SIZE_MAX 400U
#define READ_SIZE 65536U
#define TURN_MS 200
#define END_TURN_MS 5
#define INPUT_SIZE_MAX (1U << 20)

/* One of its two outputs. */
struct output {
	int fd; /* -1: it has ended */
	char line[LINE_SIZE_MAX + 1];
	size_t size;
};

struct session {
	const struct load_run *run;
	struct load_process process;
	struct output outputs[2];
	int input;	     /* -1: closed */
	struct buffer text;  /* "input" of the operation */
	const uint8_t *data; /* what is to be written next */
	size_t left;
	bool has_errors, has_ignored; /* expressions */
	regex_t errors, ignored;
	char last[LINE_SIZE_MAX + 1], bad[LINE_SIZE_MAX + 1]; /* lines: the last, the first error */
	bool took_all;
	uint64_t end_ms; /* 0: never */
};

int load_check_signal(struct error **err)
{
	return load_process_signal() ? error_set(err, ERROR_CANCELLED, "stopped while loading") : 0;
}

/* ---- words and variables ---- */

static bool add_words(const struct load_run *run, const struct json *words,
		      struct string_list *list)
{
	json_for_each(item, words) {
		cleanup_free char *word =
			load_values_expand(run->values, json_string_or(item, NULL, ""));

		if (!word)
			return false;
		string_list_add(list, word);
	}
	return true;
}

/* The program, what the way puts right behind its name, the rest. */
static bool make_arguments(const struct load_run *run, const struct json *operation,
			   struct string_list *list)
{
	const struct json *words = json_get(operation, "arguments");
	struct string_list all;
	bool result;

	string_list_init(&all);
	result = add_words(run, words, &all) && all.count;
	if (result) {
		string_list_add(list, all.items[0]);
		result = add_words(run, json_get(run->way, "arguments"), list);
	}
	for (size_t i = 1; result && i < all.count; i++)
		string_list_add(list, all.items[i]);
	string_list_release(&all);
	return result;
}

void load_set_variable(struct string_list *list, const char *pair)
{
	size_t size = strcspn(pair, "=") + 1;

	for (size_t i = 0; i < list->count; i++) {
		if (strncmp(list->items[i], pair, size) != 0)
			continue;
		free(list->items[i]);
		list->items[i] = memory_strdup(pair);
		return;
	}
	string_list_add(list, pair);
}

/* One whose value is absent is left out. */
static void set_variables(const struct load_run *run, const struct json *variables,
			  struct string_list *list)
{
	json_for_each(item, variables) {
		cleanup_free char *value =
			load_values_expand(run->values, json_string_or(item, NULL, ""));
		cleanup_free char *pair =
			value ? memory_printf("%s=%s", json_key(item), value) : NULL;

		if (pair)
			load_set_variable(list, pair);
	}
}

static void make_environment(const struct load_run *run, const struct json *operation,
			     struct string_list *list)
{
	for (char **variable = environ; *variable; variable++)
		string_list_add(list, *variable);
	set_variables(run, json_get(run->values->load, "environment"), list);
	set_variables(run, json_get(run->way, "environment"), list);
	set_variables(run, json_get(operation, "environment"), list);
}

static bool make_input(const struct load_run *run, const struct json *operation,
		       struct buffer *text)
{
	const struct json *input = json_get(operation, "input");

	buffer_init(text, INPUT_SIZE_MAX);
	json_for_each(item, input) {
		cleanup_free char *line =
			load_values_expand(run->values, json_string_or(item, NULL, ""));

		if (!line)
			return false;
		buffer_append_string(text, line);
		buffer_append(text, "\n", 1);
	}
	return !text->failed;
}

/* ---- what it says ---- */

static int compile(regex_t *regex, const char *pattern, bool *has, struct error **err)
{
	*has = false;
	if (!pattern)
		return 0;
	if (regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return error_set(err, ERROR_DAMAGED, "the snapshot has a bad expression: %s",
				 pattern);
	*has = true;
	return 0;
}

static void judge_line(struct session *session, struct output *output)
{
	output->line[output->size] = '\0';
	/* a NUL would hide what is behind it */
	for (size_t i = 0; i < output->size; i++)
		if (!output->line[i])
			output->line[i] = ' ';
	if (output->size)
		memcpy(session->last, output->line, output->size + 1);
	if (session->has_errors && !session->bad[0] &&
	    regexec(&session->errors, output->line, 0, NULL, 0) == 0 &&
	    !(session->has_ignored && regexec(&session->ignored, output->line, 0, NULL, 0) == 0))
		memcpy(session->bad, output->line, output->size + 1);
	output->size = 0;
}

static void take_output(struct session *session, struct output *output, const char *data,
			size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n')
			judge_line(session, output);
		else if (output->size < LINE_SIZE_MAX)
			output->line[output->size++] = data[i];
	}
}

static void read_output(struct session *session, struct output *output)
{
	char data[READ_SIZE];
	ssize_t size = read(output->fd, data, sizeof(data));

	if (size > 0) {
		take_output(session, output, data, (size_t)size);
	} else if (size == 0 || (errno != EINTR && errno != EAGAIN)) {
		if (output->size)
			judge_line(session, output);
		close(output->fd);
		output->fd = -1;
	}
}

/* As a person can read it: one line, short, without secrets. To be freed. */
static char *shown(const struct session *session, const char *line)
{
	char *text = memory_strdup(line);

	load_values_redact(session->run->values, text);
	if (strlen(text) > SHOWN_SIZE_MAX)
		text[SHOWN_SIZE_MAX] = '\0';
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	return text;
}

/* ---- what it gets ---- */

static void close_input(struct session *session)
{
	if (session->input >= 0)
		close(session->input);
	session->input = -1;
}

/* The next bytes; without any its stdin ends. */
static int more_input(struct session *session, struct error **err)
{
	int result = 0;

	if (session->run->dump)
		result = dump_next(session->run->dump, &session->data, &session->left, err);
	if (result < 0)
		return -1;
	if (result == 0) {
		session->took_all = true;
		close_input(session);
	}
	return failpoint_error("load/feeding", err);
}

static int write_input(struct session *session, struct error **err)
{
	ssize_t count;

	if (!session->left)
		return more_input(session, err);
	count = write(session->input, session->data, session->left);
	if (count >= 0) {
		session->data += count;
		session->left -= (size_t)count;
	} else if (errno == EPIPE) {
		/* it has ended, or reads no more; its exit code and what it said tell why */
		close_input(session);
	} else if (errno != EINTR && errno != EAGAIN) {
		return error_set_errno(err, errno, "cannot hand over the dump");
	}
	return 0;
}

/* ---- all of it ---- */

static int check_others(const struct session *session, struct error **err)
{
	struct load_process *server = session->run->server;

	if (load_check_signal(err) < 0)
		return -1;
	if (server && load_process_look(server)) {
		cleanup_free char *why = load_process_describe(server);

		return error_set(err, ERROR_FAILED, "the server has ended meanwhile (%s)", why);
	}
	if (session->end_ms && clock_monotonic_ms() > session->end_ms)
		return error_set(err, ERROR_FAILED, "it takes longer than %llu s",
				 (unsigned long long)(session->run->timeout_ms / 1000));
	return 0;
}

static int turn(struct session *session, struct error **err)
{
	bool is_silent = session->outputs[0].fd < 0 && session->outputs[1].fd < 0;
	struct pollfd fds[3] = {
		{.fd = session->outputs[0].fd, .events = POLLIN},
		{.fd = session->outputs[1].fd, .events = POLLIN},
		{.fd = session->input, .events = POLLOUT},
	};

	/* nothing but its end is waited for then */
	if (poll(fds, 3, is_silent ? END_TURN_MS : TURN_MS) < 0 && errno != EINTR)
		return error_set_errno(err, errno, "cannot wait for it");
	for (int i = 0; i < 2; i++)
		if (fds[i].fd >= 0 && fds[i].revents)
			read_output(session, &session->outputs[i]);
	if (fds[2].fd >= 0 && fds[2].revents && write_input(session, err) < 0)
		return -1;
	return check_others(session, err);
}

static int start(struct session *session, const struct json *operation, struct error **err)
{
	const struct load_run *run = session->run;
	struct string_list arguments, environment;
	cleanup_free char *user = NULL;
	int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}}, result = -1;
	struct load_program program = {.privilege = run->privilege};

	string_list_init(&arguments);
	string_list_init(&environment);
	if (!make_arguments(run, operation, &arguments) ||
	    !make_input(run, operation, &session->text)) {
		error_set(err, ERROR_FAILED, "a value that \"%s\" needs is not known here",
			  json_string_or(json_first(json_get(operation, "arguments")), NULL, "?"));
		goto out;
	}
	make_environment(run, operation, &environment);
	if (json_string(run->way, "user"))
		user = load_values_expand(run->values, json_string(run->way, "user"));
	for (int i = 0; i < 3; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0) {
			error_set_errno(err, errno, "cannot make a pipe");
			goto out;
		}
	program.arguments = arguments.items;
	program.environment = environment.items;
	program.user = user;
	program.input = pipes[0][0];
	program.output = pipes[1][1];
	program.errors = pipes[2][1];
	program.leads = true;
	result = load_process_start(&session->process, &program, err);
out:
	for (int i = 0; i < 3; i++) {
		int theirs = i ? 1 : 0;

		if (pipes[i][theirs] >= 0)
			close(pipes[i][theirs]);
		if (result < 0 && pipes[i][!theirs] >= 0)
			close(pipes[i][!theirs]);
	}
	if (result == 0) {
		session->input = pipes[0][1];
		session->outputs[0].fd = pipes[1][0];
		session->outputs[1].fd = pipes[2][0];
		(void)io_set_nonblocking(session->input, 1);
	}
	string_list_release(&arguments);
	string_list_release(&environment);
	return result;
}

static int conclude(struct session *session, const char *name, struct error **err)
{
	cleanup_free char *why = load_process_describe(&session->process);
	cleanup_free char *last = shown(session, session->last);
	cleanup_free char *bad = shown(session, session->bad);

	if (session->process.status)
		return error_set(err, ERROR_FAILED, "%s: %s%s%s", name, why,
				 *bad || *last ? ": " : "", *bad ? bad : last);
	if (*bad)
		return error_set(err, ERROR_FAILED, "%s: %s", name, bad);
	if (!session->took_all)
		return error_set(err, ERROR_FAILED, "%s has ended before it had read all%s%s", name,
				 *last ? ": " : "", last);
	return 0;
}

/* Until it has ended and all that it said is read. */
static int attend(struct session *session, struct error **err)
{
	bool is_open = true;

	while (is_open || !load_process_look(&session->process)) {
		if (turn(session, err) < 0)
			return -1;
		is_open = session->outputs[0].fd >= 0 || session->outputs[1].fd >= 0;
		/* what a child of it still holds open is not waited for */
		if (load_process_look(&session->process) && is_open) {
			for (int i = 0; i < 2; i++) {
				if (session->outputs[i].fd < 0)
					continue;
				(void)io_set_nonblocking(session->outputs[i].fd, 1);
				read_output(session, &session->outputs[i]);
			}
			is_open = false;
			break;
		}
	}
	return 0;
}

static void session_release(struct session *session)
{
	load_process_kill(&session->process);
	close_input(session);
	for (int i = 0; i < 2; i++)
		if (session->outputs[i].fd >= 0)
			close(session->outputs[i].fd);
	if (session->has_errors)
		regfree(&session->errors);
	if (session->has_ignored)
		regfree(&session->ignored);
	buffer_release(&session->text);
	free(session);
}

int load_run(const struct load_run *run, const struct json *operation, struct error **err)
{
	const char *name =
		json_string_or(json_first(json_get(operation, "arguments")), NULL, "nothing");
	struct session *session;
	int result = -1;

	run->values->way = run->way;
	if (!load_values_have(run->values, json_get(operation, "needs")))
		return 0;
	session = memory_zalloc(sizeof(*session));
	session->run = run;
	session->input = session->outputs[0].fd = session->outputs[1].fd = -1;
	session->end_ms = run->timeout_ms ? clock_monotonic_ms() + run->timeout_ms : 0;
	if (compile(&session->errors, run->errors, &session->has_errors, err) == 0 &&
	    compile(&session->ignored, run->ignored, &session->has_ignored, err) == 0 &&
	    start(session, operation, err) == 0) {
		session->data = (const uint8_t *)session->text.data;
		session->left = session->text.size;
		result = attend(session, err) < 0 ? error_prefix(err, "%s", name)
						  : conclude(session, name, err);
	}
	session_release(session);
	return result;
}

int load_run_all(const struct load_run *run, const struct json *operations, struct error **err)
{
	json_for_each(operation, operations)
		if (load_run(run, operation, err) < 0)
			return -1;
	return 0;
}
