/*
 * The first boot of a logical snapshot: what the database's own tool has written is loaded into
 * an empty server before anybody else sees it. Whatever ends this, the volume's mark says that
 * it is half of something, and the next start throws that away and begins anew.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "boot.h"
#include "execute.h"
#include "load_file.h"
#include "load_process.h"
#include "load_run.h"
#include "load_server.h"
#include "tree/dump.h"
#include "tree/restore/restore.h"

struct loading {
	struct boot *boot;
	char **arguments;
	const struct json *load; /* of the manifest's extra */
	struct load_values values;
	struct dump_reader *dump;
	int stop_signal;
};

/* ---- the places ---- */

/* How many of them are to be filled; -1 where one has to stay as it is. */
static int look_at_places(struct boot *boot, struct mark *marks, size_t *due, size_t *count,
			  struct error **err)
{
	*due = *count = 0;
	for (size_t i = 0; i < boot->place_count; i++) {
		enum volume_action action = VOLUME_LEAVE;

		if (boot->places[i].tree->kind != TREE_DUMP)
			continue;
		if (boot_place_look(boot, &boot->places[i], &marks[i], &action, err) < 0)
			return -1;
		*due += action == VOLUME_RESTORE;
		++*count;
	}
	if (!*due || *due == *count)
		return 0;
	error_set(err, ERROR_REFUSED,
		  "some of the volumes that the dump fills hold data already, others do not");
	return error_hint(err, "mount new volumes at all of them, or set SIDESNAP_RESTORE=replace "
			       "to throw away what they hold, once");
}

static int clear(const struct boot_place *place, const struct mark *mark, struct error **err)
{
	/* What an engine seeded is the image's, which its initialisation may need. */
	if (mark->state == MARK_NONE && !place->was_foreign)
		return 0;
	return tree_clear(place->fd, err);
}

/*
 * Servers refuse to initialise a directory that has a file in it, so the mark is an attribute
 * or nothing; then the next start finds data that nobody knows, and says so.
 */
static int begin_places(struct boot *boot, const struct mark *marks, struct error **err)
{
	for (size_t i = 0; i < boot->place_count; i++) {
		const struct boot_place *place = &boot->places[i];
		const struct mark mark = {.state = MARK_RESTORING,
					  .tree = place->tree->hash,
					  .replaced = boot->wish == VOLUME_REPLACE};
		int result;

		if (place->tree->kind != TREE_DUMP)
			continue;
		/* first, so that what is cut off here is known for ours */
		result = mark_write_attribute(place->fd, &mark, err);
		if (result < 0 || clear(place, &marks[i], err) < 0)
			return error_prefix(err, "\"%s\"", place->path);
		if (result > 0)
			fprintf(stderr,
				"sidesnap: \"%s\" takes no attributes: if this start is cut off, the "
				"volume has to be emptied by hand\n",
				place->path);
	}
	return failpoint_error("load/marked", err);
}

static int end_places(struct boot *boot, struct error **err)
{
	if (boot_sync(err) < 0)
		return -1;
	for (size_t i = 0; i < boot->place_count; i++) {
		const struct boot_place *place = &boot->places[i];
		const struct mark mark = {.state = MARK_RESTORED,
					  .tree = place->tree->hash,
					  .replaced = boot->wish == VOLUME_REPLACE};

		if (place->tree->kind != TREE_DUMP)
			continue;
		if (syncfs(place->fd) < 0)
			return error_set_errno(err, errno, "cannot sync \"%s\"", place->path);
		if (mark_write(place->fd, &mark, err) < 0)
			return error_prefix(err, "\"%s\"", place->path);
	}
	return 0;
}

static void unlock_places(const struct boot *boot)
{
	for (size_t i = 0; i < boot->place_count; i++)
		if (boot->places[i].tree->kind == TREE_DUMP)
			(void)flock(boot->places[i].fd, LOCK_UN);
}

/* ---- the load itself ---- */

/* What surrounds the operation, and what is run whatever has become of it. */
static int run_load(struct loading *loading, struct load_run *run, struct error **err)
{
	const struct json *load = loading->load;
	struct load_run plain = *run;
	int result;

	plain.dump = NULL;
	plain.errors = plain.ignored = NULL;
	result = load_run_all(&plain, json_get(load, "begin"), err);
	if (result == 0 && json_is_object(json_get(load, "load")))
		result = load_run(run, json_get(load, "load"), err);
	if (result == 0)
		result = load_run_all(&plain, json_get(load, "end"), err);
	json_for_each(operation, json_get(load, "clean")) {
		cleanup_error struct error *ignored = NULL;

		(void)load_run(&plain, operation, &ignored);
	}
	return result;
}

static void fill_run(struct loading *loading, struct load_run *run)
{
	*run = (struct load_run){
		.values = &loading->values,
		.privilege = &loading->boot->privilege,
		.dump = loading->dump,
		.errors = json_string(loading->load, "errors"),
		.ignored = json_string(loading->load, "ignored"),
	};
}

static int load_by_server(struct loading *loading, struct error **err)
{
	struct load_server server = {
		.values = &loading->values,
		.privilege = &loading->boot->privilege,
		.stop_signal = loading->stop_signal,
	};
	struct load_run run;
	int result;

	result = load_server_start(&server, loading->arguments, err);
	if (result == 0)
		result = load_server_await(&server, err);
	if (result == 0) {
		fill_run(loading, &run);
		run.way = server.way;
		run.server = &server.process;
		result = run_load(loading, &run, err);
	}
	if (result == 0)
		result = failpoint_error("load/loaded", err);
	if (result == 0)
		result = load_server_stop(&server, err);
	load_server_end(&server);
	return result;
}

static char *file_path(struct loading *loading)
{
	const char *template = json_string(json_get(loading->load, "boot"), "file");

	return template ? load_values_expand(&loading->values, template) : NULL;
}

/* There is no server to ask, so the first way that can be gone, by a program that there is, is the one. */
static const struct json *first_way(struct loading *loading)
{
	const struct json *words = json_path(loading->load, "load", "arguments");
	const struct json *first = NULL;

	json_for_each(way, json_get(loading->load, "ways")) {
		cleanup_free char *program = NULL;

		if (!load_values_have(&loading->values, json_get(way, "needs")))
			continue;
		first = first ? first : way;
		loading->values.way = way;
		program = load_values_expand(&loading->values,
					     json_string_or(json_first(words), NULL, ""));
		if (program && execute_finds(program))
			return way;
	}
	return first;
}

static int load_before(struct loading *loading, struct error **err)
{
	cleanup_free char *path = file_path(loading);
	struct load_run run;

	fill_run(loading, &run);
	run.way = first_way(loading);
	if (path && load_file_write(loading->boot, path, loading->dump, err) < 0)
		return -1;
	if (path)
		run.dump = NULL;
	if (run_load(loading, &run, err) < 0)
		return -1;
	return path ? load_file_remove(loading->boot, path, err) : 0;
}

static int load_by_file(struct loading *loading, struct error **err)
{
	cleanup_free char *path = file_path(loading);

	if (!path)
		return error_set(err, ERROR_DAMAGED,
				 "the snapshot does not say where its dump goes");
	json_for_each(item, json_path(loading->load, "boot", "remove")) {
		cleanup_free char *other =
			load_values_expand(&loading->values, json_string_or(item, NULL, ""));

		if (other && load_file_remove(loading->boot, other, err) < 0)
			return -1;
	}
	if (load_file_write(loading->boot, path, loading->dump, err) < 0)
		return -1;
	/* what a server has to do with it, before it is started as it will always be */
	return json_count(json_get(loading->load, "end")) ? load_by_server(loading, err) : 0;
}

static int load_somehow(struct loading *loading, struct error **err)
{
	const char *how = json_string_or(loading->load, "how", "");
	bool has_operation = json_is_object(json_get(loading->load, "load"));

	if (strcmp(how, "file") == 0)
		return load_by_file(loading, err);
	if (strcmp(how, "server") == 0 && has_operation)
		return load_by_server(loading, err);
	if (strcmp(how, "before") == 0 && has_operation)
		return load_before(loading, err);
	return error_set(err, ERROR_DAMAGED, "the snapshot does not say how its dump is loaded");
}

static void explain(const struct loading *loading, struct error **err)
{
	error_prefix(err, "cannot load the dump into %s",
		     json_string_or(loading->load, "title", "the server"));
	if (!err || !*err || (*err)->hint || (*err)->kind == ERROR_CANCELLED)
		return;
	error_hint(err, "nothing of it can be reached; the next start of this container begins "
			"anew");
}

static void tell(const struct loading *loading, uint64_t begin_ms)
{
	cleanup_free char *size = text_format_size(dump_size(loading->dump));
	cleanup_free char *time = clock_format_duration(clock_monotonic_ms() - begin_ms);

	fprintf(stderr, "sidesnap: loaded %s, %s in %s\n", dump_name(loading->dump), size, time);
}

/* Not here to be obeyed at once: the server ends first. */
static void end_by_signal(struct error *err)
{
	int number = load_process_signal();

	if (!number)
		return;
	error_free(err);
	fputs("sidesnap: stopped while loading; the next start begins anew\n", stderr);
	_exit(128 + number);
}

/* A server that runs while it is loaded is closed by arguments, where its driver has such. */
static bool is_open(const struct json *load)
{
	return strcmp(json_string_or(load, "how", ""), "server") == 0 &&
	       json_count(json_path(load, "boot", "arguments")) == 0;
}

static int load_dump(struct loading *loading, struct error **err)
{
	cleanup_free char *size = text_format_size(dump_size(loading->dump));
	uint64_t begin_ms = clock_monotonic_ms();
	struct error *problem = NULL;
	int result;

	fprintf(stderr, "sidesnap: loading %s, %s, into %s; %s\n", dump_name(loading->dump), size,
		json_string_or(loading->load, "title", "the server"),
		is_open(loading->load) ? "do not use it until that is done"
				       : "it is closed until that is done");
	load_process_open(loading->stop_signal);
	result = load_somehow(loading, &problem);
	if (result < 0)
		end_by_signal(problem);
	/* From here on it is done, so a signal may end what is left as it ends anything. */
	load_process_close();
	if (result < 0) {
		explain(loading, &problem);
		error_append(err, problem);
		return -1;
	}
	if (end_places(loading->boot, err) < 0)
		return -1;
	tell(loading, begin_ms);
	return 0;
}

bool boot_load_is_due(const struct boot *boot)
{
	for (size_t i = 0; i < boot->place_count; i++)
		if (boot->places[i].tree->kind == TREE_DUMP &&
		    !boot_place_is_settled(boot, &boot->places[i]))
			return true;
	return false;
}

int boot_load(struct boot *boot, char **arguments, int stop_signal, struct error **err)
{
	cleanup_free struct mark *marks = memory_zalloc((boot->place_count + 1) * sizeof(*marks));
	struct loading loading = {
		.boot = boot,
		.arguments = arguments,
		.load = json_get(boot->manifest.extra, "load"),
		.stop_signal = stop_signal ? stop_signal : SIGTERM,
	};
	size_t due, count;
	int result = -1;

	loading.dump = dump_open(boot->store, manifest_dump(&boot->manifest), err);
	if (!loading.dump)
		return -1;
	load_values_init(&loading.values, loading.load);
	if (look_at_places(boot, marks, &due, &count, err) == 0)
		result = due ? begin_places(boot, marks, err) : 0;
	if (result == 0 && due)
		result = load_dump(&loading, err);
	unlock_places(boot);
	load_values_release(&loading.values);
	dump_close(loading.dump);
	return result;
}
