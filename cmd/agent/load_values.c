/*
 * As pkg/driver/values.c looks them up from outside; what was fixed when the dump was made
 * (a path, a port) came along in the manifest, secrets never do.
 */
#include "load_values.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/redact.h"

#define VALUE_SIZE_MAX 65536U
#define EXPANDED_SIZE_MAX (4U << 20)
#define DEPTH_MAX 8
#define SECRET_SIZE_MIN 3 /* shorter ones would blot out half of every message */

void load_values_init(struct load_values *values, const struct json *load)
{
	cleanup_free char *random = text_random_hex(16);

	memset(values, 0, sizeof(*values));
	values->load = load;
	values->found = json_new_object();
	load_values_set(values, "random", random, true);
	if (*json_string_or(load, "database", ""))
		load_values_set(values, "database", json_string(load, "database"), false);
}

void load_values_release(struct load_values *values)
{
	json_free(values->found);
	string_list_release(&values->secrets);
	memset(values, 0, sizeof(*values));
}

void load_values_set(struct load_values *values, const char *name, const char *value,
		     bool is_secret)
{
	json_set(values->found, name, json_new_string(value));
	if (is_secret && value && strlen(value) >= SECRET_SIZE_MIN &&
	    !string_list_has(&values->secrets, value))
		string_list_add(&values->secrets, value);
}

/* As a shell's $(cat FILE), which entrypoints use. */
static char *read_value(const char *path)
{
	cleanup_error struct error *ignored = NULL;
	struct buffer text;

	buffer_init(&text, VALUE_SIZE_MAX);
	if (io_read_file(AT_FDCWD, path, &text, &ignored) < 0) {
		buffer_release(&text);
		return NULL;
	}
	while (text.size && text.data[text.size - 1] == '\n')
		text.data[--text.size] = '\0';
	return buffer_steal(&text);
}

static char *look_up(struct load_values *values, const struct json *value)
{
	const char *fixed = json_string(value, "fixed");

	if (fixed)
		return memory_strdup(fixed);
	json_for_each(name, json_get(value, "variables")) {
		const char *found = getenv(json_string_or(name, NULL, ""));

		if (found && *found)
			return memory_strdup(found);
	}
	json_for_each(name, json_get(value, "files")) {
		const char *path = getenv(json_string_or(name, NULL, ""));
		char *found = path && *path ? read_value(path) : NULL;

		if (found)
			return found;
	}
	return json_string(value, "default")
		       ? load_values_expand(values, json_string(value, "default"))
		       : NULL;
}

char *load_values_get(struct load_values *values, const char *name)
{
	const struct json *value = json_path(values->load, "values", name);
	const char *of_way = json_string(json_get(values->way, "values"), name);
	char *found;

	if (of_way)
		return memory_strdup(of_way);
	if (json_get(values->found, name))
		return memory_strdup(json_string(values->found, name));
	if (!value || values->depth >= DEPTH_MAX)
		return NULL;
	values->depth++;
	found = look_up(values, value);
	values->depth--;
	load_values_set(values, name, found, json_bool(value, "secret"));
	return found;
}

char *load_values_expand(struct load_values *values, const char *template)
{
	struct buffer text;

	buffer_init(&text, EXPANDED_SIZE_MAX);
	while (*template) {
		cleanup_free char *name = NULL, *value = NULL;
		size_t size;

		if (template[0] != '$' || template[1] != '{') {
			buffer_append(&text, template ++, 1);
			continue;
		}
		size = strcspn(template + 2, "}");
		name = memory_strndup(template + 2, size);
		value = load_values_get(values, name);
		if (!value) {
			buffer_release(&text);
			return NULL;
		}
		buffer_append_string(&text, value);
		template += 2 + size + (template[2 + size] == '}');
	}
	if (text.failed) {
		buffer_release(&text);
		return NULL;
	}
	return buffer_steal(&text);
}

bool load_values_have(struct load_values *values, const struct json *needs)
{
	json_for_each(need, needs) {
		cleanup_free char *value = load_values_get(values, json_string_or(need, NULL, ""));

		if (!value)
			return false;
	}
	return true;
}

void load_values_redact(const struct load_values *values, char *text)
{
	redact(&values->secrets, text);
}
