/* The databases: as their own dumps, else as the files of a snapshot that lives no longer than this. */
#include <string.h>

#include "base/io.h"
#include "base/memory.h"
#include "bundle/collect.h"
#include "driver/dump.h"
#include "snapshot/snapshot.h"

static void list_data(struct bundle *bundle, const struct service *service, const char *path,
		      FILE *spool)
{
	struct json *entry = json_add_object(bundle->data);

	json_set_string(entry, "service", service->name);
	json_set_string(entry, "file", path);
	json_set_int(entry, "bytes", (int64_t)ftello(spool));
}

static int add_data(struct bundle *bundle, const struct service *service, const char *path,
		    FILE *spool, struct error **err)
{
	if (output_add_spool(bundle, path, spool, false, err) < 0)
		return -1;
	list_data(bundle, service, path, spool);
	return 0;
}

static int dump(struct bundle *bundle, struct service *service, struct error **err)
{
	cleanup_file FILE *spool = io_open_spool(err);
	CLEANUP(cleanup_json_free) struct json *done = NULL;
	struct dump_options options = {
		.target = service->id, .output = spool_write, .context = spool};
	cleanup_free char *name = NULL;
	cleanup_free char *path = NULL;

	if (!spool || snapshot_dump(&bundle->session, &options, &done, err) < 0)
		return -1;
	name = memory_printf("data/%s",
			     json_string_or(json_get(service->match.driver->definition, "dump"),
					    "file", "dump"));
	path = service_path(service, name);
	return add_data(bundle, service, path, spool, err);
}

/* ---- files ---- */

static int copy_directory(struct bundle *bundle, struct service *service, const char *reference,
			  const char *directory, struct error **err)
{
	cleanup_file FILE *spool = io_open_spool(err);
	cleanup_free char *source = memory_printf("%s:%s", reference, directory);
	cleanup_free char *inner = memory_printf("data%s.tar", directory);
	cleanup_free char *path = service_path(service, inner);
	CLEANUP(cleanup_json_free) struct json *done = NULL;
	struct copy_options options = {
		.source = source, .archive = true, .output = spool_write, .context = spool};

	if (!spool || snapshot_copy(&bundle->session, &options, &done, err) < 0)
		return -1;
	return add_data(bundle, service, path, spool, err);
}

/* Also when a person has interrupted: nothing of it is to stay. */
static int remove_snapshot(struct bundle *bundle, const char *reference, struct error **err)
{
	struct session session = bundle->session;
	CLEANUP(cleanup_json_free) struct json *removed = NULL;
	struct string_list references;
	struct remove_options options = {.references = &references, .force = true};
	int result;

	session.cancelled = NULL;
	engine_set_cancel(session.engine, NULL);
	string_list_init(&references);
	string_list_add(&references, reference);
	result = snapshot_remove(&session, &options, &removed, err);
	string_list_release(&references);
	engine_set_cancel(session.engine, &bundle->stop);
	return result;
}

static int copy_files(struct bundle *bundle, struct service *service, struct error **err)
{
	cleanup_free char *random = text_random_hex(8);
	cleanup_free char *reference = memory_printf("localhost/sidesnap/bundle:%s", random);
	struct create_options options = {.target = service->id,
					 .reference = reference,
					 .title = "for a support bundle",
					 .image_command = true,
					 .reserve_bytes = UINT64_MAX};
	CLEANUP(cleanup_json_free) struct json *made = NULL;
	struct error *problem = NULL;
	int result;

	if (snapshot_create(&bundle->session, &options, &made, err) < 0)
		return -1;
	result = 0;
	for (size_t i = 0; i < service->match.data_directories.count && result == 0; i++)
		result = copy_directory(bundle, service, reference,
					service->match.data_directories.items[i], err);
	if (remove_snapshot(bundle, reference, &problem) < 0) {
		error_append(err, problem);
		result = -1;
	}
	return result;
}

int collect_data(struct bundle *bundle, struct service *service, struct error **err)
{
	if (!service->match.driver)
		return 0;
	if (driver_check_refusal(&service->match, service->name, err) < 0)
		return -1;
	if (service->running && !service->paused && !service->match.idle &&
	    driver_dumps(&service->match, false))
		return dump(bundle, service, err);
	return copy_files(bundle, service, err);
}
