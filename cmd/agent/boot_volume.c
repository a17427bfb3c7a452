/*
 * One volume at a container's start. Containers that share it start at the same time,
 * so the decision is made again under the volume's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "boot.h"
#include "tree/restore/restore_volume.h"

#define LOCK_WAIT_MS (60U * 60 * 1000)
#define LOCK_QUIET_MS 2000 /* said only when it takes longer */
#define IDLE_WAIT_MS 60000 /* for another container that has not begun */
#define POLL_MS 50
#define BOOT_STATES_NAME "state" /* in the container's own /.sidesnap */

static int open_without_links(const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

static bool is_mount_point(int fd)
{
	/* The layout of the kernel; not every libc has the attribute. */
	struct {
		uint32_t mask, block_size;
		uint64_t attributes;
		uint8_t rest[240];
	} status;

	memset(&status, 0, sizeof(status));
	return syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0, &status) == 0 &&
	       status.attributes & 0x2000; /* STATX_ATTR_MOUNT_ROOT */
}

/* Directories that are missing; no link is followed. */
static int make_directories(const char *path)
{
	for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		cleanup_free char *part =
			slash ? memory_strndup(path, (size_t)(slash - path)) : memory_strdup(path);
		char *name = strrchr(part, '/');
		cleanup_fd int parent = -1;

		*name++ = '\0';
		parent = open_without_links(*part ? part : "/");
		if (parent < 0 || (mkdirat(parent, name, 0755) < 0 && errno != EEXIST))
			return -1;
		if (!slash)
			return 0;
	}
}

/*
 * Rights from the agent's file must not lead us through a link that a service made: with
 * them links are followed with the user's own rights only, and only to a mount point.
 */
static int open_place(const struct boot *boot, const char *path)
{
	int fd = open_without_links(path);

	if (fd < 0 && errno == ENOENT && make_directories(path) == 0)
		fd = open_without_links(path);
	if (fd >= 0 || errno != ELOOP)
		return fd;
	privilege_pause(&boot->privilege);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	privilege_resume(&boot->privilege);
	if (fd >= 0 && boot->privilege.gained && !is_mount_point(fd)) {
		close(fd);
		errno = ELOOP;
		return -1;
	}
	return fd;
}

static bool is_writable(const struct boot *boot, int fd)
{
	struct statvfs status;

	(void)boot;
	return fstatvfs(fd, &status) == 0 && !(status.f_flag & ST_RDONLY);
}

static int add_place(struct boot *boot, const struct tree_record *tree, const char *path,
		     struct error **err)
{
	struct boot_place *place = &boot->places[boot->place_count];

	place->tree = tree;
	place->path = path;
	place->fd = open_place(boot, path);
	if (place->fd < 0) {
		error_set_errno(err, errno, "cannot open \"%s\", where the snapshot has a volume",
				path);
		return error_hint(err, "mount a volume there: -v NAME:%s", path);
	}
	place->is_mount = is_mount_point(place->fd);
	place->is_writable = is_writable(boot, place->fd);
	boot->place_count++;
	return 0;
}

/* Largest trees first; of one tree the writable paths first. */
static int compare_places(const void *a, const void *b)
{
	const struct boot_place *x = a, *y = b;

	if (x->tree != y->tree) {
		if (x->tree->bytes != y->tree->bytes)
			return x->tree->bytes > y->tree->bytes ? -1 : 1;
		return x->tree < y->tree ? -1 : 1;
	}
	return (int)y->is_writable - (int)x->is_writable;
}

int boot_open_places(struct boot *boot, struct error **err)
{
	size_t count = 0;

	for (size_t i = 0; i < boot->manifest.tree_count; i++)
		count += boot->manifest.trees[i].paths.count;
	boot->places = memory_zalloc((count + 1) * sizeof(*boot->places));
	for (size_t i = 0; i < boot->manifest.tree_count; i++) {
		const struct tree_record *tree = &boot->manifest.trees[i];

		for (size_t j = 0; tree->kind != TREE_OWN && j < tree->paths.count; j++) {
			if (add_place(boot, tree, tree->paths.items[j], err) < 0)
				return -1;
		}
	}
	if (boot->place_count)
		qsort(boot->places, boot->place_count, sizeof(*boot->places), compare_places);
	return 0;
}

void boot_close_places(struct boot *boot)
{
	for (size_t i = 0; i < boot->place_count; i++)
		close(boot->places[i].fd);
	free(boot->places);
	boot->places = NULL;
	boot->place_count = 0;
}

/* A consolidated snapshot's tree has another hash than before, and is the same. */
static void read_mark(const struct boot_place *place, struct mark *mark)
{
	mark_read(place->fd, mark);
	if (mark->state != MARK_NONE && tree_record_is(place->tree, &mark->tree))
		mark->tree = place->tree->hash;
}

bool boot_place_is_settled(const struct boot *boot, const struct boot_place *place)
{
	struct mark mark;

	read_mark(place, &mark);
	/* This container has begun its life on it: another snapshot in it was put there on purpose. */
	if (boot->was_booted && mark.state == MARK_RESTORED)
		return true;
	return mark.state == MARK_RESTORED && hash_equal(&mark.tree, &place->tree->hash) &&
	       volume_decide(&mark, &place->tree->hash, boot->wish, place->is_writable, false) ==
		       VOLUME_LEAVE;
}

/* Paths of other trees below this one, relative to it; *in_layer: one is no mount here. */
static void find_inner(const struct boot *boot, const struct boot_place *place,
		       struct string_list *inner, bool *in_layer)
{
	*in_layer = false;
	for (size_t i = 0; i < boot->place_count; i++) {
		const struct boot_place *other = &boot->places[i];
		const char *below = path_below(other->path, place->path);

		if (!below || !*below)
			continue;
		string_list_add(inner, below);
		*in_layer |= !other->is_mount;
	}
}

static int decide(struct boot *boot, struct boot_place *place, struct mark *mark,
		  enum volume_action *action, char **foreign, struct error **err)
{
	struct string_list inner;
	bool in_layer;
	int is_empty;

	read_mark(place, mark);
	string_list_init(&inner);
	find_inner(boot, place, &inner, &in_layer);
	is_empty =
		volume_is_empty(place->fd, boot->store, &place->tree->seed, &inner, foreign, err);
	string_list_release(&inner);
	if (is_empty < 0)
		return error_prefix(err, "\"%s\"", place->path);
	*action = volume_decide(mark, &place->tree->hash, boot->wish, place->is_writable,
				is_empty > 0);
	return 0;
}

static int refuse(const struct boot_place *place, const struct mark *mark, const char *foreign,
		  struct error **err)
{
	const char *what = mark->state == MARK_RESTORING  ? "half of another snapshot"
			   : mark->state == MARK_RESTORED ? "the data of another snapshot"
							  : "data that is not this snapshot's";

	if (!place->is_writable) {
		error_set(err, ERROR_REFUSED, "\"%s\" is mounted read-only and holds %s (\"%s\")",
			  place->path, what, foreign ? foreign : "");
		return error_hint(err,
				  "mount another volume there, or set SIDESNAP_RESTORE=keep to "
				  "start on what it holds");
	}
	error_set(err, ERROR_REFUSED, "the volume at \"%s\" holds %s (\"%s\"); nothing was changed",
		  place->path, what, foreign ? foreign : "");
	return error_hint(err,
			  "mount another volume there, or set SIDESNAP_RESTORE=keep to start on "
			  "what it holds, or SIDESNAP_RESTORE=replace to throw that away, once");
}

static void rest(void)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

	nanosleep(&pause, NULL);
}

static bool somebody_restores(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
		flock(fd, LOCK_UN);
		return false;
	}
	return errno == EWOULDBLOCK;
}

/* Mounted read-only here: another container has to restore it. */
static int wait_for_other(struct boot *boot, struct boot_place *place, struct error **err)
{
	uint64_t idle_since = clock_monotonic_ms();
	bool is_said = false;
	struct mark mark;

	for (;;) {
		read_mark(place, &mark);
		if (mark.state == MARK_RESTORED && hash_equal(&mark.tree, &place->tree->hash))
			return 0;
		if (somebody_restores(place->fd))
			idle_since = clock_monotonic_ms();
		if (clock_monotonic_ms() - idle_since > IDLE_WAIT_MS)
			break;
		if (!is_said && clock_monotonic_ms() - idle_since > LOCK_QUIET_MS) {
			fprintf(stderr,
				"sidesnap: waiting for another container to restore \"%s\", which is "
				"read-only here\n",
				place->path);
			is_said = true;
		}
		rest();
	}
	(void)boot;
	error_set(err, ERROR_REFUSED, "\"%s\" is %s here and no other container restores it",
		  place->path,
		  place->is_mount ? "mounted read-only" : "on a read-only file system");
	return error_hint(err,
			  place->is_mount ? "mount it writable for the first start"
					  : "mount a volume there: -v NAME:%s",
			  place->path);
}

static int lock_place(const struct boot_place *place, struct error **err)
{
	cleanup_error struct error *ignored = NULL;

	if (mark_lock(place->fd, LOCK_QUIET_MS, &ignored) == 0)
		return 0;
	fprintf(stderr, "sidesnap: waiting for another container that restores \"%s\"\n",
		place->path);
	return mark_lock(place->fd, LOCK_WAIT_MS, err);
}

static int fail_mid_restore(void *context, const struct restore_totals *totals, struct error **err)
{
	(void)context;
	(void)totals;
	(void)err;
	return failpoint_error("boot/mid-restore", err);
}

/* For the first reset: what is restored now need not be read then. -1 where none can be left. */
static int open_boot_states(const struct boot *boot)
{
	if (!boot->root_is_writable || boot->store_fd < 0)
		return -1;
	if (mkdirat(boot->store_fd, BOOT_STATES_NAME, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(boot->store_fd, BOOT_STATES_NAME,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A tree that is mounted at several paths may be in several volumes. */
static char *boot_state_name(const struct boot *boot, const struct boot_place *place)
{
	size_t tree = (size_t)(place->tree - boot->manifest.trees), path = 0;

	while (place->tree->paths.items[path] != place->path)
		path++;
	return path ? memory_printf("%zu.%zu.state", tree, path) : memory_printf("%zu.state", tree);
}

static int restore_place(struct boot *boot, struct boot_place *place, uint64_t *bytes,
			 struct error **err)
{
	cleanup_free char *name = boot_state_name(boot, place);
	cleanup_fd int states_fd = open_boot_states(boot);
	struct mark mark = {.state = MARK_RESTORING,
			    .tree = place->tree->hash,
			    .replaced = boot->wish == VOLUME_REPLACE};
	struct volume_plan plan = {
		.root_fd = place->fd,
		.store = boot->store,
		.tree = place->tree,
		.options = {.workers = boot->workers, .progress = fail_mid_restore},
		.restoring = mark,
		.restored = mark,
		.state_fd = states_fd,
		.state_name = name,
		.key = {.volume = "", .created = ""},
		.boot_state_fd = -1,
	};
	struct restore_totals totals = {0};
	struct string_list inner;
	bool in_layer;

	string_list_init(&inner);
	find_inner(boot, place, &inner, &in_layer);
	string_list_release(&inner);
	/* Another tree's place within this one must not be swept away with the extras. */
	plan.options.remove_extra = !in_layer;
	plan.restored.state = MARK_RESTORED;
	if (volume_restore_all(&plan, &totals, err) < 0)
		return -1;
	*bytes = totals.bytes;
	return 0;
}

static int advise(const struct boot *boot, const struct boot_place *place, struct error **err)
{
	error_prefix(err, "cannot restore \"%s\"", place->path);
	privilege_explain(&boot->privilege, err);
	return -1;
}

int boot_place_look(struct boot *boot, struct boot_place *place, struct mark *mark,
		    enum volume_action *action, struct error **err)
{
	cleanup_free char *foreign = NULL;

	*action = VOLUME_LEAVE;
	/* Readers take no lock: they would keep out those who restore. */
	if (place->is_writable && lock_place(place, err) < 0)
		return error_prefix(err, "\"%s\"", place->path);
	if (decide(boot, place, mark, action, &foreign, err) < 0)
		return -1;
	place->was_foreign = foreign != NULL;
	if (*action == VOLUME_REFUSE)
		return refuse(place, mark, foreign, err);
	if (*action == VOLUME_WAIT) {
		*action = VOLUME_LEAVE;
		return wait_for_other(boot, place, err);
	}
	if (*action == VOLUME_LEAVE)
		flock(place->fd, LOCK_UN);
	return 0;
}

int boot_place_settle(struct boot *boot, struct boot_place *place, uint64_t *bytes,
		      struct error **err)
{
	enum volume_action action;
	struct mark mark;

	*bytes = 0;
	if (boot_place_look(boot, place, &mark, &action, err) < 0)
		return -1;
	if (action != VOLUME_RESTORE)
		return 0;
	if (restore_place(boot, place, bytes, err) < 0)
		return advise(boot, place, err);
	flock(place->fd, LOCK_UN);
	return 1;
}
