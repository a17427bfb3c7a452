/*
 * The command: parse, dispatch, show. Results go to standard output and nothing else
 * does; what was wrong goes to standard error, and its kind is the exit code.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "snapshot/helper/heartbeat.h"
#include "snapshot/helper/watchdog.h"
#include "ui/escape.h"
#include "ui/terminal.h"

#include "present.h"
#include "verb.h"

static volatile int interrupted;

/* The third one ends the program at once: the watchdog thaws what is frozen. */
static void interrupt(int signal)
{
	(void)signal;
	if (++interrupted > 2)
		_exit(ERROR_CANCELLED);
}

static void install_signals(void)
{
	/* No SA_RESTART: calls that wait return, and their callers look at the flag. */
	struct sigaction action = {.sa_handler = interrupt};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/* Descriptors 0 to 2 must exist: a file opened in their place would be written to. */
static void open_standard_descriptors(void)
{
	present_open_missing(STDIN_FILENO);
	present_open_missing(STDOUT_FILENO);
	present_open_missing(STDERR_FILENO);
}

/* Take global options, the verb and its options from the words; no verb: command->verb is NULL. */
static int parse(struct command *command, int count, char **words, struct error **err)
{
	struct options_grammar grammar = {.global = global_options, .stops_at_first = true};
	int used;

	if (options_parse(&command->options, &grammar, count, words, &used, err) < 0)
		return -1;
	if (used == count || options_has(&command->options, "version"))
		return 0;
	command->verb = verb_find(words[used]);
	if (!command->verb)
		return verb_unknown(words[used], err);
	/* The words of a completion are not options of ours. */
	if (command->verb->run == verb_complete_run) {
		for (int i = used + 1; i < count; i++)
			string_list_add(&command->options.arguments, words[i]);
		return 0;
	}
	grammar = verb_grammar(command->verb);
	if (options_parse(&command->options, &grammar, count - used - 1, words + used + 1, NULL,
			  err) < 0)
		return -1;
	if (options_has(&command->options, "help"))
		return 0;
	return verb_check_arguments(command->verb, &command->options, err);
}

static void apply_global_options(struct command *command)
{
	const struct options *options = &command->options;

	command->host = options_text(options, "host");
	command->json = options_has(options, "json");
	command->quiet = options_has(options, "quiet");
	command->verbose = options_has(options, "verbose");
	command->session.project = options_text(options, "project");
	command->session.assume_yes = options_has(options, "yes");
	command->session.interactive = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	command->session.cancelled = &interrupted;
}

static enum verbosity verbosity(const struct command *command)
{
	if (command->quiet)
		return VERBOSITY_QUIET;
	return command->verbose ? VERBOSITY_VERBOSE : VERBOSITY_NORMAL;
}

static int run_verb(struct command *command, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *result = NULL;

	if (!command->verb->without_engine && !options_has(&command->options, "remote") &&
	    verb_open_engine(command, err) < 0)
		return -1;
	if (command->verb->run(command, &result, err) < 0)
		return -1;
	progress_free(STEAL_POINTER(command->session.progress));
	if (!result)
		return present_finish(err);
	if (command->json)
		present_json(result);
	else if (command->verb->print)
		command->verb->print(command, result);
	return present_finish(err);
}

static int execute(struct command *command, int count, char **words, struct error **err)
{
	int status;

	if (parse(command, count, words, err) < 0 ||
	    verb_check_word(options_text(&command->options, "host"), err) < 0 ||
	    verb_check_word(options_text(&command->options, "project"), err) < 0)
		return -1;
	apply_global_options(command);
	if (options_has(&command->options, "version"))
		command->verb = verb_find("version");
	else if (options_has(&command->options, "help") || !command->verb) {
		bool asked = options_has(&command->options, "help");

		present_help(command->verb, asked ? stdout : stderr);
		if (!asked) {
			error_set(err, ERROR_USAGE, "no verb was given");
			return error_hint(err, "the first one is mostly: sidesnap create TARGET");
		}
		return present_finish(err);
	}
	command->session.progress = progress_new(verbosity(command));
	status = run_verb(command, err);
	progress_free(STEAL_POINTER(command->session.progress));
	engine_free(STEAL_POINTER(command->session.engine));
	return status;
}

static bool wants_json(int count, char **words)
{
	for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++)
		if (!strcmp(words[i], "--json"))
			return true;
	return false;
}

/*
 * As a plugin we get docker's own options, the word "sidesnap", then our command line.
 * *words and *count are moved to the latter. -1: *err.
 */
static int leave_plugin_words(int *count, char ***words, struct error **err)
{
	static const struct option docker_options[] = {
		{.name = "config", .type = OPTION_TEXT, .value = "DIRECTORY", .help = ""},
		{.name = "context",
		 .letter = 'c',
		 .type = OPTION_TEXT,
		 .value = "NAME",
		 .help = ""},
		{.name = "debug", .letter = 'D'},
		{.name = "host", .letter = 'H', .type = OPTION_TEXT, .value = "URL", .help = ""},
		{.name = "log-level", .letter = 'l', .type = OPTION_TEXT, .value = "L", .help = ""},
		{.name = "tls"},
		{.name = "tlsverify"},
		{0},
	};
	struct options_grammar grammar = {.own = docker_options, .stops_at_first = true};
	struct options options;
	int used = 0, status;

	options_init(&options);
	status = options_parse(&options, &grammar, *count, *words, &used, err);
	if (options_has(&options, "config"))
		setenv("DOCKER_CONFIG", options_text(&options, "config"), 1);
	if (options_has(&options, "context"))
		setenv("DOCKER_CONTEXT", options_text(&options, "context"), 1);
	if (options_has(&options, "host"))
		setenv("DOCKER_HOST", options_text(&options, "host"), 1);
	if (options_has(&options, "tlsverify"))
		setenv("DOCKER_TLS_VERIFY", "1", 1);
	options_release(&options);
	if (status < 0)
		return error_prefix(err, "docker's own options");
	if (used < *count && !strcmp((*words)[used], "sidesnap"))
		used++;
	*count -= used;
	*words += used;
	return 0;
}

static int print_plugin_metadata(void)
{
	CLEANUP(cleanup_json_free) struct json *metadata = json_new_object();

	json_set_string(metadata, "SchemaVersion", "0.1.0");
	json_set_string(metadata, "Vendor", "sidesnap");
	json_set_string(metadata, "Version", present_version());
	json_set_string(metadata, "ShortDescription",
			"Snapshot containers with their volumes as images");
	present_json(metadata);
	return present_finish(NULL) < 0 ? ERROR_FAILED : 0;
}

static int exit_code(const struct command *command, const struct error *err)
{
	if (!err || (command->verb && command->verb->compares && err->kind == ERROR_DAMAGED))
		return ERROR_FAILED;
	return (int)err->kind;
}

int main(int argc, char **argv)
{
	struct command command = {0};
	cleanup_error struct error *err = NULL;
	int count = argc - 1, status = 0;
	char **words = argv + 1;

	open_standard_descriptors();
	if (argc > 1 && !strcmp(argv[1], "__watchdog"))
		return watchdog_main();
	if (argc > 1 && !strcmp(argv[1], "__heartbeat"))
		return heartbeat_main();
	install_signals();
	if (argc > 0 && text_has_suffix(argv[0], "docker-sidesnap")) {
		if (count > 0 && !strcmp(words[0], "docker-cli-plugin-metadata"))
			return print_plugin_metadata();
		if (count > 1 && !strcmp(words[0], "__complete") && !strcmp(words[1], "sidesnap")) {
			complete_for_docker(count - 2, words + 2);
			return present_finish(NULL) < 0 ? ERROR_FAILED : 0;
		}
		status = leave_plugin_words(&count, &words, &err);
	}
	options_init(&command.options);
	if (status == 0)
		status = execute(&command, count, words, &err);
	if (status < 0)
		present_error(err, wants_json(count, words));
	options_release(&command.options);
	if (status < 0)
		return exit_code(&command, err);
	return command.exit_code;
}
