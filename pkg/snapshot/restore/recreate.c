/*
 * The create body from an inspect, field by field. Most of HostConfig can be
 * sent back as it was answered; this file is about the rest.
 */
#include "snapshot/restore/recreate.h"

#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "snapshot/restore/recreate_network.h"

#define AGENT_PATH "/.sidesnap/agent"
#define SHORT_ID_SIZE 12

void recreation_release(struct recreation *recreation)
{
	json_free(recreation->body);
	json_free(recreation->connect);
	free(recreation->disconnect);
	memset(recreation, 0, sizeof(*recreation));
}

static const struct json *config_of(const struct json *inspect)
{
	return json_get(inspect, "Config");
}

static const struct json *host_of(const struct json *inspect)
{
	return json_get(inspect, "HostConfig");
}

static const char *mode_of(const struct recreate_source *source, const char *name)
{
	return json_string_or(host_of(source->inspect), name, "");
}

/* ---- what runs ---- */

/* The words without our boot in front, as a list of their own; [""] means none. */
static struct json *command_words(const struct json *list)
{
	struct json *words = json_new_array();
	struct json *first = json_first(list), *second = first ? json_next(first) : NULL;
	struct json *third = second ? json_next(second) : NULL;
	bool boot = strcmp(json_string_or(first, NULL, ""), AGENT_PATH) == 0 &&
		    strcmp(json_string_or(second, NULL, ""), "boot") == 0 &&
		    strcmp(json_string_or(third, NULL, ""), "--") == 0;

	if (json_count(list) == 1 && !*json_string_or(first, NULL, "x"))
		return words;
	for (struct json *item = boot ? json_next(third) : first; item; item = json_next(item))
		json_add(words, json_copy(item));
	return words;
}

static void set_command(const struct recreate_source *source, struct json *body)
{
	const struct json *config = config_of(source->inspect);
	const struct json *image = config_of(source->old_image);
	CLEANUP(cleanup_json_free)
	struct json *entrypoint = command_words(json_get(config, "Entrypoint"));
	CLEANUP(cleanup_json_free)
	struct json *image_entrypoint = command_words(json_get(image, "Entrypoint"));
	CLEANUP(cleanup_json_free) struct json *command = command_words(json_get(config, "Cmd"));
	CLEANUP(cleanup_json_free)
	struct json *image_command = command_words(json_get(image, "Cmd"));
	bool own_command = !json_equal(command, image_command), own_entrypoint;
	struct json *list;

	/* Without an entrypoint in the body the engine would give back the image's command. */
	own_entrypoint = !source->old_image || !json_equal(entrypoint, image_entrypoint) ||
			 (own_command && json_count(command) == 0);
	if (own_command || own_entrypoint)
		json_set(body, "Cmd", json_copy(command));
	if (!own_entrypoint)
		return;
	list = json_set_array(body, "Entrypoint");
	if (source->boot) {
		json_add_string(list, AGENT_PATH);
		json_add_string(list, "boot");
		json_add_string(list, "--");
	} else if (json_count(entrypoint) == 0) {
		json_add_string(list, "");
	}
	json_for_each(word, entrypoint)
		json_add(list, json_copy(word));
}

/* ---- Config ---- */

static void set_environment(const struct recreate_source *source, struct json *body)
{
	const struct json *inherited = json_get(config_of(source->old_image), "Env");
	struct json *list = json_set_array(body, "Env");

	json_for_each(item, json_get(config_of(source->inspect), "Env"))
		if (!json_has_string(inherited, json_string_or(item, NULL, "")))
			json_add(list, json_copy(item));
}

/*
 * Inherited labels come from the new image. Compose's stay in any case: an image that compose
 * built carries some too, and compose knows its containers by nothing else.
 */
static void set_labels(const struct recreate_source *source, struct json *body)
{
	const struct json *inherited = json_get(config_of(source->old_image), "Labels");
	struct json *labels = json_set_object(body, "Labels");

	json_for_each(label, json_get(config_of(source->inspect), "Labels")) {
		const char *name = json_key(label);
		const char *value = json_string_or(label, NULL, "");
		const char *before = json_string(inherited, name);
		bool ours = text_has_prefix(name, "sidesnap.");
		bool persons = text_has_prefix(name, "sidesnap.driver") ||
			       strcmp(name, "sidesnap.freeze") == 0;

		if (before && strcmp(before, value) == 0 &&
		    !text_has_prefix(name, "com.docker.compose."))
			continue;
		/* Those of a snapshot describe that snapshot. */
		if (ours && !persons)
			continue;
		if (ours && !source->old_image && !*value)
			continue;
		json_set_string(labels, name, value);
	}
}

/* Members of an object that the image does not have. */
static void set_own_keys(const struct recreate_source *source, struct json *body, const char *name)
{
	const struct json *inherited = json_get(config_of(source->old_image), name);
	struct json *own = json_new_object();

	json_for_each(item, json_get(config_of(source->inspect), name))
		if (!json_get(inherited, json_key(item)))
			json_set_object(own, json_key(item));
	if (json_count(own))
		json_set(body, name, own);
	else
		json_free(own);
}

static void set_identity(const struct recreate_source *source, struct json *body)
{
	const struct json *config = config_of(source->inspect);
	const char *hostname = json_string_or(config, "Hostname", "");
	const char *domain = json_string_or(config, "Domainname", "");
	const char *id = json_string_or(source->inspect, "Id", "");
	const char *network = mode_of(source, "NetworkMode");

	/* Then it is the other's, or the machine's, and giving one is an error. */
	if (text_has_prefix(network, "container:") || strcmp(network, "host") == 0 ||
	    strcmp(mode_of(source, "UTSMode"), "host") == 0)
		return;
	if (*hostname && strncmp(hostname, id, SHORT_ID_SIZE) != 0)
		json_set_string(body, "Hostname", hostname);
	if (*domain)
		json_set_string(body, "Domainname", domain);
}

static void set_config(const struct recreate_source *source, struct json *body)
{
	/* An image has these too: only what differs was given at run time. */
	static const char *const inherited[] = {"User", "WorkingDir", "StopSignal", "Healthcheck"};
	static const char *const flags[] = {"AttachStdin", "AttachStdout", "AttachStderr",   "Tty",
					    "OpenStdin",   "StdinOnce",	   "NetworkDisabled"};
	const struct json *config = config_of(source->inspect);
	const struct json *image = config_of(source->old_image);

	json_set_string(body, "Image", source->image);
	for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++) {
		const struct json *value = json_get(config, inherited[i]);
		const struct json *before = json_get(image, inherited[i]);
		const char *text = json_string(value, NULL);

		if (json_is_null(value) || (text && !*text) || json_equal(value, before))
			continue;
		json_set(body, inherited[i], json_copy(value));
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (json_bool(config, flags[i]))
			json_set_bool(body, flags[i], true);
	if (json_is_number(json_get(config, "StopTimeout")))
		json_set(body, "StopTimeout", json_copy(json_get(config, "StopTimeout")));
	set_command(source, body);
	set_environment(source, body);
	set_labels(source, body);
	set_identity(source, body);
	set_own_keys(source, body, "Volumes");
	if (!text_has_prefix(mode_of(source, "NetworkMode"), "container:"))
		set_own_keys(source, body, "ExposedPorts");
}

/* ---- mounts ---- */

const struct json *recreate_mount_at(const struct json *inspect, const char *path)
{
	cleanup_free char *wanted = path_clean(path);

	json_for_each(mount, json_get(inspect, "Mounts")) {
		cleanup_free char *place = path_clean(json_string_or(mount, "Destination", "/"));

		if (strcmp(place, wanted) == 0)
			return mount;
	}
	return NULL;
}

/* The path in the container of "source:path[:options]". */
static char *bind_path(const char *bind)
{
	const char *path = strchr(bind, ':');
	cleanup_free char *text = NULL;

	if (!path)
		return memory_strdup(bind);
	text = memory_strndup(path + 1, strcspn(path + 1, ":"));
	return path_clean(text);
}

static bool binds_have(const struct json *binds, const char *path)
{
	json_for_each(bind, binds) {
		cleanup_free char *place = bind_path(json_string_or(bind, NULL, ""));

		if (strcmp(place, path) == 0)
			return true;
	}
	return false;
}

static struct json *explicit_mount(const struct json *mounts, const char *path)
{
	json_for_each(mount, mounts) {
		cleanup_free char *place = path_clean(json_string_or(mount, "Target", "/"));

		if (strcmp(place, path) == 0)
			return mount;
	}
	return NULL;
}

static void add_bind(struct json *host, const struct json *mount, const char *path)
{
	const char *type = json_string_or(mount, "Type", "");
	const char *propagation = json_string_or(mount, "Propagation", "");
	bool is_volume = strcmp(type, "volume") == 0;
	const char *from = json_string_or(mount, is_volume ? "Name" : "Source", "");
	cleanup_free char *bind = NULL, *text = NULL;
	struct string_list options;

	if (!*from || (!is_volume && strcmp(type, "bind") != 0))
		return;
	string_list_init(&options);
	if (!json_bool(mount, "RW"))
		string_list_add(&options, "ro");
	if (!is_volume && *propagation && strcmp(propagation, "rprivate") != 0)
		string_list_add(&options, propagation);
	text = string_list_join(&options, ",");
	bind = memory_printf("%s:%s%s%s", from, path, *text ? ":" : "", text);
	string_list_release(&options);
	if (!json_is_array(json_get(host, "Binds")))
		json_set_array(host, "Binds");
	json_add_string(json_get(host, "Binds"), bind);
}

/*
 * Anonymous volumes are in no field that a person gave, so they are named now: else
 * the engine would make empty ones. With volumes_from the other container's mounts
 * stay its own affair.
 */
static void set_mounts(const struct recreate_source *source, struct json *host)
{
	bool from_others = json_count(json_get(host, "VolumesFrom")) > 0;
	const struct json *declared = json_get(config_of(source->inspect), "Volumes");

	json_for_each(mount, json_get(source->inspect, "Mounts")) {
		cleanup_free char *path = path_clean(json_string_or(mount, "Destination", "/"));
		struct json *given = explicit_mount(json_get(host, "Mounts"), path);

		if (given) {
			if (strcmp(json_string_or(given, "Type", ""), "volume") == 0 &&
			    !*json_string_or(given, "Source", ""))
				json_set_string(given, "Source", json_string_or(mount, "Name", ""));
			continue;
		}
		if (binds_have(json_get(host, "Binds"), path))
			continue;
		if (from_others && !json_get(declared, json_string_or(mount, "Destination", "")))
			continue;
		add_bind(host, mount, path);
	}
}

struct json *recreate_helper_mount(const struct json *inspect, const struct json *mount,
				   const char *target)
{
	cleanup_free char *path = path_clean(json_string_or(mount, "Destination", "/"));
	const struct json *given = explicit_mount(json_path(inspect, "HostConfig", "Mounts"), path);
	const char *subpath = json_string_or(json_get(given, "VolumeOptions"), "Subpath", "");
	struct json *made = json_new_object(), *options;
	bool is_volume = strcmp(json_string_or(mount, "Type", ""), "volume") == 0;

	json_set_string(made, "Type", is_volume ? "volume" : "bind");
	json_set_string(made, "Source", json_string_or(mount, is_volume ? "Name" : "Source", ""));
	json_set_string(made, "Target", target);
	if (!is_volume)
		return made;
	options = json_set_object(made, "VolumeOptions");
	json_set_bool(options, "NoCopy", true);
	if (*subpath)
		json_set_string(options, "Subpath", subpath);
	return made;
}

/* ---- HostConfig ---- */

/* The list that the engine itself made, by what every version of it has. */
static bool is_default_list(const struct json *list, const char *const *usual, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!json_has_string(list, usual[i]))
			return false;
	return true;
}

/* A newer engine masks more: an old default sent back would take that away. */
static void drop_default_paths(struct json *host)
{
	static const char *const masked[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list",
					     "/proc/scsi", "/sys/firmware"};
	static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
						"/proc/sysrq-trigger"};

	if (is_default_list(json_get(host, "MaskedPaths"), masked,
			    sizeof(masked) / sizeof(masked[0])))
		json_remove(host, "MaskedPaths");
	if (is_default_list(json_get(host, "ReadonlyPaths"), read_only,
			    sizeof(read_only) / sizeof(read_only[0])))
		json_remove(host, "ReadonlyPaths");
}

/* "/other:/name/alias" of an inspect is "other:alias" in a create. */
static void set_links(struct json *host)
{
	const struct json *links = json_get(host, "Links");
	struct json *list = json_new_array();

	json_for_each(item, links) {
		const char *text = json_string_or(item, NULL, "");
		const char *colon = strchr(text, ':'), *slash = strrchr(text, '/');
		cleanup_free char *link = NULL;

		if (!colon)
			continue;
		link = memory_printf("%.*s:%s", (int)(colon - text - (*text == '/')),
				     text + (*text == '/'),
				     slash && slash > colon ? slash + 1 : colon + 1);
		json_add_string(list, link);
	}
	json_remove(host, "Links");
	if (json_count(list))
		json_set(host, "Links", list);
	else
		json_free(list);
}

static void follow_namespaces(const struct recreate_source *source, struct json *host)
{
	static const char *const modes[] = {"NetworkMode", "PidMode", "IpcMode"};

	for (size_t mode = 0; mode < 3; mode++) {
		const char *value = json_string_or(host, modes[mode], "");

		if (!text_has_prefix(value, "container:"))
			continue;
		for (size_t i = 0; i < source->id_count; i++) {
			cleanup_free char *renewed = NULL;

			if (strcmp(value + strlen("container:"), source->old_ids[i]) != 0)
				continue;
			renewed = memory_printf("container:%s", source->new_ids[i]);
			json_set_string(host, modes[mode], renewed);
			break;
		}
	}
}

static void set_host_config(const struct recreate_source *source, struct json *body)
{
	/* Empty, zero or null they say nothing, and newer engines refuse some of them. */
	static const char *const dropped[] = {"ContainerIDFile", "ConsoleSize", "LxcConf"};
	static const char *const numbers[] = {"KernelMemory",  "KernelMemoryTCP",
					      "CpuCount",      "CpuPercent",
					      "IOMaximumIOps", "IOMaximumBandwidth"};
	struct json *host = json_new_object();

	/* Null is the same as not there. */
	json_for_each(item, host_of(source->inspect))
		if (!json_is_null(item))
			json_set(host, json_key(item), json_copy(item));
	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
		json_remove(host, dropped[i]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (json_int(host, numbers[i]) == 0)
			json_remove(host, numbers[i]);
	if (!*json_string_or(host, "Cgroup", ""))
		json_remove(host, "Cgroup");
	drop_default_paths(host);
	set_links(host);
	follow_namespaces(source, host);
	set_mounts(source, host);
	json_set(body, "HostConfig", host);
}

void recreate(const struct recreate_source *source, struct recreation *recreation)
{
	recreation->body = json_new_object();
	recreation->connect = json_new_array();
	recreation->disconnect = NULL;
	set_config(source, recreation->body);
	set_host_config(source, recreation->body);
	recreate_networks(source, recreation);
}
