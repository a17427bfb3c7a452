/* The image of a set: its labels, and one file that describes it. */
#ifndef SIDESNAP_PROJECT_SET_IMAGE_H
#define SIDESNAP_PROJECT_SET_IMAGE_H

#include "base/json.h"
#include "project/set_members.h"

struct set_facts {
	const struct set_members *members; /* each with the result of its create */
	const char *id;			   /* sidesnap.id */
	const char *created;		   /* RFC 3339, the instant of the state */
	const char *title;		   /* "": none */
	const struct json *definition;	   /* set_definition.h */
};

/* set_image_make(session, facts, err): The id of an image without a name; to be freed. */
char *set_image_make(const struct session *session, const struct set_facts *facts,
		     struct error **err);

/* set_consistency(members): The weakest of its members. */
const char *set_consistency(const struct set_members *members);

/* set_sum(members, key): Of a number in the results. */
uint64_t set_sum(const struct set_members *members, const char *key);

#endif
