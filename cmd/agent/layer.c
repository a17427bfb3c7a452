/*
 * The image that a helper is made from may be anybody's: a store that is a link, or
 * that somebody else can write, would lead our writes astray.
 */
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "job.h"
#include "tree/manifest.h"
#include "tree/own/own_place.h"

#define STORE_NAME (STORE_DIRECTORY + 1)
#define RESERVE_MIN (1ULL << 30)
#define CAPABILITY_ATTRIBUTE "security.capability"

int layer_open_store(int root_fd, bool make, struct error **err)
{
	struct stat status;
	int fd = place_open(root_fd, STORE_NAME, O_RDONLY | O_DIRECTORY);

	if (fd < 0 && errno == ENOENT && make) {
		if (mkdirat(root_fd, STORE_NAME, 0755) < 0)
			return error_set_errno(err, errno, "cannot make \"" STORE_DIRECTORY "\"");
		fd = place_open(root_fd, STORE_NAME, O_RDONLY | O_DIRECTORY);
	}
	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERROR_NOT_FOUND,
				 "there is no \"" STORE_DIRECTORY "\": the image is no snapshot");
	if (fd < 0 && (place_is_absent(errno) || errno == EXDEV)) {
		error_set(err, ERROR_REFUSED,
			  "\"" STORE_DIRECTORY "\" of the image is no real directory");
		return error_hint(err, "use a snapshot or an image that was not tampered with");
	}
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open \"" STORE_DIRECTORY "\"");
	if (fstat(fd, &status) < 0 || status.st_uid != 0 ||
	    (status.st_mode & (S_IWGRP | S_IWOTH))) {
		close(fd);
		error_set(err, ERROR_REFUSED,
			  "\"" STORE_DIRECTORY "\" of the image belongs to user %u with mode %03o",
			  (unsigned)status.st_uid, (unsigned)(status.st_mode & 07777));
		return error_hint(err, "use a snapshot or an image that was not tampered with");
	}
	return fd;
}

int layer_free_space(int root_fd, uint64_t *bytes, uint64_t *size, struct error **err)
{
	struct statvfs status;

	if (fstatvfs(root_fd, &status) < 0)
		return error_set_errno(err, errno, "cannot ask for the engine's free space");
	*bytes = (uint64_t)status.f_bavail * status.f_frsize;
	if (size)
		*size = (uint64_t)status.f_blocks * status.f_frsize;
	return 0;
}

int layer_reserve_init(struct layer_reserve *reserve, int root_fd, const struct json *job,
		       struct error **err)
{
	uint64_t available, size = 0;

	reserve->root_fd = root_fd;
	reserve->written = 0;
	if (layer_free_space(root_fd, &available, &size, err) < 0)
		return -1;
	reserve->min_free = size / 20 > RESERVE_MIN ? size / 20 : RESERVE_MIN;
	return job_uint(job, "min_free", 1ULL << 53, &reserve->min_free, err);
}

int layer_reserve_permit(void *context, uint64_t bytes, struct error **err)
{
	struct layer_reserve *reserve = context;
	cleanup_free char *left = NULL, *wanted = NULL;
	uint64_t available = 0, needed = bytes + reserve->written + bytes;

	if (layer_free_space(reserve->root_fd, &available, NULL, err) < 0)
		return -1;
	if (available >= needed && available - needed >= reserve->min_free) {
		reserve->written += bytes;
		return 0;
	}
	left = text_format_size(available);
	wanted = text_format_size(reserve->min_free);
	error_set(err, ERROR_NO_SPACE,
		  "the engine's disk has %s left, of which the snapshot takes more than is to be "
		  "used: %s are to stay free",
		  left, wanted);
	return error_hint(err, "make room at the engine, or lower the reserve with --min-free");
}

int layer_hash_file(int directory_fd, const char *name, struct hash *hash, struct error **err)
{
	cleanup_fd int fd = place_open(directory_fd, name, O_RDONLY | O_NONBLOCK);
	cleanup_free char *block = memory_alloc(65536);
	struct hasher *hasher;
	struct stat status;
	ssize_t count;

	if (fd < 0 && place_is_absent(errno))
		return error_set(err, ERROR_NOT_FOUND, "there is no \"%s\"", name);
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set_errno(err, errno, "cannot open \"%s\"", name);
	if (!S_ISREG(status.st_mode))
		return error_set(err, ERROR_REFUSED, "\"%s\" is no regular file", name);
	hasher = hasher_new();
	while ((count = io_read_full(fd, block, 65536)) > 0)
		hasher_update(hasher, block, (size_t)count);
	hasher_finish(hasher, hash);
	hasher_free(hasher);
	return count < 0 ? error_set_errno(err, errno, "cannot read \"%s\"", name) : 0;
}

/* The file capabilities of an agent; size 0: it has none. */
static size_t read_capability(int directory_fd, const char *name, char value[64])
{
	cleanup_fd int fd = place_open(directory_fd, name, O_RDONLY | O_NONBLOCK);
	ssize_t size = fd < 0 ? -1 : fgetxattr(fd, CAPABILITY_ATTRIBUTE, value, 64);

	return size < 0 ? 0 : (size_t)size;
}

/* Whether the store's agent will do: same bytes, and no capability missing. */
static bool is_same_agent(int injected_fd, int store_fd, const struct hash *hash)
{
	cleanup_error struct error *ignored = NULL;
	char wanted[64], present[64];
	size_t wanted_size = read_capability(injected_fd, AGENT_NAME, wanted);
	size_t present_size = read_capability(store_fd, AGENT_NAME, present);
	struct hash there;
	struct stat status;

	if (fstatat(store_fd, AGENT_NAME, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(status.st_mode) || status.st_uid != 0 || (status.st_mode & 07777) != 0755 ||
	    layer_hash_file(store_fd, AGENT_NAME, &there, &ignored) < 0)
		return false;
	return hash_equal(&there, hash) &&
	       (!wanted_size ||
		(wanted_size == present_size && memcmp(wanted, present, wanted_size) == 0));
}

/* Renamed, not copied: it is in the new layer already, with its attributes. */
static int move_agent(int injected_fd, int store_fd, struct error **err)
{
	struct stat status;

	if (place_remove(store_fd, AGENT_NAME, err) < 0)
		return -1;
	if (fstatat(injected_fd, AGENT_NAME, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, errno, "cannot examine the injected agent");
	/* Changing owner drops capabilities, so only where it must be. */
	if ((status.st_uid || status.st_gid) &&
	    fchownat(injected_fd, AGENT_NAME, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, errno, "cannot change the owner of the agent");
	if ((status.st_mode & 07777) != 0755 && fchmodat(injected_fd, AGENT_NAME, 0755, 0) < 0)
		return error_set_errno(err, errno, "cannot change the mode of the agent");
	if (renameat(injected_fd, AGENT_NAME, store_fd, AGENT_NAME) < 0)
		return error_set_errno(err, errno, "cannot put the agent into the store");
	return 0;
}

int layer_install_agent(int root_fd, int store_fd, const char *agent_path, struct hash *hash,
			struct error **err)
{
	cleanup_free char *clean = path_clean(agent_path);
	const char *name = strrchr(clean, '/');
	cleanup_free char *directory =
		memory_strndup(clean + 1, (size_t)(name - clean - (name > clean)));
	cleanup_fd int injected_fd = -1;

	if (name == clean || strchr(directory, '/') || strcmp(name + 1, AGENT_NAME) != 0 ||
	    strcmp(directory, STORE_NAME) == 0)
		return error_set(err, ERROR_USAGE, "bad \"agent_path\" \"%s\" in the job",
				 agent_path);
	injected_fd = place_open(root_fd, directory, O_RDONLY | O_DIRECTORY);
	if (injected_fd < 0)
		return error_set_errno(err, errno, "cannot open \"/%s\"", directory);
	if (layer_hash_file(injected_fd, AGENT_NAME, hash, err) < 0)
		return error_prefix(err, "injected agent");
	if (!is_same_agent(injected_fd, store_fd, hash) &&
	    move_agent(injected_fd, store_fd, err) < 0)
		return -1;
	return place_remove(root_fd, directory, err);
}
