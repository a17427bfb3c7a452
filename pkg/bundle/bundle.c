/* In this order: who is there, what are their secrets, and only then anything that is written. */
#include "bundle/bundle.h"

#include <string.h>

#include "base/memory.h"
#include "bundle/collect.h"

struct step {
	const char *name;
	collector *run;
};

static const struct step of_stack[] = {
	{"engine", collect_engine},
	{"events", collect_events},
	{"networks", collect_networks},
	{"compose", collect_compose},
	{NULL, NULL},
};

static const struct step of_service[] = {
	{"inspect", collect_inspect},
	{"config", collect_config},
	{"logs", collect_logs},
	{"processes", collect_processes},
	{"clock", collect_clock},
	{"packages", collect_packages},
	{"source", collect_source},
	{"monitor", collect_monitor},
	{NULL, NULL},
};

static int run_steps(struct bundle *bundle, const struct step *step, struct service *service,
		     struct error **err)
{
	for (; step->name; step++)
		if (collect_run(bundle, step->name, service, bundle->options->timeout_ms, step->run,
				err) < 0)
			return -1;
	return 0;
}

static int run_all(struct bundle *bundle, struct error **err)
{
	if (run_steps(bundle, of_stack, NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < bundle->service_count; i++)
		if (run_steps(bundle, of_service, &bundle->services[i], err) < 0)
			return -1;
	if (collect_run(bundle, "stats", NULL, bundle->options->timeout_ms, collect_stats, err) < 0)
		return -1;
	/* a database takes as long as it is large: there is no limit but a person's patience */
	for (size_t i = 0; i < bundle->service_count && !bundle->options->no_data; i++)
		if (collect_run(bundle, "data", &bundle->services[i], 0, collect_data, err) < 0)
			return -1;
	return output_finish(bundle, err);
}

/* Logs and events are asked for by the engine's clock, which need not be ours. */
static int set_times(struct bundle *bundle, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *info = engine_info(bundle->session.engine, err);
	struct timespec time;

	if (!info)
		return -1;
	if (!clock_parse(json_string_or(info, "SystemTime", ""), &time))
		time = clock_now();
	bundle->now = time.tv_sec;
	bundle->since = bundle->now - (int64_t)(bundle->options->since_ms / 1000);
	return 0;
}

static struct json *make_result(struct bundle *bundle, uint64_t began)
{
	struct json *result = json_new_object();
	struct json *services = json_set_array(result, "services");

	json_set_string(result, "project", bundle->project);
	for (size_t i = 0; i < bundle->service_count; i++)
		json_add_string(services, bundle->services[i].name);
	json_set_int(result, "files", (int64_t)json_count(bundle->files));
	json_set_int(result, "bytes", (int64_t)bundle->bytes);
	json_set(result, "data", json_copy(bundle->data));
	json_set(result, "failed", json_copy(bundle->failed));
	json_set(result, "notes", json_copy(bundle->notes));
	json_set(result, "redactions", json_copy(bundle->redactions));
	json_set_int(result, "duration_ms", (int64_t)(clock_monotonic_ms() - began));
	return result;
}

static void bundle_init(struct bundle *bundle, const struct session *session,
			const struct bundle_options *options)
{
	memset(bundle, 0, sizeof(*bundle));
	bundle->session = *session;
	bundle->outer = session;
	bundle->session.cancelled = &bundle->stop;
	bundle->options = options;
	bundle->secrets = secrets_new();
	string_list_init(&bundle->compose_files);
	bundle->manifest = json_new_object();
	bundle->files = json_new_array();
	bundle->failed = json_new_array();
	bundle->notes = json_new_array();
	bundle->redactions = json_new_array();
	bundle->data = json_new_array();
	bundle->facts = json_new_object();
	bundle->engine = json_new_object();
}

static void bundle_release(struct bundle *bundle)
{
	services_release(bundle);
	string_list_release(&bundle->compose_files);
	tar_writer_free(bundle->writer);
	engine_free(bundle->session.engine);
	secrets_free(bundle->secrets);
	error_free(bundle->broken);
	json_free(bundle->manifest);
	json_free(bundle->files);
	json_free(bundle->failed);
	json_free(bundle->notes);
	json_free(bundle->redactions);
	json_free(bundle->data);
	json_free(bundle->facts);
	json_free(bundle->events);
	json_free(bundle->engine);
}

int bundle_create(struct session *session, const struct bundle_options *options,
		  struct json **result, struct error **err)
{
	CLEANUP(bundle_release) struct bundle bundle;
	uint64_t began = clock_monotonic_ms();
	int done = -1;

	bundle_init(&bundle, session, options);
	bundle.session.engine = engine_reopen(session->engine, err);
	if (!bundle.session.engine)
		return -1;
	engine_set_cancel(bundle.session.engine, &bundle.stop);
	collect_start(&bundle);
	if (set_times(&bundle, err) == 0 && services_find(&bundle, err) == 0 &&
	    learn_secrets(&bundle, err) == 0) {
		bundle.writer = tar_writer_new_packed(options->output, options->context,
						      options->packing, err);
		done = bundle.writer ? run_all(&bundle, err) : -1;
	}
	collect_stop(&bundle);
	if (done == 0)
		*result = make_result(&bundle, began);
	return done;
}
