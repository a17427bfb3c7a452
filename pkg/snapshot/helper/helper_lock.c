/* Finding helpers, and the lock that their names are. */
#include "snapshot/helper/helper_lock.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/helper/heartbeat.h"
#include "snapshot/helper/helper.h"
#include "snapshot/helper/owner.h"
#include "snapshot/labels.h"

#define NAME_PREFIX "sidesnap-"
#define NAME_DIGITS 12

/* A helper that was created but not started yet counts as alive for so long. */
#define STARTING_SECONDS 60

/* How long a name may be reserved before its container is there: a second in all. */
#define RESERVED_ATTEMPTS 20
#define RESERVED_PAUSE_US 50000

char *helper_lock_name(const char *target_id, const char *purpose)
{
	cleanup_free char *digits = target_id ? memory_strndup(target_id, NAME_DIGITS)
					      : text_random_hex(NAME_DIGITS / 2);

	return memory_printf(NAME_PREFIX "%s-%s", digits, purpose);
}

static bool name_has_form(const char *name)
{
	if (*name == '/')
		name++;
	if (!text_has_prefix(name, NAME_PREFIX))
		return false;
	name += strlen(NAME_PREFIX);
	return strspn(name, "0123456789abcdef") == NAME_DIGITS && name[NAME_DIGITS] == '-';
}

bool helper_is_ours(const struct json *inspect)
{
	const struct json *config = json_get(inspect, "Config");
	const struct json *labels = json_get(config, "Labels");
	const char *nonce = json_string_or(labels, LABEL_NONCE, "");
	const char *program = json_string(json_first(json_get(config, "Entrypoint")), NULL);
	cleanup_free char *expected = memory_printf("/%s/agent", nonce);

	return strcmp(json_string_or(labels, LABEL_ROLE, ""), "helper") == 0 &&
	       strlen(nonce) == 32 && strspn(nonce, "0123456789abcdef") == 32 && program &&
	       strcmp(program, expected) == 0 && name_has_form(json_string_or(inspect, "Name", ""));
}

bool helper_is_alive(const struct session *session, const struct json *inspect)
{
	const struct json *state = json_get(inspect, "State");
	CLEANUP(cleanup_json_free) struct json *info = NULL;
	struct timespec created, now;

	bool running = json_bool(state, "Running");

	if (!running && strcmp(json_string_or(state, "Status", ""), "created") != 0)
		return false;
	switch (owner_state(
		session, json_string_or(json_path(inspect, "Config", "Labels"), LABEL_OWNER, ""))) {
	case OWNER_ALIVE:
		return true;
	case OWNER_DEAD:
		return false;
	case OWNER_UNKNOWN:
	default:
		break;
	}
	if (running)
		return true;
	info = engine_info(session->engine, NULL);
	if (!clock_parse(json_string_or(info, "SystemTime", ""), &now))
		now = clock_now();
	return clock_parse(json_string_or(inspect, "Created", ""), &created) &&
	       now.tv_sec - created.tv_sec < STARTING_SECONDS;
}

/*
 * Who holds the name. An engine reserves a name before the container can be inspected,
 * and frees it after it cannot any more: NULL without an error when it is free now.
 */
static struct json *find_holder(const struct session *session, const char *name, struct error **err)
{
	for (int attempt = 0;; attempt++) {
		cleanup_error struct error *problem = NULL;
		struct json *holder = container_inspect(session->engine, name, &problem);

		if (holder || (problem->kind == ERROR_NOT_FOUND && attempt == RESERVED_ATTEMPTS))
			return holder;
		if (problem->kind != ERROR_NOT_FOUND) {
			error_append(err, STEAL_POINTER(problem));
			return NULL;
		}
		usleep(RESERVED_PAUSE_US);
	}
}

int helper_lock_break(const struct session *session, const char *name, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free) struct json *holder = find_holder(session, name, &problem);
	const char *purpose;
	bool has_journal;

	if (problem) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	if (!holder)
		return 0;
	if (!helper_is_ours(holder)) {
		error_set(err, ERROR_EXISTS,
			  "container \"%s\" has the name of a helper but is none", name);
		return error_hint(err, "rename it: docker rename %s OTHER-NAME", name);
	}
	purpose = json_string_or(json_path(holder, "Config", "Labels"), LABEL_PURPOSE, "");
	has_journal = *json_string_or(json_path(holder, "Config", "Labels"), LABEL_JOURNAL, "");
	if (has_journal ? heartbeat_owner(session, holder) != OWNER_DEAD
			: helper_is_alive(session, holder)) {
		error_set(err, ERROR_BUSY, "another %s of this container is under way since %s",
			  purpose, json_string_or(holder, "Created", "some time"));
		return error_hint(err, "wait for it, or stop it with \"sidesnap cancel\"");
	}
	/* Its journal tells doctor the way back; the others have nothing that would be lost. */
	if (has_journal) {
		error_set(err, ERROR_BUSY, "an interrupted %s of this container is not cleaned up",
			  purpose);
		return error_hint(err, "run \"sidesnap doctor\", then try again");
	}
	return container_remove(session->engine, json_string(holder, "Id"), true, true, err);
}

struct json *helper_list(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *found = NULL;
	struct json *helpers = json_new_array();

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=helper");
	found = container_list(session->engine, true, filters, err);
	if (!found) {
		json_free(helpers);
		return NULL;
	}
	/* The engine lists newest first. */
	for (size_t i = json_count(found); i > 0; i--) {
		size_t position = 0;

		json_for_each(item, found) {
			struct json *inspect;

			if (++position != i)
				continue;
			/* One that is gone meanwhile is no error. */
			inspect = container_inspect(session->engine, json_string(item, "Id"), NULL);
			if (inspect && helper_is_ours(inspect))
				json_add(helpers, inspect);
			else
				json_free(inspect);
		}
	}
	return helpers;
}
