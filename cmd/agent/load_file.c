/*
 * The path is the snapshot's word: it counts only below what the snapshot may fill anyway.
 */
#include "load_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/beneath.h"
#include "tree/restore/restore.h"

/* For tools that want their directory empty: beside the packs, in the container's own layer. */
static bool is_beside_store(const char *path)
{
	return strcmp(path, STORE_DIRECTORY "/load") == 0;
}

/* The place, and where in it; NULL: in none. ${store} is filled where it is beside the packs. */
static const struct boot_place *find_place(const struct boot *boot, const char *path,
					   struct boot_place *store, const char **below)
{
	if (is_beside_store(path)) {
		*store = (struct boot_place){.path = STORE_DIRECTORY, .fd = boot->store_fd};
		*below = path_below(path, STORE_DIRECTORY);
		return store;
	}
	for (size_t i = 0; i < boot->place_count; i++) {
		const struct boot_place *place = &boot->places[i];

		*below = place->tree->kind == TREE_DUMP ? path_below(path, place->path) : NULL;
		if (*below && path_is_safe_relative(*below, strlen(*below)))
			return place;
	}
	return NULL;
}

static int not_ours(const char *path, struct error **err)
{
	return error_set(err, ERROR_DAMAGED, "the snapshot's dump has no business at \"%s\"", path);
}

/* Its owner is that of the directory it is in, which services can write. */
static int inherit_owner(int directory_fd, int fd, struct error **err)
{
	struct stat above, self;

	if (fstat(directory_fd, &above) < 0 || fstat(fd, &self) < 0)
		return error_set_errno(err, errno, "cannot examine the dump's directory");
	if (above.st_uid == self.st_uid && above.st_gid == self.st_gid)
		return 0;
	return fchown(fd, above.st_uid, above.st_gid) < 0
		       ? error_set_errno(err, errno, "cannot give the dump to its server's user")
		       : 0;
}

/* Its reader is a child of ours, without what only boot may. */
static int give_to_us(int fd, struct error **err)
{
	if (fchmod(fd, 0600) < 0 || fchown(fd, getuid(), getgid()) < 0)
		return error_set_errno(err, errno, "cannot give the dump to the one who reads it");
	return 0;
}

/* The directory of the last component, whose name is in *name; -1 with errno or *err. */
static int open_directory(const struct boot_place *place, const char *below, bool make,
			  const char **name, struct error **err)
{
	int fd = fcntl(place->fd, F_DUPFD_CLOEXEC, 0);

	*name = below;
	for (const char *slash; fd >= 0 && (slash = strchr(*name, '/')); *name = slash + 1) {
		cleanup_free char *part = memory_strndup(*name, (size_t)(slash - *name));
		int above = fd;
		bool made = make && mkdirat(above, part, 0755) == 0;

		fd = beneath_open(above, part, O_RDONLY | O_DIRECTORY, 0);
		if (fd >= 0 && made && inherit_owner(above, fd, err) < 0) {
			close(fd);
			close(above);
			return -1;
		}
		close(above);
	}
	return fd;
}

static int copy(int fd, struct dump_reader *dump, struct error **err)
{
	const uint8_t *data;
	size_t size;
	int result;

	while ((result = dump_next(dump, &data, &size, err)) > 0)
		if (io_write_full(fd, data, size) < 0 || failpoint_error("load/feeding", err) < 0)
			return err && *err ? -1
					   : error_set_errno(err, errno, "cannot write the dump");
	if (result < 0)
		return -1;
	return fsync(fd) < 0 ? error_set_errno(err, errno, "cannot sync the dump") : 0;
}

int load_file_write(const struct boot *boot, const char *path, struct dump_reader *dump,
		    struct error **err)
{
	const char *below, *name;
	struct boot_place store;
	const struct boot_place *place = find_place(boot, path, &store, &below);
	cleanup_fd int directory_fd = -1, fd = -1;
	int result;

	if (!place)
		return not_ours(path, err);
	/* A start that was cut off has left one: nobody clears this directory. */
	if (place == &store && unlinkat(store.fd, below, 0) < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove \"%s\"", path);
	directory_fd = open_directory(place, below, true, &name, err);
	if (directory_fd >= 0)
		fd = beneath_open(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0640);
	if (fd < 0)
		return err && *err ? -1 : error_set_errno(err, errno, "cannot make \"%s\"", path);
	result = place == &store ? give_to_us(fd, err) : inherit_owner(directory_fd, fd, err);
	if (result < 0 || copy(fd, dump, err) < 0)
		return -1;
	return fsync(directory_fd) < 0 ? error_set_errno(err, errno, "cannot sync \"%s\"", path)
				       : 0;
}

int load_file_remove(const struct boot *boot, const char *path, struct error **err)
{
	const char *below, *name;
	struct boot_place store;
	const struct boot_place *place = find_place(boot, path, &store, &below);
	cleanup_fd int directory_fd = -1, fd = -1;

	if (!place)
		return not_ours(path, err);
	directory_fd = open_directory(place, below, false, &name, err);
	if (directory_fd < 0)
		return errno == ENOENT ? 0
				       : error_set_errno(err, errno, "cannot look at \"%s\"", path);
	if (unlinkat(directory_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	fd = beneath_open_own(directory_fd, name);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot remove \"%s\"", path);
	if (tree_clear(fd, err) < 0)
		return -1;
	return unlinkat(directory_fd, name, AT_REMOVEDIR) < 0
		       ? error_set_errno(err, errno, "cannot remove \"%s\"", path)
		       : 0;
}
