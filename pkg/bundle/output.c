/* Each file is hashed as it goes into the archive, and the marks in it are what --show-redactions tells. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/memory.h"
#include "bundle/collect.h"

#define BLOCK_SIZE 65536
#define REDACTIONS_MAX 100000

int spool_write(void *file, const void *data, size_t size, struct error **err)
{
	return fwrite(data, 1, size, file) == size
		       ? 0
		       : error_set_errno(err, errno, "cannot write a temporary file");
}

/* ---- what is hidden where ---- */

struct marks {
	struct bundle *bundle;
	const char *path;
	uint64_t line;
	struct buffer text; /* of the line so far */
};

static void list_line(struct marks *marks)
{
	struct json *list = marks->bundle->redactions;
	unsigned counts[RULES] = {0};
	const char *at = marks->text.data, *end = at + marks->text.size;

	marks->line++;
	while ((at = memchr(at, '[', (size_t)(end - at)))) {
		size_t length = 1;

		counts[redact_rule_of_mark(at, (size_t)(end - at), &length)]++;
		at += length;
	}
	for (enum redact_rule rule = RULE_NONE + 1; rule < RULES; rule++) {
		struct json *entry;

		if (!counts[rule] || marks->bundle->redaction_count++ >= REDACTIONS_MAX)
			continue;
		entry = json_add_object(list);
		json_set_string(entry, "file", marks->path);
		json_set_int(entry, "line", (int64_t)marks->line);
		json_set_string(entry, "rule", redact_rule_name(rule));
		json_set_int(entry, "count", counts[rule]);
	}
	buffer_clear(&marks->text);
}

static void list_marks(struct marks *marks, const char *data, size_t size)
{
	while (size) {
		const char *end = memchr(data, '\n', size);
		size_t part = end ? (size_t)(end - data) : size;

		buffer_append(&marks->text, data, part);
		if (end)
			list_line(marks);
		part += end != NULL;
		data += part;
		size -= part;
	}
}

/* ---- files ---- */

static int broken(struct bundle *bundle, struct error **err)
{
	error_append(err, STEAL_POINTER(bundle->broken));
	bundle->broken = NULL;
	error_set(&bundle->broken, ERROR_FAILED, "the bundle cannot be written");
	return -1;
}

static int begin(struct bundle *bundle, const char *path, uint64_t size, struct error **err)
{
	struct tar_entry entry = {.path = path,
				  .mode = S_IFREG | 0600,
				  .size = size,
				  .mtime = {.tv_sec = bundle->now}};

	return tar_writer_entry(bundle->writer, &entry, &bundle->broken) < 0 ? broken(bundle, err)
									     : 0;
}

static void end(struct bundle *bundle, const char *path, uint64_t size, struct hasher *hasher)
{
	char text[HASH_HEX_SIZE];
	struct json *entry = json_set_object(bundle->manifest, path);
	struct hash hash;

	hasher_finish(hasher, &hash);
	hash_format(&hash, text);
	json_set_int(entry, "bytes", (int64_t)size);
	json_set_string(entry, "blake3", text);
	entry = json_add_object(bundle->files);
	json_set_string(entry, "path", path);
	json_set_int(entry, "bytes", (int64_t)size);
	bundle->bytes += size;
}

static int copy(struct bundle *bundle, FILE *spool, struct hasher *hasher, struct marks *marks,
		struct error **err)
{
	cleanup_free char *block = memory_alloc(BLOCK_SIZE);
	size_t count;

	while ((count = fread(block, 1, BLOCK_SIZE, spool)) > 0) {
		if (session_check(bundle->outer, err) < 0)
			return -1;
		if (tar_writer_data(bundle->writer, block, count, &bundle->broken) < 0)
			return broken(bundle, err);
		hasher_update(hasher, block, count);
		if (marks)
			list_marks(marks, block, count);
	}
	if (!ferror(spool))
		return 0;
	/* what has begun cannot be taken back */
	error_set_errno(&bundle->broken, errno, "cannot read a temporary file");
	return broken(bundle, err);
}

/* Two services, or two files of one, may have the same name. */
static char *free_path(const struct bundle *bundle, const char *path)
{
	char *found = memory_strdup(path);

	for (int i = 2; json_get(bundle->manifest, found); i++) {
		free(found);
		found = memory_printf("%s.%d", path, i);
	}
	return found;
}

int output_add_spool(struct bundle *bundle, const char *wanted, FILE *spool, bool is_text,
		     struct error **err)
{
	struct hasher *hasher = hasher_new();
	cleanup_free char *path = free_path(bundle, wanted);
	struct marks marks = {.bundle = bundle, .path = path};
	off_t size;
	int result = -1;

	buffer_init(&marks.text, 32u << 20);
	if (fflush(spool) != 0 || fseeko(spool, 0, SEEK_END) < 0 || (size = ftello(spool)) < 0 ||
	    fseeko(spool, 0, SEEK_SET) < 0)
		error_set_errno(err, errno, "cannot write a temporary file");
	else if (begin(bundle, path, (uint64_t)size, err) == 0 &&
		 copy(bundle, spool, hasher, is_text && !bundle->is_listed ? &marks : NULL, err) ==
			 0) {
		if (marks.text.size)
			list_line(&marks);
		end(bundle, path, (uint64_t)size, hasher);
		result = 0;
	}
	buffer_release(&marks.text);
	hasher_free(hasher);
	return result;
}

int output_add(struct bundle *bundle, const char *path, const char *data, size_t size,
	       struct error **err)
{
	cleanup_file FILE *spool = io_open_spool(err);

	return spool && spool_write(spool, data, size, err) == 0
		       ? output_add_spool(bundle, path, spool, true, err)
		       : -1;
}

static int add_json(struct bundle *bundle, const char *path, const struct json *json,
		    struct error **err)
{
	cleanup_free char *text = json_print(json, true);
	cleanup_free char *line = memory_printf("%s\n", text);

	return output_add(bundle, path, line, strlen(line), err);
}

int output_json(struct bundle *bundle, const char *path, const struct json *json,
		struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *made = redact_json(bundle->secrets, json);

	return add_json(bundle, path, made, err);
}

int output_text(struct bundle *bundle, const char *path, enum redact_kind kind, const char *text,
		size_t size, struct error **err)
{
	cleanup_free char *made = redact_text(bundle->secrets, kind, text, size);

	return output_add(bundle, path, made, strlen(made), err);
}

/* ---- the end ---- */

static struct json *make_index(struct bundle *bundle)
{
	struct json *index = json_new_object();
	cleanup_free char *created = clock_format((struct timespec){.tv_sec = bundle->now});

	json_set_string(index, "format", "sidesnap-bundle 1");
	json_set_string(index, "created", created);
	json_set_string(index, "project", bundle->project);
	json_set(index, "engine", json_copy(bundle->engine));
	json_set(index, "services", json_copy(bundle->facts));
	json_set(index, "failed", json_copy(bundle->failed));
	json_set(index, "notes", json_copy(bundle->notes));
	json_set(index, "data", json_copy(bundle->data));
	json_set(index, "events", bundle->events ? json_copy(bundle->events) : json_new_array());
	json_set(index, "files", json_copy(bundle->files));
	json_set_int(index, "hidden", (int64_t)json_count(bundle->redactions));
	return index;
}

int output_finish(struct bundle *bundle, struct error **err)
{
	/* names of containers and reasons of failures are as little trusted as all else */
	CLEANUP(cleanup_json_free) struct json *plain = make_index(bundle);
	CLEANUP(cleanup_json_free) struct json *index = redact_json(bundle->secrets, plain);
	CLEANUP(cleanup_json_free) struct json *redactions = json_copy(bundle->redactions);
	cleanup_free char *html = index_html(index);

	/* what it repeats has been listed where it comes from */
	bundle->is_listed = true;
	if (add_json(bundle, "index.json", index, err) < 0 ||
	    output_add(bundle, "index.html", html, strlen(html), err) < 0 ||
	    add_json(bundle, "redactions.json", redactions, err) < 0 ||
	    add_json(bundle, "manifest.json", bundle->manifest, err) < 0)
		return -1;
	return tar_writer_finish(bundle->writer, &bundle->broken) < 0 ? broken(bundle, err) : 0;
}
