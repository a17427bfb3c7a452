/*
 * The entrypoint of a snapshot: at a container's first start the volumes become what
 * they were, then this process becomes the original command. Nothing of the service
 * runs before all of it is done and checked; a second start costs a look at marks.
 */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "execute.h"
#include "tree/own/own.h"

#define THREADS_MAX 4
#define BOOTED_NAME "booted" /* in the container's own /.sidesnap: hash of the manifest */

static const char stopped_text[] = "sidesnap: stopped while restoring; the next start goes on\n";

/* The marks say that the restore is not finished, so ending here is as good as anywhere. */
static void end_by_signal(int number)
{
	ssize_t ignored = write(STDERR_FILENO, stopped_text, sizeof(stopped_text) - 1);

	(void)ignored;
	_exit(128 + number);
}

static void handle_signal(int number)
{
	struct sigaction action, old;

	if (number <= 0 || sigaction(number, NULL, &old) < 0 || old.sa_handler == SIG_IGN)
		return;
	memset(&action, 0, sizeof(action));
	action.sa_handler = end_by_signal;
	sigemptyset(&action.sa_mask);
	/* Exec resets what is caught, so the command finds the defaults. */
	(void)sigaction(number, &action, NULL);
}

/* "SIGQUIT", "quit", "3", "SIGRTMIN+3"; 0: none of these. */
static int parse_signal(const char *text)
{
	static const struct {
		const char *name;
		int number;
	} names[] = {
		{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"USR1", SIGUSR1},
		{"USR2", SIGUSR2}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},   {"TERM", SIGTERM},
		{"CONT", SIGCONT}, {"TSTP", SIGTSTP}, {"WINCH", SIGWINCH}, {"PWR", SIGPWR},
		{"ABRT", SIGABRT}, {"IO", SIGIO},     {"XCPU", SIGXCPU},   {"URG", SIGURG},
	};
	uint64_t number = 0;

	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	if (text_parse_uint(text, 64, &number))
		return (int)number;
	if (strncasecmp(text, "RTMIN+", 6) == 0 && text_parse_uint(text + 6, 30, &number))
		return SIGRTMIN + (int)number;
	if (strncasecmp(text, "RTMAX-", 6) == 0 && text_parse_uint(text + 6, 30, &number))
		return SIGRTMAX - (int)number;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcasecmp(names[i].name, text) == 0)
			return names[i].number;
	}
	return 0;
}

/* 0: it does not say. */
static int stop_signal(const struct boot *boot)
{
	const char *stop = json_string(boot->manifest.extra, "stop_signal");

	return stop ? parse_signal(stop) : 0;
}

static void handle_signals(const struct boot *boot)
{
	handle_signal(SIGTERM);
	handle_signal(SIGINT);
	handle_signal(stop_signal(boot));
}

static int read_wish(struct boot *boot, struct error **err)
{
	const char *wish = getenv("SIDESNAP_RESTORE");

	boot->wish = VOLUME_ASK;
	if (!wish || !*wish || !boot->privilege.may_act)
		return 0;
	if (strcmp(wish, "keep") == 0)
		boot->wish = VOLUME_KEEP;
	else if (strcmp(wish, "replace") == 0)
		boot->wish = VOLUME_REPLACE;
	else
		return error_set(err, ERROR_USAGE,
				 "SIDESNAP_RESTORE is \"%s\"; it may be \"keep\" or \"replace\"",
				 wish);
	return 0;
}

static int open_manifest(struct boot *boot, struct error **err)
{
	boot->root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	boot->store_fd = open(STORE_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (boot->store_fd < 0) {
		error_set_errno(err, errno, "cannot open \"" STORE_DIRECTORY "\"");
		return error_hint(err, "this image is no snapshot; it may have been changed");
	}
	return manifest_read(&boot->manifest, boot->store_fd, &boot->manifest_hash, err);
}

/* The whole work, shared by threads: each takes the next place of another tree. */
struct pool {
	struct boot *boot;
	pthread_mutex_t lock;
	size_t next;
	struct error *err;
};

static bool take_group(struct pool *pool, size_t *begin, size_t *end)
{
	const struct boot *boot = pool->boot;

	pthread_mutex_lock(&pool->lock);
	*begin = *end = pool->next;
	while (!pool->err && *end < boot->place_count &&
	       boot->places[*end].tree == boot->places[*begin].tree)
		++*end;
	pool->next = *end;
	pthread_mutex_unlock(&pool->lock);
	return *begin < *end;
}

static void *settle_groups(void *context)
{
	struct pool *pool = context;
	struct boot *boot = pool->boot;
	size_t begin, end;

	while (take_group(pool, &begin, &end)) {
		/* a dump is loaded when all else is there */
		if (boot->places[begin].tree->kind == TREE_DUMP)
			continue;
		for (size_t i = begin; i < end; i++) {
			struct error *err = NULL;
			uint64_t bytes = 0;
			int result = 0;

			if (!boot_place_is_settled(boot, &boot->places[i]))
				result = boot_place_settle(boot, &boot->places[i], &bytes, &err);
			pthread_mutex_lock(&pool->lock);
			if (result > 0) {
				boot->restored_volumes++;
				boot->restored_bytes += bytes;
			}
			if (result < 0)
				error_append(&pool->err, err);
			pthread_mutex_unlock(&pool->lock);
			if (result < 0)
				return NULL;
		}
	}
	return NULL;
}

static int settle_all(struct boot *boot, struct error **err)
{
	struct pool pool = {.boot = boot, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t threads[THREADS_MAX];
	unsigned cores = (unsigned)get_nprocs(), count = 0, wanted = 0;

	for (size_t i = 0; i < boot->place_count; i++)
		wanted += !i || boot->places[i].tree != boot->places[i - 1].tree;
	wanted = wanted < THREADS_MAX ? wanted : THREADS_MAX;
	boot->workers = cores > wanted && wanted ? (cores + wanted - 1) / wanted : 1;
	/* This thread works too; the others have its rights, since they begin with a copy. */
	while (count + 1 < wanted &&
	       pthread_create(&threads[count], NULL, settle_groups, &pool) == 0)
		count++;
	settle_groups(&pool);
	while (count)
		pthread_join(threads[--count], NULL);
	if (!pool.err)
		return 0;
	error_append(err, pool.err);
	return -1;
}

/* Whether the container's own layer has had its files put right; *fd is the store's. */
static bool own_is_settled(const struct boot *boot)
{
	cleanup_error struct error *ignored = NULL;
	char digits[HASH_HEX_SIZE];
	struct buffer buffer;
	bool result;

	buffer_init(&buffer, 256);
	hash_format(&boot->manifest_hash, digits);
	result = io_read_file(boot->store_fd, BOOTED_NAME, &buffer, &ignored) == 0 &&
		 strcmp(buffer.data, digits) == 0;
	buffer_release(&buffer);
	return result;
}

static bool root_is_writable(const struct boot *boot)
{
	struct statvfs status;

	return boot->root_fd >= 0 && fstatvfs(boot->root_fd, &status) == 0 &&
	       !(status.f_flag & ST_RDONLY) &&
	       faccessat(boot->store_fd, ".", W_OK, AT_EACCESS) == 0;
}

static int settle_own(struct boot *boot, bool is_writable, struct error **err)
{
	cleanup_error struct error *ignored = NULL;
	char digits[HASH_HEX_SIZE];

	for (size_t i = 0; i < boot->manifest.tree_count; i++) {
		const struct tree_record *tree = &boot->manifest.trees[i];
		const struct tree_record seed = {.root = tree->seed};

		/* What is not used now is checked all the same: a damaged snapshot starts nothing. */
		if ((tree->seed.count &&
		     own_verify(boot->root_fd, boot->store, &seed, false, err) < 0) ||
		    (tree->kind == TREE_OWN &&
		     own_verify(boot->root_fd, boot->store, tree, false, err) < 0) ||
		    (tree->kind == TREE_OWN && is_writable &&
		     own_put_right(boot->root_fd, boot->store, tree, err) < 0))
			return error_prefix(err, "tree \"%s\"",
					    tree->paths.count ? tree->paths.items[0] : "");
	}
	if (!is_writable)
		return 0;
	hash_format(&boot->manifest_hash, digits);
	(void)io_write_file_atomic(boot->store_fd, BOOTED_NAME, digits, strlen(digits), 0644,
				   &ignored);
	return 0;
}

static void tell_omitted(const struct boot *boot)
{
	const struct json *names = json_get(boot->manifest.extra, "omitted_variables");
	struct string_list unset;

	string_list_init(&unset);
	json_for_each(item, names) {
		const char *name = json_string(item, NULL);

		if (name && !getenv(name))
			string_list_add(&unset, name);
	}
	if (unset.count) {
		cleanup_free char *list = string_list_join(&unset, ", ");

		fprintf(stderr, "sidesnap: not in the snapshot and not set: %s\n", list);
	}
	string_list_release(&unset);
}

static void tell_restored(const struct boot *boot, uint64_t begin_ms)
{
	cleanup_free char *size = text_format_size(boot->restored_bytes);
	cleanup_free char *time = clock_format_duration(clock_monotonic_ms() - begin_ms);

	if (boot->restored_volumes)
		fprintf(stderr, "sidesnap: restored %llu volume%s, %s in %s\n",
			(unsigned long long)boot->restored_volumes,
			boot->restored_volumes == 1 ? "" : "s", size, time);
}

static int restore_what_is_due(struct boot *boot, char **arguments, struct error **err)
{
	uint64_t begin_ms = clock_monotonic_ms();
	bool is_due = false, own_is_due, load_is_due;

	boot->was_booted = own_is_settled(boot);
	boot->root_is_writable = root_is_writable(boot);
	for (size_t i = 0; i < boot->place_count; i++)
		is_due |= !boot_place_is_settled(boot, &boot->places[i]);
	load_is_due = boot_load_is_due(boot);
	own_is_due = boot->root_is_writable && !boot->was_booted;
	if (!is_due && !own_is_due)
		return 0;
	handle_signals(boot);
	boot->store = manifest_store(&boot->manifest, boot->store_fd, err);
	if (!boot->store)
		return -1;
	if ((is_due && settle_all(boot, err) < 0) || settle_own(boot, own_is_due, err) < 0)
		return -1;
	tell_omitted(boot);
	tell_restored(boot, begin_ms);
	if (load_is_due && boot_load(boot, arguments, stop_signal(boot), err) < 0)
		return -1;
	return 0;
}

static void explain(const struct boot *boot, struct error **err)
{
	if (!*err || (*err)->hint)
		return;
	if ((*err)->kind == ERROR_DAMAGED || (*err)->kind == ERROR_NOT_FOUND) {
		(*err)->kind = ERROR_DAMAGED;
		error_hint(err,
			   "the snapshot is damaged and was not started; load or pull it again, "
			   "\"sidesnap verify\" tells more");
	} else {
		privilege_explain(&boot->privilege, err);
	}
}

static int boot_all(struct boot *boot, char **arguments, struct error **err)
{
	privilege_begin(&boot->privilege, arguments);
	if (read_wish(boot, err) < 0 || open_manifest(boot, err) < 0) {
		explain(boot, err);
		return -1;
	}
	boot_add_hosts(boot);
	if (boot_open_places(boot, err) < 0 || restore_what_is_due(boot, arguments, err) < 0) {
		explain(boot, err);
		return -1;
	}
	return 0;
}

int agent_boot(char **arguments)
{
	struct boot boot;
	struct error *err = NULL;

	if (arguments[0] && strcmp(arguments[0], "--") == 0)
		arguments++;
	memset(&boot, 0, sizeof(boot));
	boot.root_fd = boot.store_fd = -1;
	manifest_init(&boot.manifest);
	if (!arguments[0]) {
		error_set(&err, ERROR_USAGE, "there is no command to start");
		error_hint(&err, "give one: docker run IMAGE COMMAND");
		return agent_report(err);
	}
	if (boot_all(&boot, arguments, &err) < 0 || privilege_end(&boot.privilege, &err) < 0)
		return agent_report(err);
	boot_close_places(&boot);
	store_free(boot.store);
	manifest_release(&boot.manifest);
	return execute_command(arguments);
}
