/*
 * Finding the writers of a volume. Only mounts tell: the engine knows no open
 * files, and a container with a read-only mount cannot change anything.
 */
#include "snapshot/create/writers.h"

#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/labels.h"

static bool mount_writes_tree(const struct json *mount, const struct plan_tree *tree)
{
	const char *type = json_string_or(mount, "Type", "");
	const char *name = json_string_or(mount, "Name", "");
	const char *source = json_string_or(mount, "Source", "");

	if (!json_bool(mount, "RW"))
		return false;
	if (tree->kind == TREE_VOLUME)
		return strcmp(type, "volume") == 0 && strcmp(name, tree->name) == 0;
	/* A bind of the same folder, of one above it, or of one in it. */
	return strcmp(type, "bind") == 0 &&
	       (path_is_at_or_under(source, tree->name) || path_is_at_or_under(tree->name, source));
}

static bool writes_plan(const struct json *inspect, const struct plan *plan)
{
	json_for_each(mount, json_get(inspect, "Mounts"))
		for (size_t i = 0; i < plan->count; i++)
			if (mount_writes_tree(mount, &plan->trees[i]))
				return true;
	return false;
}

/* Whether ${host}, "name" or "address", with ${port}, means the container. */
static bool answers_at(const struct json *inspect, const char *host, const char *port)
{
	const char *name = json_string_or(inspect, "Name", "/");

	if (strcmp(name + (*name == '/'), host) == 0)
		return true;
	json_for_each(network, json_path(inspect, "NetworkSettings", "Networks")) {
		if (strcmp(json_string_or(network, "IPAddress", ""), host) == 0)
			return true;
		if (json_has_string(json_get(network, "Aliases"), host))
			return true;
	}
	/* A published port on the engine's own machine. */
	json_for_each(bindings, json_path(inspect, "NetworkSettings", "Ports"))
		json_for_each(place, bindings)
			if (strcmp(json_string_or(place, "HostPort", ""), port) == 0)
				return true;
	return false;
}

/* "tcp://host:port", "udp://...", "host:port": whether it leads to the container. */
static bool address_leads_to(const char *address, const struct json *inspect)
{
	const char *host = strstr(address, "://"), *colon;
	cleanup_free char *name = NULL;
	cleanup_free char *port = NULL;

	host = host ? host + 3 : address;
	colon = strrchr(host, ':');
	if (!colon || colon == host)
		return false;
	name = memory_strndup(host, (size_t)(colon - host));
	port = memory_strndup(colon + 1, strspn(colon + 1, "0123456789"));
	return *port && answers_at(inspect, name, port);
}

static bool takes_logs(const struct json *inspect, const struct json *all)
{
	json_for_each(other, all) {
		const struct json *log = json_path(other, "HostConfig", "LogConfig");

		/* The engine's default, which no option shows. */
		if (strcmp(json_string_or(log, "Type", ""), "fluentd") == 0 &&
		    !json_get(json_get(log, "Config"), "fluentd-address") &&
		    address_leads_to("127.0.0.1:24224", inspect))
			return true;
		json_for_each(option, json_path(other, "HostConfig", "LogConfig", "Config")) {
			const char *value = json_string(option, NULL);

			if (value && text_has_suffix(json_key(option), "address") &&
			    address_leads_to(value, inspect))
				return true;
			if (value && text_has_suffix(json_key(option), "url") &&
			    address_leads_to(value, inspect))
				return true;
		}
	}
	return false;
}

/* Why a container may never be frozen; NULL: it may. */
static const char *unfreezable_reason(const struct session *session, const char *own,
				      const struct json *inspect, const struct json *all)
{
	const char *id = json_string_or(inspect, "Id", "");
	const char *host = engine_host(session->engine);
	const char *label =
		json_string_or(json_path(inspect, "Config", "Labels"), LABEL_FREEZE, "");

	if (own && strcmp(own, id) == 0)
		return "it is sidesnap's own container";
	if (strcmp(label, "false") == 0)
		return "its label sidesnap.freeze=false forbids it";
	if (!text_has_prefix(host, "unix://") && address_leads_to(host, inspect))
		return "the way to the engine leads through it";
	if (takes_logs(inspect, all))
		return "other containers log to it";
	return NULL;
}

/* The inspects of all running containers; what vanishes meanwhile is left out. */
static struct json *inspect_running(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *list = container_list(session->engine, false, NULL, err);
	struct json *all;

	if (!list)
		return NULL;
	all = json_new_array();
	json_for_each(item, list) {
		struct json *inspect =
			container_inspect(session->engine, json_string(item, "Id"), NULL);

		if (inspect)
			json_add(all, inspect);
	}
	return all;
}

static void sort_out(const struct session *session, const char *own, const struct json *inspect,
		     const struct json *all, struct string_list *freezable,
		     struct string_list *unfreezable)
{
	const char *reason = unfreezable_reason(session, own, inspect, all);
	const char *name = json_string_or(inspect, "Name", "/");

	if (reason) {
		cleanup_free char *text = memory_printf("%s (%s)", name + (*name == '/'), reason);

		string_list_add(unfreezable, text);
	} else {
		string_list_add(freezable, json_string(inspect, "Id"));
	}
}

int writers_find(const struct session *session, const struct target *target,
		 const struct plan *plan, struct string_list *freezable,
		 struct string_list *unfreezable, struct string_list *paused, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *all = inspect_running(session, err);
	cleanup_free char *own = NULL;

	if (!all)
		return error_prefix(err, "cannot find out who writes the volumes of \"%s\"",
				    target->name);
	own = session_own_container(session);
	if (target->running && !target->paused)
		sort_out(session, own, target->inspect, all, freezable, unfreezable);
	if (target->paused && paused)
		string_list_add(paused, target->id);
	json_for_each(inspect, all) {
		const char *id = json_string_or(inspect, "Id", "");
		bool is_paused = json_bool(json_get(inspect, "State"), "Paused");

		if (strcmp(id, target->id) == 0 || helper_is_ours(inspect) ||
		    !writes_plan(inspect, plan))
			continue;
		if (is_paused && paused)
			string_list_add(paused, id);
		if (is_paused)
			continue;
		sort_out(session, own, inspect, all, freezable, unfreezable);
	}
	return 0;
}

struct json *writers_never_frozen(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *all = inspect_running(session, err);
	cleanup_free char *own = NULL;
	struct json *reasons;

	if (!all)
		return NULL;
	own = session_own_container(session);
	reasons = json_new_object();
	json_for_each(inspect, all) {
		const char *reason = unfreezable_reason(session, own, inspect, all);

		if (reason)
			json_set_string(reasons, json_string_or(inspect, "Id", ""), reason);
	}
	return reasons;
}
