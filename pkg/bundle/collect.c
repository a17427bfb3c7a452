/* One collector after another, each with its time: a clock beside sets the flag that ends its requests. */
#include "bundle/collect.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/path.h"
#include "engine/archive.h"

#define TICK_US 50000
#define LINKS_MAX 5

static void *run_clock(void *context)
{
	struct bundle *bundle = context;

	while (!bundle->ends) {
		pthread_mutex_lock(&bundle->lock);
		if (bundle->deadline_ms && clock_monotonic_ms() >= bundle->deadline_ms) {
			bundle->timed_out = true;
			bundle->stop = 1;
		}
		if (bundle->outer->cancelled && *bundle->outer->cancelled)
			bundle->stop = 1;
		pthread_mutex_unlock(&bundle->lock);
		usleep(TICK_US);
	}
	return NULL;
}

/* Signals are for the thread that works. */
void collect_start(struct bundle *bundle)
{
	sigset_t all, before;

	pthread_mutex_init(&bundle->lock, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bundle->clock_runs = pthread_create(&bundle->clock, NULL, run_clock, bundle) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void collect_stop(struct bundle *bundle)
{
	bundle->ends = 1;
	if (bundle->clock_runs)
		pthread_join(bundle->clock, NULL);
	pthread_mutex_destroy(&bundle->lock);
}

static void set_deadline(struct bundle *bundle, uint64_t limit_ms)
{
	pthread_mutex_lock(&bundle->lock);
	bundle->deadline_ms = limit_ms ? clock_monotonic_ms() + limit_ms : 0;
	bundle->timed_out = false;
	bundle->stop = 0;
	pthread_mutex_unlock(&bundle->lock);
}

static void list_failure(struct bundle *bundle, const char *name, const struct service *service,
			 const char *reason)
{
	struct json *entry = json_add_object(bundle->failed);
	cleanup_free char *shown = redact_text(bundle->secrets, REDACT_LOG, reason, strlen(reason));

	json_set_string(entry, "collector", name);
	json_set_string(entry, "service", service ? service->name : "");
	json_set_string(entry, "reason", shown);
}

int collect_run(struct bundle *bundle, const char *name, struct service *service, uint64_t limit_ms,
		collector *run, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	cleanup_free char *late = NULL;

	progress_phase(bundle->session.progress, "collecting %s%s%s", name, service ? " of " : "",
		       service ? service->name : "");
	set_deadline(bundle, limit_ms);
	if (run(bundle, service, &problem) == 0) {
		set_deadline(bundle, 0);
		return session_check(bundle->outer, err);
	}
	if (bundle->timed_out)
		late = memory_printf("it took longer than %llu s",
				     (unsigned long long)(limit_ms / 1000));
	set_deadline(bundle, 0);
	if (session_check(bundle->outer, err) < 0)
		return -1;
	if (bundle->broken) {
		if (err)
			*err = STEAL_POINTER(problem);
		return -1;
	}
	list_failure(bundle, name, service, late ? late : problem ? problem->message : "it failed");
	return 0;
}

void collect_note(struct bundle *bundle, const char *format, ...)
{
	va_list arguments;
	cleanup_free char *text = NULL;
	cleanup_free char *shown = NULL;

	va_start(arguments, format);
	text = memory_vprintf(format, arguments);
	va_end(arguments);
	shown = redact_text(bundle->secrets, REDACT_LOG, text, strlen(text));
	json_add_string(bundle->notes, shown);
}

char *service_path(const struct service *service, const char *file)
{
	return memory_printf("services/%s/%s", service->name, file);
}

struct json *service_fact(struct bundle *bundle, const struct service *service)
{
	struct json *fact = json_get(bundle->facts, service->name);

	return fact ? fact : json_set_object(bundle->facts, service->name);
}

/* ---- files of a container ---- */

struct file_reader {
	struct buffer *text;
	char *link; /* where it leads, when it is one */
	bool is_file, is_taken;
};

static int file_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	struct file_reader *reader = context;

	if (reader->is_file || reader->link)
		return error_set(err, ERROR_UNSUPPORTED, "it is no file");
	if (S_ISLNK(entry->mode) && entry->link) {
		reader->link = memory_strdup(entry->link);
		return 0;
	}
	if (!S_ISREG(entry->mode))
		return error_set(err, ERROR_UNSUPPORTED, "it is no file");
	if (entry->size > reader->text->limit - reader->text->size)
		return error_set(err, ERROR_UNSUPPORTED, "it is too large");
	reader->is_file = true;
	return 0;
}

static int file_data(void *context, const void *data, size_t size, struct error **err)
{
	struct file_reader *reader = context;

	return buffer_append(reader->text, data, size) < 0
		       ? error_set(err, ERROR_UNSUPPORTED, "it is too large")
		       : 0;
}

static const struct tar_callbacks file_callbacks = {file_entry, file_data};

int container_file(struct bundle *bundle, const struct service *service, const char *path,
		   struct buffer *text, struct error **err)
{
	cleanup_free char *at = path_clean(path);

	for (int i = 0; i < LINKS_MAX; i++) {
		struct file_reader reader = {.text = text};
		cleanup_free char *link = NULL;
		char *slash;

		if (container_archive_read(bundle->session.engine, service->id, at, &file_callbacks,
					   &reader, err) < 0) {
			free(reader.link);
			return -1;
		}
		if (!reader.link)
			return 0;
		link = reader.link;
		slash = strrchr(at, '/');
		if (link[0] != '/' && slash)
			*slash = '\0';
		{
			cleanup_free char *joined =
				link[0] == '/' ? memory_strdup(link) : path_join(at, link);

			free(at);
			at = path_clean(joined);
		}
	}
	return error_set(err, ERROR_NOT_FOUND, "\"%s\" leads through too many links", path);
}

int container_command(struct bundle *bundle, const struct service *service,
		      const char *const *arguments, struct buffer *output, struct error **err)
{
	struct container_exec exec = {.arguments = arguments,
				      .output = output,
				      .timeout_ms = bundle->options->timeout_ms};

	if (!service->running || service->paused)
		return error_set(err, ERROR_UNSUPPORTED, "it does not run");
	if (container_exec(bundle->session.engine, service->id, &exec, err) < 0)
		return -1;
	if (exec.exit_code)
		return error_set(err, ERROR_FAILED, "\"%s\" ended with %d: %.200s", arguments[0],
				 exec.exit_code, output->data);
	return 0;
}
