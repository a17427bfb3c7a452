/*
 * An agent must not ignore what a newer command relies on, so unknown members are
 * refused; numbers and names are checked before anything is done.
 */
#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/memory.h"
#include "base/path.h"

int job_check_members(const struct json *object, const char *names, struct error **err)
{
	struct string_list known;
	int result = 0;

	string_list_init(&known);
	string_list_split(&known, names, ' ');
	json_for_each(member, object) {
		if (result == 0 && !string_list_has(&known, json_key(member)))
			result = error_set(err, ERROR_UNSUPPORTED,
					   "this agent does not know \"%s\" of a job",
					   json_key(member));
	}
	string_list_release(&known);
	return result;
}

int job_strings(const struct json *object, const char *key, struct string_list *list,
		struct error **err)
{
	const struct json *array = json_get(object, key);

	if (array && !json_is_array(array))
		return error_set(err, ERROR_USAGE, "\"%s\" of the job is no list", key);
	json_for_each(item, array) {
		const char *string = json_string(item, NULL);

		if (!string)
			return error_set(err, ERROR_USAGE,
					 "\"%s\" of the job is no list of strings", key);
		string_list_add(list, string);
	}
	return 0;
}

int job_uint(const struct json *object, const char *key, uint64_t maximum, uint64_t *value,
	     struct error **err)
{
	if (!json_get(object, key) || json_uint_checked(object, key, maximum, value))
		return 0;
	return error_set(err, ERROR_USAGE, "\"%s\" of the job is no number up to %llu", key,
			 (unsigned long long)maximum);
}

static void strip_dots(char *path)
{
	size_t skip = 0, size = strlen(path);

	while (size && path[size - 1] == '/')
		path[--size] = '\0';
	while (path[skip] == '.' && path[skip + 1] == '/')
		skip += 2;
	if (strcmp(path + skip, ".") == 0)
		skip++;
	memmove(path, path + skip, size - skip + 1);
}

static bool parse_time(const char *text, struct timespec *time)
{
	char *end = NULL;
	long long seconds;
	uint64_t nanoseconds = 0;

	errno = 0;
	seconds = strtoll(text, &end, 10);
	if (errno || end == text)
		return false;
	if (*end == '.') {
		if (strlen(end + 1) != 9 || !text_parse_uint(end + 1, 999999999, &nanoseconds))
			return false;
	} else if (*end) {
		return false;
	}
	time->tv_sec = (time_t)seconds;
	time->tv_nsec = (long)nanoseconds;
	return true;
}

static int parse_type(const char *type, mode_t *mode)
{
	static const struct {
		const char *name;
		mode_t mode;
	} types[] = {{"file", S_IFREG},	  {"directory", S_IFDIR}, {"symlink", S_IFLNK},
		     {"fifo", S_IFIFO},	  {"char", S_IFCHR},	  {"block", S_IFBLK},
		     {"socket", S_IFSOCK}};

	for (size_t i = 0; type && i < sizeof(types) / sizeof(*types); i++) {
		if (strcmp(types[i].name, type) == 0) {
			*mode = types[i].mode;
			return 0;
		}
	}
	return -1;
}

static int compare_attributes(const void *a, const void *b)
{
	return strcmp(((const struct attribute *)a)->name, ((const struct attribute *)b)->name);
}

static int parse_attributes(struct job_member *member, const struct json *list, struct error **err)
{
	size_t count = json_count(list);

	member->attributes = count ? memory_array(NULL, count, sizeof(*member->attributes)) : NULL;
	json_for_each(item, list) {
		struct attribute *attribute = &member->attributes[member->attribute_count];
		const char *text = json_string(item, NULL);

		attribute->value = text ? text_unbase64(text, &attribute->size) : NULL;
		if (!attribute->value)
			return error_set(err, ERROR_USAGE, "attribute \"%s\" is not base64",
					 json_key(item));
		attribute->name = memory_strdup(json_key(item));
		member->attribute_count++;
	}
	if (count)
		qsort(member->attributes, member->attribute_count, sizeof(*member->attributes),
		      compare_attributes);
	return 0;
}

static const char entry_members[] =
	"path path64 type mode uid gid mtime size link link64 device deleted whole attributes hardlink "
	"hardlink64 hash";

int job_member_parse(struct job_member *parsed, const struct json *json, struct error **err)
{
	struct own_member *member = &parsed->member;
	const struct json *device = json_get(json, "device");
	uint64_t mode = 0, uid = 0, gid = 0;
	mode_t type = 0;

	if (job_check_members(json, entry_members, err) < 0)
		return -1;
	parsed->path = json_bytes(json, "path");
	if (!parsed->path)
		return error_set(err, ERROR_USAGE, "a stream's member has no path");
	strip_dots(parsed->path);
	member->path = parsed->path;
	member->deleted = json_bool(json, "deleted");
	if (member->deleted)
		return 0;
	parsed->link = json_bytes(json, "link");
	parsed->hardlink = json_bytes(json, "hardlink");
	if (parsed->hardlink)
		strip_dots(parsed->hardlink);
	member->link = parsed->link;
	member->hardlink = parsed->hardlink;
	if (parse_type(json_string(json, "type"), &type) < 0 && !member->hardlink)
		return error_set(err, ERROR_USAGE, "member \"%s\" has no known type", member->path);
	if (job_uint(json, "mode", 0177777, &mode, err) < 0 ||
	    job_uint(json, "uid", UINT32_MAX, &uid, err) < 0 ||
	    job_uint(json, "gid", UINT32_MAX, &gid, err) < 0 ||
	    job_uint(json, "size", 1ULL << 53, &member->size, err) < 0)
		return error_prefix(err, "member \"%s\"", member->path);
	member->whole = json_bool(json, "whole");
	member->mode = type | ((mode_t)mode & 07777);
	member->uid = (uid_t)uid;
	member->gid = (gid_t)gid;
	if (json_get(json, "mtime") && (!json_string(json, "mtime") ||
					!parse_time(json_string(json, "mtime"), &member->mtime)))
		return error_set(err, ERROR_USAGE, "member \"%s\" has a bad time", member->path);
	if (device) {
		const struct json *minor_number = json_next(json_first(device));

		member->device = makedev((unsigned)json_int(json_first(device), NULL),
					 (unsigned)json_int(minor_number, NULL));
	}
	if (json_get(json, "hash")) {
		if (!hash_parse(json_string_or(json, "hash", ""), &parsed->content))
			return error_set(err, ERROR_USAGE, "member \"%s\" has a bad hash",
					 member->path);
		member->content = &parsed->content;
	}
	if (parse_attributes(parsed, json_get(json, "attributes"), err) < 0)
		return error_prefix(err, "member \"%s\"", member->path);
	member->attributes = parsed->attributes;
	member->attribute_count = parsed->attribute_count;
	return 0;
}

void job_member_release(struct job_member *member)
{
	for (size_t i = 0; i < member->attribute_count; i++) {
		free((void *)(uintptr_t)member->attributes[i].name);
		free((void *)(uintptr_t)member->attributes[i].value);
	}
	free(member->attributes);
	free(member->path);
	free(member->link);
	free(member->hardlink);
	memset(member, 0, sizeof(*member));
}

void job_set_path(struct json *object, const char *path)
{
	json_set_bytes(object, "path", path);
}

void job_add_path(struct json *array, const char *path)
{
	if (text_is_utf8(path))
		json_add_string(array, path);
	else
		job_set_path(json_add_object(array), path);
}
