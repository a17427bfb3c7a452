/*
 * Before anything is written: what are the secrets of this stack? A container whose secrets cannot be
 * read says nothing in its own words, since they might be in them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "bundle/collect.h"
#include "bundle/judge.h"
#include "engine/archive.h"

#define SECRET_FILE_MAX (256u << 10)
#define SECRETS_DIRECTORY "/run/secrets"

static void learn_text(struct bundle *bundle, const char *text, size_t size)
{
	CLEANUP(cleanup_text_redactor_free)
	struct text_redactor *redactor = text_redactor_new(NULL, REDACT_CONFIG, NULL, NULL);

	text_redactor_learn(redactor, bundle->secrets);
	if (text_redactor_feed(redactor, text, size, NULL) == 0)
		text_redactor_finish(redactor, NULL);
}

/* ---- files with secrets ---- */

struct secret_files {
	struct bundle *bundle;
	struct buffer text;
	bool too_large;
};

static void take_file(struct secret_files *files)
{
	if (!files->text.size)
		return;
	secrets_add(files->bundle->secrets, files->text.data, files->text.size);
	/* one may hold names and values */
	learn_text(files->bundle, files->text.data, files->text.size);
	buffer_clear(&files->text);
}

static int secret_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	(void)entry;
	(void)err;
	take_file(context);
	return 0;
}

static int secret_data(void *context, const void *data, size_t size, struct error **err)
{
	struct secret_files *files = context;

	(void)err;
	if (buffer_append(&files->text, data, size) < 0)
		files->too_large = true;
	return 0;
}

static const struct tar_callbacks secret_callbacks = {secret_entry, secret_data};

/* What GET archive does not see: it is below a tmpfs. */
static int read_by_command(struct bundle *bundle, const struct service *service, const char *path,
			   struct secret_files *files)
{
	const char *const arguments[] = {"sh", "-c",
					 "for f in \"$0\" \"$0\"/*; do if [ -f \"$f\" ]; then cat "
					 "\"$f\" && echo || exit 1; fi; done; exit 0",
					 path, NULL};
	cleanup_error struct error *problem = NULL;

	if (container_command(bundle, service, arguments, &files->text, &problem) < 0)
		return -1;
	take_file(files);
	return 0;
}

/* A tmpfs at or above it, which GET archive does not see into. NULL: none. */
static const char *tmpfs_of(const struct service *service, const char *path)
{
	json_for_each(entry, json_path(service->inspect, "HostConfig", "Tmpfs"))
		if (path_is_at_or_under(path, json_key(entry)))
			return json_key(entry);
	json_for_each(mount, json_get(service->inspect, "Mounts")) {
		const char *destination = json_string_or(mount, "Destination", "/");

		if (strcmp(json_string_or(mount, "Type", ""), "tmpfs") == 0 &&
		    path_is_at_or_under(path, destination))
			return destination;
	}
	return NULL;
}

/*
 * A file, or all in a directory. What is not there is no secret. With ${is_expected}, or where a tmpfs is made
 * for it, there surely is something; a tmpfs above it may be for anything.
 */
static void learn_path(struct bundle *bundle, struct service *service, const char *path,
		       bool is_expected)
{
	struct secret_files files = {.bundle = bundle};
	cleanup_error struct error *problem = NULL;
	const char *tmpfs = tmpfs_of(service, path);
	int result;

	buffer_init(&files.text, SECRET_FILE_MAX);
	result = container_archive_read(bundle->session.engine, service->id, path,
					&secret_callbacks, &files, &problem);
	if (result == 0)
		take_file(&files);
	else if (problem->kind == ERROR_NOT_FOUND)
		result = 0;
	else
		result = read_by_command(bundle, service, path, &files);
	if (result == 0 && tmpfs && read_by_command(bundle, service, path, &files) < 0 &&
	    (is_expected || strcmp(tmpfs, path) == 0))
		result = -1;
	if ((result < 0 || files.too_large) && !service->closed)
		service->closed = memory_printf(
			"the secrets in %s cannot be read, so they cannot be told from other "
			"words: %s",
			path,
			files.too_large ? "too large"
			: problem	? problem->message
					: "they are in a tmpfs");
	explicit_bzero(files.text.data, files.text.size);
	buffer_release(&files.text);
}

/* NAME_FILE=PATH, where NAME is a secret's. */
static void learn_named_files(struct bundle *bundle, struct service *service)
{
	json_for_each(item, json_path(service->inspect, "Config", "Env")) {
		const char *variable = json_string_or(item, NULL, "");
		size_t size = strcspn(variable, "=");
		const char *path = variable[size] ? variable + size + 1 : "";

		if (size > 4 && path[0] == '/' && strncmp(variable + size - 4, "FILE", 4) == 0 &&
		    judge_name(variable, size) && !path_is_at_or_under(path, SECRETS_DIRECTORY))
			learn_path(bundle, service, path, true);
	}
}

/* Compose mounts each secret alone, wherever it is wanted. */
static void learn_mounted(struct bundle *bundle, struct service *service)
{
	json_for_each(mount, json_get(service->inspect, "Mounts")) {
		const char *path = json_string_or(mount, "Destination", "");

		if (path_is_at_or_under(path, SECRETS_DIRECTORY) &&
		    strcmp(path, SECRETS_DIRECTORY) != 0)
			learn_path(bundle, service, path, true);
	}
	learn_path(bundle, service, SECRETS_DIRECTORY, false);
}

static int learn_service(struct bundle *bundle, struct service *service, struct error **err)
{
	redact_learn(bundle->secrets, service->inspect);
	if (service->image)
		redact_learn(bundle->secrets, json_get(service->image, "Config"));
	learn_mounted(bundle, service);
	learn_named_files(bundle, service);
	if (bundle->stop && !bundle->timed_out)
		return session_check(bundle->outer, err);
	/* settings name secrets too, and logs repeat them */
	config_find(bundle, service);
	for (size_t i = 0; i < service->configs.count; i++) {
		struct buffer text;

		buffer_init(&text, 1u << 20);
		if (container_file(bundle, service, service->configs.items[i], &text, NULL) == 0)
			learn_text(bundle, text.data, text.size);
		buffer_release(&text);
	}
	return 0;
}

static int learn_extra(struct bundle *bundle, struct error **err)
{
	struct buffer text;
	struct string_list lines;
	int result;

	buffer_init(&text, 16u << 20);
	string_list_init(&lines);
	result = io_read_file(AT_FDCWD, bundle->options->redact_extra, &text, err);
	if (result == 0)
		string_list_split(&lines, text.data, '\n');
	for (size_t i = 0; i < lines.count && result == 0; i++)
		if (!secrets_add(bundle->secrets, lines.items[i], strlen(lines.items[i])) &&
		    strspn(lines.items[i], " \t\r") != strlen(lines.items[i]))
			result = error_set(err, ERROR_USAGE,
					   "line %zu of %s is too short, or too common a word, to "
					   "be looked for",
					   i + 1, bundle->options->redact_extra);
	string_list_release(&lines);
	explicit_bzero(text.data, text.size);
	buffer_release(&text);
	return result;
}

static void learn_compose(struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->compose_files.count; i++) {
		struct buffer text;

		buffer_init(&text, 4u << 20);
		if (io_read_file(AT_FDCWD, bundle->compose_files.items[i], &text, NULL) == 0)
			learn_text(bundle, text.data, text.size);
		buffer_release(&text);
	}
}

int learn_secrets(struct bundle *bundle, struct error **err)
{
	if (bundle->options->redact_extra && learn_extra(bundle, err) < 0)
		return -1;
	compose_find(bundle);
	learn_compose(bundle);
	for (size_t i = 0; i < bundle->service_count; i++) {
		struct service *service = &bundle->services[i];

		if (learn_service(bundle, service, err) < 0)
			return -1;
		if (service->closed) {
			struct json *entry = json_add_object(bundle->failed);

			json_set_string(entry, "collector", "secrets");
			json_set_string(entry, "service", service->name);
			json_set_string(entry, "reason", service->closed);
		}
	}
	return 0;
}
