/*
 * sidesnap create --mask: a snapshot for people who must not see what the database holds. Statements
 * change a copy of it that nobody else reaches, and since pages, logs and free space of that copy
 * still hold what was changed, what becomes the snapshot is a dump of it, on an image that never
 * had the data.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "driver/dump.h"
#include "driver/load.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

#define READY_TIMEOUT_MS 600000
#define BLOCK_SIZE 65536
/* Snapshots of containers that were booted from snapshots, and so on. */
#define IMAGES_MOST 128

struct masking {
	struct session *session;
	const struct create_options *options;
	const char *path;
	int fd;
	struct target target;
	char *image; /* id of what the snapshot is to stand on; NULL: --onto */
	struct scratch *scratch;
};

static void masking_release(struct masking *masking)
{
	scratch_free(masking->scratch);
	if (masking->fd >= 0)
		close(masking->fd);
	target_release(&masking->target);
	free(masking->image);
}

/* ---- before anything is made ---- */

/* What is known to be nothing is said before a copy is made for it; of a pipe nobody knows. */
static int check_file(const struct masking *masking, struct error **err)
{
	struct stat status;

	if (fstat(masking->fd, &status) < 0)
		return error_set_errno(err, errno, "cannot examine \"%s\"", masking->path);
	if (S_ISDIR(status.st_mode))
		return error_set(err, ERROR_USAGE, "\"%s\" is a folder, not a file of statements",
				 masking->path);
	if (S_ISREG(status.st_mode) && !status.st_size)
		return error_set(err, ERROR_USAGE, "\"%s\" is empty: nothing would be masked",
				 masking->path);
	return 0;
}

static int check_options(const struct create_options *options, struct error **err)
{
	if (options->included.count)
		return error_set(err, ERROR_USAGE,
				 "--mask and --include exclude each other: a masked snapshot holds "
				 "nothing but the database");
	return 0;
}

static int check_driver(const struct masking *masking, struct error **err)
{
	const struct create_options *options = masking->options;
	const struct session *session = masking->session;
	CLEANUP(cleanup_json_free)
	struct json *image = image_inspect(session->engine, masking->target.image_id, NULL);
	const char *lacking = NULL;
	struct driver_match match;

	if (driver_detect(session->engine, masking->target.inspect, image, &match, err) < 0)
		return -1;
	if (match.driver && !driver_dumps(&match, options->database != NULL))
		lacking = options->database ? "dump one database" : "dump";
	else if (match.driver && !json_get(match.driver->definition, "script"))
		lacking = "run statements";
	if (!match.driver)
		error_set(err, ERROR_UNSUPPORTED,
			  "container \"%s\" runs no database that sidesnap knows",
			  masking->target.name);
	else if (lacking)
		error_set(err, ERROR_UNSUPPORTED, "%s cannot be masked: its driver cannot %s",
			  match.driver->name, lacking);
	driver_match_release(&match);
	return err && *err ? -1 : 0;
}

/*
 * A container that was booted from a snapshot stands on an image that holds data: what that snapshot was
 * made on is wanted, and so on.
 */
static int find_plain_image(struct masking *masking, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *image = NULL;

	masking->image = memory_strdup(masking->target.image_id);
	for (unsigned i = 0; i < IMAGES_MOST; i++) {
		json_free(image);
		image = image_inspect(masking->session->engine, masking->image, err);
		if (!image) {
			error_prefix(err, "the image below the snapshot that \"%s\" was made from",
				     masking->target.name);
			return error_hint(err, "pull it, or name one: --onto IMAGE");
		}
		if (!*snapshot_label(image, LABEL_ID))
			return 0;
		free(masking->image);
		masking->image = memory_strdup(snapshot_label(image, LABEL_IMAGE_ID));
	}
	return error_set(err, ERROR_REFUSED, "no image below \"%s\" is free of data",
			 masking->target.name);
}

static int begin(struct masking *masking, struct error **err)
{
	if (check_options(masking->options, err) < 0)
		return -1;
	masking->fd = open(masking->path, O_RDONLY | O_CLOEXEC);
	if (masking->fd < 0) {
		int number = errno;

		error_set_errno(err, number, "cannot open \"%s\"", masking->path);
		return error_hint(err, "it is read here, where the command runs; in a sidecar: "
				       "docker-compose exec -T sidesnap sidesnap create --mask "
				       "/dev/stdin ... < FILE");
	}
	if (check_file(masking, err) < 0)
		return -1;
	if (target_find(masking->session, masking->options->target, &masking->target, err) < 0 ||
	    check_driver(masking, err) < 0)
		return -1;
	return masking->options->onto ? 0 : find_plain_image(masking, err);
}

/* ---- the copy ---- */

static int boot_made(void *context, const struct json *made, struct error **err)
{
	struct masking *masking = context;
	const struct session *session = masking->session;
	CLEANUP(cleanup_json_free)
	struct json *image = image_inspect(session->engine, json_string_or(made, "image", ""), err);

	if (!image || scratch_check_room(session, json_string_or(image, "Id", ""),
					 (uint64_t)json_int(made, "bytes"), err) < 0)
		return -1;
	failpoint("mask/made");
	masking->scratch = scratch_start(session, image, json_string(made, "id"),
					 masking->target.inspect, false, err);
	return masking->scratch ? 0 : -1;
}

static int make_copy(struct masking *masking, struct error **err)
{
	const struct create_options options = {
		.target = masking->target.id,
		.stopped = masking->options->stopped,
		.live = masking->options->live,
		.reserve_bytes = masking->options->reserve_bytes,
		.made = boot_made,
		.made_context = masking,
	};
	CLEANUP(cleanup_json_free) struct json *made = NULL;

	if (snapshot_create(masking->session, &options, &made, err) < 0)
		return -1;
	progress_phase(masking->session->progress, "waiting until the copy is ready");
	if (scratch_wait(masking->scratch, READY_TIMEOUT_MS, err) < 0)
		return error_prefix(err, "the copy of \"%s\" did not come up",
				    masking->target.name);
	return 0;
}

/* ---- the statements ---- */

static int feed(struct masking *masking, struct load *script, struct error **err)
{
	cleanup_free char *block = memory_alloc(BLOCK_SIZE);
	uint64_t bytes = 0;

	for (;;) {
		ssize_t count = read(masking->fd, block, BLOCK_SIZE);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return error_set_errno(err, errno, "cannot read \"%s\"", masking->path);
		if (count == 0)
			break;
		bytes += (uint64_t)count;
		if (driver_load_write(script, block, (size_t)count, err) < 0 ||
		    session_check(masking->session, err) < 0)
			return -1;
	}
	if (!bytes)
		return error_set(err, ERROR_USAGE, "\"%s\" is empty: nothing would be masked",
				 masking->path);
	return driver_load_finish(script, err);
}

static int run_statements(struct masking *masking, struct error **err)
{
	const struct session *session = masking->session;
	CLEANUP(cleanup_driver_load_free) struct load *script = NULL;

	progress_phase(session->progress, "running %s", masking->path);
	script = driver_script_open(session->engine, scratch_id(masking->scratch),
				    scratch_match(masking->scratch), masking->options->database,
				    err);
	if (!script || feed(masking, script, err) < 0) {
		error_prefix(err, "\"%s\"", masking->path);
		return error_hint(err, "every statement must succeed; \"%s\" is as it was",
				  masking->target.name);
	}
	failpoint("mask/masked");
	return 0;
}

static int make_snapshot(struct masking *masking, struct json **result, struct error **err)
{
	const char *slash = strrchr(masking->path, '/');
	const struct create_masked masked = {
		.container = scratch_id(masking->scratch),
		.driver = scratch_match(masking->scratch),
		.name = slash ? slash + 1 : masking->path,
	};
	struct create_options options = *masking->options;

	options.masked = &masked;
	options.logical = true;
	options.stopped = options.live = false;
	if (!options.onto)
		options.onto = masking->image;
	return snapshot_create(masking->session, &options, result, err);
}

int snapshot_create_masked(struct session *session, const struct create_options *options,
			   const char *path, struct json **result, struct error **err)
{
	CLEANUP(masking_release)
	struct masking masking = {.session = session, .options = options, .path = path, .fd = -1};

	if (begin(&masking, err) < 0 || make_copy(&masking, err) < 0 ||
	    run_statements(&masking, err) < 0)
		return error_prefix(err, "no masked snapshot of \"%s\" was made", options->target);
	return make_snapshot(&masking, result, err);
}
