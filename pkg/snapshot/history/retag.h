/*
 * A snapshot whose image is another one from now on: its names move there.
 */
#ifndef SIDESNAP_SNAPSHOT_RETAG_H
#define SIDESNAP_SNAPSHOT_RETAG_H

#include "base/json.h"
#include "base/text.h"
#include "snapshot/session.h"

/*
 * retag(session, from, to, tags, moved, err):
 * Move ${tags} from one image to another, both by id, one by one and without being interrupted: at
 * any moment each of them names one of the two. Those that moved are added to the array ${moved}; one
 * that somebody has given to another image meanwhile stays there. ERROR_BUSY: so did all of them.
 * After a failure some may have moved.
 */
int retag(const struct session *session, const char *from, const char *to,
	  const struct string_list *tags, struct json *moved, struct error **err);

#endif
