/*
 * The configuration of the committed image: what docker's commit would otherwise
 * take over from the helper is named here field by field.
 */
#ifndef SIDESNAP_SNAPSHOT_IMAGE_CONFIG_H
#define SIDESNAP_SNAPSHOT_IMAGE_CONFIG_H

#include "base/json.h"
#include "snapshot/identity.h"
#include "snapshot/plan.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

struct image_facts {
	const struct target *target;
	const struct json *image; /* inspect of the target's image */
	const struct create_options *options;
	const struct plan *plan;
	const struct identity *identity;
	const struct json *done; /* the agent's DONE */
	const char *consistency; /* frozen, stopped, logical, live */
	const struct string_list *environment, *omitted;
	const struct json *not_captured;
	const struct json *trees; /* as in the result */
	uint64_t bytes;
};

/* image_config(facts): The body of POST /commit; to be freed. */
struct json *image_config(const struct image_facts *facts);

#endif
