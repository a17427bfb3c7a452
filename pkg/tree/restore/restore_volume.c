/*
 * The order is what protects: whoever is killed between two of these steps leaves a volume
 * that is marked as half restored, without the files that its service needs to start, and
 * without a state that could call a half-written file known.
 */
#include "tree/restore/restore_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "tree/catalog.h"
#include "tree/earlier.h"
#include "tree/listing.h"
#include "tree/restore/restore_private.h"
#include "tree/write_back.h"

/*
 * File systems take their times from a clock that ticks every 1 to 10 ms. Nobody writes to the
 * volume while it is restored, so that, unlike in a capture, no page fault can be under way.
 */
#define TICK_NS (20 * 1000 * 1000L)
#define BOOT_STATES_MAX 256

struct volume_restore {
	struct volume_plan plan;
	struct restore restore;
	struct volume_state *states[2]; /* the engine's volume of states, a boot's */
	enum state_verdict verdict;
};

/* A boot names its states by the trees of another snapshot: they are told by the root's inode. */
static void open_boot_state(struct volume_restore *volume)
{
	const struct volume_plan *plan = &volume->plan;
	struct listing names;
	cleanup_fd int fd = -1;

	if (plan->boot_state_fd < 0)
		return;
	listing_init(&names);
	fd = openat(plan->boot_state_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && listing_read(&names, fd) == 0) {
		for (size_t i = 0; i < names.count && i < BOOT_STATES_MAX && !volume->states[1];
		     i++) {
			enum state_verdict verdict;

			if (text_has_suffix(listing_name(&names, i), ".state"))
				volume->states[1] = state_open(fd, listing_name(&names, i), NULL,
							       plan->root_fd, &verdict);
		}
	}
	listing_release(&names);
}

static void open_states(struct volume_restore *volume)
{
	const struct volume_plan *plan = &volume->plan;

	volume->verdict = STATE_NONE;
	if (!plan->options.delta || !volume->restore.times_are_proof)
		return;
	if (plan->state_fd >= 0) {
		volume->states[0] = state_open(plan->state_fd, plan->state_name, &plan->key,
					       plan->root_fd, &volume->verdict);
		volume->plan.options.known[0] = volume->states[0];
	}
	open_boot_state(volume);
	volume->plan.options.known[1] = volume->states[1];
	if (volume->states[1])
		volume->verdict = STATE_USED;
}

struct volume_restore *volume_restore_open(const struct volume_plan *plan, struct error **err)
{
	CLEANUP(cleanup_volume_restore_free)
	struct volume_restore *volume = memory_zalloc(sizeof(*volume));
	const struct string_list *guards = plan->options.guards;

	volume->plan = *plan;
	if (restore_init(&volume->restore, plan->root_fd, plan->store, plan->tree,
			 &volume->plan.options, err) < 0)
		return NULL;
	for (size_t i = 0; guards && i < guards->count; i++) {
		if (!path_is_safe_relative(guards->items[i], strlen(guards->items[i]))) {
			error_set(err, ERROR_USAGE, "guard \"%s\" is no relative path",
				  guards->items[i]);
			return NULL;
		}
	}
	open_states(volume);
	return STEAL_POINTER(volume);
}

void volume_restore_free(struct volume_restore *volume)
{
	if (!volume)
		return;
	restore_release(&volume->restore);
	state_close(volume->states[0]);
	state_close(volume->states[1]);
	free(volume);
}

enum state_verdict volume_restore_verdict(const struct volume_restore *volume)
{
	return volume->verdict;
}

void volume_restore_totals(struct volume_restore *volume, struct restore_totals *totals)
{
	restore_count(&volume->restore, totals);
}

/* ---- the first step ---- */

/* One guard, durably; it is not there, or not where it would be looked for: so much the better. */
static int remove_guard(const struct restore *restore, const char *path, struct error **err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *directory =
		slash ? memory_strndup(path, (size_t)(slash - path)) : memory_strdup(".");
	cleanup_fd int fd = -1;

	if (restore_is_protected(restore, path))
		return 0;
	fd = beneath_open(restore->root_fd, directory, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV))
		return 0;
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\"", directory);
	if (unlinkat(fd, slash ? slash + 1 : path, 0) < 0) {
		int number = errno;

		if (number == ENOENT || number == EISDIR)
			return 0;
		error_set_errno(err, number, "cannot remove \"%s\"", path);
		if (number == EPERM)
			error_hint(err, "it may be immutable: see lsattr");
		return -1;
	}
	if (fsync(fd) < 0)
		return error_set_errno(err, errno, "cannot sync the removal of \"%s\"", path);
	return 0;
}

/* The next one, under another name until all is done. */
static void begin_state(struct volume_restore *volume)
{
	const struct volume_plan *plan = &volume->plan;
	cleanup_error struct error *problem = NULL;

	if (plan->state_fd >= 0 && volume->restore.times_are_proof)
		volume->restore.state =
			state_writer_open(plan->state_fd, plan->state_name, &plan->key,
					  plan->root_fd, &plan->tree->hash, &problem);
}

int volume_restore_begin(struct volume_restore *volume, struct error **err)
{
	const struct volume_plan *plan = &volume->plan;
	const struct string_list *guards = plan->options.guards;

	if (plan->state_fd >= 0 && state_remove(plan->state_fd, plan->state_name, err) < 0)
		return -1;
	if (failpoint_error("volume/state-removed", err) < 0 ||
	    mark_write(plan->root_fd, &plan->restoring, err) < 0 ||
	    failpoint_error("volume/marked", err) < 0)
		return -1;
	for (size_t i = 0; guards && i < guards->count; i++) {
		if (remove_guard(&volume->restore, guards->items[i], err) < 0)
			return -1;
	}
	begin_state(volume);
	return failpoint_error("volume/before", err);
}

int volume_restore_fill(struct volume_restore *volume, struct error **err)
{
	if (restore_fill(&volume->restore, err) < 0)
		return -1;
	return failpoint_error("volume/filled", err);
}

/* ---- the last step ---- */

/*
 * What is written from now on shall get later times than all that was written so far, so
 * that the state's fingerprints tell them apart.
 */
static void wait_for_tick(const struct timespec *changed)
{
	const struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
	uint64_t end = clock_monotonic_ms() + 2 * TICK_NS / 1000000;
	struct timespec now;

	/* a clock that is set back must not keep us */
	while (clock_monotonic_ms() < end) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		if ((long long)(now.tv_sec - changed->tv_sec) * 1000000000LL +
			    (now.tv_nsec - changed->tv_nsec) >
		    TICK_NS)
			return;
		nanosleep(&pause, NULL);
	}
}

/* The directory of the records that come one after the other. */
struct stat_walk {
	int root_fd, fd;
	char *directory;
};

static int stat_entry(struct stat_walk *walk, const char *path, struct file_status *status)
{
	const char *slash = strrchr(path, '/');
	size_t size = slash ? (size_t)(slash - path) : 0;

	if (!walk->directory || strlen(walk->directory) != size ||
	    memcmp(walk->directory, path, size) != 0) {
		free(walk->directory);
		walk->directory = memory_strndup(path, size);
		if (walk->fd >= 0)
			close(walk->fd);
		walk->fd = beneath_open(walk->root_fd, size ? walk->directory : ".",
					O_PATH | O_DIRECTORY, 0);
	}
	if (walk->fd < 0)
		return -1;
	return beneath_status(walk->fd, slash ? slash + 1 : path, status);
}

static bool is_as_restored(const struct catalog_entry *entry, const struct file_status *status,
			   const struct timespec *changed)
{
	return status->mode == entry->mode && status->uid == entry->uid &&
	       status->gid == entry->gid && status->size == entry->size &&
	       status->mtime.tv_sec == entry->mtime.tv_sec &&
	       status->mtime.tv_nsec == entry->mtime.tv_nsec &&
	       /* else somebody else was here, or the clock jumps */
	       (status->ctime.tv_sec < changed->tv_sec ||
		(status->ctime.tv_sec == changed->tv_sec &&
		 status->ctime.tv_nsec <= changed->tv_nsec));
}

struct asking {
	struct stat_walk walk;
	const struct timespec *changed;
	struct timespec now; /* the coarse clock, before the first is asked */
};

/*
 * Where inodes have no room for more (ext4 with 128 bytes each), times are whole seconds: the
 * service may start, and write, in the same one.
 */
static bool is_of_this_tick(const struct file_status *status, const struct timespec *now)
{
	return !status->ctime.tv_nsec && status->ctime.tv_sec >= now->tv_sec;
}

static bool ask_fingerprint(void *context, const struct catalog_entry *entry,
			    struct fingerprint *fingerprint)
{
	struct asking *asking = context;
	struct file_status status;

	if (stat_entry(&asking->walk, entry->path, &status) < 0 ||
	    !is_as_restored(entry, &status, asking->changed) ||
	    is_of_this_tick(&status, &asking->now))
		return false;
	fingerprint->device = status.device;
	fingerprint->inode = status.inode;
	fingerprint->ctime = status.ctime;
	return true;
}

/* For the next restore. Without it that takes longer, so no failure matters. */
static void leave_state(struct volume_restore *volume)
{
	struct restore *restore = &volume->restore;
	cleanup_error struct error *problem = NULL;
	struct asking asking = {.walk = {.root_fd = restore->root_fd, .fd = -1},
				.changed = &restore->synced};

	/* what a user was not allowed to set is not as the record says */
	if (!restore->state || restore->refusals)
		return;
	wait_for_tick(&restore->synced);
	clock_gettime(CLOCK_REALTIME_COARSE, &asking.now);
	if (state_writer_settle(restore->state, ask_fingerprint, &asking, &problem) == 0 &&
	    failpoint_error("volume/state-writing", &problem) == 0)
		(void)state_writer_commit(restore->state, &problem);
	if (asking.walk.fd >= 0)
		close(asking.walk.fd);
	free(asking.walk.directory);
}

int volume_restore_end(struct volume_restore *volume, struct error **err)
{
	const struct volume_plan *plan = &volume->plan;

	if (restore_guards(&volume->restore, err) < 0 ||
	    failpoint_error("volume/before-mark", err) < 0 ||
	    restore_report_refusals(&volume->restore, err) < 0)
		return -1;
	if (mark_write(plan->root_fd, &plan->restored, err) < 0 ||
	    failpoint_error("volume/restored", err) < 0)
		return -1;
	leave_state(volume);
	return failpoint_error("volume/done", err);
}

int volume_restore_all(const struct volume_plan *plan, struct restore_totals *totals,
		       struct error **err)
{
	CLEANUP(cleanup_volume_restore_free)
	struct volume_restore *volume = volume_restore_open(plan, err);
	int result = -1;

	if (volume && volume_restore_begin(volume, err) == 0 &&
	    volume_restore_fill(volume, err) == 0 && volume_restore_end(volume, err) == 0)
		result = 0;
	if (volume && totals)
		volume_restore_totals(volume, totals);
	return result;
}
