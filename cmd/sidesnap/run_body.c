/*
 * docker run's options mean here what they mean there; whoever knows one need not
 * learn the other. What is refused is refused before anything is created.
 */
#include "run_body.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/io.h"
#include "base/memory.h"
#include "snapshot/helper/command.h"

#include "run_mounts.h"

#define ENVIRONMENT_FILE_MAX (1U << 20)

typedef int adder(struct json *body, const char *value, struct error **err);

static struct json *host_config(struct json *body)
{
	struct json *host = json_get(body, "HostConfig");

	return host ? host : json_set_object(body, "HostConfig");
}

static struct json *list_of(struct json *object, const char *key)
{
	struct json *list = json_get(object, key);

	return list ? list : json_set_array(object, key);
}

static struct json *object_of(struct json *object, const char *key)
{
	struct json *member = json_get(object, key);

	return member ? member : json_set_object(object, key);
}

/* ---- environment, labels ---- */

static int add_variable(struct json *body, const char *text, struct error **err)
{
	const char *equals = strchr(text, '='), *value;
	cleanup_free char *line = NULL;

	if (!*text || equals == text)
		return error_set(err, ERROR_USAGE, "--env: \"%s\" has no name", text);
	if (equals) {
		json_add_string(list_of(body, "Env"), text);
		return 0;
	}
	value = getenv(text);
	if (!value)
		return 0; /* as docker does: what is not set here is not set there */
	line = memory_printf("%s=%s", text, value);
	json_add_string(list_of(body, "Env"), line);
	return 0;
}

static int add_variable_file(struct json *body, const char *path, struct error **err)
{
	CLEANUP(buffer_release) struct buffer text;
	char *rest, *line;

	buffer_init(&text, ENVIRONMENT_FILE_MAX);
	if (io_read_file(AT_FDCWD, path, &text, err) < 0) {
		if (err && *err)
			(*err)->kind = ERROR_USAGE;
		return error_prefix(err, "--env-file");
	}
	rest = text.data;
	while ((line = strsep(&rest, "\n"))) {
		size_t length = strlen(line);

		if (length && line[length - 1] == '\r')
			line[length - 1] = 0;
		while (isspace((unsigned char)*line))
			line++;
		if (*line && *line != '#' && add_variable(body, line, err) < 0)
			return error_prefix(err, "%s", path);
	}
	return 0;
}

static int add_label(struct json *body, const char *text, struct error **err)
{
	cleanup_free char *name = memory_strndup(text, strcspn(text, "="));

	if (!*name)
		return error_set(err, ERROR_USAGE, "--label: \"%s\" has no name", text);
	json_set_string(object_of(body, "Labels"), name,
			text[strlen(name)] ? text + strlen(name) + 1 : "");
	return 0;
}

/* ---- ports ---- */

struct port_range {
	uint64_t first, last;
};

static bool parse_range(const char *text, struct port_range *range)
{
	cleanup_free char *first = memory_strndup(text, strcspn(text, "-"));
	const char *dash = strchr(text, '-');

	if (!text_parse_uint(first, 65535, &range->first))
		return false;
	range->last = range->first;
	if (dash && !text_parse_uint(dash + 1, 65535, &range->last))
		return false;
	return range->first <= range->last;
}

static int refuse_port(const char *text, struct error **err)
{
	return error_set(err, ERROR_USAGE,
			 "--publish: \"%s\" is not [IP:][PORT:]PORT[/PROTOCOL]; write for example "
			 "15432:5432",
			 text);
}

/* Take "[IP:][HOST:]CONTAINER" apart, from its end; strings are cut in place. */
static void split_port(char *text, const char **address, const char **host, char **container)
{
	char *colon = strrchr(text, ':');

	*address = *host = "";
	*container = text;
	if (!colon)
		return;
	*colon = 0;
	*container = colon + 1;
	*host = text;
	colon = strrchr(text, ':');
	if (!colon)
		return;
	*colon = 0;
	*host = colon + 1;
	*address = text;
	/* An IPv6 address stands in brackets. */
	if (text[0] == '[' && text[strlen(text) - 1] == ']') {
		text[strlen(text) - 1] = 0;
		*address = text + 1;
	}
}

static void bind_port(struct json *body, const char *key, const char *address, const char *host)
{
	struct json *bindings = object_of(host_config(body), "PortBindings");
	struct json *binding = json_add_object(list_of(bindings, key));

	object_of(object_of(body, "ExposedPorts"), key);
	json_set_string(binding, "HostIp", address);
	json_set_string(binding, "HostPort", host);
}

static int add_port(struct json *body, const char *text, struct error **err)
{
	cleanup_free char *copy = memory_strdup(text);
	const char *address, *host, *protocol = "tcp";
	char *container, *slash = strrchr(copy, '/');
	struct port_range inside, outside = {0};

	if (slash) {
		*slash = 0;
		protocol = slash + 1;
	}
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0 &&
	    strcmp(protocol, "sctp") != 0)
		return refuse_port(text, err);
	split_port(copy, &address, &host, &container);
	if (!parse_range(container, &inside) || inside.first == 0)
		return refuse_port(text, err);
	if (*host && !parse_range(host, &outside))
		return refuse_port(text, err);
	if (*host && inside.last != inside.first &&
	    outside.last - outside.first != inside.last - inside.first)
		return error_set(err, ERROR_USAGE,
				 "--publish: the two ranges of \"%s\" differ in length", text);
	for (uint64_t port = inside.first; port <= inside.last; port++) {
		cleanup_free char *key =
			memory_printf("%llu/%s", (unsigned long long)port, protocol);
		cleanup_free char *chosen = memory_printf(
			"%llu", (unsigned long long)(outside.first + port - inside.first));

		/* A range for one port: the engine takes a free one of it. */
		bind_port(body, key, address,
			  *host && inside.first == inside.last ? host
			  : *host			       ? chosen
							       : "");
	}
	return 0;
}

/* ---- limits and the like ---- */

static int set_restart(struct json *body, const char *text, struct error **err)
{
	struct json *policy = json_set_object(host_config(body), "RestartPolicy");
	const char *colon = strchr(text, ':');
	cleanup_free char *name = memory_strndup(text, strcspn(text, ":"));
	uint64_t count = 0;

	if ((strcmp(name, "no") != 0 && strcmp(name, "always") != 0 &&
	     strcmp(name, "unless-stopped") != 0 && strcmp(name, "on-failure") != 0) ||
	    (colon &&
	     (strcmp(name, "on-failure") != 0 || !text_parse_uint(colon + 1, 1000000, &count))))
		return error_set(err, ERROR_USAGE,
				 "--restart: \"%s\" is none of no, always, unless-stopped, "
				 "on-failure[:N]",
				 text);
	json_set_string(policy, "Name", name);
	json_set_int(policy, "MaximumRetryCount", (int64_t)count);
	return 0;
}

/* "1.5" as billionths; digits behind the ninth are of no consequence. */
static int set_processors(struct json *body, const char *text, struct error **err)
{
	const char *dot = strchr(text, '.');
	cleanup_free char *whole = memory_strndup(text, strcspn(text, "."));
	uint64_t number = 0, scale = 100000000;
	bool valid = !*whole ? dot != NULL : text_parse_uint(whole, 100000, &number);

	number *= 1000000000;
	for (const char *digit = dot ? dot + 1 : ""; *digit && valid; digit++) {
		valid = isdigit((unsigned char)*digit) != 0;
		number += (uint64_t)(*digit - '0') * scale;
		scale /= 10;
	}
	if (!valid || number == 0)
		return error_set(err, ERROR_USAGE, "--cpus: \"%s\" is no number as 1.5", text);
	json_set_int(host_config(body), "NanoCpus", (int64_t)number);
	return 0;
}

static int add_resource_limit(struct json *body, const char *text, struct error **err)
{
	const char *equals = strchr(text, '='), *colon = equals ? strchr(equals, ':') : NULL;
	cleanup_free char *name = NULL, *soft_text = NULL;
	uint64_t soft = 0, hard;
	bool unlimited;
	struct json *limit;

	if (equals)
		soft_text = memory_strndup(equals + 1, strcspn(equals + 1, ":"));
	unlimited = soft_text && (!strcmp(soft_text, "-1") || !strcmp(soft_text, "unlimited"));
	if (!equals || equals == text ||
	    (!unlimited && !text_parse_uint(soft_text, INT64_MAX, &soft)))
		return error_set(err, ERROR_USAGE, "--ulimit: \"%s\" is not NAME=SOFT[:HARD]",
				 text);
	hard = soft;
	if (colon && strcmp(colon + 1, "-1") != 0 && strcmp(colon + 1, "unlimited") != 0) {
		if (!text_parse_uint(colon + 1, INT64_MAX, &hard))
			return error_set(err, ERROR_USAGE,
					 "--ulimit: \"%s\" is not NAME=SOFT[:HARD]", text);
	} else if (colon) {
		hard = UINT64_MAX;
	}
	name = memory_strndup(text, (size_t)(equals - text));
	limit = json_add_object(list_of(host_config(body), "Ulimits"));
	json_set_string(limit, "Name", name);
	json_set_int(limit, "Soft", unlimited ? -1 : (int64_t)soft);
	json_set_int(limit, "Hard", unlimited || hard == UINT64_MAX ? -1 : (int64_t)hard);
	return 0;
}

static int add_host(struct json *body, const char *text, struct error **err)
{
	const char *colon = strchr(text, ':');

	if (!colon || colon == text || !colon[1])
		return error_set(err, ERROR_USAGE, "--add-host: \"%s\" is not NAME:ADDRESS", text);
	json_add_string(list_of(host_config(body), "ExtraHosts"), text);
	return 0;
}

static int set_security_option(struct json *body, const char *text, struct error **err)
{
	if (text_has_prefix(text, "seccomp=") && strcmp(text, "seccomp=unconfined") != 0)
		return error_set(
			err, ERROR_USAGE,
			"--security-opt: a seccomp profile from a file is not supported here; "
			"use docker run");
	json_add_string(list_of(host_config(body), "SecurityOpt"), text);
	return 0;
}

static int add_capability(struct json *body, const char *text, struct error **err)
{
	(void)err;
	json_add_string(list_of(host_config(body), "CapAdd"), text);
	return 0;
}

static int drop_capability(struct json *body, const char *text, struct error **err)
{
	(void)err;
	json_add_string(list_of(host_config(body), "CapDrop"), text);
	return 0;
}

static int add_temporary(struct json *body, const char *text, struct error **err)
{
	cleanup_free char *path = memory_strndup(text, strcspn(text, ":"));

	if (path[0] != '/')
		return error_set(err, ERROR_USAGE, "--tmpfs: \"%s\" is no absolute path", path);
	json_set_string(object_of(host_config(body), "Tmpfs"), path,
			text[strlen(path)] ? text + strlen(path) + 1 : "");
	return 0;
}

static int add_network(struct json *body, const struct options *options, struct error **err)
{
	const char *network = options_text(options, "network");
	const char *address = options_text(options, "ip"), *address6 = options_text(options, "ip6");
	CLEANUP(string_list_release) struct string_list aliases;
	struct json *endpoint;

	string_list_init(&aliases);
	options_list(options, "network-alias", &aliases);
	if (network)
		json_set_string(host_config(body), "NetworkMode", network);
	if (!address && !address6 && !aliases.count)
		return 0;
	if (!network || !strcmp(network, "host") || !strcmp(network, "none") ||
	    !strcmp(network, "bridge") || text_has_prefix(network, "container:")) {
		error_set(err, ERROR_USAGE,
			  "--ip, --ip6 and --network-alias need a network of one's own");
		return error_hint(err, "create one with a subnet and name it by --network");
	}
	endpoint = json_set_object(
		object_of(object_of(body, "NetworkingConfig"), "EndpointsConfig"), network);
	if (address)
		json_set_string(object_of(endpoint, "IPAMConfig"), "IPv4Address", address);
	if (address6)
		json_set_string(object_of(endpoint, "IPAMConfig"), "IPv6Address", address6);
	for (size_t i = 0; i < aliases.count; i++)
		json_add_string(list_of(endpoint, "Aliases"), aliases.items[i]);
	return 0;
}

/* Behind boot, else the service would start on empty volumes. */
static void set_entrypoint(struct json *body, const char *entrypoint)
{
	CLEANUP(cleanup_json_free) struct json *config = json_new_object();
	struct json *list = json_set_array(config, "Entrypoint");

	if (*entrypoint)
		json_add_string(list, entrypoint);
	json_set(body, "Entrypoint", command_entrypoint(config));
}

static void add_scalars(struct json *body, const struct options *options)
{
	struct json *host = host_config(body);

	if (options_has(options, "hostname"))
		json_set_string(body, "Hostname", options_text(options, "hostname"));
	if (options_has(options, "user"))
		json_set_string(body, "User", options_text(options, "user"));
	if (options_has(options, "workdir"))
		json_set_string(body, "WorkingDir", options_text(options, "workdir"));
	if (options_has(options, "entrypoint"))
		set_entrypoint(body, options_text(options, "entrypoint"));
	if (options_has(options, "init"))
		json_set_bool(host, "Init", true);
	if (options_has(options, "read-only"))
		json_set_bool(host, "ReadonlyRootfs", true);
	if (options_has(options, "privileged"))
		json_set_bool(host, "Privileged", true);
	if (options_has(options, "memory"))
		json_set_int(host, "Memory", (int64_t)options_size(options, "memory", 0));
	if (options_has(options, "shm-size"))
		json_set_int(host, "ShmSize", (int64_t)options_size(options, "shm-size", 0));
	for (size_t i = 1; i < options->arguments.count; i++)
		json_add_string(list_of(body, "Cmd"), options->arguments.items[i]);
}

struct json *run_body(const struct options *options, struct error **err)
{
	/* Variables of files first, so that --env wins. */
	static const struct {
		const char *option;
		adder *add;
	} adders[] = {
		{"env-file", add_variable_file},
		{"env", add_variable},
		{"label", add_label},
		{"publish", add_port},
		{"volume", run_add_volume},
		{"mount", run_add_mount},
		{"tmpfs", add_temporary},
		{"restart", set_restart},
		{"cpus", set_processors},
		{"ulimit", add_resource_limit},
		{"add-host", add_host},
		{"security-opt", set_security_option},
		{"cap-add", add_capability},
		{"cap-drop", drop_capability},
	};
	CLEANUP(cleanup_json_free) struct json *body = json_new_object();

	add_scalars(body, options);
	if (add_network(body, options, err) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof(adders) / sizeof(adders[0]); i++) {
		CLEANUP(string_list_release) struct string_list values;

		string_list_init(&values);
		options_list(options, adders[i].option, &values);
		for (size_t j = 0; j < values.count; j++)
			if (adders[i].add(body, values.items[j], err) < 0)
				return NULL;
	}
	return STEAL_POINTER(body);
}
