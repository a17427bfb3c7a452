/* Packs lie in files without a name: nothing of them is left behind, however this ends. */
#include "snapshot/share/catalogs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "store/format.h"

void catalogs_init(struct catalogs *catalogs, const struct manifest *manifest)
{
	*catalogs = (struct catalogs){
		.packs = memory_array(NULL, manifest->pack_count + 1, sizeof(*catalogs->packs)),
		.fds = memory_array(NULL, manifest->pack_count + 1, sizeof(*catalogs->fds)),
	};
	for (size_t i = 0; i < manifest->pack_count; i++) {
		if (manifest->packs[i].name[0] != PACK_PREFIX_CATALOG)
			continue;
		catalogs->fds[catalogs->count] = -1;
		catalogs->packs[catalogs->count++] = manifest->packs[i];
	}
	catalogs->missing = catalogs->count;
}

void catalogs_release(struct catalogs *catalogs)
{
	for (size_t i = 0; i < catalogs->count; i++)
		if (catalogs->fds[i] >= 0)
			close(catalogs->fds[i]);
	free(catalogs->fds);
	free(catalogs->packs);
}

static int keep(const struct buffer *data)
{
	int fd = memfd_create("sidesnap-pack", MFD_CLOEXEC);

	if (fd >= 0 && io_write_full(fd, data->data, data->size) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void catalogs_offer(struct catalogs *catalogs, const char *name, const struct buffer *data)
{
	for (size_t i = 0; i < catalogs->count; i++) {
		if (catalogs->fds[i] >= 0 || strcmp(catalogs->packs[i].name, name) != 0)
			continue;
		catalogs->fds[i] = keep(data);
		catalogs->failed |= catalogs->fds[i] < 0;
		catalogs->missing -= catalogs->fds[i] >= 0;
	}
}

bool catalogs_are_complete(const struct catalogs *catalogs)
{
	return catalogs->failed || !catalogs->missing;
}

struct store *catalogs_open(const struct catalogs *catalogs, struct error **err)
{
	if (catalogs->failed) {
		error_set(err, ERROR_FAILED, "no memory for the catalogs");
		return NULL;
	}
	if (!catalogs->count || catalogs->missing) {
		error_set(err, ERROR_UNSUPPORTED,
			  "its catalogs do not stand first in its layers: it, or one that it came "
			  "from, was made by an older sidesnap");
		error_hint(err, "pull it, and name it without --remote");
		return NULL;
	}
	return store_open_files(catalogs->fds, catalogs->packs, catalogs->count, 0, err);
}
