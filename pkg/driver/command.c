/*
 * The commands of a driver. Secrets go in by environment or stdin; what comes
 * out is shown only after they were blotted out.
 */
#include "driver/command.h"

#include <regex.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "driver/driver.h"

#define OUTPUT_LIMIT 65536
#define SHOWN_LIMIT 400
#define COMMAND_TIMEOUT_MS 60000
#define RETRY_PAUSE_MS 250

static bool fits(const char *pattern, const char *text)
{
	regex_t regex;
	bool result;

	if (!pattern || regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	result = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return result;
}

char *command_shown(const char *text)
{
	struct buffer line;
	size_t size = strlen(text);

	if (size > SHOWN_LIMIT)
		text += size - SHOWN_LIMIT;
	buffer_init(&line, 4 * SHOWN_LIMIT);
	for (; *text; text++) {
		if ((unsigned char)*text >= ' ' && *text != 0x7f)
			buffer_append(&line, text, 1);
		else if (line.size && line.data[line.size - 1] != ' ')
			buffer_append(&line, " ", 1);
	}
	while (line.size && line.data[line.size - 1] == ' ')
		line.data[--line.size] = '\0';
	return buffer_steal(&line);
}

bool command_needs_are_there(struct values *values, const struct json *command)
{
	json_for_each(need, json_get(command, "needs")) {
		cleanup_free char *value = values_get(values, json_string_or(need, NULL, ""));

		if (!value)
			return false;
	}
	return true;
}

void command_expand_environment(struct values *values, const struct json *command,
				struct string_list *list)
{
	json_for_each(item, json_get(command, "environment")) {
		cleanup_free char *value = values_expand(values, json_string_or(item, NULL, ""));
		cleanup_free char *pair = NULL;

		if (!value)
			continue;
		pair = memory_printf("%s=%s", json_key(item), value);
		string_list_add(list, pair);
	}
}

bool command_expand_arguments(struct values *values, const struct json *command,
			      struct string_list *list)
{
	json_for_each(item, json_get(command, "arguments")) {
		cleanup_free char *value = values_expand(values, json_string_or(item, NULL, ""));

		if (!value)
			return false;
		string_list_add(list, value);
	}
	return list->count > 0;
}

/* Engines tell a missing program or user by the call's failure, or by codes 126 and 127. */
static bool is_unusable(const struct error *problem, const struct container_exec *exec)
{
	if (!problem)
		return exec->exit_code == 126 || exec->exit_code == 127;
	return problem->kind == ERROR_FAILED && problem->http_status >= 400;
}

static enum command_result judge(struct values *values, const struct json *command,
				 const struct string_list *arguments, struct container_exec *exec,
				 const char *text, struct error *problem, struct error **err)
{
	cleanup_free char *line = string_list_join(arguments, " ");
	cleanup_free char *output = command_shown(text);
	const char *expected = json_string(command, "expect");

	values_redact(values, line);
	if (problem && problem->kind != ERROR_FAILED) {
		error_append(err, problem);
		error_prefix(err, "%s", line);
		return COMMAND_FAILED;
	}
	if (!problem && exec->exit_code == 0 && (!expected || fits(expected, text)))
		return COMMAND_OK;
	if (problem) {
		bool unusable = is_unusable(problem, exec);

		values_redact(values, problem->message);
		error_append(err, problem);
		error_prefix(err, "%s", line);
		return unusable ? COMMAND_UNUSABLE : COMMAND_FAILED;
	}
	error_set(err, ERROR_FAILED, "%s%s%s: exit code %d%s%s", line, exec->user ? " as " : "",
		  exec->user ? exec->user : "", exec->exit_code, *output ? ": " : "", output);
	return is_unusable(NULL, exec) ? COMMAND_UNUSABLE : COMMAND_FAILED;
}

enum command_result command_run(struct values *values, const struct json *command,
				uint64_t timeout_ms, struct buffer *output, struct error **err)
{
	cleanup_free char *user = NULL, *input = NULL;
	struct string_list arguments, environment;
	struct container_exec exec = {.timeout_ms = timeout_ms};
	enum command_result result = COMMAND_SKIPPED;
	struct error *problem = NULL;
	struct buffer text;

	values->is_guessing = json_bool(command, "guess");
	string_list_init(&arguments);
	string_list_init(&environment);
	buffer_init(&text, OUTPUT_LIMIT);
	if (!command_needs_are_there(values, command) ||
	    !command_expand_arguments(values, command, &arguments))
		goto out;
	command_expand_environment(values, command, &environment);
	user = json_string(command, "user") ? values_expand(values, json_string(command, "user"))
					    : NULL;
	input = json_string(command, "input") ? values_expand(values, json_string(command, "input"))
					      : NULL;
	exec.user = user;
	exec.environment = (const char *const *)environment.items;
	exec.arguments = (const char *const *)arguments.items;
	exec.input = input;
	exec.input_size = input ? strlen(input) : 0;
	exec.output = &text;
	container_exec(values->engine, values->id, &exec, &problem);
	values_redact(values, text.data);
	text.size = strlen(text.data);
	buffer_append(output, text.data, text.size);
	result = judge(values, command, &arguments, &exec, text.data, problem, err);
out:
	values->is_guessing = false;
	string_list_release(&arguments);
	string_list_release(&environment);
	buffer_release(&text);
	return result;
}

/*
 * Each command of the step once. The reason kept is the last of those that really
 * ran: a missing user or program says less than the server's own answer.
 */
static int run_any(struct values *values, const struct json *step, struct buffer *output,
		   struct error **err)
{
	uint64_t timeout_ms = COMMAND_TIMEOUT_MS;
	cleanup_error struct error *ran = NULL, *unusable = NULL;

	json_uint_checked(step, "timeout_ms", UINT32_MAX, &timeout_ms);
	json_for_each(command, json_get(step, "any")) {
		cleanup_error struct error *problem = NULL;
		enum command_result result =
			command_run(values, command, timeout_ms, output, &problem);

		if (result == COMMAND_OK)
			return 0;
		if (problem && problem->kind != ERROR_FAILED) {
			error_append(err, STEAL_POINTER(problem));
			return -1;
		}
		if (result == COMMAND_FAILED) {
			error_free(ran);
			ran = STEAL_POINTER(problem);
		} else if (result == COMMAND_UNUSABLE && !unusable) {
			unusable = STEAL_POINTER(problem);
		}
	}
	if (ran)
		error_append(err, STEAL_POINTER(ran));
	else if (unusable)
		error_append(err, STEAL_POINTER(unusable));
	else
		error_set(err, ERROR_FAILED, "none of its commands applies to this container");
	return -1;
}

static int run_step(struct values *values, const struct json *step, bool *go_on, struct error **err)
{
	uint64_t start = clock_monotonic_ms(), patience = 0;
	const char *retry = json_string(step, "retry_when");
	const char *condition = json_string(step, "continue_when");
	struct timespec pause = {0, RETRY_PAUSE_MS * 1000000L};
	struct buffer output;
	int result;

	json_uint_checked(step, "retry_ms", UINT32_MAX, &patience);
	buffer_init(&output, 4 * OUTPUT_LIMIT);
	for (;;) {
		cleanup_error struct error *problem = NULL;

		result = run_any(values, step, &output, &problem);
		if (result == 0 && condition)
			*go_on = fits(condition, output.data);
		if (result == 0)
			break;
		if (!fits(retry, output.data) || clock_monotonic_ms() - start >= patience ||
		    problem->kind != ERROR_FAILED) {
			error_append(err, STEAL_POINTER(problem));
			error_prefix(err, "%s failed", json_string_or(step, "name", "a step"));
			break;
		}
		nanosleep(&pause, NULL);
		buffer_clear(&output);
	}
	buffer_release(&output);
	return result;
}

int command_steps(struct values *values, const struct json *steps, struct error **err)
{
	bool go_on = true;

	json_for_each(step, steps) {
		if (run_step(values, step, &go_on, err) < 0)
			return -1;
		if (!go_on)
			break;
	}
	return 0;
}

static const char *title_of(const struct json *definition)
{
	return json_string_or(definition, "title", json_string_or(definition, "name", "database"));
}

/* The steps of a member, in the running container. */
static int run_member(struct engine *engine, const char *id, const struct driver_match *match,
		      const char *member, struct error **err)
{
	const struct json *definition = match->driver ? match->driver->definition : NULL;
	const struct json *steps = json_path(definition, member, "steps");
	struct values values;
	int result = 0;

	if (!steps || match->idle)
		return 0;
	if (values_open(&values, engine, id, definition, err) < 0)
		return -1;
	values_borrow(&values, match->lender);
	result = command_steps(&values, steps, err);
	values_release(&values);
	return result;
}

int driver_prepare(struct engine *engine, const char *id, const struct driver_match *match,
		   struct error **err)
{
	int result = run_member(engine, id, match, "prepare", err);

	if (result < 0)
		error_hint(err,
			   "give the container the variables that its image documents, use a "
			   "driver of your own (SIDESNAP_DRIVERS), or capture its files without "
			   "preparing them: --ignore-prepare, or label sidesnap.driver=none");
	return result;
}

int driver_finish(struct engine *engine, const char *id, const struct driver_match *match,
		  struct error **err)
{
	return run_member(engine, id, match, "finish", err);
}

struct json *driver_release_json(const struct driver_match *match)
{
	static const char *const members[] = {"name", "title", "values", "release"};
	static const char *const evidence[] = {"commands", "processes", "arguments"};
	const struct json *definition = match->driver ? match->driver->definition : NULL;
	const struct json *detect = json_get(definition, "detect");
	struct json *release, *kept;

	if (!json_path(definition, "release", "steps"))
		return NULL;
	release = json_new_object();
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_get(definition, members[i]))
			json_set(release, members[i], json_copy(json_get(definition, members[i])));
	/* Finding the server's options needs its names. */
	kept = json_set_object(release, "detect");
	for (size_t i = 0; i < sizeof(evidence) / sizeof(evidence[0]); i++)
		if (json_get(detect, evidence[i]))
			json_set(kept, evidence[i], json_copy(json_get(detect, evidence[i])));
	return release;
}

int driver_run_release(struct engine *engine, const char *id, const struct json *release,
		       struct error **err)
{
	const struct json *steps = json_path(release, "release", "steps");
	struct values values;
	int result;

	if (!steps)
		return 0;
	if (values_open(&values, engine, id, release, err) < 0)
		return -1;
	result = command_steps(&values, steps, err);
	if (result < 0)
		error_prefix(err, "cannot release %s in container \"%s\"", title_of(release),
			     json_string_or(values.inspect, "Name", id));
	values_release(&values);
	return result;
}
