/*
 * What a set says of its containers, so that they can be made again elsewhere: their definitions, networks
 * and volumes, without what is secret.
 */
#ifndef SIDESNAP_PROJECT_SET_DEFINITION_H
#define SIDESNAP_PROJECT_SET_DEFINITION_H

#include "base/json.h"
#include "project/set_members.h"

/*
 * set_definition(session, members, err):
 * {"format":1,"project","members":[{"name","container","service","image" (that the container was made from),
 *  "definition" (body of POST /containers/create, without an image), "networks":[{"network","endpoint"}]}],
 *  "networks":[{"name","driver","internal","attachable","ipv6","ipam","options","labels"}],
 *  "volumes":[{"name","driver","options","labels","member" (that captured it, or "")}],
 *  "needs":[NAME]}.
 * Every value of a variable that was given at run time and is no driver's state, and every word that
 * looks like a secret, is "${NAME:?}"; "needs" lists those names. To be freed.
 */
struct json *set_definition(const struct session *session, const struct set_members *members,
			    struct error **err);

/*
 * set_definition_hide(value, name, needs):
 * Replace, in a string or in all that is below an object or array, what looks like a secret; ${name}:
 * the key that it stands at, "" none. A value of its own is replaced whole, as a part of it may be enough.
 */
void set_definition_hide(struct json *value, const char *name, struct json *needs);

#endif
