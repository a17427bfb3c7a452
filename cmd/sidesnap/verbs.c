/*
 * What sidesnap can be asked to do, in the words that people read: help, manual
 * pages and docs/reference.md are made from this file.
 */
#include "verb.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/buffer.h"

const struct option global_options[] = {
	{.name = "host",
	 .letter = 'H',
	 .type = OPTION_TEXT,
	 .value = "URL",
	 .otherwise = "DOCKER_HOST, else the docker context, else unix:///var/run/docker.sock",
	 .help = "the engine: unix:///PATH, tcp://HOST:PORT"},
	{.name = "project",
	 .letter = 'p',
	 .type = OPTION_TEXT,
	 .value = "PROJECT",
	 .otherwise = "that of the sidecar's own container",
	 .help = "compose project in which services are looked up",
	 .completion = COMPLETE_PROJECTS},
	{.name = "json", .help = "print the result, or the error, as JSON on standard output"},
	{.name = "quiet", .letter = 'q', .help = "no progress and no notes; warnings stay"},
	{.name = "verbose", .letter = 'v', .help = "say more of what is done"},
	{.name = "help", .letter = 'h', .help = "show help, of a verb where one is named"},
	{.name = "version", .help = "print the version"},
	{0},
};

#define ARGUMENT_TARGET                                                                            \
	{                                                                                          \
		.name = "TARGET", .completion = COMPLETE_TARGETS                                   \
	}
#define ARGUMENT_REF                                                                               \
	{                                                                                          \
		.name = "REF", .completion = COMPLETE_SNAPSHOTS                                    \
	}

static const struct argument one_target[] = {ARGUMENT_TARGET, {0}};
static const struct argument optional_target[] = {
	{.name = "TARGET", .optional = true, .completion = COMPLETE_TARGETS}, {0}};
static const struct argument one_reference[] = {ARGUMENT_REF, {0}};
static const struct argument references[] = {
	{.name = "REF", .repeated = true, .completion = COMPLETE_SNAPSHOTS}, {0}};
static const struct argument target_and_reference[] = {
	{.name = "CONTAINER", .completion = COMPLETE_TARGETS}, ARGUMENT_REF, {0}};
static const struct argument run_arguments[] = {
	ARGUMENT_REF, {.name = "ARGUMENT", .optional = true, .repeated = true}, {0}};
static const struct argument anything[] = {{.name = "WORD", .optional = true, .repeated = true},
					   {0}};
static const struct argument optional_verb[] = {
	{.name = "VERB", .optional = true, .completion = COMPLETE_VERBS}, {0}};
static const struct argument shell_argument[] = {
	{.name = "SHELL", .completion = COMPLETE_WORDS, .words = "bash zsh fish"}, {0}};

static const struct option ps_options[] = {
	{.name = "all", .letter = 'a', .help = "containers that do not run, too"},
	{0},
};
static const struct option rm_options[] = {
	{.name = "force",
	 .letter = 'f',
	 .help = "also one that a container uses, or an image by its id that has several tags"},
	{0},
};
static const struct option doctor_options[] = {
	{.name = "dry-run", .help = "only say what would be done"},
	{0},
};
static const struct option man_options[] = {
	{.name = "output",
	 .letter = 'o',
	 .type = OPTION_TEXT,
	 .value = "DIRECTORY",
	 .help = "write every page there",
	 .completion = COMPLETE_DIRECTORIES},
	{.name = "markdown", .help = "the verbs as docs/reference.md has them"},
	{0},
};

static const struct example create_examples[] = {
	{"sidesnap create db", "snapshot the container or service db; prints the new reference"},
	{"sidesnap create db -t demo:before -m \"before the migration\"",
	 "with a name and a title"},
	{"sidesnap create db --dry-run", "what would be captured, and who would be frozen"},
	{"docker-compose exec -T sidesnap sidesnap create db", "from the sidecar of a project"},
	{0},
};
static const struct example run_examples[] = {
	{"sidesnap run demo:before --name try", "boot it as a container of its own"},
	{"sidesnap run demo:before -p 15432:5432 -v try-data:/var/lib/postgresql/data",
	 "with a published port and a named volume"},
	{"sidesnap run demo:before -- postgres -c log_statement=all",
	 "with other arguments for the entrypoint"},
	{0},
};
static const struct example replace_examples[] = {
	{"sidesnap replace db demo:before", "db goes on from demo:before, as the same container"},
	{"docker-compose exec -T sidesnap sidesnap replace db demo:before --yes",
	 "without a terminal to ask on"},
	{0},
};
static const struct example ls_examples[] = {
	{"sidesnap ls", "all snapshots, newest first"},
	{"sidesnap ls db", "those of one container or service"},
	{"sidesnap ls --quiet", "references only, one a line"},
	{0},
};
static const struct example rm_examples[] = {
	{"sidesnap rm demo:before demo:after", "two tags; nothing is removed unless both can be"},
	{0},
};
static const struct example completion_examples[] = {
	{"source <(sidesnap completion bash)", "in ~/.bashrc"},
	{"sidesnap completion fish > ~/.config/fish/completions/sidesnap.fish", "for fish"},
	{0},
};

const struct verb verbs[] = {
	{.name = "create",
	 .summary = "make a snapshot of a container with its volumes",
	 .description =
		 "Turns TARGET, its named and anonymous volumes and its own changed files into an "
		 "image that boots back into exactly this state. Most is read while they run. The "
		 "containers that write to these volumes are then frozen while what changed meanwhile "
		 "is read, and thawed whatever happens. Prints the reference of the new image on "
		 "standard output.\n\n"
		 "Not captured: tmpfs mounts, sockets, and bind mounts, except one that a driver knows "
		 "as a data directory or that --include names. Run-time variables stay out too, but "
		 "for those that are state; --with-env adds more.\n\n"
		 "`docker-compose exec -T` and `docker exec` without a terminal deliver no signal to "
		 "the command inside: Ctrl-C ends them, not the create. `sidesnap cancel TARGET` stops "
		 "it.",
	 .arguments = one_target,
	 .options = create_options_table,
	 .examples = create_examples,
	 .exit_notes = "5 when the reference exists and --force is not given; 6 when a container "
		       "that may not be frozen could write to a captured volume; 8 when the engine "
		       "has too little room; 9 when another create of this target runs.",
	 .run = verb_create_run,
	 .print = verb_create_print},
	{.name = "ps",
	 .summary = "list containers with driver, volumes and last snapshot",
	 .description = "Running containers; with --all those that are stopped, too. With --quiet "
			"only names.",
	 .options = ps_options,
	 .run = verb_ps_run,
	 .print = verb_ps_print},
	{.name = "ls",
	 .summary = "list snapshots",
	 .description =
		 "Snapshots that this engine has, newest first; with TARGET those of one "
		 "container or service, by what its snapshots say of their source, so that it "
		 "need not exist any more. With --quiet only references.",
	 .arguments = optional_target,
	 .examples = ls_examples,
	 .run = verb_ls_run,
	 .print = verb_ls_print},
	{.name = "show",
	 .summary = "show what a snapshot holds",
	 .description = "Source, consistency, trees, volumes, command and what was left out. The "
			"manifest is read from the image without starting anything in it; --json "
			"prints it whole.",
	 .arguments = one_reference,
	 .run = verb_show_run,
	 .print = verb_show_print},
	{.name = "rm",
	 .summary = "remove snapshots",
	 .description =
		 "A tag is removed; with the last tag of an image, the image. Its data stays as long "
		 "as a later snapshot is built on it. A snapshot that a container uses is refused, "
		 "unless --force is given. Nothing is removed unless everything named can be.",
	 .arguments = references,
	 .options = rm_options,
	 .examples = rm_examples,
	 .exit_notes = "6 when a container uses it.",
	 .run = verb_rm_run,
	 .print = verb_rm_print},
	{.name = "verify",
	 .summary = "check every hash of a snapshot without booting it",
	 .description = "Reads every pack, every catalog entry and the manifest, beside the image "
			"and without executing anything in it.",
	 .arguments = one_reference,
	 .exit_notes = "1 when something is damaged.",
	 .run = verb_verify_run,
	 .print = verb_verify_print},
	{.name = "run",
	 .summary = "boot a snapshot as a new container",
	 .description =
		 "Creates and starts a container from REF, waits until its driver says that it is "
		 "ready, and prints its name. It stays in the background. The options are those of "
		 "`docker run` and mean the same; -p publishes and -v mounts here.\n\n"
		 "Options stand before or behind REF. Words behind REF replace the command of the "
		 "image; put -- before them where the first begins with a dash.",
	 .arguments = run_arguments,
	 .options = run_options_table,
	 .examples = run_examples,
	 .takes_command = true,
	 .run = verb_run_run,
	 .print = verb_run_print},
	{.name = "replace",
	 .summary = "put a container back into the state of a snapshot",
	 .description =
		 "The container is made anew from REF with the same name, networks, ports, mounts, "
		 "limits and labels, and its volumes are restored. First a safety snapshot of its "
		 "present state is made; when a step fails, the container is as before.\n\n"
		 "Other containers that use these volumes are stopped and started again: they are "
		 "listed, and the question whether to go on must be answered by yes, or by --yes. So "
		 "must another one when REF has none of the volumes of CONTAINER.",
	 .arguments = target_and_reference,
	 .options = replace_options_table,
	 .examples = replace_examples,
	 .exit_notes =
		 "6 when there was a question, as whether other containers may be stopped, and nobody agreed.",
	 .run = verb_replace_run,
	 .print = verb_replace_print},
	{.name = "restore",
	 .summary = "says which of run and replace is meant",
	 .description = "There is no verb of this name: a snapshot is booted beside what runs, or "
			"put in its place.",
	 .arguments = anything,
	 .without_engine = true,
	 .exit_notes = "3 always.",
	 .run = verb_restore_run},
	{.name = "doctor",
	 .summary = "repair what a killed run left behind",
	 .description =
		 "Thaws containers that a killed sidesnap left frozen, starts those it had "
		 "stopped, rolls an interrupted replace back, removes its helper containers, "
		 "and says what it did. The sidecar runs it at every start.",
	 .options = doctor_options,
	 .exit_notes = "2 when something is left that a person must look at.",
	 .run = verb_doctor_run,
	 .print = verb_doctor_print},
	{.name = "cancel",
	 .summary = "stop a create that runs elsewhere",
	 .description = "Ends a running create of TARGET: its target is thawed and no tag appears. "
			"For creates that no Ctrl-C reaches, as in `docker-compose exec -T`.",
	 .arguments = one_target,
	 .run = verb_cancel_run,
	 .print = verb_cancel_print},
	{.name = "version",
	 .summary = "print the versions of sidesnap and of the engine",
	 .without_engine = true,
	 .run = verb_version_run,
	 .print = verb_version_print},
	{.name = "help",
	 .summary = "show help",
	 .arguments = optional_verb,
	 .without_engine = true,
	 .run = verb_help_run},
	{.name = "completion",
	 .summary = "print completion for a shell",
	 .description = "A script for bash, zsh or fish that completes verbs, options, containers, "
			"services and snapshots.",
	 .arguments = shell_argument,
	 .examples = completion_examples,
	 .without_engine = true,
	 .run = verb_completion_run},
	{.name = "man",
	 .summary = "print a manual page",
	 .arguments = optional_verb,
	 .options = man_options,
	 .hidden = true,
	 .without_engine = true,
	 .run = verb_man_run},
	{.name = "sidecar",
	 .summary = "run doctor, then wait: the command of the sidecar's container",
	 .hidden = true,
	 .without_engine = true,
	 .run = verb_sidecar_run},
	{.name = "__complete",
	 .summary = "print candidates for completion",
	 .arguments = anything,
	 .hidden = true,
	 .without_engine = true,
	 .run = verb_complete_run},
	{0},
};

const struct verb *verb_find(const char *name)
{
	for (const struct verb *verb = verbs; verb->name; verb++)
		if (!strcmp(verb->name, name))
			return verb;
	return NULL;
}

struct options_grammar verb_grammar(const struct verb *verb)
{
	return (struct options_grammar){
		.verb = verb->name,
		.own = verb->options,
		.global = global_options,
		.takes_command = verb->takes_command,
	};
}

int verb_check_arguments(const struct verb *verb, const struct options *options, struct error **err)
{
	cleanup_free char *synopsis = verb_synopsis(verb);
	const struct argument *argument = verb->arguments;
	size_t index = 0;

	for (; argument && argument->name; argument++, index++) {
		if (index >= options->arguments.count && !argument->optional) {
			error_set(err, ERROR_USAGE, "%s needs %s", verb->name, argument->name);
			return error_hint(err, "usage: %s", synopsis);
		}
		if (argument->repeated)
			return 0;
	}
	if (options->arguments.count > index) {
		error_set(err, ERROR_USAGE, "too many arguments for %s: \"%s\"", verb->name,
			  options->arguments.items[index]);
		return error_hint(err, "usage: %s", synopsis);
	}
	return 0;
}

const char *verb_argument(const struct command *command, size_t index)
{
	const struct string_list *arguments = &command->options.arguments;

	return index < arguments->count ? arguments->items[index] : NULL;
}

char *verb_synopsis(const struct verb *verb)
{
	struct buffer text;

	buffer_init(&text, 4096);
	buffer_printf(&text, "sidesnap %s", verb->name);
	if (verb->options)
		buffer_append_string(&text, " [OPTION...]");
	for (const struct argument *a = verb->arguments; a && a->name; a++)
		buffer_printf(&text, a->optional ? " [%s%s]" : " %s%s", a->name,
			      a->repeated ? "..." : "");
	return buffer_steal(&text);
}
