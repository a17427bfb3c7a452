/*
 * The definitions of a set travel with it to whoever gets it. So what is not known to be harmless stays
 * out: a variable's value unless a driver names it as state, and whatever has the look of a secret.
 */
#include "project/set_definition.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "driver/driver.h"
#include "snapshot/helper/command.h"
#include "snapshot/labels.h"
#include "snapshot/restore/recreate.h"

#define DEFINITION_FORMAT 1

/* ---- what is secret ---- */

/* As a variable's name: "traefik.auth.password" is TRAEFIK_AUTH_PASSWORD. */
static char *variable_name(const char *text)
{
	char *name = memory_printf("%s%s", isdigit((unsigned char)*text) ? "_" : "", text);

	for (char *at = name; *at; at++)
		*at = isalnum((unsigned char)*at) ? (char)toupper((unsigned char)*at) : '_';
	return name;
}

static char *placeholder(const char *name, struct json *needs)
{
	if (!json_has_string(needs, name))
		json_add_string(needs, name);
	return memory_printf("${%s:?}", name);
}

/* The parts of "addr=nas,username=u,password=p" count as well as the whole. */
static char *find_secret(const char *name, const char *text)
{
	cleanup_free char *option = memory_printf("--%s", name), *copy = memory_strdup(text);
	char *found = command_find_secret(*name ? option : "", text), *rest = copy, *part;

	while (!found && (part = strsep(&rest, ",")))
		found = command_find_secret("", part);
	return found;
}

static void hide_string(struct json *item, const char *name, struct json *needs)
{
	cleanup_free char *found = find_secret(name, json_string(item, NULL));
	cleanup_free char *variable = NULL, *hidden = NULL;

	if (!found)
		return;
	variable = variable_name(found + strspn(found, "-"));
	hidden = placeholder(variable, needs);
	json_change_string(item, hidden);
}

/* In a list of words the one before may be an option that names the next. */
static void hide_words(struct json *array, const char *name, struct json *needs)
{
	cleanup_free char *previous = memory_strdup("");

	json_for_each(item, array) {
		cleanup_free char *word = memory_strdup(json_string(item, NULL));
		size_t dashes = strspn(previous, "-");

		if (json_is_string(item))
			hide_string(item, dashes ? previous + dashes : "", needs);
		else
			set_definition_hide(item, name, needs);
		free(previous);
		previous = word ? STEAL_POINTER(word) : memory_strdup("");
	}
}

void set_definition_hide(struct json *value, const char *name, struct json *needs)
{
	if (json_is_array(value)) {
		hide_words(value, name, needs);
		return;
	}
	if (json_is_string(value))
		hide_string(value, name, needs);
	json_for_each(item, value)
		set_definition_hide(item, json_key(item), needs);
}

/* ---- members ---- */

/* A value that a driver needs to find the data again, and names as such, is none to be hidden. */
static void hide_environment(struct json *body, const struct driver_match *driver,
			     struct json *needs)
{
	struct json *list = json_new_array();

	json_for_each(item, json_get(body, "Env")) {
		const char *variable = json_string_or(item, NULL, "");
		cleanup_free char *name = memory_strndup(variable, strcspn(variable, "="));
		cleanup_free char *hidden = NULL, *line = NULL;

		if (string_list_has(&driver->state_variables, name)) {
			json_add_string(list, variable);
			continue;
		}
		hidden = placeholder(name, needs);
		line = memory_printf("%s=%s", name, hidden);
		json_add_string(list, line);
	}
	json_set(body, "Env", list);
}

static int add_member(const struct session *session, const struct set_member *member,
		      struct json *list, struct json *needs, struct error **err)
{
	const struct json *labels = json_path(member->inspect, "Config", "Labels");
	const char *image_id = json_string_or(member->inspect, "Image", "");
	CLEANUP(cleanup_json_free)
	struct json *image = image_inspect(session->engine, image_id, err);
	CLEANUP(recreation_release) struct recreation recreation = {0};
	CLEANUP(driver_match_release) struct driver_match driver = {0};
	struct recreate_source source = {
		.inspect = member->inspect, .old_image = image, .image = ""};
	struct json *item;

	if (!image || driver_detect(session->engine, member->inspect, image, &driver, err) < 0)
		return error_prefix(err, "cannot describe container \"%s\"", member->container);
	recreate(&source, &recreation);
	hide_environment(recreation.body, &driver, needs);
	json_remove(recreation.body, "Image");
	set_definition_hide(recreation.body, "", needs);
	item = json_add_object(list);
	json_set_string(item, "name", member->name);
	json_set_string(item, "container", member->container);
	json_set_string(item, "service", json_string_or(labels, COMPOSE_SERVICE, ""));
	json_set_string(item, "image",
			json_string_or(json_get(member->inspect, "Config"), "Image", ""));
	json_set(item, "definition", json_copy(recreation.body));
	json_set(item, "networks", json_copy(recreation.connect));
	return 0;
}

/* ---- networks and volumes ---- */

static bool has_named(const struct json *list, const char *name)
{
	json_for_each(item, list)
		if (strcmp(json_string_or(item, "name", ""), name) == 0)
			return true;
	return false;
}

static void copy_members(struct json *to, const struct json *from, const char *const names[][2])
{
	for (size_t i = 0; names[i][0]; i++)
		if (!json_is_null(json_get(from, names[i][1])))
			json_set(to, names[i][0], json_copy(json_get(from, names[i][1])));
}

static bool is_of_engine(const char *network)
{
	return !strcmp(network, "bridge") || !strcmp(network, "host") || !strcmp(network, "none") ||
	       !strcmp(network, "podman");
}

/* One that is gone has no definition: who restores makes it with the engine's defaults. */
static void add_networks(const struct session *session, const struct set_member *member,
			 struct json *list)
{
	static const char *const kept[][2] = {{"driver", "Driver"},
					      {"internal", "Internal"},
					      {"attachable", "Attachable"},
					      {"ipv6", "EnableIPv6"},
					      {"ipam", "IPAM"},
					      {"options", "Options"},
					      {"labels", "Labels"},
					      {NULL, NULL}};

	json_for_each(endpoint, json_path(member->inspect, "NetworkSettings", "Networks")) {
		const char *name = json_key(endpoint);
		CLEANUP(cleanup_json_free) struct json *inspect = NULL;
		struct json *item;

		if (is_of_engine(name) || has_named(list, name))
			continue;
		inspect = network_inspect(session->engine, name, NULL);
		item = json_add_object(list);
		json_set_string(item, "name", name);
		copy_members(item, inspect, kept);
	}
}

static void add_volumes(const struct session *session, const struct set_member *member,
			struct json *list)
{
	static const char *const kept[][2] = {
		{"driver", "Driver"}, {"options", "Options"}, {"labels", "Labels"}, {NULL, NULL}};

	json_for_each(mount, json_get(member->inspect, "Mounts")) {
		const char *name = json_string_or(mount, "Name", "");
		CLEANUP(cleanup_json_free) struct json *inspect = NULL;
		struct json *item;

		if (!*name || strcmp(json_string_or(mount, "Type", ""), "volume") != 0 ||
		    has_named(list, name))
			continue;
		inspect = volume_inspect(session->engine, name, NULL);
		item = json_add_object(list);
		json_set_string(item, "name", name);
		copy_members(item, inspect, kept);
		json_set_string(item, "member",
				json_string_or(member->elsewhere, name, member->name));
	}
}

struct json *set_definition(const struct session *session, const struct set_members *members,
			    struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *all = json_new_object();
	struct json *list, *needs = json_new_array(), *networks, *volumes;

	json_set_int(all, "format", DEFINITION_FORMAT);
	json_set_string(all, "project", text_or(members->project, ""));
	list = json_set_array(all, "members");
	networks = json_set_array(all, "networks");
	volumes = json_set_array(all, "volumes");
	json_set(all, "needs", needs);
	for (size_t i = 0; i < members->count; i++) {
		if (add_member(session, &members->list[i], list, needs, err) < 0)
			return NULL;
		add_networks(session, &members->list[i], networks);
		add_volumes(session, &members->list[i], volumes);
	}
	set_definition_hide(networks, "", needs);
	set_definition_hide(volumes, "", needs);
	return STEAL_POINTER(all);
}
