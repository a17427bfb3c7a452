/*
 * sidesnap __complete KIND: the candidates that only an engine knows, one a line, for
 * the scripts of `sidesnap completion`. It never fails: a shell has no use for errors.
 */
#include <string.h>

#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "ui/escape.h"

#include "verb.h"

/* A line that a shell could take for something else is no candidate. */
static void offer(struct string_list *offered, const char *word)
{
	if (!word || !*word || strpbrk(word, " \t\n'\"\\$`;&|<>(){}*?[]!#~") ||
	    string_list_has(offered, word))
		return;
	string_list_add(offered, word);
}

static void offer_label(struct string_list *offered, const struct json *containers,
			const char *label)
{
	json_for_each(entry, containers)
		offer(offered, json_string(json_get(entry, "Labels"), label));
}

static void offer_targets(struct engine *engine, struct string_list *offered)
{
	CLEANUP(cleanup_json_free)
	struct json *containers = container_list(engine, true, NULL, NULL);

	json_for_each(entry, containers)
		offer(offered, target_entry_name(entry));
	offer_label(offered, containers, COMPOSE_SERVICE);
}

static void offer_projects(struct engine *engine, struct string_list *offered)
{
	CLEANUP(cleanup_json_free)
	struct json *containers = container_list(engine, true, NULL, NULL);

	offer_label(offered, containers, COMPOSE_PROJECT);
}

static void offer_snapshots(const struct session *session, struct string_list *offered)
{
	CLEANUP(cleanup_json_free) struct json *images = images_list(session, NULL);

	json_for_each(image, images)
		json_for_each(reference, json_get(image, "references"))
			offer(offered, json_string(reference, NULL));
}

int verb_complete_run(struct command *command, struct json **result, struct error **err)
{
	const char *kind = verb_argument(command, 0);
	CLEANUP(cleanup_engine_free) struct engine *engine = engine_open(command->host, NULL);
	CLEANUP(string_list_release) struct string_list offered;
	struct session session = command->session;

	(void)result;
	(void)err;
	string_list_init(&offered);
	if (!engine || !kind)
		return 0;
	session.engine = engine;
	if (!strcmp(kind, "targets") || !strcmp(kind, "names"))
		offer_targets(engine, &offered);
	if (!strcmp(kind, "snapshots") || !strcmp(kind, "names"))
		offer_snapshots(&session, &offered);
	if (!strcmp(kind, "projects"))
		offer_projects(engine, &offered);
	for (size_t i = 0; i < offered.count; i++) {
		cleanup_free char *word = escape_text(offered.items[i]);

		puts(word);
	}
	return 0;
}
