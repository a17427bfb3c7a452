/*
 * Compose files, as far as the order of a stack needs them: the only home of libyaml. What is read
 * was named by a label, so it is untrusted: bounded in bytes, depth and nodes.
 */
#ifndef SIDESNAP_PROJECT_COMPOSE_FILE_H
#define SIDESNAP_PROJECT_COMPOSE_FILE_H

#include <stddef.h>

#include "base/error.h"
#include "base/json.h"

/*
 * compose_file_parse(text, size, err):
 * The first document as JSON, aliases and merge keys ("<<") expanded; to be freed. Scalars are strings as
 * they stand there, but null. ERROR_USAGE: no YAML (with the line), a key that is no scalar, an alias
 * within what it names, or too deep; ERROR_UNSUPPORTED: more than the bounds allow.
 */
struct json *compose_file_parse(const char *text, size_t size, struct error **err);

/*
 * compose_file_dependencies(file, dependencies):
 * Add what the services of one file depend on to ${dependencies}, {"SERVICE":{"OTHER":"CONDITION"}}:
 * depends_on in both forms, links, volumes_from, and the service in network_mode, pid and ipc. Every
 * service has a member. A later file adds, and changes conditions, as compose merges them. ${file} is as
 * compose_file_parse() gives it, of version 1 (services at the top) or later.
 */
void compose_file_dependencies(const struct json *file, struct json *dependencies);

/*
 * compose_file_read(labels, dependencies, err):
 * The same from the files that the labels of a compose container name, where they can be read from
 * here. 1: all were read; 0: the labels name none, or one is not here; -1: one of them is no compose file.
 */
int compose_file_read(const struct json *labels, struct json *dependencies, struct error **err);

#endif
