/*
 * A bundle from somebody else is input: its names lead nowhere but below the directory that was asked for,
 * and nothing but files is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "bundle/bundle.h"
#include "tree/beneath.h"

#define LINE_LIMIT (256u << 10)

struct reading {
	const struct bundle_open *open;
	regex_t regex;
	bool has_regex;
	int directory, file; /* -1: none */
	char *path;	     /* of the present member, NULL: it is passed over */
	uint64_t line, matches;
	struct buffer text;
	bool was_found, is_done;
	struct json *files, *extracted, *skipped;
};

/* ---- lines ---- */

static void end_line(struct reading *reading)
{
	reading->line++;
	/* regexec() ends at a NUL; what is behind one is no text */
	if (regexec(&reading->regex, reading->text.data, 0, NULL, 0) == 0) {
		reading->matches++;
		reading->open->found(reading->open->context, reading->path, reading->line,
				     reading->text.data);
	}
	buffer_clear(&reading->text);
}

static void grep(struct reading *reading, const char *data, size_t size)
{
	while (size) {
		const char *end = memchr(data, '\n', size);
		size_t part = end ? (size_t)(end - data) : size;
		size_t room = reading->text.limit - reading->text.size;

		buffer_append(&reading->text, data, part < room ? part : room);
		if (end)
			end_line(reading);
		part += end != NULL;
		data += part;
		size -= part;
	}
}

/* ---- files ---- */

static int make_file(struct reading *reading, struct error **err)
{
	cleanup_fd int directory = fcntl(reading->directory, F_DUPFD_CLOEXEC, 0);
	const char *at = reading->path, *slash;

	while (directory >= 0 && (slash = strchr(at, '/'))) {
		cleanup_free char *name = memory_strndup(at, (size_t)(slash - at));
		int next;

		if (mkdirat(directory, name, 0700) < 0 && errno != EEXIST)
			return error_set_errno(err, errno, "cannot make a directory for %s",
					       reading->path);
		next = beneath_open(directory, name, O_RDONLY | O_DIRECTORY, 0);
		close(directory);
		directory = next;
		at = slash + 1;
	}
	if (directory >= 0)
		reading->file =
			beneath_open(directory, at, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (reading->file < 0) {
		error_set_errno(err, errno, "cannot make %s", reading->path);
		return error_hint(err, "extract into an empty directory: -C DIR");
	}
	return 0;
}

/* What belongs to the member before. */
static int end_member(struct reading *reading, struct error **err)
{
	int result = 0;

	if (reading->path && reading->open->grep && reading->text.size)
		end_line(reading);
	if (reading->file >= 0 && close(STEAL_FD(reading->file)) < 0)
		result = error_set_errno(err, errno, "cannot write %s", reading->path);
	free(STEAL_POINTER(reading->path));
	buffer_clear(&reading->text);
	reading->line = 0;
	return result;
}

static int is_ended(struct reading *reading, struct error **err)
{
	reading->is_done = true;
	return error_set(err, ERROR_CANCELLED, "all that was asked for has been read");
}

static int take_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	struct reading *reading = context;
	const struct bundle_open *open = reading->open;
	bool is_safe = path_is_safe_relative(entry->path, strlen(entry->path));
	struct json *file;

	if (end_member(reading, err) < 0)
		return -1;
	if (reading->was_found && open->name)
		return is_ended(reading, err);
	if (S_ISDIR(entry->mode))
		return 0;
	if (!S_ISREG(entry->mode) || entry->hardlink || !is_safe) {
		json_add_string(reading->skipped, entry->path);
		return 0;
	}
	if (open->name) {
		if (strcmp(open->name, entry->path) != 0)
			return 0;
		reading->was_found = true;
	}
	if (open->extract) {
		if (!text_match(open->extract, entry->path))
			return 0;
		reading->was_found = true;
	}
	reading->path = memory_strdup(entry->path);
	if (open->extract) {
		json_add_string(reading->extracted, entry->path);
		return make_file(reading, err);
	}
	file = json_add_object(reading->files);
	json_set_string(file, "path", entry->path);
	json_set_int(file, "bytes", (int64_t)entry->size);
	return 0;
}

static int take_data(void *context, const void *data, size_t size, struct error **err)
{
	struct reading *reading = context;

	if (!reading->path)
		return 0;
	if (reading->open->grep)
		grep(reading, data, size);
	else if (reading->open->name)
		return reading->open->output(reading->open->context, data, size, err);
	else if (reading->file >= 0 && io_write_full(reading->file, data, size) < 0)
		return error_set_errno(err, errno, "cannot write %s", reading->path);
	return 0;
}

/* ---- the whole ---- */

static int prepare(struct reading *reading, struct error **err)
{
	const struct bundle_open *open = reading->open;

	if (open->grep) {
		if (regcomp(&reading->regex, open->grep, REG_EXTENDED | REG_NOSUB) != 0)
			return error_set(err, ERROR_USAGE,
					 "\"%s\" is no extended regular expression", open->grep);
		reading->has_regex = true;
	}
	if (!open->extract)
		return 0;
	if (mkdir(open->directory, 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make %s", open->directory);
	reading->directory = openat(AT_FDCWD, open->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return reading->directory < 0
		       ? error_set_errno(err, errno, "cannot open %s", open->directory)
		       : 0;
}

static int read_all(struct reading *reading, struct error **err)
{
	static const struct tar_callbacks callbacks = {take_entry, take_data};
	cleanup_error struct error *problem = NULL;

	if (tar_read_packed(reading->open->input, reading->open->input_context, &callbacks, reading,
			    &problem) < 0 &&
	    !reading->is_done) {
		if (err)
			*err = STEAL_POINTER(problem);
		return -1;
	}
	if (end_member(reading, err) < 0)
		return -1;
	if (reading->open->name && !reading->was_found)
		return error_set(err, ERROR_NOT_FOUND, "there is no file %s in it",
				 reading->open->name);
	if (reading->open->extract && !reading->was_found)
		return error_set(err, ERROR_NOT_FOUND, "no file in it fits %s",
				 reading->open->extract);
	return 0;
}

static struct json *make_result(struct reading *reading)
{
	struct json *result = json_new_object();

	if (reading->open->grep)
		json_set_int(result, "matches", (int64_t)reading->matches);
	else if (reading->open->extract)
		json_set(result, "extracted", json_copy(reading->extracted));
	else
		json_set(result, "files", json_copy(reading->files));
	json_set(result, "skipped", json_copy(reading->skipped));
	return result;
}

int bundle_open_archive(const struct bundle_open *open, struct json **result, struct error **err)
{
	struct reading reading = {.open = open,
				  .directory = -1,
				  .file = -1,
				  .files = json_new_array(),
				  .extracted = json_new_array(),
				  .skipped = json_new_array()};
	int done;

	buffer_init(&reading.text, LINE_LIMIT);
	done = prepare(&reading, err);
	if (done == 0)
		done = read_all(&reading, err);
	if (done == 0)
		*result = make_result(&reading);
	if (reading.file >= 0)
		close(reading.file);
	if (reading.directory >= 0)
		close(reading.directory);
	if (reading.has_regex)
		regfree(&reading.regex);
	free(reading.path);
	buffer_release(&reading.text);
	json_free(reading.files);
	json_free(reading.extracted);
	json_free(reading.skipped);
	return done;
}
