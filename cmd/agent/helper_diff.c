/*
 * The diff job: two snapshots as two helpers show them, compared by their catalogs. Own files
 * are compared by theirs too; what only one of them names is looked at in the other's image.
 * All of it may be somebody else's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "diff_content.h"
#include "helper.h"
#include "job.h"
#include "layer.h"
#include "tree/diff/diff_report.h"
#include "tree/own/own_place.h"
#include "view.h"

#define CACHE_SIZE (64U << 20)

/* What the image of one side has at a path. */
struct image_look {
	int root_fd;
	struct content content;
	char *link;
};

struct diff_job {
	const struct json *job;
	struct snapshot_view from, to;
	struct image_look looks[2];
	struct diff_totals totals;
};

static int send_found(void *context, struct json *message, struct error **err)
{
	(void)context;
	(void)err;
	channel_send(WIRE_FOUND, message);
	return 0;
}

static int report_progress(void *context, uint64_t records, struct error **err)
{
	(void)context;
	(void)err;
	channel_progress("comparing", records, 0, 0);
	return 0;
}

static int look(void *context, const char *path, struct catalog_entry *entry, struct error **err)
{
	struct image_look *image = context;
	const char *name = NULL;
	struct stat status;
	cleanup_fd int parent_fd = place_parent(image->root_fd, path, &name);

	if (parent_fd < 0 || fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		/* what a mount hides here is nobody's own file */
		if (place_is_absent(errno) || errno == EXDEV)
			return 0;
		return error_set_errno(err, errno, "cannot examine \"/%s\" of the image", path);
	}
	memset(entry, 0, sizeof(*entry));
	entry->path = path;
	entry->mode = status.st_mode;
	entry->uid = status.st_uid;
	entry->gid = status.st_gid;
	entry->mtime = status.st_mtim;
	if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
		entry->device = status.st_rdev;
	if (S_ISLNK(status.st_mode)) {
		free(image->link);
		entry->link = image->link = place_read_link(parent_fd, name);
	}
	if (!S_ISREG(status.st_mode))
		return 1;
	entry->size = (uint64_t)status.st_size;
	image->content = (struct content){.kind = CONTENT_HASH, .length = entry->size};
	entry->contents = &image->content;
	entry->content_count = entry->size ? 1 : 0;
	if (layer_hash_file(parent_fd, name, &image->content.chunk.id, err) < 0)
		return error_prefix(err, "\"/%s\" of the image", path);
	return 1;
}

/* ---- the job ---- */

static int open_side(const struct diff_job *state, const char *key, struct snapshot_view *view,
		     struct error **err)
{
	const struct json *side = json_get(state->job, key);
	const char *source = json_string_or(side, "source", "");

	if (job_check_members(side, "source manifest", err) < 0 ||
	    (*source ? view_open_container(view, source, err) : view_open_root(view, err)) < 0 ||
	    view_open_store(view, false, err) < 0)
		return -1;
	return view_read_checked(view, json_string_or(side, "manifest", ""), CACHE_SIZE, err);
}

static int compare_all(struct diff_job *state, struct error **err)
{
	const struct diff_report_side from = {&state->from.manifest, state->from.store, look,
					      &state->looks[0]};
	const struct diff_report_side to = {&state->to.manifest, state->to.store, look,
					    &state->looks[1]};
	const struct diff_report_options options = {.send = send_found,
						    .progress = report_progress};

	return diff_report(&from, &to, &options, &state->totals, err);
}

/* One file, or everything. */
static int find_differences(struct diff_job *state, struct error **err)
{
	cleanup_free char *path = json_bytes(state->job, "content");
	struct string_list dropped;
	int result;

	if (!path)
		return compare_all(state, err);
	string_list_init(&dropped);
	result = job_dropped(state->job, &dropped, err);
	if (result == 0)
		result = diff_content_send(&state->from, &state->to, path, &dropped, err);
	string_list_release(&dropped);
	return result;
}

static int run_diff(struct diff_job *state, struct error **err)
{
	struct json *done;

	if (job_check_members(state->job, "operation from to content content64 failpoint", err) < 0)
		return -1;
	if (open_side(state, "from", &state->from, err) < 0)
		return error_prefix(err, "the older one");
	if (open_side(state, "to", &state->to, err) < 0)
		return error_prefix(err, "the newer one");
	state->looks[0].root_fd = state->from.root_fd;
	state->looks[1].root_fd = state->to.root_fd;
	channel_send(WIRE_READY, NULL);
	if (find_differences(state, err) < 0)
		return -1;
	done = json_new_object();
	json_set_int(done, "records", (int64_t)state->totals.records);
	json_set_int(done, "skipped", (int64_t)state->totals.skipped);
	json_set_int(done, "read_bytes", (int64_t)state->totals.read_bytes);
	channel_send(WIRE_DONE, done);
	return 0;
}

int helper_diff(const struct json *job, struct error **err)
{
	struct diff_job state = {.job = job};
	int result;

	view_init(&state.from);
	view_init(&state.to);
	result = run_diff(&state, err);
	free(state.looks[0].link);
	free(state.looks[1].link);
	view_release(&state.from);
	view_release(&state.to);
	return result;
}
