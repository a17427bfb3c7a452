/*
 * Jobs and stream members as they come over the wire, checked.
 */
#ifndef SIDESNAP_AGENT_JOB_H
#define SIDESNAP_AGENT_JOB_H

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "tree/own/own.h"

/* job_check_members(object, names, err): Refuse members that are not in ${names}, separated by blanks. */
int job_check_members(const struct json *object, const char *names, struct error **err);

/* job_strings(object, key, list, err): A list of strings; absent is empty. */
int job_strings(const struct json *object, const char *key, struct string_list *list,
		struct error **err);

/* job_uint(object, key, maximum, value, err): Absent leaves *value. */
int job_uint(const struct json *object, const char *key, uint64_t maximum, uint64_t *value,
	     struct error **err);

/* An ENTRY and what it points to. */
struct job_member {
	struct own_member member;
	struct hash content;
	char *path, *link, *hardlink;
	struct attribute *attributes;
	size_t attribute_count;
};

/* job_member_parse(member, json, err): Into zeroed storage; to be released also after a failure. */
int job_member_parse(struct job_member *member, const struct json *json, struct error **err);
void job_member_release(struct job_member *member);

/* json_set_path(object, path), json_add_path(array, path): As text, or base64 where it is not UTF-8. */
void job_set_path(struct json *object, const char *path);
void job_add_path(struct json *array, const char *path);

#endif
