/*
 * What sidesnap can be asked to do, in the words that people read: help, manual
 * pages and docs/reference.md are made from this file.
 */
#include "verb.h"

#include "verb_examples.h"

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
static const struct argument targets[] = {
	{.name = "TARGET", .optional = true, .repeated = true, .completion = COMPLETE_TARGETS},
	{0}};
static const struct argument optional_target[] = {
	{.name = "TARGET", .optional = true, .completion = COMPLETE_TARGETS}, {0}};
static const struct argument optional_name[] = {
	{.name = "TARGET|REF", .optional = true, .completion = COMPLETE_NAMES}, {0}};
static const struct argument target_or_repository[] = {
	{.name = "TARGET|REPOSITORY", .optional = true, .completion = COMPLETE_TARGETS}, {0}};
static const struct argument one_reference[] = {ARGUMENT_REF, {0}};
static const struct argument reference_and_name[] = {ARGUMENT_REF, {.name = "NEW"}, {0}};
static const struct argument references[] = {
	{.name = "REF", .repeated = true, .completion = COMPLETE_SNAPSHOTS}, {0}};
/* In a registry: nothing that a shell could offer. */
static const struct argument remote_references[] = {{.name = "REF", .repeated = true}, {0}};
static const struct argument target_and_reference[] = {
	{.name = "CONTAINER", .completion = COMPLETE_TARGETS}, ARGUMENT_REF, {0}};
static const struct argument target_and_optional_reference[] = {
	{.name = "CONTAINER", .completion = COMPLETE_TARGETS},
	{.name = "REF", .optional = true, .completion = COMPLETE_SNAPSHOTS},
	{0}};
static const struct argument two_states[] = {
	{.name = "A", .completion = COMPLETE_NAMES},
	{.name = "B", .optional = true, .completion = COMPLETE_NAMES},
	{0}};
static const struct argument one_source[] = {{.name = "REF:PATH", .completion = COMPLETE_SNAPSHOTS},
					     {0}};
static const struct argument source_and_destination[] = {
	{.name = "REF:PATH", .completion = COMPLETE_SNAPSHOTS},
	{.name = "DESTINATION", .completion = COMPLETE_FILES},
	{0}};
static const struct argument one_container[] = {
	{.name = "CONTAINER", .completion = COMPLETE_TARGETS}, {0}};
static const struct argument run_arguments[] = {
	ARGUMENT_REF, {.name = "ARGUMENT", .optional = true, .repeated = true}, {0}};
static const struct argument bundle_arguments[] = {
	{.name = "OUT|open", .completion = COMPLETE_FILES},
	{.name = "FILE", .optional = true, .completion = COMPLETE_FILES},
	{.name = "NAME", .optional = true},
	{0}};
static const struct argument driver_arguments[] = {
	{.name = "ACTION", .optional = true, .completion = COMPLETE_WORDS, .words = "show test"},
	{.name = "NAME", .optional = true, .completion = COMPLETE_DRIVERS},
	{.name = "CONTAINER", .optional = true, .completion = COMPLETE_TARGETS},
	{0}};
static const struct argument optional_services[] = {
	{.name = "SERVICE", .optional = true, .repeated = true, .completion = COMPLETE_TARGETS},
	{0}};
static const struct argument optional_names[] = {
	{.name = "NAME", .optional = true, .repeated = true, .completion = COMPLETE_TARGETS}, {0}};
static const struct argument target_and_arguments[] = {
	ARGUMENT_TARGET, {.name = "ARGUMENT", .optional = true, .repeated = true}, {0}};
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
	 .help = "also one that is pinned or that a container uses, or an image by its id that has "
		 "several tags"},
	{0},
};
static const struct option tag_options[] = {
	{.name = "force", .letter = 'f', .help = "move NEW when it is the name of another image"},
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

const struct verb verbs[] = {
	{.name = "create",
	 .summary = "make a snapshot of a container with its volumes, or of several at one instant",
	 .description =
		 "Turns TARGET, its named and anonymous volumes and its own changed files into an "
		 "image that boots back into exactly this state. Most is read while they run. The "
		 "containers that write to these volumes are then frozen while what changed meanwhile "
		 "is read, and thawed whatever happens. Prints the reference of the new image on "
		 "standard output.\n\n"
		 "Not captured: tmpfs mounts, sockets, and bind mounts, except one that a driver knows "
		 "as a data directory or that --include names. Run-time variables stay out too, but "
		 "for those that are state; --with-env adds more.\n\n"
		 "With --logical the database is in the snapshot as its own tool dumps it, whole, "
		 "or the create fails and leaves nothing. The volumes that hold its data are not "
		 "captured then: the first start loads the dump into an empty server, which nobody "
		 "reaches before that is done, but for MongoDB's, which cannot be closed: keep "
		 "clients away until it is ready. What no dump has is said at the end, and by "
		 "`show`. With --onto that is a server of another image, such "
		 "as a newer major version; the container's own changed files stay out.\n\n"
		 "Several TARGETs, -p PROJECT without one, or --all make a set: all are captured "
		 "side by side and frozen together, once, so that all are of one instant. Each "
		 "member gets the tag of the set with \"-NAME\" behind it, the set one of its own; "
		 "either all get their tags or none does. A volume that several mount is captured "
		 "with one of them.\n\n"
		 "`docker-compose exec -T` and `docker exec` without a terminal deliver no signal to "
		 "the command inside: Ctrl-C ends them, not the create. `sidesnap cancel TARGET` stops "
		 "it.",
	 .without_engine = true,
	 .arguments = targets,
	 .options = create_options_table,
	 .examples = create_examples,
	 .exit_notes =
		 "2 when the database cannot be prepared and --ignore-prepare is not given; 5 when the reference exists and --force is not given; 6 when a container "
		 "that may not be frozen could write to a captured volume, or when, with "
		 "--force, the reference is the last name of a pinned snapshot, or when with "
		 "--logical the database does not run; 8 when the engine has too little room; 10 when "
		 "there is no database that can be dumped; 9 when another create of this target runs.",
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
		 "need not exist any more. With --quiet only references.\n\n"
		 "With --remote those of a repository, read at its registry; no engine is needed. Of "
		 "each tag only the image's manifest and configuration are fetched. Tags that are no "
		 "snapshots are counted, and not listed. SIZE is that of all layers there. Credentials "
		 "are those of `docker login`.",
	 .arguments = target_or_repository,
	 .options = ls_options_table,
	 .exit_notes = "with --remote 4 when there is no such repository; 6, 7 and 1 as of push.",
	 .examples = ls_examples,
	 .run = verb_ls_run,
	 .print = verb_ls_print},
	{.name = "show",
	 .summary = "show what a snapshot holds",
	 .description =
		 "Source, consistency, trees, volumes, command and what was left out. The "
		 "manifest is read from the image without starting anything in it; --json "
		 "prints it whole.\n\n"
		 "With --remote all of it is read at the registry that REF names, by tag or by "
		 "digest (NAME@sha256:...), without the data: some kilobytes. No engine is needed.",
	 .arguments = one_reference,
	 .options = show_options_table,
	 .examples = show_examples,
	 .exit_notes = "with --remote 3 when it is no snapshot; 6, 7 and 1 as of push.",
	 .run = verb_show_run,
	 .print = verb_show_print},
	{.name = "tree",
	 .summary = "show snapshots as trees: which came from which",
	 .description =
		 "One tree for each lineage, which is all that came of one source, the one with the "
		 "newest snapshot first; with TARGET only those that it has snapshots in. Within a "
		 "tree time goes down. A snapshot stands below the one that its state came from; "
		 "where several came from one, the way to the newest goes straight on and the "
		 "others branch off. Where the parent is not here, the nearest ancestor that is "
		 "stands in, if any, and `...` says so.\n\n"
		 "ADDED is what the snapshot itself stored. NOW are the containers whose data came "
		 "from it last: by a reset, by being snapshotted, or because they were booted from "
		 "it. Safety snapshots are shown, and marked as in `ls`: a later one may have come "
		 "from them. What came from what is read from labels, so it is the same after a push "
		 "and a pull.",
	 .arguments = optional_target,
	 .examples = tree_examples,
	 .exit_notes = "4 when there is no such target.",
	 .run = verb_tree_run,
	 .print = verb_tree_print},
	{.name = "log",
	 .summary = "show a snapshot and all that it came from",
	 .description =
		 "Newest first, each with its title and notes. With TARGET it begins where that "
		 "container's data came from last, as `tree` shows under NOW; without anything at "
		 "the newest snapshot that there is. A word that names a target and a snapshot means "
		 "the target. Safety snapshots are shown, as they are part of the way. With --quiet "
		 "only references.",
	 .arguments = optional_name,
	 .examples = log_examples,
	 .exit_notes = "4 when there is no such target or snapshot, or the target has none.",
	 .run = verb_log_run,
	 .print = verb_log_print},
	{.name = "tag",
	 .summary = "give a snapshot another name",
	 .description =
		 "As `docker tag`, but it takes no name away from another image, unless --force "
		 "is given. The names that the snapshot has stay.",
	 .arguments = reference_and_name,
	 .options = tag_options,
	 .examples = tag_examples,
	 .exit_notes =
		 "5 when NEW is the name of another image; 6 when, with --force, it is the last "
		 "name of a pinned snapshot.",
	 .run = verb_tag_run,
	 .print = verb_tag_print},
	{.name = "describe",
	 .summary = "change the title or the notes of a snapshot",
	 .description =
		 "What is not given stays. The state and the snapshot's id are the same afterwards; "
		 "the image is another one with the same layers, and all tags of the old image move "
		 "to it. One that was pushed must be pushed again. When it is killed, each tag names "
		 "the snapshot with either description, and doing it again is all that is needed. "
		 "Podman adds an empty layer each time.",
	 .arguments = one_reference,
	 .options = describe_options_table,
	 .examples = describe_examples,
	 .exit_notes =
		 "6 when the snapshot has no tag; 9 when another describe of it runs; 10 when "
		 "the engine has no room for another layer.",
	 .run = verb_describe_run,
	 .print = verb_describe_print},
	{.name = "pin",
	 .summary = "protect a snapshot from removal",
	 .description =
		 "`rm` takes a pinned snapshot only with --force, and those that are removed by "
		 "rule, by `prune` or as the old safety snapshots of a container, stay when they are "
		 "pinned. "
		 "It is a description: see `describe` for what becomes of the image. The "
		 "engine's own commands know nothing of it.",
	 .arguments = one_reference,
	 .exit_notes = "as of describe.",
	 .run = verb_pin_run,
	 .print = verb_describe_print},
	{.name = "unpin",
	 .summary = "take the protection of pin away",
	 .arguments = one_reference,
	 .exit_notes = "as of describe.",
	 .run = verb_unpin_run,
	 .print = verb_describe_print},
	{.name = "push",
	 .summary = "send snapshots to a registry",
	 .description =
		 "The engine sends what the registry has not got yet: of a snapshot whose parent is "
		 "there only its own layer. A name without a registry, as those that `create` makes, "
		 "is sent nowhere: --to says where to, and the snapshot has that name here as well "
		 "afterwards. With --lineage those that it came from are sent, too, the oldest "
		 "first: by the names that they have at that repository, else with the tag that they "
		 "have, else with their time as tag. So `tree` and `log` show the same elsewhere.\n\n"
		 "Everything is looked up before the first byte is sent. Where the registry breaks "
		 "off, or gets something else than was sent, it is tried again, a few times: Docker's "
		 "graph drivers do so themselves, for most of a minute. A tag appears there only when "
		 "its whole image has arrived, and a name made by --to goes away again when the push of it fails. Credentials are "
		 "those of `docker login`, from docker's config.json or the credential helper that "
		 "it names.",
	 .arguments = references,
	 .options = push_options_table,
	 .examples = push_examples,
	 .exit_notes =
		 "3 when a name is of no registry; 5 when it is another image's here; 6 when the "
		 "registry refuses the credentials, or wants some; 7 when it cannot be reached, "
		 "breaks off or has an error of its own; 1 when something arrived damaged.",
	 .run = verb_push_run,
	 .print = verb_push_print},
	{.name = "pull",
	 .summary = "get snapshots from a registry",
	 .description =
		 "The engine gets the layers that it has not got, checks their digests, and then "
		 "gives the image its name. Nothing in it is executed. A snapshot that has this name "
		 "here and no other one gets a new name, which is said; an image that is no snapshot "
		 "is removed again. Where the registry breaks off, or something arrives damaged, "
		 "it is tried again, a few times. Credentials are "
		 "those of `docker login`, as with `push`.\n\n"
		 "A snapshot from others is input: `verify` checks it without booting it, and a boot "
		 "runs what it names, as with any image.",
	 .arguments = remote_references,
	 .options = pull_options_table,
	 .examples = pull_examples,
	 .exit_notes =
		 "3 when the image is no snapshot; 4 when the registry has none of that name; 6, 7 "
		 "and 1 as of push; 8 when the engine has too little room.",
	 .run = verb_pull_run,
	 .print = verb_pull_print},
	{.name = "rm",
	 .summary = "remove snapshots",
	 .description =
		 "A tag is removed; with the last tag of an image, the image. Its data stays as long "
		 "as a later snapshot is built on it. A snapshot that is pinned or that a container "
		 "uses is refused, unless --force is given. Nothing is removed unless everything named can be.",
	 .arguments = references,
	 .options = rm_options,
	 .examples = rm_examples,
	 .exit_notes = "6 when it is pinned or a container uses it.",
	 .run = verb_rm_run,
	 .print = verb_rm_print},
	{.name = "prune",
	 .summary = "remove old snapshots by rules",
	 .description =
		 "In each lineage (see `tree`) those snapshots stay that a rule wants; the plan is "
		 "shown, with the reasons, and the others are removed once the question is answered "
		 "by yes, or by --yes. With TARGET only the lineages that it has snapshots in, which "
		 "are also those of what was booted from them. At least one rule must be given.\n\n"
		 "Each rule looks at all snapshots of the lineage. A period without a snapshot counts "
		 "for nothing. Hours, days, months and years are those of UTC; weeks begin on Monday.\n\n"
		 "Never removed: pinned snapshots (`pinned`), those that a container was made from, "
		 "runs or not, or whose data it has, as `tree` shows under NOW (`in-use`), safety "
		 "snapshots, of which `reset` and `replace` keep the last three (`safety`), and those "
		 "whose labels tell no time, lineage or id (`undated`, `unknown`), and members of a set "
		 "that is here (`set`): `rm` of the set takes those. Without --force the "
		 "newest of a lineage stays where nothing else would (`only`). Safety snapshots fill "
		 "no place of a rule; the others do.\n\n"
		 "ADDED is what the snapshot itself stored. Its layer stays as long as a snapshot "
		 "that is kept stands on it: FREES is what goes with it. So afterwards, unless "
		 "--no-rewrite is given, chains in "
		 "which that frees something are written anew: each snapshot on the one below it, "
		 "without what none of them needs. Volumes are not read, ids and tags stay, images "
		 "are others: what was pushed must be pushed again. It takes as long as reading and "
		 "writing what the snapshots hold, needs that much room meanwhile, and is left out "
		 "where less than 1 MiB, or a tenth of what must be written, would be freed, and as "
		 "long as a container was made from one of them. FREES of a snapshot that is kept is "
		 "what that gains, found out from catalogs (\"?\" where that was not done within 20 "
		 "seconds). Killed at any moment every snapshot is whole, and doing it again, with "
		 "--yes, goes on.",
	 .arguments = optional_target,
	 .options = prune_options_table,
	 .examples = prune_examples,
	 .exit_notes = "3 when there is no rule; 4 when there is no such target; 6 when nobody "
		       "agreed.",
	 .run = verb_prune_run,
	 .print = verb_prune_print},
	{.name = "diff",
	 .summary = "show what differs between two snapshots, or a snapshot and a container",
	 .description =
		 "What B has that A has not, the other way round, and what has changed, by volume and "
		 "for the container's own files; from the snapshots' catalogs, without booting "
		 "anything, and without reading what is the same. One of A and B may be a container, "
		 "as it is now: it is read as by `create --live`, and not frozen. Without B, a "
		 "container is compared with the snapshot that its data came from last, and a snapshot "
		 "with its parent. A name that fits a container and a snapshot is the container; write "
		 "NAME:TAG for the snapshot.\n\n"
		 "Lines begin with A (added), D (removed), M (changed content), T (another type of "
		 "file) or m (only mode, owner, time, attributes or the like). Bytes that have changed "
		 "are counted by blocks where more is not known without reading much. Of files with "
		 "several names, changes are told of the first one. With --content, text of up to 8 MiB "
		 "is compared by the machine's own `diff -u`; of anything else the ranges that differ "
		 "are printed, as OFFSET+LENGTH. A name that fits no terminal is "
		 "escaped; --json has every byte.\n\n"
		 "With --data, what changed in the database: both are booted in scratch containers, "
		 "closed to the outside and removed afterwards, and read by the database's own tools. "
		 "Of a container an image is made as by `create`, frozen for a moment; it goes with "
		 "the comparison. Lines begin with A, D or M, for definitions and, with --rows, for "
		 "rows; a table says how many rows of each table were added, removed and changed. Rows "
		 "without a key in common are matched by what they hold.\n\n"
		 "With --remote A and B are read at their registries, the catalogs alone. One of them "
		 "may be a snapshot of here, by its id or a name that is of no registry; otherwise no "
		 "engine is needed. What may differ is then taken to differ, and own files that only one "
		 "of the two names count as added or removed.",
	 .arguments = two_states,
	 .options = diff_options_table,
	 .examples = diff_examples,
	 .compares = true,
	 .exit_notes =
		 "0 when nothing differs, 1 when something does; 2 and up are failures, and 2 "
		 "is also what is damaged.",
	 .run = verb_diff_run,
	 .print = verb_diff_print},
	{.name = "cat",
	 .summary = "print a file of a snapshot",
	 .description =
		 "The regular file at PATH, as a container of REF would see it: in a volume or in the "
		 "image, symbolic links followed within the snapshot. Nothing is booted. On a terminal "
		 "control characters are escaped; into a file or a pipe every byte goes as it is.",
	 .arguments = one_source,
	 .examples = cat_examples,
	 .exit_notes = "4 when there is no such file.",
	 .run = verb_cat_run},
	{.name = "cp",
	 .summary = "copy files and folders out of a snapshot",
	 .description =
		 "The file or folder at PATH, as a container of REF would see it, with the volumes "
		 "below it. Nothing is booted. DESTINATION is as in `docker cp`: a folder that is there "
		 "gets it under its name, anything else becomes its name; with PATH ending in /. what "
		 "is in the folder is copied; - writes a tar archive to standard output.\n\n"
		 "Files belong to who copies, without set-id bits and extended attributes; --archive "
		 "keeps all that. The archive has everything always. No symbolic link below DESTINATION "
		 "is followed; a file that is there is replaced when the new one is whole.",
	 .arguments = source_and_destination,
	 .options = cp_options_table,
	 .examples = cp_examples,
	 .exit_notes =
		 "4 when there is no such file; 5 when DESTINATION is a file and PATH a folder.",
	 .run = verb_cp_run,
	 .print = verb_cp_print},
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
	 .exit_notes = "11 when it runs with its data, but what is to follow (the driver's finish, "
		       "--finish) failed.",
	 .takes_command = true,
	 .run = verb_run_run,
	 .print = verb_run_print},
	{.name = "reset",
	 .summary = "put a container's data back to a snapshot",
	 .description =
		 "The same container with its volumes in the state of REF: it is stopped, what "
		 "differs is changed, it is started, and it is ready when its driver says so. "
		 "Without REF the state is that where its data came from last: what it was reset "
		 "to, what a person made of it by `create`, or what it was booted from, whichever "
		 "is latest. Its own files outside of volumes and its settings stay as they "
		 "are; `replace` brings those back, too.\n\n"
		 "First a safety snapshot of its present state is made, to which `undo` returns, "
		 "and to which it goes back by itself when a step fails. The container is then "
		 "killed, not stopped: its state is in that snapshot. With --no-safety there is no "
		 "way back: a reset that fails or is killed can only be run again, with the same "
		 "REF or another, and the data is then the snapshot's.\n\n"
		 "Other containers that use these volumes, or live in its namespaces, are stopped "
		 "and started again: they are listed, and the question whether to go on must be "
		 "answered by yes, or by --yes. So must another one when REF is a snapshot of "
		 "something else.",
	 .arguments = target_and_optional_reference,
	 .options = reset_options_table,
	 .examples = reset_examples,
	 .exit_notes =
		 "4 when there is no such container or snapshot; 6 when there was a question "
		 "and nobody agreed, or when a container that may not be frozen could write "
		 "to a volume, so that there can be no safety snapshot; 8 when the engine has too little room; 9 when another "
		 "reset, replace or create works on it; "
		 "11 when all is restored, but what is to follow (the driver's finish, --finish) failed.",
	 .run = verb_reset_run,
	 .print = verb_reset_print},
	{.name = "replace",
	 .summary = "put a container back into the state of a snapshot",
	 .description =
		 "The container is made anew from REF with the same name, networks, ports, mounts, "
		 "limits and labels, and in its volumes what differs is changed. First a safety "
		 "snapshot of its present state is made, to which `undo` returns; when a step "
		 "fails, the container is as before. With --no-safety there is no way back: when a "
		 "step fails after the first change, the old container goes on with the data of "
		 "REF.\n\n"
		 "Other containers that use these volumes are stopped and started again: they are "
		 "listed, and the question whether to go on must be answered by yes, or by --yes. So "
		 "must another one when REF has none of the volumes of CONTAINER.",
	 .arguments = target_and_reference,
	 .options = replace_options_table,
	 .examples = replace_examples,
	 .exit_notes =
		 "6 when there was a question, as whether other containers may be stopped, "
		 "and nobody agreed, or when a container that may not be frozen could write "
		 "to a volume, so that there can be no safety snapshot; "
		 "11 when all is restored, but what is to follow (the driver's finish, --finish) failed.",
	 .run = verb_replace_run,
	 .print = verb_replace_print},
	{.name = "undo",
	 .summary = "take back the last reset, replace or load of a container",
	 .description =
		 "Returns to the newest safety snapshot of CONTAINER: by a replace where it was made "
		 "by a replace, by a reset where it was made by a reset or a load. It makes a safety "
		 "snapshot first, so an undo can be undone. The last three safety snapshots of a "
		 "container are kept.",
	 .arguments = one_container,
	 .options = undo_options_table,
	 .examples = undo_examples,
	 .exit_notes =
		 "4 when there is no safety snapshot; "
		 "11 when all is restored, but what is to follow (the driver's finish, --finish) failed.",
	 .run = verb_undo_run,
	 .print = verb_undo_print},
	{.name = "up",
	 .summary = "start the containers of a compose project in order",
	 .description =
		 "Containers that exist, of the project of -p or of the sidecar's own; no compose file "
		 "is needed. Those of the SERVICEs with all that they depend on, or all. Each is "
		 "started when what it depends on is as `depends_on` asks, or, where nobody told, "
		 "when that is ready. In the end all must be ready: by their health check, else as "
		 "their driver says, else by staying up for two seconds. What runs already, or "
		 "was a job and has ended well, is left alone.\n\n"
		 "What depends on what is told by the labels of compose v2; of older ones by the compose files that "
		 "their labels name, where they can be read from here, else by links alone.",
	 .arguments = optional_services,
	 .options = up_options_table,
	 .examples = up_examples,
	 .exit_notes =
		 "2 when one does not get ready: its last log lines are in the message, and what was "
		 "started stays; 4 when there is no such project or service; 6 when one is paused; "
		 "9 when a reset works on one.",
	 .run = verb_up_run,
	 .print = verb_up_print},
	{.name = "stop",
	 .summary = "stop the containers of a compose project in reverse order",
	 .description =
		 "Who depends on others is stopped before them. Of the SERVICEs only, or all of the "
		 "project of -p or of the sidecar's own. The sidecar itself is left alone.",
	 .arguments = optional_services,
	 .options = stop_options_table,
	 .examples = stop_examples,
	 .exit_notes = "4 when there is no such project or service.",
	 .run = verb_stop_run,
	 .print = verb_up_print},
	{.name = "restart",
	 .summary = "stop and start the containers of a compose project in order",
	 .description =
		 "`stop` and `up` in one. Containers that live in the network, process or IPC namespace "
		 "of one that is started anew are started anew, too: they would have lost it.",
	 .arguments = optional_services,
	 .options = up_options_table,
	 .examples = restart_examples,
	 .exit_notes = "as of up.",
	 .run = verb_restart_run,
	 .print = verb_up_print},
	{.name = "logs",
	 .summary = "show the logs of a compose project as one",
	 .description =
		 "The lines of all containers in the order of their times, each behind its service. "
		 "NAMEs are services of the project or any containers; none means all of the project. "
		 "Control characters are escaped, colours taken out; with --json there is an object a "
		 "line.\n\n"
		 "With --follow it goes on: containers that are started again or made anew are "
		 "followed on, and those that are new in the project are taken in. It ends when "
		 "none of them runs any more, or by Ctrl-C.",
	 .arguments = optional_names,
	 .options = logs_options_table,
	 .examples = logs_examples,
	 .exit_notes = "4 when there is no such project, service or container.",
	 .run = verb_logs_run},
	{.name = "shell",
	 .summary = "open the client of the database in a container",
	 .description =
		 "Runs the database's own client, of the version of its server, in a temporary "
		 "container from TARGET's own image, in TARGET's network and without its volumes. "
		 "User and password are found as the image documents them, and reach the client by its "
		 "environment only. On a terminal it is interactive; statements may come from a "
		 "pipe as well. ARGUMENTs are added to those of the client; put -- before them where "
		 "the first begins with a dash. The container is removed at the end, and has no "
		 "log.",
	 .arguments = target_and_arguments,
	 .examples = shell_examples,
	 .exit_notes =
		 "that of the client; 10 when no driver names a client for that, or the image has "
		 "none.",
	 .takes_command = true,
	 .run = verb_shell_run},
	{.name = "debug",
	 .summary = "run a throw-away copy of a container with another program",
	 .description =
		 "The same image, mounts, networks, variables, user and limits, with a shell that is in "
		 "the image, or with --entrypoint; also of a container that crashes when it starts. "
		 "Words behind TARGET are arguments of that program. What can be there only once is "
		 "not copied: the name, published ports, addresses, names in networks, compose's labels. "
		 "Changes of the container's own files are not in the copy, but with --snapshot. "
		 "The copy is removed at the end.\n\n"
		 "With --snapshot the copy works on a snapshot of the volumes, restored to new ones that are removed "
		 "at the end; what is not captured, as bind mounts, is mounted read-only. On a "
		 "terminal that is offered where volumes could be written to. Without it, and while TARGET runs, "
		 "they are shared with it only after --yes.",
	 .arguments = target_and_arguments,
	 .options = debug_options_table,
	 .examples = debug_examples,
	 .exit_notes =
		 "that of the program; 6 when TARGET runs and its volumes would be written to by "
		 "both; 10 when there is no shell in the image, or no such program.",
	 .takes_command = true,
	 .run = verb_debug_run},
	{.name = "drivers",
	 .summary = "list what is known of databases, show it, or try it",
	 .description =
		 "A driver is what is known of one database, as a JSON file: built in, or from the "
		 "directory that SIDESNAP_DRIVERS names, or from /etc/sidesnap/drivers. Without an "
		 "ACTION all are listed, with where each comes from and what can be done with it. A "
		 "file that cannot be used is listed with its line and what is wrong there.\n\n"
		 "`show NAME` prints the definition of one, which may be copied and changed. "
		 "docs/drivers.md says how to write one.\n\n"
		 "`test NAME CONTAINER` tries one, step by step: whether it is recognised, says that it "
		 "is ready, can be prepared (and released), dumped, loaded into a scratch container "
		 "without a network, and whether what was loaded is the same. The container is asked and "
		 "dumped, never changed. Where somebody writes meanwhile the last steps can fail for "
		 "that reason alone. A step that the driver has nothing for is \"absent\".",
	 .arguments = driver_arguments,
	 .examples = drivers_examples,
	 .exit_notes =
		 "3 when the file of the driver is broken; 4 when there is none of that name; of test 2 "
		 "when a step failed, or the container is not recognised as such.",
	 .without_engine = true,
	 .run = verb_drivers_run,
	 .print = verb_drivers_print},
	{.name = "dump",
	 .summary = "write the dump of the database in a container",
	 .description =
		 "The database's own tool dumps the whole server, or one database, to standard "
		 "output or to a file. It is a success only when the tool ended without an error, "
		 "and the dump begins and ends as a whole one does, and is not an empty one of a "
		 "server that is not. Passwords are found as the image documents them, and go to "
		 "the tool by environment or standard input only.\n\n"
		 "With -o nothing of that name is there before all of it is: what is being written "
		 "has another name beside, readable by its owner only.",
	 .arguments = one_target,
	 .options = dump_options_table,
	 .examples = dump_examples,
	 .exit_notes =
		 "2 when the dump failed or is not whole: what was written is worth nothing; 10 "
		 "when no driver can dump what is in the container.",
	 .run = verb_dump_run,
	 .print = verb_dump_print},
	{.name = "load",
	 .summary = "load a dump into the database of a running container",
	 .description =
		 "The dump is read from standard input, from a file, or out of the logical snapshot REF. "
		 "What it holds replaces what the server has of the same name. A safety "
		 "snapshot of the container comes first, and `undo` returns to it. What does not "
		 "begin as a dump of this database, or with --database as one of that NAME, is refused "
		 "before anything is touched. It is a success only when "
		 "every statement succeeded and the dump was whole.\n\n"
		 "Who is connected should be stopped before: most servers do not replace a database "
		 "that is in use.",
	 .arguments = target_and_optional_reference,
	 .options = load_options_table,
	 .examples = load_examples,
	 .exit_notes =
		 "1 when the dump is not whole or no dump; 2 when a statement failed; 3 when it is "
		 "of another database than --database; 6 when the question is not "
		 "answered; 10 when no driver can load into this container.",
	 .run = verb_load_run,
	 .print = verb_load_print},
	{.name = "bundle",
	 .summary = "collect what is needed to find a fault, without secrets, in one file",
	 .description =
		 "Of all containers of a compose project (-p, or that of the sidecar), or of the engine: logs, "
		 "configuration, health, processes, figures, installed packages, clocks, monitoring data of "
		 "databases, events, networks and volumes, and an index.html to begin with. OUT without an "
		 "extension gets .tar.zst; nothing of that name is there before all of it is. `-` is standard "
		 "output.\n\n"
		 "What is, or may be, a secret is replaced by a mark as [hidden:name]. It is known from "
		 "variables, secret files, compose files and configuration, and then found wherever it turns "
		 "up, also encoded; or it is told by its name, or by how it looks. What cannot be judged is "
		 "hidden. --show-redactions and redactions.json tell where. The databases are in it as dumps "
		 "(else as the files of a snapshot), and these are data: nothing in them is hidden. --no-data "
		 "leaves them out.\n\n"
		 "`bundle open FILE` lists what is in a bundle, prints one file (NAME), or greps or extracts, "
		 "without unpacking the rest.",
	 .arguments = bundle_arguments,
	 .options = bundle_options_table,
	 .examples = bundle_examples,
	 .exit_notes =
		 "11 when the bundle is there but something could not be collected: which, and why, is said "
		 "and is in index.html; 10 where OUT's extension is of a packer that is not built in.",
	 .without_engine = true,
	 .run = verb_bundle_run,
	 .print = verb_bundle_print},
	{.name = "restore",
	 .summary = "says which of reset, replace and run is meant",
	 .description = "There is no verb of this name: a container's data is put back, or the "
			"whole container, or a snapshot is booted beside what runs.",
	 .arguments = anything,
	 .without_engine = true,
	 .exit_notes = "3 always.",
	 .run = verb_restore_run},
	{.name = "doctor",
	 .summary = "repair what a killed run left behind, or check a compose project",
	 .description =
		 "Thaws containers that a killed sidesnap left frozen, starts those it had "
		 "stopped, brings an interrupted reset or replace to an end, removes its helper containers, "
		 "and says what it did. The sidecar runs it at every start.\n\n"
		 "Where snapshots are here, and the docker configuration of whoever runs it "
		 "(`config.json` in DOCKER_CONFIG or ~/.docker) lets `docker system prune -a` remove "
		 "them, a note says so. Not in a container: the configuration there is nobody's.\n\n"
		 "With -p it checks the containers of that project instead, and changes nothing: those that keep "
		 "being restarted, ended with an error or for want of memory, are unhealthy, run "
		 "without what they depend on, live in a network of one that is gone, or "
		 "whose image is gone or another by now; volumes whose file system is nearly "
		 "full; an engine with another time than ours. Each finding says what to do.",
	 .options = doctor_options,
	 .examples = doctor_examples,
	 .exit_notes = "2 when something is left that a person must look at, or with -p when "
		       "there are findings.",
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
	 .description =
		 "A script for bash, zsh or fish that completes verbs, options, containers, "
		 "services and snapshots. For `docker sidesnap` it is docker's own completion "
		 "that asks sidesnap.",
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
