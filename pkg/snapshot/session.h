/*
 * What every verb works with: the engine, where progress goes, whether a person
 * has interrupted, and which compose project names are looked up in.
 */
#ifndef SIDESNAP_SNAPSHOT_SESSION_H
#define SIDESNAP_SNAPSHOT_SESSION_H

#include <stdbool.h>

#include "engine/engine.h"
#include "ui/progress.h"

struct session {
	struct engine *engine;
	struct progress *progress;
	const volatile int *cancelled; /* set by SIGINT, SIGTERM, SIGHUP */
	const char *project;	       /* -p, or NULL: the sidecar's own, found when needed */
	bool assume_yes;	       /* --yes */
	bool interactive;	       /* stdin and stderr are a terminal */
	/* Called whenever a helper reports progress; NULL: nobody listens. */
	void (*heartbeat)(void *context);
	void *heartbeat_context;
};

/* session_check(session, err): ERROR_CANCELLED once a person has interrupted. */
int session_check(const struct session *session, struct error **err);

/*
 * session_own_container(session):
 * The id of the container that we run in, or NULL outside of one: found by the id in
 * mountinfo's source of /etc/hostname and confirmed by the engine; to be freed.
 */
char *session_own_container(const struct session *session);

/*
 * session_parse_mountinfo(text):
 * The id in the source of a container's own /etc/hostname, hosts or resolv.conf, from the
 * text of /proc/self/mountinfo (which is cut up by this); NULL: none. To be freed.
 */
char *session_parse_mountinfo(char *text);

/*
 * session_confirm(session, question, err):
 * Ask on the terminal. 0: yes or --yes. ERROR_REFUSED: no, or no terminal to ask on
 * (the hint names --yes).
 */
int session_confirm(const struct session *session, const char *question, struct error **err);

#endif
