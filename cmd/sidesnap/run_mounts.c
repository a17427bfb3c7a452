/*
 * The two ways to write a mount, checked here so that a typing error does not become
 * an empty folder on the host.
 */
#include "run_mounts.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

static struct json *member(struct json *object, const char *key, bool array)
{
	struct json *value = json_get(object, key);

	if (value)
		return value;
	return array ? json_set_array(object, key) : json_set_object(object, key);
}

int run_add_volume(struct json *body, const char *text, struct error **err)
{
	const char *colon = strchr(text, ':'), *target = colon ? colon + 1 : text;
	cleanup_free char *source = colon ? memory_strndup(text, (size_t)(colon - text)) : NULL;

	if (target[0] != '/')
		return error_set(err, ERROR_USAGE,
				 "--volume: \"%s\" is not [NAME:|/PATH:]PATH[:ro]: the path in the "
				 "container must be absolute",
				 text);
	if (!source) {
		member(member(body, "Volumes", false), text, false);
		return 0;
	}
	if (!*source)
		return error_set(err, ERROR_USAGE, "--volume: \"%s\" has an empty source", text);
	/* "./data" would be a folder beside this command, which may be in a container. */
	if (source[0] == '.' || source[0] == '~') {
		error_set(err, ERROR_USAGE, "--volume: \"%s\" is no absolute path on the host",
			  source);
		return error_hint(
			err, "write the whole path: sidesnap may run in a container of its own");
	}
	json_add_string(member(member(body, "HostConfig", false), "Binds", true), text);
	return 0;
}

static bool parse_flag(const char *value, bool *flag)
{
	*flag = !value || !strcmp(value, "true") || !strcmp(value, "1");
	return *flag || !strcmp(value, "false") || !strcmp(value, "0");
}

static bool parse_mode(const char *text, int64_t *mode)
{
	size_t length = text ? strlen(text) : 0;

	if (!length || length > 5 || strspn(text, "01234567") != length)
		return false;
	*mode = 0;
	for (; *text; text++)
		*mode = *mode * 8 + (*text - '0');
	return true;
}

static int set_mount_flag(struct json *object, const char *member_name, const char *key,
			  const char *value, struct error **err)
{
	bool flag;

	if (!parse_flag(value, &flag))
		return error_set(err, ERROR_USAGE, "--mount: %s is true or false, not \"%s\"", key,
				 value);
	json_set_bool(object, member_name, flag);
	return 0;
}

static int set_mount_word(struct json *mount, const char *key, const char *value,
			  struct error **err)
{
	static const struct {
		const char *key, *member;
	} strings[] = {
		{"type", "Type"},
		{"source", "Source"},
		{"src", "Source"},
		{"target", "Target"},
		{"destination", "Target"},
		{"dst", "Target"},
		{"consistency", "Consistency"},
	};
	uint64_t size;
	int64_t mode;

	if (!strcmp(key, "readonly") || !strcmp(key, "ro"))
		return set_mount_flag(mount, "ReadOnly", key, value, err);
	if (!strcmp(key, "volume-nocopy"))
		return set_mount_flag(member(mount, "VolumeOptions", false), "NoCopy", key, value,
				      err);
	if (!value || !*value)
		return error_set(err, ERROR_USAGE, "--mount: %s needs a value", key);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (!strcmp(key, strings[i].key)) {
			json_set_string(mount, strings[i].member, value);
			return 0;
		}
	if (!strcmp(key, "volume-subpath"))
		json_set_string(member(mount, "VolumeOptions", false), "Subpath", value);
	else if (!strcmp(key, "bind-propagation"))
		json_set_string(member(mount, "BindOptions", false), "Propagation", value);
	else if (!strcmp(key, "tmpfs-size") && text_parse_size(value, &size))
		json_set_int(member(mount, "TmpfsOptions", false), "SizeBytes", (int64_t)size);
	else if (!strcmp(key, "tmpfs-mode") && parse_mode(value, &mode))
		json_set_int(member(mount, "TmpfsOptions", false), "Mode", mode);
	else if (text_has_prefix(key, "tmpfs-"))
		return error_set(err, ERROR_USAGE, "--mount: %s cannot be \"%s\"", key, value);
	else
		return error_set(err, ERROR_USAGE, "--mount: unknown word \"%s\"", key);
	return 0;
}

int run_add_mount(struct json *body, const char *text, struct error **err)
{
	cleanup_free char *copy = memory_strdup(text);
	struct json *mount = json_new_object();
	char *rest = copy, *word;
	const char *type;

	/* Owned by the body from here, so that every way out frees it. */
	json_add(member(member(body, "HostConfig", false), "Mounts", true), mount);
	json_set_string(mount, "Type", "volume");
	while ((word = strsep(&rest, ","))) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = 0;
		if (set_mount_word(mount, word, value, err) < 0)
			return -1;
	}
	type = json_string_or(mount, "Type", "");
	if (strcmp(type, "volume") != 0 && strcmp(type, "bind") != 0 && strcmp(type, "tmpfs") != 0)
		return error_set(err, ERROR_USAGE,
				 "--mount: type \"%s\" is none of volume, bind, tmpfs", type);
	if (json_string_or(mount, "Target", "")[0] != '/')
		return error_set(err, ERROR_USAGE, "--mount: \"%s\" has no absolute target", text);
	if (!strcmp(type, "bind") && json_string_or(mount, "Source", "")[0] != '/')
		return error_set(err, ERROR_USAGE, "--mount: \"%s\" has no absolute source", text);
	return 0;
}
