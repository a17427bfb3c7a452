/*
 * How results, errors and help look, and the words that several verbs share.
 */
#ifndef SIDESNAP_CMD_PRESENT_H
#define SIDESNAP_CMD_PRESENT_H

#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "ui/table.h"

#include "verb.h"

#define SHORT_ID 12 /* digits of an id where people see many */

/* present_version(): Of this program. */
const char *present_version(void);

/* present_json(json): To stdout, indented where that is a terminal, one line elsewhere. */
void present_json(const struct json *json);

/* present_spool(spool, err): To stdout what was written to a file without a name. */
int present_spool(FILE *spool, struct error **err);

/*
 * present_json_with(object, key, spool, err): To stdout the object with one member more: the list whose
 * elements, with "," between, are in ${spool}.
 */
int present_json_with(const struct json *object, const char *key, FILE *spool, struct error **err);

/* present_end(end): What "from" or "to" of a comparison is called; to be freed. */
char *present_end(const struct json *end);

/*
 * present_error(error, json): "sidesnap: MESSAGE" and "hint: ..." on stderr, and with ${json}
 * {"error":{"kind","message","hint"}} on stdout. NULL is an unknown error.
 */
void present_error(const struct error *error, bool json);

/* present_finish(err): Everything written is out; a full disk or a closed pipe is an error. */
int present_finish(struct error **err);

/* present_help(verb, file): Of one verb, or with NULL of the program. */
void present_help(const struct verb *verb, FILE *file);

/* present_open_missing(fd): Open /dev/null as ${fd} when it is closed. */
void present_open_missing(int fd);

/* present_table(table): To stdout, as wide as that is. */
void present_table(const struct table *table);

/* present_error_kind(kind): "damaged", "usage", ... as in JSON. */
const char *present_error_kind(enum error_kind kind);

/* present_age(created): "3 hours ago" of an RFC 3339 time, "" where it is none; to be freed. */
char *present_age(const char *created);

/* present_time(created): "2026-01-31 13:15:00 UTC (3 hours ago)", the text itself where it is no time; to be freed. */
char *present_time(const char *created);

/* present_size(object, key): A size in binary units, "-" where the member is absent; to be freed. */
char *present_size(const struct json *object, const char *key);

/* present_names(list): The strings of an array with ", " between, "-" when empty; to be freed. */
char *present_names(const struct json *list);

/* present_snapshot(entry): Its references with ", " between, else the first digits of its id; to be freed. */
char *present_snapshot(const struct json *entry);

/* present_title(entry): Its title behind "[safety]" and "[pinned]"; to be freed. */
char *present_title(const struct json *entry);

/* present_source(source): "shop/db" of a compose service, else the container's name; to be freed. */
char *present_source(const struct json *source);

/* present_tree_path(tree): Its paths in the container, "own files" for those; to be freed. */
char *present_tree_path(const struct json *tree);

#endif
