/*
 * Files that were given another name. PostgreSQL uses segments of its write-ahead log again under
 * later names, and who rotates logs renames them: what was renamed need not be written anew. Which
 * file it was is told by the inode that the last restore or the create noted. That is a hint and no
 * more: what the file holds is compared like that of any other.
 */
#include <dirent.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "tree/mark.h"
#include "tree/restore/restore_private.h"
#include "tree/state.h"

/* Of a directory: in a larger one the search takes about as long as writing the file. */
#define NAMES_MAX 10000

/* Every one that was noted for this path, until one of them is found. */
static const struct catalog_entry *note_of(const struct restore *restore, size_t i,
					   const struct catalog_entry *entry)
{
	const struct restore_options *options = restore->options;

	if (i == 0)
		return options->trust_catalog && !(entry->flags & ENTRY_HOT) ? entry : NULL;
	return options->known[i - 1] ? state_last(options->known[i - 1], entry->path) : NULL;
}

/* Whether the file may be taken from under that name: it has no other, and nothing is mounted on it. */
static bool may_move(const struct walk *walk, const struct step *step, const char *name,
		     uint64_t inode)
{
	const struct restore_directory *directory = step->frame->directory;
	cleanup_free char *path = *directory->path ? memory_printf("%s/%s", directory->path, name)
						   : memory_strdup(name);
	struct file_status status;

	return strcmp(path, MARK_FILE) != 0 && !restore_is_protected(walk->restore, path) &&
	       beneath_status(directory->fd, name, &status) == 0 && S_ISREG(status.mode) &&
	       status.device == step->frame->device && status.inode == inode &&
	       status.mount == step->frame->mount && status.links == 1;
}

/* Among the names that follow: what came before is right by now, or gone. */
static const char *find_name(const struct walk *walk, const struct step *step, uint64_t inode)
{
	const struct listing *listing = &step->frame->listing;

	for (size_t i = listing->next; i < listing->count; i++) {
		const char *name = listing_name(listing, i);
		unsigned char type = listing_type(listing, i);

		if (listing_inode(listing, i) == inode && (type == DT_REG || type == DT_UNKNOWN) &&
		    may_move(walk, step, name, inode))
			return name;
	}
	return NULL;
}

bool restore_find_moved(const struct walk *walk, struct step *step)
{
	const struct restore *restore = walk->restore;
	const struct catalog_entry *entry = step->entry;
	const struct frame *frame = step->frame;
	int fd = frame->directory->fd;

	if (!S_ISREG(entry->mode) || entry->hardlink || entry->flags & ENTRY_LINKED ||
	    entry->size <= RESTORE_SMALL_MAX || frame->listing.count > NAMES_MAX)
		return false;
	for (size_t i = 0; i <= sizeof(restore->options->known) / sizeof(struct volume_state *);
	     i++) {
		const struct catalog_entry *note = note_of(restore, i, entry);
		const char *name = note && note->fingerprint.device == frame->device
					   ? find_name(walk, step, note->fingerprint.inode)
					   : NULL;

		/* one that cannot be moved is removed in its turn, or that says why not */
		if (name &&
		    syscall(SYS_renameat2, fd, name, fd, step->name, RENAME_NOREPLACE) == 0) {
			failpoint("volume/moved");
			step->exists = true;
			step->type = DT_REG;
			return true;
		}
	}
	return false;
}
