/* sidesnap doctor: what a killed run left, repaired; with -p, what is wrong with a stack. */
#include "project/project.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

static int examine(struct command *command, struct json **result, struct error **err)
{
	if (project_examine(&command->session, result, err) < 0)
		return -1;
	if (json_count(json_get(*result, "findings")))
		command->exit_code = ERROR_FAILED;
	return 0;
}

int verb_doctor_run(struct command *command, struct json **result, struct error **err)
{
	if (command->session.project)
		return examine(command, result, err);
	if (snapshot_doctor(&command->session, options_has(&command->options, "dry-run"), result,
			    err) < 0)
		return -1;
	if (json_count(json_get(*result, "problems")))
		command->exit_code = ERROR_FAILED;
	return 0;
}

static void print_item(const char *before, const struct json *item)
{
	cleanup_free char *what = escape_text(json_is_string(item) ? json_string(item, NULL)
								   : json_string(item, "what"));
	cleanup_free char *container = escape_text(json_string(item, "container"));
	cleanup_free char *detail = escape_text(json_string(item, "detail"));

	printf("%s%s%s%s%s%s\n", before, what, *container ? " " : "", container,
	       *detail ? ": " : "", detail);
}

static void print_findings(const struct json *result)
{
	json_for_each(finding, json_get(result, "findings")) {
		cleanup_free char *name = escape_text(json_string(finding, "name"));
		cleanup_free char *detail = escape_text(json_string(finding, "detail"));
		cleanup_free char *advice = escape_text(json_string(finding, "advice"));

		printf("%s%s%s\n   %s\n", name, *name ? ": " : "", detail, advice);
	}
	if (!json_count(json_get(result, "findings")))
		puts("nothing found");
	json_for_each(note, json_get(result, "notes"))
		print_item("note: ", note);
}

void verb_doctor_print(const struct command *command, const struct json *result)
{
	const char *before = options_has(&command->options, "dry-run") ? "would: " : "";

	if (json_get(result, "findings")) {
		print_findings(result);
		return;
	}
	json_for_each(action, json_get(result, "actions"))
		print_item(before, action);
	json_for_each(problem, json_get(result, "problems"))
		print_item("problem: ", problem);
	if (!json_count(json_get(result, "actions")) && !json_count(json_get(result, "problems")))
		puts("nothing to repair");
	json_for_each(note, json_get(result, "notes"))
		print_item("note: ", note);
}
