/*
 * From GET archive to the agent. Only containers that do not run are read so: on a
 * running one the archive API has a history of races (CVE-2018-15664,
 * CVE-2019-14271), and on a frozen one it holds the lock that the thaw needs.
 */
#include "snapshot/create/archive_stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/memory.h"
#include "base/path.h"
#include "base/tar.h"
#include "engine/archive.h"
#include "store/hash.h"
#include "tree/catalog.h"

/* os.ModeDir of Go, in X-Docker-Container-Path-Stat. */
#define GO_MODE_DIRECTORY (1ULL << 31)

/* One tar member as an ENTRY; ${hardlink} is mapped by the caller. */
static struct json *make_entry(const char *path, const struct tar_entry *member,
			       const char *hardlink)
{
	struct json *entry = json_new_object(), *list;
	cleanup_free char *mtime =
		memory_printf("%lld.%09ld", (long long)member->mtime.tv_sec, member->mtime.tv_nsec);

	json_set_bytes(entry, "path", path);
	json_set_string(entry, "type", catalog_type_name(member->mode));
	json_set_int(entry, "mode", member->mode & 07777);
	json_set_int(entry, "uid", member->uid);
	json_set_int(entry, "gid", member->gid);
	json_set_string(entry, "mtime", mtime);
	if (S_ISREG(member->mode) && !hardlink)
		json_set_int(entry, "size", (int64_t)member->size);
	if (S_ISLNK(member->mode))
		json_set_bytes(entry, "link", member->link ? member->link : "");
	if (S_ISCHR(member->mode) || S_ISBLK(member->mode)) {
		list = json_set_array(entry, "device");
		json_add(list, json_new_int(major(member->device)));
		json_add(list, json_new_int(minor(member->device)));
	}
	if (hardlink)
		json_set_bytes(entry, "hardlink", hardlink);
	if (member->attribute_count) {
		list = json_set_object(entry, "attributes");
		for (size_t i = 0; i < member->attribute_count; i++) {
			cleanup_free char *value = text_base64(member->attributes[i].value,
							       member->attributes[i].size, false);

			json_set_string(list, member->attributes[i].name, value);
		}
	}
	return entry;
}

/* ---- seeds ---- */

struct seed_reader {
	struct json *entries, *last; /* last: a file whose content is being hashed */
	struct hasher *hasher;
};

static void seed_finish_file(struct seed_reader *reader)
{
	struct hash hash;
	char text[HASH_HEX_SIZE];

	if (!reader->last)
		return;
	hasher_finish(reader->hasher, &hash);
	hash_format(&hash, text);
	json_set_string(reader->last, "hash", text);
	reader->last = NULL;
}

/* The name below the requested folder: "data/x" gives "x", "data" and "." give "". */
static char *below_first(const char *path)
{
	cleanup_free char *clean = path_clean(path);
	const char *slash = strchr(clean + 1, '/');

	return memory_strdup(slash ? slash + 1 : "");
}

static int seed_entry(void *context, const struct tar_entry *member, struct error **err)
{
	struct seed_reader *reader = context;
	cleanup_free char *path = below_first(member->path);
	cleanup_free char *hardlink = member->hardlink ? below_first(member->hardlink) : NULL;
	struct json *entry;

	(void)err;
	seed_finish_file(reader);
	entry = json_add(reader->entries, make_entry(path, member, hardlink));
	if (S_ISREG(member->mode) && !hardlink)
		reader->last = entry;
	return 0;
}

static int seed_data(void *context, const void *data, size_t size, struct error **err)
{
	struct seed_reader *reader = context;

	(void)err;
	hasher_update(reader->hasher, data, size);
	return 0;
}

int seed_collect(const struct session *session, const char *container, const char *path,
		 struct json **entries, struct error **err)
{
	static const struct tar_callbacks callbacks = {seed_entry, seed_data};
	struct seed_reader reader = {json_new_array(), NULL, hasher_new()};
	cleanup_error struct error *problem = NULL;
	int result = container_archive_read(session->engine, container, path, &callbacks, &reader,
					    &problem);

	*entries = NULL;
	seed_finish_file(&reader);
	hasher_free(reader.hasher);
	/* The folder alone, without content, seeds nothing. */
	if (result == 0 && json_count(reader.entries) > 1)
		*entries = STEAL_POINTER(reader.entries);
	json_free(reader.entries);
	if (result < 0 && problem->kind == ERROR_NOT_FOUND)
		return 0;
	if (result < 0) {
		error_append(err, STEAL_POINTER(problem));
		return error_prefix(err, "cannot read what the image has at \"%s\"", path);
	}
	return 0;
}

int seed_send(struct helper *helper, size_t tree, const struct json *entries, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *end = json_new_object();

	json_for_each(entry, entries)
		if (helper_send(helper, WIRE_ENTRY, entry, err) < 0)
			return -1;
	json_set_string(end, "stream", "seed");
	json_set_int(end, "tree", (int64_t)tree);
	return helper_send(helper, WIRE_END, end, err);
}

/* ---- own files of a stopped target ---- */

struct own_sender {
	struct helper *helper;
	const struct string_list *hidden;
	struct string_list sent; /* folders that went whole */
	char *gone;		 /* the last path that is not there: nothing below it is */
	char *parent;		 /* of the path asked for, absolute */
	bool first_only, done;	 /* only the folder itself is wanted */
	bool whole;		 /* the next member is a folder of which all follows */
	bool wanted;		 /* data of the present member goes on */
};

static bool is_hidden(const struct string_list *hidden, const char *path)
{
	for (size_t i = 0; i < hidden->count; i++)
		if (path_is_at_or_under(path, hidden->items[i]))
			return true;
	return false;
}

static int own_entry(void *context, const struct tar_entry *member, struct error **err)
{
	struct own_sender *sender = context;
	cleanup_free char *joined = path_join(sender->parent, member->path);
	cleanup_free char *path = path_clean(joined);
	cleanup_free char *link = NULL;
	CLEANUP(cleanup_json_free) struct json *entry = NULL;

	sender->wanted = false;
	if (sender->done)
		return error_set(err, ERROR_CANCELLED, "enough was read");
	if (is_hidden(sender->hidden, path))
		return 0;
	if (member->hardlink) {
		cleanup_free char *target = path_join(sender->parent, member->hardlink);

		link = path_clean(target);
	}
	entry = make_entry(path + 1, member, link ? link + 1 : NULL);
	if (sender->whole && S_ISDIR(member->mode))
		json_set_bool(entry, "whole", true);
	sender->whole = false;
	sender->wanted = true;
	sender->done = sender->first_only;
	return helper_send(sender->helper, WIRE_ENTRY, entry, err);
}

static int own_data(void *context, const void *data, size_t size, struct error **err)
{
	struct own_sender *sender = context;

	return sender->wanted ? helper_send_bytes(sender->helper, WIRE_DATA, data, size, err) : 0;
}

static int own_send_deleted(struct own_sender *sender, const char *path, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *entry = json_new_object();

	json_set_bytes(entry, "path", path + 1);
	json_set_bool(entry, "deleted", true);
	return helper_send(sender->helper, WIRE_ENTRY, entry, err);
}

static bool was_sent(const struct own_sender *sender, const char *path)
{
	for (size_t i = 0; i < sender->sent.count; i++)
		if (path_is_at_or_under(path, sender->sent.items[i]))
			return true;
	return false;
}

static int own_send_path(const struct session *session, struct own_sender *sender,
			 const struct target *target, const char *path, bool whole,
			 struct error **err)
{
	static const struct tar_callbacks callbacks = {own_entry, own_data};
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *stat = container_archive_stat(session->engine, target->id, path, &problem);
	const char *slash = strrchr(path, '/');
	uint64_t mode = 0;

	if (!stat && problem->kind == ERROR_NOT_FOUND) {
		free(sender->gone);
		sender->gone = memory_strdup(path);
		return own_send_deleted(sender, path, err);
	}
	if (!stat) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	json_uint_checked(stat, "mode", UINT32_MAX, &mode);
	free(sender->parent);
	sender->parent =
		slash == path ? memory_strdup("/") : memory_strndup(path, (size_t)(slash - path));
	sender->first_only = (mode & GO_MODE_DIRECTORY) && !whole;
	sender->done = false;
	sender->whole = whole;
	if (whole && (mode & GO_MODE_DIRECTORY))
		string_list_add(&sender->sent, path);
	if (container_archive_read(session->engine, target->id, path, &callbacks, sender,
				   &problem) == 0 ||
	    (sender->done && problem->kind == ERROR_CANCELLED))
		return session_check(session, err);
	error_append(err, STEAL_POINTER(problem));
	return error_prefix(err, "cannot read \"%s\" of container \"%s\"", path, target->name);
}

int own_send(const struct session *session, struct helper *helper, const struct target *target,
	     const struct json *changes, const struct json *own_paths,
	     const struct string_list *hidden, struct error **err)
{
	struct own_sender sender = {.helper = helper, .hidden = hidden};
	CLEANUP(cleanup_json_free) struct json *end = json_new_object();
	int result = 0;

	json_for_each(change, changes) {
		const char *path = json_string(json_first(change), NULL);
		int64_t kind = json_int(json_next(json_first(change)), NULL);

		if (!path || is_hidden(hidden, path) || was_sent(&sender, path))
			continue;
		if (kind == 2)
			result = own_send_deleted(&sender, path, err);
		else
			result = own_send_path(session, &sender, target, path, kind == 1, err);
		if (result < 0)
			goto out;
	}
	json_for_each(item, own_paths) {
		const char *relative = json_string(item, NULL);
		cleanup_free char *path = relative ? path_join("/", relative) : NULL;

		/* What is no UTF-8 cannot be asked for by name: it stays as the parent has it. */
		if (!path || is_hidden(hidden, path) || was_sent(&sender, path))
			continue;
		/* Each question takes the engine milliseconds, and the paths are in order. */
		if (sender.gone && path_is_at_or_under(path, sender.gone))
			result = own_send_deleted(&sender, path, err);
		else
			result = own_send_path(session, &sender, target, path, false, err);
		if (result < 0)
			goto out;
	}
	json_set_string(end, "stream", "own");
	result = helper_send(helper, WIRE_END, end, err);
out:
	string_list_release(&sender.sent);
	free(sender.parent);
	free(sender.gone);
	return result;
}
