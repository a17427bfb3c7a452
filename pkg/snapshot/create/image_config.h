/*
 * The configuration of the committed image: what docker's commit would otherwise
 * take over from the helper is named here field by field.
 */
#ifndef SIDESNAP_SNAPSHOT_IMAGE_CONFIG_H
#define SIDESNAP_SNAPSHOT_IMAGE_CONFIG_H

#include "base/json.h"
#include "snapshot/create/identity.h"
#include "snapshot/create/plan.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

struct image_facts {
	const struct target *target; /* as if it were made from ${image} */
	const struct json *image;    /* inspect of the image that it stands on */
	const struct create_options *options;
	const struct plan *plan;
	const struct identity *identity;
	const struct json *done; /* the agent's DONE */
	const char *consistency; /* frozen, stopped, logical, live */
	const char *prepare;	 /* "failed", or "" */
	const struct string_list *environment, *omitted;
	const struct json *not_captured;
	const struct json *trees; /* as in the result */
	uint64_t bytes;
	uint64_t layers; /* that the image will have */
};

/* image_config(facts): The body of POST /commit; to be freed. */
struct json *image_config(const struct image_facts *facts);

/*
 * image_config_again(image, labels): The body that gives a helper's image the configuration
 * of ${image} (its inspect), with its labels but for those that ${labels} has; to be freed.
 */
struct json *image_config_again(const struct json *image, const struct json *labels);

/* image_config_document(labels): The body of an image that runs nothing, with these labels; to be freed. */
struct json *image_config_document(const struct json *labels);

/*
 * image_config_check_text(what, text, limit, err): ERROR_USAGE where a "title" or "notes" (may be
 * NULL) has more bytes than a label is to have.
 */
int image_config_check_text(const char *what, const char *text, size_t limit, struct error **err);

/* image_config_set_title(labels, title, container): The title where others look for one; "": that of the source. */
void image_config_set_title(struct json *labels, const char *title, const char *container);

#endif
