/* Of one container: what the engine tells, and what it says itself. */
#include <stddef.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "bundle/collect.h"
#include "driver/access.h"
#include "driver/command.h"
#include "snapshot/labels.h"

#define CONFIG_MAX (1u << 20)
#define MONITOR_MAX (4u << 20)

static int check_open(const struct service *service, struct error **err)
{
	return service->closed ? error_set(err, ERROR_REFUSED, "left out: %s", service->closed) : 0;
}

static void put_state(struct bundle *bundle, const struct service *service)
{
	struct json *fact = service_fact(bundle, service);
	const struct json *state = json_get(service->inspect, "State");

	json_set_string(fact, "container", json_string_or(service->inspect, "Name", "/") + 1);
	json_set_string(fact, "image", json_string(json_get(service->inspect, "Config"), "Image"));
	json_set_string(fact, "state", json_string(state, "Status"));
	json_set_string(fact, "health", json_string(json_get(state, "Health"), "Status"));
	json_set_string(fact, "started", json_string(state, "StartedAt"));
	json_set_string(fact, "finished", json_string(state, "FinishedAt"));
	json_set_int(fact, "exit_code", json_int(state, "ExitCode"));
	json_set_int(fact, "restarts", json_int(service->inspect, "RestartCount"));
	json_set_bool(fact, "oom_killed", json_bool(state, "OOMKilled"));
	json_set_string(fact, "driver", service->match.driver ? service->match.driver->name : NULL);
}

int collect_inspect(struct bundle *bundle, struct service *service, struct error **err)
{
	cleanup_free char *path = service_path(service, "inspect.json");
	cleanup_free char *image = service_path(service, "image.json");
	cleanup_free char *health = service_path(service, "health.json");
	const struct json *checks = json_path(service->inspect, "State", "Health");

	put_state(bundle, service);
	if (output_json(bundle, path, service->inspect, err) < 0)
		return -1;
	if (service->image && output_json(bundle, image, service->image, err) < 0)
		return -1;
	return checks ? output_json(bundle, health, checks, err) : 0;
}

/* ---- logs ---- */

/*
 * One of the two streams. The engine cuts long lines into messages, each with a time in front, which would
 * part a secret in the middle: within a line it is dropped.
 */
struct log_lines {
	struct text_redactor *redactor;
	bool in_line, skips_time;
};

static int take_piece(struct log_lines *lines, const struct log_piece *piece, struct error **err)
{
	const char *data = piece->data;
	size_t size = piece->size;

	if (piece->begins)
		lines->skips_time = lines->in_line;
	if (lines->skips_time) {
		const char *blank = memchr(data, ' ', size);

		if (!blank)
			return 0;
		lines->skips_time = false;
		size -= (size_t)(blank + 1 - data);
		data = blank + 1;
	}
	if (!size)
		return 0;
	lines->in_line = data[size - 1] != '\n';
	return text_redactor_feed(lines->redactor, data, size, err);
}

static int read_log(struct bundle *bundle, struct log_stream *stream, struct log_lines lines[2],
		    struct error **err)
{
	for (;;) {
		struct log_piece piece;
		int result = log_stream_next(stream, &piece, err);

		if (result < 0)
			return -1;
		if (result == 2)
			return 0;
		if (result == 0 && engine_wait(bundle->session.engine, 100, err) < 0)
			return -1;
		if (result == 1 && take_piece(&lines[piece.stream != 1], &piece, err) < 0)
			return -1;
	}
}

static int copy_log(struct bundle *bundle, const struct service *service, FILE *spool,
		    struct error **err)
{
	struct timespec since = {.tv_sec = bundle->since};
	struct log_options options = {
		.since = &since,
		.tail = bundle->options->log_lines,
		.raw = json_bool(json_get(service->inspect, "Config"), "Tty")};
	CLEANUP(cleanup_log_stream_free)
	struct log_stream *stream =
		log_stream_open(bundle->session.engine, service->id, &options, err);
	struct log_lines lines[2] = {{0}, {0}};
	int result = stream ? 0 : -1;

	for (int i = 0; i < 2; i++)
		lines[i].redactor =
			text_redactor_new(bundle->secrets, REDACT_LOG, spool_write, spool);
	if (stream)
		result = read_log(bundle, stream, lines, err);
	for (int i = 0; i < 2; i++) {
		if (text_redactor_finish(lines[i].redactor, result < 0 ? NULL : err) < 0)
			result = -1;
		text_redactor_free(lines[i].redactor);
	}
	return result;
}

/* What came before a failure is worth having. */
int collect_logs(struct bundle *bundle, struct service *service, struct error **err)
{
	cleanup_free char *path = service_path(service, "log.txt");
	cleanup_file FILE *spool = NULL;
	int result;

	if (check_open(service, err) < 0)
		return -1;
	spool = io_open_spool(err);
	if (!spool)
		return -1;
	result = copy_log(bundle, service, spool, err);
	if (output_add_spool(bundle, path, spool, true, result < 0 ? NULL : err) < 0)
		return -1;
	return result;
}

/* ---- processes ---- */

static struct json *redact_rows(const struct bundle *bundle, const struct json *top)
{
	struct json *rows = json_new_array();

	json_for_each(row, json_get(top, "Processes")) {
		struct json *made = json_add(rows, json_new_array());
		size_t left = json_count(row);

		json_for_each(cell, row) {
			const char *text = json_string_or(cell, NULL, "");
			cleanup_free char *shown = --left ? memory_strdup(text)
							  : redact_command(bundle->secrets, text);

			json_add_string(made, shown);
		}
	}
	return rows;
}

int collect_processes(struct bundle *bundle, struct service *service, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *top = NULL, *made = NULL;
	cleanup_free char *path = service_path(service, "processes.json");

	if (!service->running)
		return 0;
	top = container_top(bundle->session.engine, service->id, err);
	if (!top)
		return -1;
	made = json_new_object();
	json_set(made, "titles", json_copy(json_get(top, "Titles")));
	json_set(made, "processes", redact_rows(bundle, top));
	json_set_int(service_fact(bundle, service), "processes",
		     (int64_t)json_count(json_get(made, "processes")));
	return output_json(bundle, path, made, err);
}

/* ---- clock ---- */

/* Its zone by files, where there is no program to ask. */
static void zone_by_files(struct bundle *bundle, const struct service *service, struct json *clock)
{
	struct buffer text;

	json_for_each(item, json_path(service->inspect, "Config", "Env"))
		if (text_has_prefix(json_string_or(item, NULL, ""), "TZ="))
			json_set_string(clock, "TZ", json_string(item, NULL) + 3);
	buffer_init(&text, 4096);
	if (container_file(bundle, service, "/etc/timezone", &text, NULL) == 0) {
		text.data[strcspn(text.data, "\r\n")] = '\0';
		json_set_string(clock, "timezone_file", text.data);
	}
	buffer_release(&text);
}

int collect_clock(struct bundle *bundle, struct service *service, struct error **err)
{
	static const char *const arguments[] = {"date", "+%s %z %Z %Y-%m-%dT%H:%M:%S", NULL};
	CLEANUP(cleanup_json_free) struct json *clock = json_new_object(), *info = NULL;
	cleanup_free char *path = service_path(service, "clock.json");
	struct json *fact = service_fact(bundle, service);
	struct timespec engine_time;
	struct buffer output;
	uint64_t seconds;

	zone_by_files(bundle, service, clock);
	buffer_init(&output, 4096);
	info = engine_info(bundle->session.engine, NULL);
	if (container_command(bundle, service, arguments, &output, NULL) == 0) {
		char *end = strchr(output.data, ' ');

		output.data[strcspn(output.data, "\r\n")] = '\0';
		json_set_string(clock, "date", output.data);
		if (end)
			*end = '\0';
		if (end && text_parse_uint(output.data, 1ULL << 40, &seconds) &&
		    clock_parse(json_string_or(info, "SystemTime", ""), &engine_time)) {
			int64_t skew = (int64_t)seconds - engine_time.tv_sec;

			json_set_int(clock, "skew_seconds", skew);
			json_set_int(fact, "skew_seconds", skew);
			json_set_string(fact, "date", end + 1);
		}
	}
	buffer_release(&output);
	json_set_string(clock, "engine_time", json_string(info, "SystemTime"));
	if (session_check(&bundle->session, err) < 0)
		return -1;
	return output_json(bundle, path, clock, err);
}

/* ---- packages ---- */

/* Of a stanza: "Package: x" of dpkg, "P:x" of apk. */
struct stanza {
	char *name, *version, *architecture;
	bool is_gone; /* known to dpkg, not installed */
};

static void stanza_end(struct stanza *stanza, struct buffer *list)
{
	if (stanza->name && stanza->version && !stanza->is_gone)
		buffer_printf(list, "%s %s %s\n", stanza->name, stanza->version,
			      stanza->architecture ? stanza->architecture : "");
	free(stanza->name);
	free(stanza->version);
	free(stanza->architecture);
	memset(stanza, 0, sizeof(*stanza));
}

static void stanza_line(struct stanza *stanza, const char *line, size_t size)
{
	static const struct {
		const char *begin;
		size_t offset;
	} fields[] = {
		{"Package: ", offsetof(struct stanza, name)},
		{"Version: ", offsetof(struct stanza, version)},
		{"Architecture: ", offsetof(struct stanza, architecture)},
		{"P:", offsetof(struct stanza, name)},
		{"V:", offsetof(struct stanza, version)},
		{"A:", offsetof(struct stanza, architecture)},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		size_t begin = strlen(fields[i].begin);
		char **field = (char **)(void *)((char *)stanza + fields[i].offset);

		if (size > begin && memcmp(line, fields[i].begin, begin) == 0 && !*field)
			*field = memory_strndup(line + begin, size - begin);
	}
	if (size > 8 && memcmp(line, "Status: ", 8) == 0)
		stanza->is_gone = !memmem(line, size, " installed", 10);
}

static size_t list_packages(const struct buffer *database, struct buffer *list)
{
	struct stanza stanza = {0};
	const char *at = database->data, *end = at + database->size;
	size_t before = list->size;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		if (!stop)
			stop = end;
		if (stop == at)
			stanza_end(&stanza, list);
		else
			stanza_line(&stanza, at, (size_t)(stop - at));
		at = stop + 1;
	}
	stanza_end(&stanza, list);
	return list->size - before;
}

/* Its format is its own; a running container is asked. */
static bool list_rpm(struct bundle *bundle, const struct service *service, struct buffer *list)
{
	static const char *const places[] = {"/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages",
					     "/var/lib/rpm/Packages.db",
					     "/usr/lib/sysimage/rpm/rpmdb.sqlite", NULL};
	static const char *const arguments[] = {"rpm", "-qa", "--qf",
						"%{NAME} %{VERSION}-%{RELEASE} %{ARCH}\n", NULL};

	for (const char *const *place = places; *place; place++) {
		CLEANUP(cleanup_json_free)
		struct json *status =
			container_archive_stat(bundle->session.engine, service->id, *place, NULL);

		if (!status)
			continue;
		if (container_command(bundle, service, arguments, list, NULL) < 0)
			buffer_printf(list,
				      "an RPM database is at %s, of %lld bytes; nothing "
				      "here reads it\n",
				      *place, (long long)json_int(status, "size"));
		return true;
	}
	return false;
}

int collect_packages(struct bundle *bundle, struct service *service, struct error **err)
{
	static const char *const databases[] = {"/var/lib/dpkg/status", "/lib/apk/db/installed",
						"/usr/lib/apk/db/installed", NULL};
	cleanup_free char *path = service_path(service, "packages.txt");
	struct buffer list, text;
	int result = 0;

	buffer_init(&list, 16u << 20);
	for (const char *const *database = databases; *database && !list.size; database++) {
		buffer_init(&text, 64u << 20);
		if (container_file(bundle, service, *database, &text, NULL) == 0)
			list_packages(&text, &list);
		buffer_release(&text);
	}
	if (!list.size)
		list_rpm(bundle, service, &list);
	if (session_check(&bundle->session, err) < 0)
		result = -1;
	else if (list.size)
		result = output_text(bundle, path, REDACT_LOG, list.data, list.size, err);
	else
		collect_note(bundle, "%s: no list of installed packages (dpkg, apk, rpm) in it",
			     service->name);
	buffer_release(&list);
	return result;
}

/* ---- source ---- */

static void add_revision(struct bundle *bundle, const struct service *service, struct json *source)
{
	const char *directory =
		json_string_or(json_get(service->inspect, "Config"), "WorkingDir", "");
	cleanup_free char *head = memory_printf("%s/.git/HEAD", directory);
	struct buffer text;

	if (strlen(directory) < 2)
		return;
	buffer_init(&text, 4096);
	if (container_file(bundle, service, head, &text, NULL) == 0) {
		text.data[strcspn(text.data, "\r\n")] = '\0';
		json_set_string(source, "git_head", text.data);
		if (text_has_prefix(text.data, "ref: refs/") && !strstr(text.data, "..")) {
			cleanup_free char *ref =
				memory_printf("%s/.git/%s", directory, text.data + 5);

			buffer_clear(&text);
			if (container_file(bundle, service, ref, &text, NULL) == 0) {
				text.data[strcspn(text.data, "\r\n")] = '\0';
				json_set_string(source, "git_revision", text.data);
			}
		}
	}
	buffer_release(&text);
}

int collect_source(struct bundle *bundle, struct service *service, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *source = json_new_object();
	cleanup_free char *path = service_path(service, "source.json");
	const char *revision;

	json_for_each(label, json_path(service->inspect, "Config", "Labels"))
		if (text_has_prefix(json_key(label), "org.opencontainers.image.") ||
		    text_has_prefix(json_key(label), "org.label-schema."))
			json_set(source, json_key(label), json_copy(label));
	add_revision(bundle, service, source);
	revision = json_string(source, "git_revision");
	if (!revision)
		revision = json_string(source, "org.opencontainers.image.revision");
	json_set_string(service_fact(bundle, service), "revision", revision);
	if (session_check(&bundle->session, err) < 0)
		return -1;
	return json_count(source) ? output_json(bundle, path, source, err) : 0;
}

/* ---- configuration ---- */

void config_find(struct bundle *bundle, struct service *service)
{
	struct values values;
	const struct json *files;

	service->asked = service->configs.count;
	if (!service->match.driver)
		return;
	files = json_path(service->match.driver->definition, "config", "files");
	if (!json_count(files))
		return;
	if (!service->running || service->paused ||
	    values_open(&values, bundle->session.engine, service->id,
			service->match.driver->definition, NULL) < 0)
		values_from(&values, service->inspect, NULL, service->match.driver->definition);
	json_for_each(item, files) {
		cleanup_free char *path = values_expand(&values, json_string_or(item, NULL, ""));

		if (path && path[0] == '/' && !string_list_has(&service->configs, path))
			string_list_add(&service->configs, path);
	}
	values_release(&values);
}

static int add_config(struct bundle *bundle, struct service *service, const char *file,
		      bool was_asked, struct error **err)
{
	cleanup_free char *inner = memory_printf("config%s", file);
	cleanup_free char *path = service_path(service, inner);
	cleanup_error struct error *problem = NULL;
	struct buffer text;
	int result = 0;

	buffer_init(&text, CONFIG_MAX);
	if (container_file(bundle, service, file, &text, &problem) < 0) {
		/* a driver names what may be there; a person what is */
		if (was_asked || problem->kind != ERROR_NOT_FOUND)
			result = error_set(err, problem->kind, "%s", problem->message);
	} else if (memchr(text.data, '\0', text.size)) {
		collect_note(bundle, "%s: %s is no text, and was left out", service->name, file);
	} else {
		result = output_text(bundle, path, REDACT_CONFIG, text.data, text.size, err);
	}
	buffer_release(&text);
	return result;
}

int collect_config(struct bundle *bundle, struct service *service, struct error **err)
{
	int result = 0;

	if (check_open(service, err) < 0)
		return -1;
	for (size_t i = 0; i < service->configs.count; i++) {
		cleanup_error struct error *problem = NULL;
		cleanup_free char *clean = path_clean(service->configs.items[i]);

		if (service->configs.items[i][0] != '/') {
			result = error_set(result ? NULL : err, ERROR_USAGE,
					   "\"%s\" is no absolute path", service->configs.items[i]);
			continue;
		}
		if (add_config(bundle, service, clean, i < service->asked, &problem) == 0)
			continue;
		if (result == 0 && err)
			*err = STEAL_POINTER(problem);
		result = -1;
	}
	return result;
}

/* ---- monitoring ---- */

static int add_monitor(struct bundle *bundle, const struct service *service, const char *name,
		       const struct buffer *output, struct error **err)
{
	cleanup_free char *inner = memory_printf("monitor/%s.txt", name);
	cleanup_free char *path = service_path(service, inner);

	return output_text(bundle, path, REDACT_LOG, output->data, output->size, err);
}

static int monitor_by_driver(struct bundle *bundle, struct service *service, struct error **err)
{
	const struct json *member = json_get(service->match.driver->definition, "monitor");
	CLEANUP(cleanup_access_free)
	struct access *access =
		access_open(bundle->session.engine, service->id, &service->match, err);
	int result = access ? 0 : -1;

	if (!access)
		return -1;
	json_for_each(operation, json_get(member, "operations")) {
		const char *name = json_key(operation);
		struct access_call call = {.member = member, .operation = operation, .name = name};
		struct buffer output;
		int ran;

		buffer_init(&output, MONITOR_MAX);
		ran = access_run(access, &call, &output, result < 0 ? NULL : err);
		if (ran < 0 || (ran > 0 && add_monitor(bundle, service, name, &output,
						       result < 0 ? NULL : err) < 0))
			result = -1;
		buffer_release(&output);
	}
	return result;
}

static int monitor_by_label(struct bundle *bundle, struct service *service, const char *label,
			    struct error **err)
{
	const char *const command[] = {"sh", "-c", label, NULL};
	const char *const fetch[] = {
		"sh", "-c", "wget -q -O - \"$0\" 2>/dev/null || curl -fsS \"$0\"", label, NULL};
	bool is_url = text_has_prefix(label, "http://") || text_has_prefix(label, "https://");
	struct buffer output;
	int result;

	buffer_init(&output, MONITOR_MAX);
	result = container_command(bundle, service, is_url ? fetch : command, &output, err);
	if (result == 0)
		result = add_monitor(bundle, service, "label", &output, err);
	buffer_release(&output);
	return result;
}

int collect_monitor(struct bundle *bundle, struct service *service, struct error **err)
{
	const char *label =
		json_string(json_path(service->inspect, "Config", "Labels"), LABEL_BUNDLE_MONITOR);

	if (!service->running || service->paused)
		return 0;
	if (label ||
	    (service->match.driver && json_get(service->match.driver->definition, "monitor"))) {
		if (check_open(service, err) < 0)
			return -1;
	}
	if (label)
		return monitor_by_label(bundle, service, label, err);
	if (service->match.driver && !service->match.idle &&
	    json_get(service->match.driver->definition, "monitor"))
		return monitor_by_driver(bundle, service, err);
	return 0;
}
