/* Which containers a bundle is about: those of one compose project, or all that are no helpers of ours. */
#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "bundle/collect.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/labels.h"

static char *own_project(const struct bundle *bundle)
{
	cleanup_free char *own = session_own_container(&bundle->session);
	CLEANUP(cleanup_json_free)
	struct json *inspect = own ? container_inspect(bundle->session.engine, own, NULL) : NULL;

	return memory_strdup(json_string(json_path(inspect, "Config", "Labels"), COMPOSE_PROJECT));
}

/* Of a project, or with NULL of the engine. To be freed. */
static struct json *list(struct bundle *bundle, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = NULL;

	if (bundle->project) {
		cleanup_free char *label = memory_printf(COMPOSE_PROJECT "=%s", bundle->project);

		filters = json_new_object();
		json_add_string(json_set_array(filters, "label"), label);
	}
	return container_list(bundle->session.engine, true, filters, err);
}

/* A part of a path in an archive, whatever a label says. */
static char *safe_name(const char *name)
{
	char *made = memory_strdup(name);

	for (char *c = made; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_.-", *c))
			*c = '_';
	if (made[0] == '.' || !made[0])
		made[0] = made[0] ? '_' : made[0];
	return made;
}

static bool is_taken(const struct bundle *bundle, const char *name)
{
	for (size_t i = 0; i < bundle->service_count; i++)
		if (strcmp(bundle->services[i].name, name) == 0)
			return true;
	return false;
}

static void name_service(struct bundle *bundle, struct service *service)
{
	const struct json *labels = json_path(service->inspect, "Config", "Labels");
	const char *name = json_string_or(service->inspect, "Name", "unnamed");
	cleanup_free char *wanted = NULL;

	name += name[0] == '/';
	wanted = safe_name(bundle->project ? json_string_or(labels, COMPOSE_SERVICE, name) : name);
	service->name = is_taken(bundle, wanted) ? safe_name(name) : STEAL_POINTER(wanted);
}

static void add_configs(struct service *service)
{
	const char *label =
		json_string(json_path(service->inspect, "Config", "Labels"), LABEL_BUNDLE_CONFIG);

	string_list_init(&service->configs);
	if (label)
		string_list_split(&service->configs, label, ',');
}

static void add_service(struct bundle *bundle, struct json *inspect)
{
	struct service *service = &bundle->services[bundle->service_count];
	const struct json *state = json_get(inspect, "State");
	cleanup_error struct error *problem = NULL;

	memset(service, 0, sizeof(*service));
	service->inspect = inspect;
	service->id = json_string_or(inspect, "Id", "");
	service->running = json_bool(state, "Running") && !json_bool(state, "Restarting");
	service->paused = json_bool(state, "Paused");
	service->image =
		image_inspect(bundle->session.engine, json_string_or(inspect, "Image", ""), NULL);
	name_service(bundle, service);
	add_configs(service);
	bundle->service_count++;
	if (driver_detect(bundle->session.engine, inspect, service->image, &service->match,
			  &problem) < 0)
		collect_note(bundle, "the driver of %s cannot be used: %s", service->name,
			     problem->message);
}

/* --config SERVICE:PATH */
static int add_asked(struct bundle *bundle, const char *word, struct error **err)
{
	const char *colon = strchr(word, ':');
	bool found = false;

	if (!colon || colon == word || colon[1] != '/')
		return error_set(err, ERROR_USAGE,
				 "--config wants SERVICE:PATH, an absolute path in the container, "
				 "not \"%s\"",
				 word);
	for (size_t i = 0; i < bundle->service_count; i++) {
		struct service *service = &bundle->services[i];

		if (strlen(service->name) == (size_t)(colon - word) &&
		    strncmp(service->name, word, (size_t)(colon - word)) == 0) {
			string_list_add(&service->configs, colon + 1);
			found = true;
		}
	}
	return found ? 0
		     : error_set(err, ERROR_NOT_FOUND, "there is no service \"%.*s\"",
				 (int)(colon - word), word);
}

int services_find(struct bundle *bundle, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *containers = NULL;
	const struct bundle_options *options = bundle->options;

	bundle->project = bundle->session.project ? memory_strdup(bundle->session.project)
						  : own_project(bundle);
	containers = list(bundle, err);
	if (!containers)
		return error_prefix(err, "cannot list containers");
	bundle->services =
		memory_array(NULL, json_count(containers) + 1, sizeof(*bundle->services));
	json_for_each(entry, containers) {
		struct json *inspect = container_inspect(bundle->session.engine,
							 json_string_or(entry, "Id", ""), NULL);

		if (session_check(&bundle->session, err) < 0) {
			json_free(inspect);
			return -1;
		}
		/* one that has gone meanwhile is in no bundle */
		if (!inspect || helper_is_ours(inspect) || scratch_is_ours(inspect))
			json_free(inspect);
		else
			add_service(bundle, inspect);
	}
	if (!bundle->service_count && bundle->project) {
		error_set(err, ERROR_NOT_FOUND, "there is no container of project \"%s\"",
			  bundle->project);
		return error_hint(err, "sidesnap ps --all lists what is there");
	}
	for (size_t i = 0; i < options->configs.count; i++)
		if (add_asked(bundle, options->configs.items[i], err) < 0)
			return -1;
	return 0;
}

void services_release(struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->service_count; i++) {
		struct service *service = &bundle->services[i];

		driver_match_release(&service->match);
		string_list_release(&service->configs);
		json_free(service->inspect);
		json_free(service->image);
		free(service->name);
		free(service->closed);
	}
	free(bundle->services);
	free(bundle->project);
}
