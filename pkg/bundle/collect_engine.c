/* Of the engine and of the stack as a whole. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "bundle/collect.h"
#include "engine/observe.h"
#include "snapshot/labels.h"

#define EVENTS_MAX 5000
#define COMPOSE_FILES "com.docker.compose.project.config_files"
#define COMPOSE_DIRECTORY "com.docker.compose.project.working_dir"

static int add(struct bundle *bundle, const char *path, struct json *json, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *owned = json;

	return owned ? output_json(bundle, path, owned, err) : -1;
}

int collect_engine(struct bundle *bundle, struct service *service, struct error **err)
{
	struct engine *engine = bundle->session.engine;
	CLEANUP(cleanup_json_free) struct json *info = engine_info(engine, err);
	CLEANUP(cleanup_json_free) struct json *version = NULL;

	(void)service;
	if (!info)
		return -1;
	version = engine_version(engine, err);
	if (!version)
		return -1;
	json_set_string(bundle->engine, "name", json_string(info, "Name"));
	json_set_string(bundle->engine, "version", json_string(version, "Version"));
	json_set_string(bundle->engine, "system", json_string(info, "OperatingSystem"));
	json_set_string(bundle->engine, "kernel", json_string(info, "KernelVersion"));
	json_set_string(bundle->engine, "storage", json_string(info, "Driver"));
	json_set_int(bundle->engine, "processors", json_int(info, "NCPU"));
	json_set_int(bundle->engine, "memory", json_int(info, "MemTotal"));
	json_set_string(bundle->engine, "time", json_string(info, "SystemTime"));
	if (output_json(bundle, "engine/info.json", info, err) < 0 ||
	    output_json(bundle, "engine/version.json", version, err) < 0)
		return -1;
	return add(bundle, "engine/disk-use.json", engine_disk_use(engine, err), err);
}

static bool is_of_bundle(const struct bundle *bundle, const struct json *event)
{
	const char *id = json_string_or(json_get(event, "Actor"), "ID", "");

	if (!bundle->project || strcmp(json_string_or(event, "Type", ""), "container") != 0)
		return true;
	for (size_t i = 0; i < bundle->service_count; i++)
		if (strcmp(bundle->services[i].id, id) == 0)
			return true;
	/* one that is gone has its labels in the event */
	return strcmp(json_string_or(json_path(event, "Actor", "Attributes"), COMPOSE_PROJECT, ""),
		      bundle->project) == 0;
}

int collect_events(struct bundle *bundle, struct service *service, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *all =
		engine_events(bundle->session.engine, bundle->since, bundle->now, EVENTS_MAX, err);
	CLEANUP(cleanup_json_free) struct json *ours = json_new_array();

	(void)service;
	if (!all)
		return -1;
	json_for_each(event, all)
		if (is_of_bundle(bundle, event))
			json_add(ours, json_copy(event));
	bundle->events = redact_json(bundle->secrets, ours);
	return output_json(bundle, "engine/events.json", ours, err);
}

int collect_networks(struct bundle *bundle, struct service *unused, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *networks = json_new_object();
	CLEANUP(cleanup_json_free) struct json *volumes = json_new_object();

	(void)unused;
	for (size_t i = 0; i < bundle->service_count; i++) {
		const struct json *inspect = bundle->services[i].inspect;

		json_for_each(network, json_path(inspect, "NetworkSettings", "Networks")) {
			const char *name = json_key(network);
			struct json *found =
				json_get(networks, name)
					? NULL
					: network_inspect(bundle->session.engine, name, NULL);

			if (found)
				json_set(networks, name, found);
		}
		json_for_each(mount, json_get(inspect, "Mounts")) {
			const char *name = json_string(mount, "Name");
			struct json *found =
				!name || json_get(volumes, name)
					? NULL
					: volume_inspect(bundle->session.engine, name, NULL);

			if (found)
				json_set(volumes, name, found);
		}
	}
	if (session_check(&bundle->session, err) < 0 ||
	    output_json(bundle, "engine/networks.json", networks, err) < 0)
		return -1;
	return output_json(bundle, "engine/volumes.json", volumes, err);
}

/* ---- compose ---- */

static int add_compose_file(struct bundle *bundle, const char *path, struct error **err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *name = memory_printf("compose/%s", slash ? slash + 1 : path);
	struct buffer text;
	int result;

	buffer_init(&text, 4u << 20);
	result = io_read_file(AT_FDCWD, path, &text, err);
	if (result == 0)
		result = output_text(bundle, name, REDACT_CONFIG, text.data, text.size, err);
	buffer_release(&text);
	return result;
}

/* Where compose was called; here that may be another machine, or outside of the sidecar. */
static void find_labelled(struct bundle *bundle, const struct json *labels)
{
	const char *directory = json_string_or(labels, COMPOSE_DIRECTORY, "/");
	struct string_list paths;

	string_list_init(&paths);
	string_list_split(&paths, json_string_or(labels, COMPOSE_FILES, ""), ',');
	for (size_t i = 0; i < paths.count; i++) {
		const char *word = paths.items[i];
		cleanup_free char *path =
			word[0] == '/' ? memory_strdup(word) : path_join(directory, word);

		if (access(path, R_OK) == 0)
			string_list_add(&bundle->compose_files, path);
		else
			collect_note(bundle,
				     "the compose file %s is not here: give it by --compose, or "
				     "call sidesnap where it is",
				     path);
	}
	string_list_release(&paths);
}

void compose_find(struct bundle *bundle)
{
	string_list_add_all(&bundle->compose_files, &bundle->options->compose_files);
	if (bundle->compose_files.count || !bundle->project)
		return;
	for (size_t i = 0; i < bundle->service_count; i++) {
		const struct json *labels =
			json_path(bundle->services[i].inspect, "Config", "Labels");

		if (json_string(labels, COMPOSE_FILES)) {
			find_labelled(bundle, labels);
			return;
		}
	}
}

static void copy_member(struct json *to, const char *key, const struct json *value)
{
	if (!json_is_null(value))
		json_set(to, key, json_copy(value));
}

/* What compose has made of its file, as the engine has it. */
static void resolve(struct json *services, const struct service *service)
{
	const struct json *config = json_get(service->inspect, "Config");
	const struct json *host = json_get(service->inspect, "HostConfig");
	struct json *made = json_set_object(services, service->name);

	json_set_string(made, "image", json_string(config, "Image"));
	copy_member(made, "entrypoint", json_get(config, "Entrypoint"));
	copy_member(made, "command", json_get(config, "Cmd"));
	copy_member(made, "environment", json_get(config, "Env"));
	copy_member(made, "labels", json_get(config, "Labels"));
	copy_member(made, "healthcheck", json_get(config, "Healthcheck"));
	copy_member(made, "user", json_get(config, "User"));
	copy_member(made, "working_dir", json_get(config, "WorkingDir"));
	copy_member(made, "ports", json_get(host, "PortBindings"));
	copy_member(made, "binds", json_get(host, "Binds"));
	copy_member(made, "mounts", json_get(host, "Mounts"));
	copy_member(made, "restart", json_get(host, "RestartPolicy"));
	copy_member(made, "networks", json_path(service->inspect, "NetworkSettings", "Networks"));
	json_set_string(made, "depends_on",
			json_string(json_get(config, "Labels"), "com.docker.compose.depends_on"));
}

int collect_compose(struct bundle *bundle, struct service *unused, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *resolved = json_new_object();
	struct json *services = json_set_object(resolved, "services");

	(void)unused;
	for (size_t i = 0; i < bundle->service_count; i++)
		resolve(services, &bundle->services[i]);
	if (output_json(bundle, "compose/resolved.json", resolved, err) < 0)
		return -1;
	for (size_t i = 0; i < bundle->compose_files.count; i++)
		if (add_compose_file(bundle, bundle->compose_files.items[i], err) < 0)
			return -1;
	return 0;
}

/* ---- figures ---- */

static struct json *sample(const struct json *stats)
{
	struct json *made = json_new_object();

	json_set_string(made, "read", json_string(stats, "read"));
	copy_member(made, "cpu", json_get(stats, "cpu_stats"));
	copy_member(made, "precpu", json_get(stats, "precpu_stats"));
	copy_member(made, "memory", json_get(stats, "memory_stats"));
	copy_member(made, "blkio", json_get(stats, "blkio_stats"));
	copy_member(made, "networks", json_get(stats, "networks"));
	copy_member(made, "pids", json_get(stats, "pids_stats"));
	return made;
}

#define SAMPLES 4

/* All streams are open at once, so that it takes some seconds, not some for each. */
int collect_stats(struct bundle *bundle, struct service *unused, struct error **err)
{
	size_t count = bundle->service_count;
	struct stats_stream **streams = memory_zalloc((count + 1) * sizeof(struct stats_stream *));
	int result = 0;

	(void)unused;
	for (size_t i = 0; i < count; i++)
		if (bundle->services[i].running)
			streams[i] = stats_stream_open(bundle->session.engine,
						       bundle->services[i].id, NULL);
	for (size_t i = 0; i < count && result == 0; i++) {
		struct service *service = &bundle->services[i];
		CLEANUP(cleanup_json_free) struct json *samples = json_new_array();
		cleanup_free char *path = service_path(service, "stats.json");
		cleanup_error struct error *problem = NULL;

		for (int n = 0; streams[i] && n < SAMPLES; n++) {
			CLEANUP(cleanup_json_free)
			struct json *stats = stats_stream_next(streams[i], &problem);

			if (!stats)
				break;
			json_add(samples, sample(stats));
		}
		if (streams[i] && json_count(samples))
			result = output_json(bundle, path, samples, err);
		if (session_check(&bundle->session, err) < 0)
			result = -1;
	}
	for (size_t i = 0; i < count; i++)
		stats_stream_free(streams[i]);
	free(streams);
	return result;
}
