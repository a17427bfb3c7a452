/*
 * Compose files. A YAML document is a graph: it is walked into a tree of JSON under bounds that an
 * alias bomb meets at once. Everything behind that looks at JSON.
 */
#include "project/compose_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "base/buffer.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "snapshot/labels.h"

#define FILE_MAX (1U << 20)
#define FILES_MAX 32
#define DEPTH_MAX 64
#define NODES_MAX 100000
#define MERGE_KEY "<<"

#define STARTED "service_started"

/* ---- YAML into JSON ---- */

struct walk {
	yaml_document_t *document;
	size_t nodes; /* made so far */
	struct error **err;
};

static struct json *walk_node(struct walk *walk, int index, unsigned depth);

static struct json *walk_scalar(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	size_t size = node->data.scalar.length;
	cleanup_free char *copy = memory_strndup(text, size);
	bool is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (is_plain && (!*copy || !strcmp(copy, "~") || !strcmp(copy, "null")))
		return json_new_null();
	return text_is_utf8(copy) ? json_new_string(copy) : json_new_null();
}

static struct json *walk_sequence(struct walk *walk, const yaml_node_t *node, unsigned depth)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();

	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		struct json *value = walk_node(walk, *item, depth + 1);

		if (!value)
			return NULL;
		json_add(list, value);
	}
	return STEAL_POINTER(list);
}

/* What "<<" names: its members, where the mapping itself has none of that name. */
static void merge(struct json *object, const struct json *value)
{
	if (json_is_array(value)) {
		json_for_each(item, value)
			merge(object, item);
		return;
	}
	if (!json_is_object(value))
		return;
	json_for_each(member, value)
		if (!json_get(object, json_key(member)))
			json_set(object, json_key(member), json_copy(member));
}

/* The own members of a mapping; those of "<<" go to ${merged}. */
static int walk_pairs(struct walk *walk, const yaml_node_t *node, unsigned depth,
		      struct json *object, struct json *merged)
{
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
		cleanup_free char *name = NULL;
		struct json *value;

		if (!key || key->type != YAML_SCALAR_NODE)
			return error_set(walk->err, ERROR_USAGE, "line %zu: a key that is no text",
					 node->start_mark.line + 1);
		name = memory_strndup((const char *)key->data.scalar.value,
				      key->data.scalar.length);
		value = walk_node(walk, pair->value, depth + 1);
		if (!value)
			return -1;
		if (!strcmp(name, MERGE_KEY))
			json_add(merged, value);
		else
			json_set(object, name, value);
	}
	return 0;
}

static struct json *walk_mapping(struct walk *walk, const yaml_node_t *node, unsigned depth)
{
	CLEANUP(cleanup_json_free) struct json *object = json_new_object();
	CLEANUP(cleanup_json_free) struct json *merged = json_new_array();

	if (walk_pairs(walk, node, depth, object, merged) < 0)
		return NULL;
	merge(object, merged);
	return STEAL_POINTER(object);
}

/* Aliases are the same index again: depth and count end what would never end. */
static struct json *walk_node(struct walk *walk, int index, unsigned depth)
{
	const yaml_node_t *node = yaml_document_get_node(walk->document, index);

	if (!node) {
		error_set(walk->err, ERROR_USAGE, "a part of it is missing");
		return NULL;
	}
	if (depth > DEPTH_MAX) {
		error_set(walk->err, ERROR_USAGE, "line %zu: nested deeper than %d levels",
			  node->start_mark.line + 1, DEPTH_MAX);
		return NULL;
	}
	if (++walk->nodes > NODES_MAX) {
		error_set(walk->err, ERROR_UNSUPPORTED, "more than %d values, aliases expanded",
			  NODES_MAX);
		return NULL;
	}
	if (node->type == YAML_SEQUENCE_NODE)
		return walk_sequence(walk, node, depth);
	if (node->type == YAML_MAPPING_NODE)
		return walk_mapping(walk, node, depth);
	return walk_scalar(node);
}

static struct json *walk_document(yaml_parser_t *parser, struct error **err)
{
	yaml_document_t document;
	struct walk walk = {.document = &document, .err = err};
	const yaml_node_t *root;
	struct json *json;

	if (!yaml_parser_load(parser, &document)) {
		error_set(err, ERROR_USAGE, "line %zu: %s", parser->problem_mark.line + 1,
			  text_or(parser->problem, "no YAML"));
		return NULL;
	}
	root = yaml_document_get_root_node(&document);
	json = root ? walk_node(&walk, 1, 0) : json_new_null();
	yaml_document_delete(&document);
	return json;
}

struct json *compose_file_parse(const char *text, size_t size, struct error **err)
{
	yaml_parser_t parser;
	struct json *json;

	if (size > FILE_MAX) {
		error_set(err, ERROR_UNSUPPORTED, "larger than %u KiB", FILE_MAX >> 10);
		return NULL;
	}
	if (!yaml_parser_initialize(&parser)) {
		error_set(err, ERROR_FAILED, "out of memory");
		return NULL;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	json = walk_document(&parser, err);
	yaml_parser_delete(&parser);
	return json;
}

/* ---- what depends on what ---- */

/* A condition that is known stays, unless a file says one. */
static void add(struct json *service, const char *other, const char *condition)
{
	if (*other && (condition || !json_get(service, other)))
		json_set_string(service, other, condition ? condition : STARTED);
}

static void add_depends_on(struct json *service, const struct json *value)
{
	json_for_each(item, value)
		if (json_is_array(value))
			add(service, json_string_or(item, NULL, ""), NULL);
		else
			add(service, json_key(item), json_string(item, "condition"));
}

/* "NAME" or "NAME:more" of links and volumes_from; "container:NAME" is of no service. */
static void add_names(struct json *service, const struct json *list)
{
	json_for_each(item, list) {
		const char *text = json_string_or(item, NULL, "");
		cleanup_free char *name = memory_strndup(text, strcspn(text, ":"));

		if (!text_has_prefix(text, "container:"))
			add(service, name, NULL);
	}
}

static void add_mode(struct json *service, const struct json *definition, const char *key)
{
	const char *mode = json_string_or(definition, key, "");

	if (text_has_prefix(mode, "service:"))
		add(service, mode + strlen("service:"), NULL);
}

void compose_file_dependencies(const struct json *file, struct json *dependencies)
{
	const struct json *services = json_get(file, "services");

	if (!json_is_object(services))
		services = json_get(file, "version") ? NULL : file;
	if (!json_is_object(services))
		return;
	json_for_each(definition, services) {
		struct json *service = json_get(dependencies, json_key(definition));

		if (!json_is_object(definition))
			continue;
		if (!service)
			service = json_set_object(dependencies, json_key(definition));
		add_depends_on(service, json_get(definition, "depends_on"));
		add_names(service, json_get(definition, "links"));
		add_names(service, json_get(definition, "volumes_from"));
		add_mode(service, definition, "network_mode");
		add_mode(service, definition, "pid");
		add_mode(service, definition, "ipc");
	}
}

/* ---- the files that labels name ---- */

/* A label may name anything of this machine: only a regular file is read. 1, 0 not here, -1. */
static int read_one(const char *path, struct json *dependencies, struct error **err)
{
	CLEANUP(buffer_release) struct buffer text;
	CLEANUP(cleanup_json_free) struct json *file = NULL;
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	ssize_t count;

	buffer_init(&text, FILE_MAX + 1);
	if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return 0;
	if (status.st_size > FILE_MAX)
		return error_set(err, ERROR_UNSUPPORTED, "compose file %s: larger than %u KiB",
				 path, FILE_MAX >> 10);
	if (buffer_reserve(&text, FILE_MAX) < 0)
		return error_set(err, ERROR_FAILED, "out of memory");
	count = io_read_full(fd, text.data, FILE_MAX);
	if (count < 0)
		return 0;
	file = compose_file_parse(text.data, (size_t)count, err);
	if (!file)
		return error_prefix(err, "compose file %s", path);
	compose_file_dependencies(file, dependencies);
	return 1;
}

/*
 * Compose 1.29 writes the names as they were given, relative to where it was called. That was the
 * project's folder, or above it where the first name has a folder in front.
 */
static char *calling_directory(const char *working_directory, const char *first)
{
	const char *slash = strrchr(first, '/');
	cleanup_free char *folder = slash ? memory_strndup(first, (size_t)(slash - first)) : NULL;
	cleanup_free char *suffix = folder ? memory_printf("/%s", folder) : NULL;

	if (suffix && *first != '/' && text_has_suffix(working_directory, suffix))
		return memory_strndup(working_directory,
				      strlen(working_directory) - strlen(suffix));
	return memory_strdup(working_directory);
}

int compose_file_read(const struct json *labels, struct json *dependencies, struct error **err)
{
	const char *directory = json_string_or(labels, COMPOSE_WORKING_DIRECTORY, "");
	CLEANUP(string_list_release) struct string_list names;
	cleanup_free char *base = NULL;

	string_list_init(&names);
	string_list_split(&names, json_string_or(labels, COMPOSE_CONFIG_FILES, ""), ',');
	if (!names.count || names.count > FILES_MAX)
		return 0;
	base = calling_directory(directory, names.items[0]);
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.items[i];
		cleanup_free char *path =
			*name == '/' ? memory_strdup(name) : path_join(base, name);
		int result = *path == '/' ? read_one(path, dependencies, err) : 0;

		if (result <= 0)
			return result;
	}
	return 1;
}
