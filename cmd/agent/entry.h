/* A member of a tree as the command is told of it. */
#ifndef SIDESNAP_AGENT_ENTRY_H
#define SIDESNAP_AGENT_ENTRY_H

#include "base/json.h"
#include "tree/catalog.h"

/* entry_type_name(mode): "file", "directory", "symlink", "fifo", "char", "block". */
const char *entry_type_name(mode_t mode);

/* entry_json(entry): ENTRY as wire.h has it; to be freed. */
struct json *entry_json(const struct catalog_entry *entry);

#endif
