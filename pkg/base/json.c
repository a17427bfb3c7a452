/*
 * cJSON behind the names of json.h. The cast is safe: struct json is never
 * defined, every pointer to it is a cJSON node.
 */
#include "base/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* cJSON keeps numbers as doubles: integers are exact up to here. */
#define JSON_INTEGER_MAX 9007199254740992.0

static cJSON *node(const struct json *json)
{
	return (cJSON *)(uintptr_t)json;
}

static struct json *wrap(cJSON *item)
{
	return (struct json *)item;
}

/* Building never fails for want of memory: see memory.h. */
static cJSON *made(cJSON *item)
{
	if (!item)
		memory_array(NULL, (size_t)-1, 2);
	return item;
}

static const cJSON *value_of(const struct json *object, const char *key)
{
	if (!object)
		return NULL;
	return key ? cJSON_GetObjectItemCaseSensitive(node(object), key) : node(object);
}

struct json *json_parse(const char *text, size_t size, struct error **err)
{
	const char *end = NULL;
	cJSON *root = cJSON_ParseWithLengthOpts(text, size, &end, 0);
	size_t line = 1, column = 1;

	if (root) {
		while (end < text + size && (*end == ' ' || *end == '\n' || *end == '\r' ||
					     *end == '\t' || *end == '\0'))
			end++;
		if (end == text + size)
			return wrap(root);
		cJSON_Delete(root);
	}
	for (const char *p = text; end && p < end && p < text + size; p++) {
		column = *p == '\n' ? 1 : column + 1;
		line += *p == '\n';
	}
	error_set(err, ERROR_USAGE, "invalid JSON at line %zu, column %zu", line, column);
	return NULL;
}

void json_free(struct json *json)
{
	cJSON_Delete(node(json));
}

/*
 * cJSON prints with %1.15g first, so whole numbers from 1e15 up come out as 1e+15,
 * which Go refuses as an integer: these are made raw before printing.
 */
static void make_integers_raw(cJSON *item)
{
	for (; item; item = item->next) {
		double value = item->valuedouble;

		if (cJSON_IsNumber(item) && fabs(value) >= 1e15 && fabs(value) < 9.2e18 &&
		    value == floor(value)) {
			item->valuestring = memory_printf("%lld", (long long)value);
			item->type = (item->type & ~0xff) | cJSON_Raw;
		}
		make_integers_raw(item->child);
	}
}

char *json_print(const struct json *json, bool pretty)
{
	cJSON *copy = json ? made(cJSON_Duplicate(node(json), 1)) : NULL;
	char *text;

	make_integers_raw(copy);
	text = pretty ? cJSON_Print(copy) : cJSON_PrintUnformatted(copy);
	cJSON_Delete(copy);
	return text ? text : memory_strdup("null");
}

struct json *json_copy(const struct json *json)
{
	return json ? wrap(made(cJSON_Duplicate(node(json), 1))) : NULL;
}

bool json_equal(const struct json *a, const struct json *b)
{
	if (!a || !b)
		return a == b;
	return cJSON_Compare(node(a), node(b), 1);
}

bool json_is_object(const struct json *json)
{
	return cJSON_IsObject(node(json));
}

bool json_is_array(const struct json *json)
{
	return cJSON_IsArray(node(json));
}

bool json_is_string(const struct json *json)
{
	return cJSON_IsString(node(json));
}

bool json_is_number(const struct json *json)
{
	return cJSON_IsNumber(node(json));
}

bool json_is_bool(const struct json *json)
{
	return cJSON_IsBool(node(json));
}

bool json_is_null(const struct json *json)
{
	return !json || cJSON_IsNull(node(json));
}

struct json *json_get(const struct json *object, const char *key)
{
	return wrap(cJSON_GetObjectItemCaseSensitive(node(object), key));
}

struct json *json_walk(const struct json *object, ...)
{
	va_list keys;
	const char *key;
	const struct json *item = object;

	va_start(keys, object);
	while (item && (key = va_arg(keys, const char *)) != NULL)
		item = json_get(item, key);
	va_end(keys);
	return wrap(node(item));
}

const char *json_string(const struct json *object, const char *key)
{
	return cJSON_GetStringValue(value_of(object, key));
}

const char *json_string_or(const struct json *object, const char *key, const char *otherwise)
{
	const char *value = json_string(object, key);

	return value ? value : otherwise;
}

bool json_bool(const struct json *object, const char *key)
{
	return cJSON_IsTrue(value_of(object, key));
}

int64_t json_int(const struct json *object, const char *key)
{
	const cJSON *item = value_of(object, key);
	double value;

	if (!cJSON_IsNumber(item) || isnan(item->valuedouble))
		return 0;
	value = fmin(fmax(item->valuedouble, -JSON_INTEGER_MAX), JSON_INTEGER_MAX);
	return (int64_t)value;
}

bool json_uint_checked(const struct json *object, const char *key, uint64_t maximum,
		       uint64_t *value)
{
	const cJSON *item = value_of(object, key);
	double number;

	if (!cJSON_IsNumber(item))
		return false;
	number = item->valuedouble;
	if (!(number >= 0) || number > JSON_INTEGER_MAX || number != floor(number))
		return false;
	if ((uint64_t)number > maximum)
		return false;
	*value = (uint64_t)number;
	return true;
}

size_t json_count(const struct json *json)
{
	size_t count = 0;

	for (const cJSON *item = json ? node(json)->child : NULL; item; item = item->next)
		count++;
	return count;
}

struct json *json_first(const struct json *json)
{
	return json ? wrap(node(json)->child) : NULL;
}

struct json *json_next(const struct json *item)
{
	return wrap(node(item)->next);
}

const char *json_key(const struct json *item)
{
	return item ? node(item)->string : NULL;
}

struct json *json_new_object(void)
{
	return wrap(made(cJSON_CreateObject()));
}

struct json *json_new_array(void)
{
	return wrap(made(cJSON_CreateArray()));
}

struct json *json_new_string(const char *value)
{
	return wrap(made(value ? cJSON_CreateString(value) : cJSON_CreateNull()));
}

struct json *json_new_int(int64_t value)
{
	return wrap(made(cJSON_CreateNumber((double)value)));
}

struct json *json_new_bool(bool value)
{
	return wrap(made(cJSON_CreateBool(value)));
}

struct json *json_new_null(void)
{
	return wrap(made(cJSON_CreateNull()));
}

struct json *json_set(struct json *object, const char *key, struct json *value)
{
	cJSON_DeleteItemFromObjectCaseSensitive(node(object), key);
	made(cJSON_AddItemToObject(node(object), key, node(value)) ? node(value) : NULL);
	return value;
}

struct json *json_set_string(struct json *object, const char *key, const char *value)
{
	return json_set(object, key, json_new_string(value));
}

struct json *json_set_int(struct json *object, const char *key, int64_t value)
{
	return json_set(object, key, json_new_int(value));
}

struct json *json_set_bool(struct json *object, const char *key, bool value)
{
	return json_set(object, key, json_new_bool(value));
}

struct json *json_set_object(struct json *object, const char *key)
{
	return json_set(object, key, json_new_object());
}

struct json *json_set_array(struct json *object, const char *key)
{
	return json_set(object, key, json_new_array());
}

void json_change_string(struct json *item, const char *value)
{
	if (!cJSON_SetValuestring(node(item), value))
		made(NULL);
}

struct json *json_add(struct json *array, struct json *value)
{
	made(cJSON_AddItemToArray(node(array), node(value)) ? node(value) : NULL);
	return value;
}

struct json *json_add_string(struct json *array, const char *value)
{
	return json_add(array, json_new_string(value));
}

struct json *json_add_object(struct json *array)
{
	return json_add(array, json_new_object());
}

void json_remove(struct json *object, const char *key)
{
	cJSON_DeleteItemFromObjectCaseSensitive(node(object), key);
}

bool json_has_string(const struct json *array, const char *value)
{
	json_for_each(item, array) {
		const char *string = json_string(item, NULL);

		if (string && strcmp(string, value) == 0)
			return true;
	}
	return false;
}

void json_set_bytes(struct json *object, const char *key, const char *text)
{
	cleanup_free char *encoded = NULL, *other = NULL;

	if (text_is_utf8(text)) {
		json_set_string(object, key, text);
		return;
	}
	encoded = text_base64(text, strlen(text), false);
	other = memory_printf("%s64", key);
	json_set_string(object, other, encoded);
}

char *json_bytes(const struct json *object, const char *key)
{
	cleanup_free char *other = memory_printf("%s64", key), *bytes = NULL;
	const char *encoded = json_string(object, other);
	size_t size = 0;

	if (json_string(object, key))
		return memory_strdup(json_string(object, key));
	bytes = encoded ? (char *)text_unbase64(encoded, &size) : NULL;
	return bytes && strlen(bytes) == size ? STEAL_POINTER(bytes) : NULL;
}
