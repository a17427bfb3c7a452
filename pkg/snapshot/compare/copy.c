/*
 * sidesnap cat, sidesnap cp: single files and folders of a snapshot. Where they go and under
 * which name is decided as by docker cp.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/path.h"
#include "base/tar.h"
#include "snapshot/compare/extract.h"
#include "snapshot/compare/unpack.h"
#include "snapshot/snapshot.h"

/* ---- cat ---- */

struct printing {
	snapshot_output *output;
	void *context;
};

static int ignore_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	(void)context;
	(void)entry;
	(void)err;
	return 0;
}

static int print_data(void *context, const void *data, size_t size, struct error **err)
{
	const struct printing *printing = context;

	return printing->output(printing->context, data, size, err);
}

static int give_zeros(int (*data)(void *context, const void *data, size_t size, struct error **err),
		      void *context, uint64_t length, struct error **err)
{
	static const char zeros[65536];

	while (length) {
		size_t size = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);

		if (data(context, zeros, size, err) < 0)
			return -1;
		length -= size;
	}
	return 0;
}

static int print_hole(void *context, uint64_t length, struct error **err)
{
	return give_zeros(print_data, context, length, err);
}

int snapshot_cat(struct session *session, const char *word, snapshot_output *output, void *context,
		 struct error **err)
{
	struct printing printing = {output, context};
	const struct extract_taker taker = {ignore_entry, print_data, print_hole, &printing};
	CLEANUP(cleanup_extraction_free) struct extraction *extraction = NULL;
	CLEANUP(extract_source_release) struct extract_source source;

	if (extract_parse(word, &source, err) < 0)
		return -1;
	extraction = extraction_open(session, &source, true, err);
	if (!extraction)
		return -1;
	if (strcmp(extraction_type(extraction), "file") != 0) {
		error_set(err, ERROR_USAGE, "\"%s\" is no regular file but a %s", source.path,
			  extraction_type(extraction));
		return error_hint(err, "\"sidesnap cp %s DESTINATION\" copies it", word);
	}
	return extraction_run(extraction, &taker, NULL, err);
}

/* ---- cp to a tar ---- */

struct archiving {
	struct tar_writer *writer;
	const char *name; /* of what was asked for; "": what is in it */
	const struct copy_options *options;
};

static char *archive_path(const struct archiving *archiving, const char *path)
{
	if (!*archiving->name)
		return memory_strdup(*path ? path : ".");
	return *path ? memory_printf("%s/%s", archiving->name, path)
		     : memory_strdup(archiving->name);
}

static int archive_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	const struct archiving *archiving = context;
	cleanup_free char *path = archive_path(archiving, entry->path);
	cleanup_free char *first =
		entry->hardlink ? archive_path(archiving, entry->hardlink) : NULL;
	struct tar_entry named = *entry;

	named.path = path;
	named.hardlink = first;
	return tar_writer_entry(archiving->writer, &named, err);
}

static int archive_data(void *context, const void *data, size_t size, struct error **err)
{
	const struct archiving *archiving = context;

	return tar_writer_data(archiving->writer, data, size, err);
}

static int archive_hole(void *context, uint64_t length, struct error **err)
{
	return give_zeros(archive_data, context, length, err);
}

static int write_archive(void *context, const void *data, size_t size, struct error **err)
{
	const struct archiving *archiving = context;

	return archiving->options->output(archiving->options->context, data, size, err);
}

static int copy_to_archive(struct extraction *extraction, const struct copy_options *options,
			   const char *name, struct json **done, struct error **err)
{
	struct archiving archiving = {.name = name, .options = options};
	const struct extract_taker taker = {archive_entry, archive_data, archive_hole, &archiving};
	int result = -1;

	archiving.writer = tar_writer_new(write_archive, &archiving, err);
	if (archiving.writer && extraction_run(extraction, &taker, done, err) == 0)
		result = tar_writer_finish(archiving.writer, err);
	tar_writer_free(archiving.writer);
	return result;
}

/* ---- cp to files ---- */

/* Where it goes: a folder that is there, and a name in it. */
struct destination {
	int folder_fd;
	char *name; /* NULL: the folder itself */
};

static void destination_release(struct destination *destination)
{
	if (destination->folder_fd >= 0)
		close(destination->folder_fd);
	free(destination->name);
}

static int open_folder(struct destination *destination, const char *path, struct error **err)
{
	destination->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (destination->folder_fd >= 0)
		return 0;
	error_set_errno(err, errno, "cannot open the folder \"%s\"", path);
	return errno == ENOENT ? error_hint(err, "make it first: mkdir -p \"%s\"", path) : -1;
}

/* A name that is not there yet, or a file that is to be replaced. */
static int find_new(struct destination *destination, const char *path, bool is_folder,
		    struct error **err)
{
	cleanup_free char *clean = memory_strdup(path), *folder = NULL;
	size_t size = strlen(clean);
	char *slash;

	if (!is_folder && text_has_suffix(path, "/"))
		return error_set(err, ERROR_NOT_FOUND, "there is no folder \"%s\"", path);
	while (size > 1 && clean[size - 1] == '/')
		clean[--size] = '\0';
	slash = strrchr(clean, '/');
	folder = slash ? memory_strndup(clean, slash == clean ? 1 : (size_t)(slash - clean))
		       : memory_strdup(".");
	destination->name = memory_strdup(slash ? slash + 1 : clean);
	return open_folder(destination, folder, err);
}

/* ${name}: of what is copied, "": what is in it. */
static int find_destination(struct destination *destination, const char *path, const char *name,
			    bool is_folder, struct error **err)
{
	struct stat status;
	bool exists = stat(path, &status) == 0;

	destination->folder_fd = -1;
	destination->name = NULL;
	if (!*path)
		return error_set(err, ERROR_USAGE, "the destination is empty");
	if (!exists && errno != ENOENT)
		return error_set_errno(err, errno, "cannot look at \"%s\"", path);
	if (exists && S_ISDIR(status.st_mode)) {
		destination->name = *name ? memory_strdup(name) : NULL;
		return open_folder(destination, path, err);
	}
	if (exists && is_folder)
		return error_set(err, ERROR_EXISTS,
				 "\"%s\" is a file, and a folder is to be copied", path);
	return find_new(destination, path, is_folder, err);
}

static int copy_to_files(struct extraction *extraction, const struct copy_options *options,
			 const char *name, struct json **done, struct json *skipped,
			 struct error **err)
{
	bool is_folder = strcmp(extraction_type(extraction), "directory") == 0;
	CLEANUP(destination_release) struct destination destination;
	CLEANUP(cleanup_unpack_free) struct unpack *unpack = NULL;
	const struct string_list *list;
	struct extract_taker taker;

	if (find_destination(&destination, options->destination, name, is_folder, err) < 0)
		return -1;
	unpack = unpack_new(destination.folder_fd, destination.name, options->archive);
	taker = unpack_taker(unpack);
	if (extraction_run(extraction, &taker, done, err) < 0 || unpack_finish(unpack, err) < 0)
		return -1;
	list = unpack_skipped(unpack);
	for (size_t i = 0; i < list->count; i++)
		json_add_string(skipped, list->items[i]);
	return 0;
}

/* What it is called at its destination: its last part; "" of "/" and of what ends in "/.". */
static char *name_of(const char *path)
{
	cleanup_free char *clean = path_clean(path);

	if (text_has_suffix(path, "/.") || !clean[1])
		return memory_strdup("");
	return memory_strdup(strrchr(clean, '/') + 1);
}

static int check_contents(const struct extraction *extraction, const char *path, struct error **err)
{
	if (strcmp(extraction_type(extraction), "directory") == 0 || !text_has_suffix(path, "/."))
		return 0;
	return error_set(err, ERROR_USAGE, "\"%s\" is no folder", path);
}

int snapshot_copy(struct session *session, const struct copy_options *options, struct json **result,
		  struct error **err)
{
	CLEANUP(cleanup_extraction_free) struct extraction *extraction = NULL;
	CLEANUP(extract_source_release) struct extract_source source;
	CLEANUP(cleanup_json_free) struct json *done = NULL, *object = json_new_object();
	struct json *skipped = json_set_array(object, "skipped");
	cleanup_free char *name = NULL;

	if (extract_parse(options->source, &source, err) < 0)
		return -1;
	name = name_of(source.path);
	/* what is in a folder is not what is in a link to it */
	extraction = extraction_open(session, &source,
				     options->follow || text_has_suffix(source.path, "/") ||
					     text_has_suffix(source.path, "/."),
				     err);
	if (!extraction || check_contents(extraction, source.path, err) < 0 ||
	    (options->destination ? copy_to_files(extraction, options, name, &done, skipped, err)
				  : copy_to_archive(extraction, options, name, &done, err)) < 0)
		return extraction ? error_prefix(err, "cannot copy \"%s\"", options->source) : -1;
	json_set_string(object, "reference", extraction_reference(extraction));
	json_set_bytes(object, "path", extraction_path(extraction));
	json_set_string(object, "type", extraction_type(extraction));
	json_set_string(object, "destination", text_or(options->destination, "-"));
	json_set_int(object, "files", json_int(done, "files"));
	json_set_int(object, "bytes", json_int(done, "bytes"));
	*result = STEAL_POINTER(object);
	return session_check(session, err);
}
