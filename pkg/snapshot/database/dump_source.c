/*
 * The helper pushes and the load pulls: a pipe is between them. The thread has an engine object of its own;
 * when the pipe's other end is closed its next write fails, and it removes its helper.
 */
#include "snapshot/database/dump_source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

struct dump_source {
	struct session session;
	struct engine *engine;
	struct progress *progress;
	char *word; /* REF:PATH of the dump */
	uint64_t size;
	int reader, writer;
	pthread_t thread;
	bool runs;
	int result; /* of the thread */
	struct error *problem;
};

static int write_pipe(void *context, const void *data, size_t size, struct error **err)
{
	const struct dump_source *source = context;

	return io_write_full(source->writer, data, size) < 0
		       ? error_set_errno(err, errno, "the dump is not read to its end")
		       : 0;
}

static void *run(void *context)
{
	struct dump_source *source = context;

	source->result =
		snapshot_cat(&source->session, source->word, write_pipe, source, &source->problem);
	close(STEAL_FD(source->writer));
	return NULL;
}

/* Signals are for the thread that waits for the load; SIGPIPE is an error of write(). */
static int start_thread(struct dump_source *source, struct error **err)
{
	sigset_t all, before;
	int number;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	number = pthread_create(&source->thread, NULL, run, source);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (number)
		return error_set_errno(err, number, "cannot start a thread");
	source->runs = true;
	return 0;
}

static const struct json *find_tree(const struct json *trees)
{
	json_for_each(tree, trees)
		if (strcmp(json_string_or(tree, "kind", ""), "dump") == 0)
			return tree;
	return NULL;
}

static int find_dump(struct dump_source *source, const struct json *image, const char *reference,
		     struct error **err)
{
	const char *label = snapshot_label(image, LABEL_TREES);
	CLEANUP(cleanup_json_free) struct json *trees = json_parse(label, strlen(label), NULL);
	const struct json *tree = find_tree(trees);
	const char *directory = json_string(json_first(json_get(tree, "paths")), NULL);
	cleanup_free char *path = NULL;

	if (!tree || !directory) {
		error_set(err, ERROR_USAGE, "%s holds no dump that could be loaded", reference);
		return error_hint(err, "sidesnap reset puts the files of such a snapshot back; "
				       "create --logical makes one with a dump");
	}
	path = path_join(directory, json_string_or(tree, "file", "dump"));
	source->word = memory_printf("%s:%s", json_string_or(image, "Id", reference), path);
	source->size = (uint64_t)json_int(tree, "bytes");
	return 0;
}

struct dump_source *dump_source_open(const struct session *session, const struct json *image,
				     const char *reference, struct error **err)
{
	CLEANUP(cleanup_dump_source_free)
	struct dump_source *source = memory_zalloc(sizeof(*source));
	int ends[2] = {-1, -1};

	source->reader = source->writer = -1;
	if (find_dump(source, image, reference, err) < 0)
		return NULL;
	source->session = *session;
	source->progress = source->session.progress = progress_new(VERBOSITY_QUIET);
	source->engine = source->session.engine = engine_reopen(session->engine, err);
	if (!source->engine)
		return NULL;
	engine_set_cancel(source->engine, session->cancelled);
	if (pipe2(ends, O_CLOEXEC) < 0) {
		error_set_errno(err, errno, "cannot make a pipe");
		return NULL;
	}
	source->reader = ends[0];
	source->writer = ends[1];
	return start_thread(source, err) < 0 ? NULL : STEAL_POINTER(source);
}

static void await_thread(struct dump_source *source)
{
	if (source->runs)
		pthread_join(source->thread, NULL);
	source->runs = false;
}

void dump_source_free(struct dump_source *source)
{
	if (!source)
		return;
	if (source->reader >= 0)
		close(source->reader);
	await_thread(source);
	if (source->writer >= 0)
		close(source->writer);
	engine_free(source->engine);
	progress_free(source->progress);
	error_free(source->problem);
	free(source->word);
	free(source);
}

ssize_t dump_source_read(void *context, void *data, size_t size, struct error **err)
{
	struct dump_source *source = context;
	ssize_t count;

	do
		count = read(source->reader, data, size);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return error_set_errno(err, errno, "cannot read the dump");
	if (count > 0)
		return count;
	await_thread(source);
	if (source->result == 0)
		return 0;
	error_append(err, STEAL_POINTER(source->problem));
	return error_prefix(err, "cannot read the snapshot's dump");
}

uint64_t dump_source_size(const struct dump_source *source)
{
	return source->size;
}
