/*
 * The one table of verbs. Dispatch, help, completion, manual pages and the reference
 * documentation all read it, so none of them can forget a verb or an option.
 */
#ifndef SIDESNAP_CMD_VERB_H
#define SIDESNAP_CMD_VERB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/json.h"
#include "snapshot/session.h"
#include "ui/options.h"

/* One call of the program, as its options say. */
struct command {
	const struct verb *verb;
	struct options options;
	struct session session; /* engine is NULL for verbs without_engine */
	const char *host;	/* --host, or NULL */
	bool json, quiet, verbose;
	int exit_code; /* of a success; a verb may set it (0 before) */
};

struct example {
	const char *command; /* NULL ends a list */
	const char *text;
};

struct verb {
	const char *name;		  /* NULL ends the table */
	const char *summary;		  /* one line, lower case, no full stop */
	const char *description;	  /* paragraphs, separated by "\n\n" */
	const struct argument *arguments; /* may be NULL */
	const struct option *options;	  /* its own; may be NULL */
	const struct example *examples;	  /* may be NULL */
	const char *exit_notes;		  /* may be NULL */
	bool hidden, without_engine;	  /* with --remote none does without being asked */
	bool compares;	    /* exit code 1 says that things differ: what is damaged is 2 */
	bool takes_command; /* options end behind the second argument */
	/*
	 * run(command, result, err): Do it. *result is what --json prints, and what print()
	 * shows to people; NULL where the verb has written its output itself.
	 */
	int (*run)(struct command *command, struct json **result, struct error **err);
	void (*print)(const struct command *command, const struct json *result);
};

extern const struct verb verbs[];
extern const struct option global_options[];

/* verb_find(name): NULL when there is none. */
const struct verb *verb_find(const char *name);

/* verb_unknown(word, err): ERROR_USAGE, with the verb that was likely meant. -1. */
int verb_unknown(const char *word, struct error **err);

/*
 * complete_for_docker(count, words): What may stand in place of the last of ${words}, of a command line
 * behind "docker sidesnap", to stdout as docker's completion wants it: "WORD[\tHELP]" lines, then ":N".
 */
void complete_for_docker(int count, char **words);

/* verb_grammar(verb): How its command line is parsed. */
struct options_grammar verb_grammar(const struct verb *verb);

/* verb_check_word(word, err): ERROR_USAGE where a name or an address (NULL ok) has a control character. */
int verb_check_word(const char *word, struct error **err);

/* verb_check_arguments(verb, options, err): Their number against the table. */
int verb_check_arguments(const struct verb *verb, const struct options *options,
			 struct error **err);

/* verb_argument(command, index): NULL when it was not given. */
const char *verb_argument(const struct command *command, size_t index);

/* verb_open_engine(command, err): For the session, unless it has one. */
int verb_open_engine(struct command *command, struct error **err);

/* verb_synopsis(verb): "sidesnap create [OPTION...] TARGET", to be freed. */
char *verb_synopsis(const struct verb *verb);

/* The prints and handlers, one file a verb. */
#define VERB(name)                                                                                 \
	int name##_run(struct command *command, struct json **result, struct error **err);         \
	void name##_print(const struct command *command, const struct json *result)

extern const struct option create_options_table[], run_options_table[], replace_options_table[],
	reset_options_table[], undo_options_table[], describe_options_table[],
	prune_options_table[], diff_options_table[], cp_options_table[], push_options_table[],
	pull_options_table[], ls_options_table[], show_options_table[], dump_options_table[],
	load_options_table[], up_options_table[], stop_options_table[], logs_options_table[],
	debug_options_table[], bundle_options_table[];

VERB(verb_create);
VERB(verb_ps);
VERB(verb_ls);
VERB(verb_show);
VERB(verb_tree);
VERB(verb_log);
VERB(verb_tag);
VERB(verb_describe);
VERB(verb_push);
VERB(verb_pull);
VERB(verb_rm);
VERB(verb_prune);
VERB(verb_verify);
VERB(verb_diff);
VERB(verb_cp);
VERB(verb_run);
VERB(verb_reset);
VERB(verb_replace);
VERB(verb_undo);
VERB(verb_dump);
VERB(verb_load);
VERB(verb_bundle);
VERB(verb_up);
VERB(verb_drivers);
VERB(verb_doctor);
VERB(verb_cancel);
VERB(verb_version);
int verb_pin_run(struct command *command, struct json **result, struct error **err);
int verb_unpin_run(struct command *command, struct json **result, struct error **err);
int verb_stop_run(struct command *command, struct json **result, struct error **err);
int verb_restart_run(struct command *command, struct json **result, struct error **err);
int verb_logs_run(struct command *command, struct json **result, struct error **err);
int verb_debug_run(struct command *command, struct json **result, struct error **err);
int verb_shell_run(struct command *command, struct json **result, struct error **err);
int verb_cat_run(struct command *command, struct json **result, struct error **err);
int verb_restore_run(struct command *command, struct json **result, struct error **err);
int verb_help_run(struct command *command, struct json **result, struct error **err);
int verb_completion_run(struct command *command, struct json **result, struct error **err);
int verb_man_run(struct command *command, struct json **result, struct error **err);
int verb_sidecar_run(struct command *command, struct json **result, struct error **err);
int verb_complete_run(struct command *command, struct json **result, struct error **err);

#endif
