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

/* The place, and where in it; NULL: in none. */
static const struct boot_place *find_place(const struct boot *boot, const char *path,
					   const char **below)
{
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
	const struct boot_place *place = find_place(boot, path, &below);
	cleanup_fd int directory_fd = -1, fd = -1;

	if (!place)
		return not_ours(path, err);
	directory_fd = open_directory(place, below, true, &name, err);
	if (directory_fd >= 0)
		fd = beneath_open(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0640);
	if (fd < 0)
		return err && *err ? -1 : error_set_errno(err, errno, "cannot make \"%s\"", path);
	if (inherit_owner(directory_fd, fd, err) < 0 || copy(fd, dump, err) < 0)
		return -1;
	return fsync(directory_fd) < 0 ? error_set_errno(err, errno, "cannot sync \"%s\"", path)
				       : 0;
}

int load_file_remove(const struct boot *boot, const char *path, struct error **err)
{
	const char *below, *name;
	const struct boot_place *place = find_place(boot, path, &below);
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
