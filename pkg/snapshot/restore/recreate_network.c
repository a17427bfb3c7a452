/*
 * Networks: an inspect mixes what was asked for (aliases, fixed addresses) with
 * what the engine assigned; only the former goes into the new container.
 */
#include "snapshot/restore/recreate_network.h"

#include <string.h>

#include "base/memory.h"

#define SHORT_ID_SIZE 12

/* The engine adds the short id and the host name by itself. */
static struct json *own_aliases(const struct recreate_source *source, const struct json *endpoint)
{
	const char *id = json_string_or(source->inspect, "Id", "");
	const char *hostname = json_string_or(json_get(source->inspect, "Config"), "Hostname", "");
	struct json *list = json_new_array();

	json_for_each(item, json_get(endpoint, "Aliases")) {
		const char *alias = json_string_or(item, NULL, "");

		if (!*alias || strcmp(alias, hostname) == 0 ||
		    (strlen(alias) == SHORT_ID_SIZE && strncmp(alias, id, SHORT_ID_SIZE) == 0) ||
		    json_has_string(list, alias))
			continue;
		json_add_string(list, alias);
	}
	return list;
}

static void keep(struct json *made, const char *name, struct json *value)
{
	if (json_count(value))
		json_set(made, name, value);
	else
		json_free(value);
}

static struct json *endpoint_settings(const struct recreate_source *source,
				      const struct json *endpoint)
{
	static const char *const members[] = {"IPAMConfig", "Links", "DriverOpts"};
	bool running = json_bool(json_get(source->inspect, "State"), "Running");
	const char *address = json_string_or(endpoint, "MacAddress", "");
	struct json *made = json_new_object();

	keep(made, "Aliases", own_aliases(source, endpoint));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_get(endpoint, members[i]))
			keep(made, members[i], json_copy(json_get(endpoint, members[i])));
	/* A stopped container shows it only where it was asked for. */
	if (*address && !running)
		json_set_string(made, "MacAddress", address);
	if (json_int(endpoint, "GwPriority") != 0)
		json_set(made, "GwPriority", json_copy(json_get(endpoint, "GwPriority")));
	return made;
}

static bool is_primary(const char *mode, const struct json *network)
{
	const char *name = json_key(network);

	if (strcmp(mode, "default") == 0 || strcmp(mode, "bridge") == 0 || !*mode)
		return strcmp(name, "bridge") == 0 || strcmp(name, "podman") == 0;
	return strcmp(mode, name) == 0 ||
	       strcmp(mode, json_string_or(network, "NetworkID", "")) == 0;
}

void recreate_networks(const struct recreate_source *source, struct recreation *recreation)
{
	const char *mode =
		json_string_or(json_get(source->inspect, "HostConfig"), "NetworkMode", "");
	const char *mac = json_string_or(json_get(source->inspect, "Config"), "MacAddress", "");
	const struct json *networks = json_path(source->inspect, "NetworkSettings", "Networks");
	struct json *body = recreation->body;
	bool found = false;

	if (strcmp(mode, "host") == 0 || strcmp(mode, "none") == 0 ||
	    text_has_prefix(mode, "container:"))
		return;
	json_for_each(network, networks) {
		struct json *endpoint = endpoint_settings(source, network);

		if (is_primary(mode, network)) {
			found = true;
			if (*mac && !json_get(endpoint, "MacAddress"))
				json_set_string(body, "MacAddress", mac);
			if (json_count(endpoint))
				json_set(json_set_object(json_set_object(body, "NetworkingConfig"),
							 "EndpointsConfig"),
					 json_key(network), endpoint);
			else
				json_free(endpoint);
		} else {
			struct json *item = json_add_object(recreation->connect);

			json_set_string(item, "network", json_key(network));
			json_set(item, "endpoint", endpoint);
		}
	}
	/* A person took it off the network that it was made on. */
	if (!found && json_is_object(networks))
		recreation->disconnect =
			memory_strdup(strcmp(mode, "default") == 0 || !*mode ? "bridge" : mode);
}
