/*
 * Own files while the target runs. The order for each file is that of volumes: stat,
 * write-back, read. On an overlay file system sync_file_range() does nothing, because the
 * pages belong to the file below: fsync() for a few files, one syncfs() for many.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "tree/own/own_state.h"

/* More files than this are written back by syncfs(), which also waits for what is not theirs. */
#define FSYNC_MAX 32
/* So little in so few files is read under the freeze in less than a disk takes to write one back. */
#define SMALL_BYTES (1U << 20)
/* Longer than a tick of the clock that files get their times from. */
#define TICK_NS (12 * 1000 * 1000L)
#define PAGE_SIZE 4096

static bool is_overlay(int fd)
{
	struct statfs status;

	return fstatfs(fd, &status) == 0 &&
	       ((unsigned long)status.f_type & 0xffffffffUL) == OVERLAYFS_SUPER_MAGIC;
}

/*
 * With "index" on, names of one file stay names of one file when it is copied up, and then a
 * file changes without its directory. Engines switch it off; the module's default counts where
 * they say nothing.
 */
static bool has_no_index(const char *options)
{
	char value = 'Y';
	int fd;

	if (strstr(options, "index=on") || strstr(options, "nfs_export=on"))
		return false;
	if (strstr(options, "index=off"))
		return true;
	fd = open("/sys/module/overlay/parameters/index", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = 'Y';
	close(fd);
	return value == 'N';
}

/* ---- what may differ ---- */

static bool is_dropped(void *context, const char *path)
{
	return own_is_dropped(context, path);
}

static bool is_known(void *context, const char *path, const struct file_status *status)
{
	return own_known_match(context, path, status) != NULL;
}

static void add_look(struct own *own, const char *path, const struct own_look *look)
{
	if (own->look_count == own->look_capacity) {
		own->look_capacity = own->look_capacity ? own->look_capacity * 2 : 64;
		own->looks = memory_array(own->looks, own->look_capacity, sizeof(*own->looks));
	}
	path_map_put(&own->looked, path, own->look_count);
	own->looks[own->look_count++] = *look;
}

static void found(void *context, const char *path, const struct own_look *look)
{
	struct own *own = context;

	own_add_candidate(own, path);
	if (own->is_precopy && look)
		add_look(own, path, look);
}

const struct own_look *own_early_look(const struct own *own, const char *path)
{
	size_t index = own->is_precopy ? path_map_get(&own->looked, path) : PATH_MAP_NONE;

	return index == PATH_MAP_NONE ? NULL : &own->looks[index];
}

struct work {
	size_t files;
	uint64_t bytes;
};

/*
 * The others, which the last snapshot knew; what of all will be read. Of directories only a
 * look of the scan is of use, since that has then compared what is in them.
 */
static struct work look_at_all(struct own *own)
{
	const struct string_list *paths = own_paths(own);
	struct work work = {0};

	for (size_t i = 0; i < paths->count; i++) {
		const struct own_look *early = own_early_look(own, paths->items[i]);
		const char *name = NULL;
		struct own_look look;
		int fd;

		if (!early) {
			clock_gettime(CLOCK_REALTIME_COARSE, &look.looked);
			fd = own_target_parent(own, paths->items[i], &name);
			if (fd < 0 || beneath_status(fd, name, &look.status) < 0)
				continue;
			if (!S_ISDIR(look.status.mode))
				add_look(own, paths->items[i], &look);
			early = &look;
		}
		if (S_ISREG(early->status.mode) &&
		    !own_known_match(own, paths->items[i], &early->status)) {
			work.files++;
			work.bytes += early->status.size;
		}
	}
	own_parents_release(&own->parents);
	return work;
}

/* ---- writing back ---- */

/* Store through a mapping to a page that was written back: do the times change? */
static bool times_follow(int fd)
{
	char *page = ftruncate(fd, PAGE_SIZE) < 0
			     ? MAP_FAILED
			     : mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	const struct timespec tick = {.tv_nsec = TICK_NS};
	struct stat before, after;
	bool result;

	if (page == MAP_FAILED)
		return false;
	page[0] = 1;
	result = fstat(fd, &before) == 0 && fsync(fd) == 0;
	nanosleep(&tick, NULL);
	page[0] = 2;
	result = result && fstat(fd, &after) == 0 &&
		 (before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
		  before.st_mtim.tv_nsec != after.st_mtim.tv_nsec);
	munmap(page, PAGE_SIZE);
	return result;
}

/* Tried in the layer, which is in the same file system as the target's: no statfs() names that. */
static bool can_write_back(const struct own *own)
{
	int fd = openat(own->options.scratch_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	bool result;

	if (fd < 0)
		return false;
	result = times_follow(fd);
	close(fd);
	return result;
}

static void begin_write_back(struct own *own, const struct work *work)
{
	cleanup_fd int fd = -1;

	if (work->files <= FSYNC_MAX && work->bytes <= SMALL_BYTES)
		return;
	if (!can_write_back(own))
		return;
	own->write_back = WRITE_BACK_FILE;
	if (work->files <= FSYNC_MAX)
		return;
	fd = place_open(own->options.target_fd, "", O_RDONLY | O_DIRECTORY);
	if (fd >= 0 && syncfs(fd) == 0)
		own->write_back = WRITE_BACK_DONE;
}

/* ---- the pass ---- */

bool own_is_covered(const struct own *own)
{
	return own->scan != NULL;
}

int own_precopy(struct own *own, struct error **err)
{
	const struct own_scan_options options = {
		.target_fd = own->options.target_fd,
		.layer_fd = own->options.layer_fd,
		.is_dropped = is_dropped,
		.is_known = is_known,
		.found = found,
		.context = own,
	};
	struct work work;

	if (!own->options.mount_options || !has_no_index(own->options.mount_options) ||
	    !is_overlay(own->options.target_fd) || !is_overlay(own->options.layer_fd))
		return 0;
	own->scan = own_scan_new(&options);
	own->is_precopy = true;
	if (own_scan_run(own->scan, err) < 0)
		return -1;
	if (!own_scan_is_useful(own->scan)) {
		own_scan_free(STEAL_POINTER(own->scan));
		own->is_precopy = false;
		return 0;
	}
	failpoint("own/scanned");
	work = look_at_all(own);
	begin_write_back(own, &work);
	if (own_take_all(own, err) < 0)
		return -1;
	own_known_take(own);
	own->is_precopy = false;
	return 0;
}
