/*
 * JSON for everybody above: the only home of cJSON. `struct json` is a cJSON
 * node; a tree is owned through its root, what the getters return is borrowed.
 *
 * Getters accept NULL and nodes of another type and then give the "absent"
 * value, so that a path through an engine's answer needs no check at each step.
 */
#ifndef SIDESNAP_BASE_JSON_H
#define SIDESNAP_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct json;

/*
 * json_parse(text, size, err):
 * Parse the ${size} bytes at ${text}; anything but white space behind the value
 * is an error, which names the line and column. Nesting is limited by cJSON (1000).
 * Returns a root to be freed with json_free(), or NULL.
 */
struct json *json_parse(const char *text, size_t size, struct error **err);

/* json_free(json): Free a root and all below it; NULL is ignored. */
void json_free(struct json *json);
CLEANUP_DEFINE(struct json, json_free)

/* json_print(json, pretty): The text, to be freed. Never NULL. */
char *json_print(const struct json *json, bool pretty);

/* json_copy(json): A deep copy, a root of its own; NULL gives NULL. */
struct json *json_copy(const struct json *json);

/* json_equal(a, b): Same value, names compared with case; NULL equals only NULL. */
bool json_equal(const struct json *a, const struct json *b);

bool json_is_object(const struct json *json);
bool json_is_array(const struct json *json);
bool json_is_string(const struct json *json);
bool json_is_number(const struct json *json);
bool json_is_bool(const struct json *json);
bool json_is_null(const struct json *json); /* true for JSON's null, and for NULL */

/* json_get(object, key): The member ${key} (with case), or NULL. */
struct json *json_get(const struct json *object, const char *key);

/* json_at(object, key, ..., NULL)-like: walk down several members; json_path(o, "A", "B"). */
struct json *json_walk(const struct json *object, ...) __attribute__((sentinel));
#define json_path(object, ...) json_walk((object), __VA_ARGS__, (char *)NULL)

/* Values of a member, or of the node itself where ${key} is NULL. */
const char *json_string(const struct json *object, const char *key); /* NULL: absent, no string */
const char *json_string_or(const struct json *object, const char *key, const char *otherwise);
bool json_bool(const struct json *object, const char *key);   /* false: absent */
int64_t json_int(const struct json *object, const char *key); /* 0: absent; clamped to 2^53 */

/*
 * json_uint_checked(object, key, maximum, value):
 * Put the member's value into *value. Returns false when it is absent, no
 * whole number, negative or above ${maximum} (at most 2^53).
 */
bool json_uint_checked(const struct json *object, const char *key, uint64_t maximum,
		       uint64_t *value);

/* Arrays and objects as lists. */
size_t json_count(const struct json *json);
struct json *json_first(const struct json *json); /* NULL: none */
struct json *json_next(const struct json *item);
const char *json_key(const struct json *item); /* the member's name, NULL in an array */
#define json_for_each(item, list)                                                                  \
	for (struct json *item = json_first(list); item; item = json_next(item))

/* Building. Values given are owned by the list afterwards. Strings are copied. */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_string(const char *value); /* NULL makes a JSON null */
struct json *json_new_int(int64_t value);
struct json *json_new_bool(bool value);
struct json *json_new_null(void);

/* json_set*(object, key, value): Set or replace a member. Return the value's node. */
struct json *json_set(struct json *object, const char *key, struct json *value);
struct json *json_set_string(struct json *object, const char *key, const char *value);
struct json *json_set_int(struct json *object, const char *key, int64_t value);
struct json *json_set_bool(struct json *object, const char *key, bool value);
struct json *json_set_object(struct json *object, const char *key); /* a new empty one */
struct json *json_set_array(struct json *object, const char *key);  /* a new empty one */

/*
 * json_set_bytes(object, key, text), json_bytes(object, key):
 * A text that need not be UTF-8, as names of files: base64 in the member with "64" behind
 * its name where it is not. json_bytes() is to be freed; NULL: absent, or holds a NUL.
 */
void json_set_bytes(struct json *object, const char *key, const char *text);
char *json_bytes(const struct json *object, const char *key);

/* json_change_string(item, value): Another text for a string. ${value} must not be its own. */
void json_change_string(struct json *item, const char *value);

/* json_add*(array, value): Append. Return the value's node. */
struct json *json_add(struct json *array, struct json *value);
struct json *json_add_string(struct json *array, const char *value);
struct json *json_add_object(struct json *array);

/* json_remove(object, key): Remove and free a member, if there. */
void json_remove(struct json *object, const char *key);

/* json_has_string(array, value): Whether an array holds that string. */
bool json_has_string(const struct json *array, const char *value);

#endif
