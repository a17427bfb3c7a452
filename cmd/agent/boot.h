/*
 * What boot.c and boot_volume.c share.
 */
#ifndef SIDESNAP_AGENT_BOOT_H
#define SIDESNAP_AGENT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "privilege.h"
#include "store/reader.h"
#include "tree/manifest.h"
#include "tree/mark.h"
#include "tree/own/seed.h"

/* A path of a tree in this container. */
struct boot_place {
	const struct tree_record *tree;
	const char *path;
	int fd;
	bool is_mount, is_writable;
	bool was_foreign; /* what it holds is to be thrown away, by a person's wish */
};

struct boot {
	struct privilege privilege;
	enum volume_wish wish;
	bool root_is_writable;
	bool was_booted; /* this container, to the end, at an earlier start */
	int root_fd, store_fd;
	struct manifest manifest;
	struct hash manifest_hash;
	struct store *store; /* opened when something is to be done */
	struct boot_place *places;
	size_t place_count;
	unsigned workers; /* threads for one tree */
	/* results, under the lock of the pool */
	uint64_t restored_volumes, restored_bytes;
};

/* boot_open_places(boot, err): Find every path of every tree; missing directories are made. */
int boot_open_places(struct boot *boot, struct error **err);
void boot_close_places(struct boot *boot);

/* boot_place_is_settled(boot, place): Whether its mark says that nothing is to be done. Cheap. */
bool boot_place_is_settled(const struct boot *boot, const struct boot_place *place);

/*
 * boot_place_settle(boot, place, bytes, err):
 * Do what volume_decide() says under the volume's lock. 1: it was restored, *bytes of it;
 * 0: nothing was to be done.
 */
int boot_place_settle(struct boot *boot, struct boot_place *place, uint64_t *bytes,
		      struct error **err);

/*
 * boot_place_look(boot, place, mark, action, err):
 * The first half of that, for what is filled in another way: the place's mark, and VOLUME_RESTORE,
 * with the volume's lock held, or VOLUME_LEAVE. Others are waited for; what is foreign is refused.
 */
int boot_place_look(struct boot *boot, struct boot_place *place, struct mark *mark,
		    enum volume_action *action, struct error **err);

/* ---- boot_load.c ---- */

/* boot_load_is_due(boot): Whether there is a dump that has not been loaded here. Cheap. */
bool boot_load_is_due(const struct boot *boot);

/*
 * boot_load(boot, arguments, stop_signal, err):
 * Load it, when all else is settled. The container's own command runs meanwhile as a child,
 * and has ended before this returns.
 */
int boot_load(struct boot *boot, char **arguments, int stop_signal, struct error **err);

/* boot_sync(err): Write out every file system that this container has mounted. */
int boot_sync(struct error **err);

/*
 * boot_add_hosts(boot): Each name in the manifest's "hosts" leads to this container, by a line in
 * /etc/hosts where it has none. What cannot be is said on stderr.
 */
void boot_add_hosts(const struct boot *boot);

#endif
