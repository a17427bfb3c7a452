/* A member of a tree as the command is told of it. */
#ifndef SIDESNAP_AGENT_ENTRY_H
#define SIDESNAP_AGENT_ENTRY_H

#include "base/json.h"
#include "tree/catalog.h"

/* entry_json(entry): ENTRY as wire.h has it; to be freed. */
struct json *entry_json(const struct catalog_entry *entry);

#endif
