/*
 * sidesnap cancel: "docker exec -T" delivers no signal to the command inside, so a
 * create is stopped through its helper, whose end the creating process sees.
 */
#include <string.h>
#include <unistd.h>

#include "snapshot/helper/helper_lock.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"
#include "wire/wire.h"

/* Time for the creating process to thaw, clean up and say so. */
#define CANCEL_TIMEOUT_MS 20000

static int wait_until_gone(const struct session *session, const char *id, struct error **err)
{
	uint64_t until = clock_monotonic_ms() + CANCEL_TIMEOUT_MS;

	while (clock_monotonic_ms() < until) {
		cleanup_error struct error *problem = NULL;
		CLEANUP(cleanup_json_free)
		struct json *inspect = container_inspect(session->engine, id, &problem);

		if (!inspect && problem->kind == ERROR_NOT_FOUND)
			return 0;
		if (session_check(session, err) < 0)
			return -1;
		usleep(100000);
	}
	error_set(err, ERROR_FAILED, "the create was told to stop, but has not cleaned up");
	return error_hint(err, "its process may be gone: run \"sidesnap doctor\"");
}

/* The living helper of a create: before it there may be one that consolidates. NULL: none. */
static struct json *find_holder(const struct session *session, const struct target *target)
{
	static const char *const purposes[] = {"create", "consolidate"};

	for (size_t i = 0; i < sizeof(purposes) / sizeof(*purposes); i++) {
		cleanup_free char *lock = helper_lock_name(target->id, purposes[i]);
		struct json *holder = container_inspect(session->engine, lock, NULL);

		if (holder && helper_is_ours(holder) && helper_is_alive(session, holder))
			return holder;
		json_free(holder);
	}
	return NULL;
}

int snapshot_cancel(struct session *session, const char *name, struct json **result,
		    struct error **err)
{
	struct target target;
	CLEANUP(cleanup_json_free) struct json *holder = NULL;
	const char *id;
	int outcome = -1;

	if (target_find(session, name, &target, err) < 0)
		return -1;
	holder = find_holder(session, &target);
	id = json_string(holder, "Id");
	if (!holder) {
		error_set(err, ERROR_NOT_FOUND, "no create of container \"%s\" is under way",
			  target.name);
		goto out;
	}
	/* Not running yet: there is nothing to signal, and its owner fails at the start. */
	if (json_bool(json_get(holder, "State"), "Running")) {
		if (container_kill(session->engine, id, WIRE_CANCEL_SIGNAL_NAME, err) < 0)
			goto out;
	} else if (container_remove(session->engine, id, true, true, err) < 0) {
		goto out;
	}
	if (wait_until_gone(session, id, err) < 0)
		goto out;
	*result = json_new_object();
	json_set_string(*result, "target", target.name);
	json_set_bool(*result, "cancelled", true);
	outcome = 0;
out:
	target_release(&target);
	return outcome;
}
