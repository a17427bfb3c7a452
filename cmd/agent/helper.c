/*
 * A helper's life: greet, take one job, do it, stay until told to go. It runs beside
 * data that is not ours in an image that is not ours, so it reads nothing but its
 * stdin and executes nothing.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "channel.h"
#include "job.h"
#include "store/format.h"
#include "store/page_hash.h"
#include "tree/own/own.h"

#ifndef SIDESNAP_VERSION
#define SIDESNAP_VERSION "0"
#endif

#define TREES_MAX 256

#define GENTLE_NICE 10
#define IO_WEIGHT_LOW ((2 << 13) | 7) /* best effort, lowest level (linux/ioprio.h) */
#define IO_WHO_PROCESS 1

static const char tree_members[] =
	"kind name mount paths pages page_block page_size excluded direct_io allow_overlay seed parent_seed";

static int parse_tree(struct job_tree *tree, const struct json *json, struct error **err)
{
	const char *kind = json_string_or(json, "kind", "volume");
	const char *mount = json_string(json, "mount");

	if (job_check_members(json, tree_members, err) < 0)
		return -1;
	if (!mount || *mount != '/' || (strcmp(kind, "volume") != 0 && strcmp(kind, "bind") != 0))
		return error_set(err, ERROR_USAGE, "a tree of the job has no kind or mount");
	tree->kind = strcmp(kind, "bind") == 0 ? TREE_BIND : TREE_VOLUME;
	tree->name = memory_strdup(json_string_or(json, "name", ""));
	tree->mount = memory_strdup(mount);
	tree->has_direct_io = json_bool(json, "direct_io");
	tree->allow_overlay = json_bool(json, "allow_overlay");
	tree->has_seed = json_bool(json, "seed");
	tree->has_parent_seed = json_bool(json, "parent_seed");
	if (job_strings(json, "paths", &tree->paths, err) < 0 ||
	    job_strings(json, "pages", &tree->pages, err) < 0 ||
	    job_strings(json, "excluded", &tree->excluded, err) < 0 ||
	    job_uint(json, "page_block", CHUNK_SIZE_MAX, &tree->page_block, err) < 0 ||
	    job_uint(json, "page_size", PAGE_SIZE_MAX, &tree->page_size, err) < 0)
		return -1;
	if (!tree->paths.count)
		return error_set(err, ERROR_USAGE, "tree \"%s\" of the job has no path",
				 tree->name);
	tree->fd = open(mount, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tree->fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\" (%s)", mount,
				       tree->paths.items[0]);
	return 0;
}

int job_trees_open(struct job_trees *trees, const struct json *job, struct error **err)
{
	const struct json *list = json_get(job, "trees");

	memset(trees, 0, sizeof(*trees));
	if (json_count(list) > TREES_MAX)
		return error_set(err, ERROR_UNSUPPORTED, "more than %d trees", TREES_MAX);
	trees->list = memory_zalloc((json_count(list) + 1) * sizeof(*trees->list));
	json_for_each(item, list) {
		struct job_tree *tree = &trees->list[trees->count++];

		tree->fd = -1;
		string_list_init(&tree->paths);
		string_list_init(&tree->pages);
		string_list_init(&tree->excluded);
		if (parse_tree(tree, item, err) < 0)
			return -1;
	}
	return 0;
}

void job_trees_release(struct job_trees *trees)
{
	for (size_t i = 0; i < trees->count; i++) {
		struct job_tree *tree = &trees->list[i];

		free(tree->name);
		free(tree->mount);
		string_list_release(&tree->paths);
		string_list_release(&tree->pages);
		string_list_release(&tree->excluded);
		if (tree->fd >= 0)
			close(tree->fd);
	}
	free(trees->list);
	memset(trees, 0, sizeof(*trees));
}

void job_tree_source(const struct job_tree *tree, struct tree_source *source)
{
	memset(source, 0, sizeof(*source));
	source->root_fd = tree->fd;
	source->pages = &tree->pages;
	source->page_block = (uint32_t)tree->page_block;
	source->page_size = (uint32_t)tree->page_size;
	source->excluded = &tree->excluded;
	source->has_direct_io = tree->has_direct_io;
	source->allow_overlay = tree->allow_overlay;
}

int job_dropped(const struct json *job, struct string_list *list, struct error **err)
{
	const char *agent_path = json_string(job, "agent_path");
	const char *slash = agent_path ? strrchr(agent_path, '/') : NULL;

	own_add_hidden(list);
	if (slash && slash > agent_path) {
		cleanup_free char *directory =
			memory_strndup(agent_path, (size_t)(slash - agent_path));

		string_list_add(list, directory);
	}
	return job_strings(json_get(job, "own"), "mounts", list, err);
}

void helper_work_gently(void)
{
	(void)setpriority(PRIO_PROCESS, 0, GENTLE_NICE);
	(void)syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_WEIGHT_LOW);
}

static int greet(struct error **err)
{
	struct json *hello = json_new_object(), *theirs = NULL;
	struct message message;
	int64_t version;

	json_set_int(hello, "version", WIRE_VERSION);
	json_set_string(hello, "agent", SIDESNAP_VERSION);
	channel_send(WIRE_HELLO, hello);
	if (channel_expect(WIRE_HELLO, &message, err) < 0)
		return -1;
	theirs = message_json(&message, err);
	message_release(&message);
	if (!theirs)
		return -1;
	version = json_int(theirs, "version");
	json_free(theirs);
	if (version == WIRE_VERSION)
		return 0;
	error_set(err, ERROR_UNSUPPORTED, "the command speaks version %d, the agent version %d",
		  (int)version, WIRE_VERSION);
	return error_hint(err, "use the agent that is in the same sidesnap");
}

static int do_job(const struct json *job, struct error **err)
{
	static const struct {
		const char *name;
		int (*run)(const struct json *job, struct error **err);
	} operations[] = {
		{"capture", helper_capture}, {"consolidate", helper_consolidate},
		{"diff", helper_diff},	     {"extract", helper_extract},
		{"measure", helper_measure}, {"restore", helper_restore},
		{"verify", helper_verify},
	};
	const char *operation = json_string_or(job, "operation", "");

	failpoint_set(json_string(job, "failpoint"));
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		if (strcmp(operations[i].name, operation) == 0)
			return operations[i].run(job, err);
	}
	return error_set(err, ERROR_UNSUPPORTED, "this agent knows no operation \"%s\"", operation);
}

static int talk(struct error **err)
{
	/* Kept until the process ends: failpoints borrow from it. */
	static struct json *job;
	struct message message;

	if (greet(err) < 0 || channel_expect(WIRE_JOB, &message, err) < 0)
		return -1;
	job = message_json(&message, err);
	message_release(&message);
	return job ? do_job(job, err) : -1;
}

static void wait_for_end(void)
{
	struct message message;

	/* The reader ends the process when the owner is gone. */
	while (channel_receive(&message, NULL) == 0) {
		bool is_end = message.type == WIRE_BYE;

		message_release(&message);
		if (is_end)
			return;
	}
}

/*
 * "sidesnap cancel" sends its own signal; the others are what an engine sends when it ends, or
 * somebody who stops the container. Say so, so that nobody takes either for a crash.
 */
static void *wait_for_signal(void *context)
{
	const sigset_t *signals = context;
	struct error *err = NULL;
	int number = SIGTERM;

	while (sigwait(signals, &number) != 0)
		;
	if (number == WIRE_CANCEL_SIGNAL) {
		error_set(&err, ERROR_CANCELLED, "cancelled by \"sidesnap cancel\"");
	} else {
		error_set(&err, ERROR_ENGINE,
			  "the helper container was stopped: the engine is being stopped, or "
			  "somebody ran \"docker stop\"");
		error_hint(&err, "when the engine is there again, run \"sidesnap doctor\", then "
				 "try again");
	}
	channel_send_last(WIRE_FAILED, wire_error_json(err), 128 + number);
}

/*
 * Blocked in all threads, so before the first is made, and taken by one. Blocked ones
 * reach process 1 of a namespace too, which is deaf to those that it leaves alone.
 */
static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, WIRE_CANCEL_SIGNAL);
	/* TERM is what the engine sends; the others may come from people */
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int start(struct error **err)
{
	static sigset_t signals;
	pthread_t thread;
	int number;

	block_signals(&signals);
	if (channel_open(err) < 0)
		return -1;
	number = pthread_create(&thread, NULL, wait_for_signal, &signals);
	if (number)
		return error_set_errno(err, number, "cannot start a thread");
	pthread_detach(thread);
	return 0;
}

int agent_helper(void)
{
	struct error *err = NULL;

	umask(0);
	if (start(&err) < 0)
		return agent_report(err);
	if (talk(&err) < 0) {
		if (!err)
			error_set(&err, ERROR_FAILED, "unknown failure");
		channel_send(WIRE_FAILED, wire_error_json(err));
		error_free(err);
		return ERROR_FAILED;
	}
	wait_for_end();
	return 0;
}
