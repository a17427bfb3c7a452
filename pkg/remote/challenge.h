/*
 * What a registry says in the headers of an answer: how to log in (RFC 9110, section 11;
 * distribution's docs/content/spec/auth/token.md), where a list goes on (RFC 8288), when to come
 * again. All of it is somebody else's text.
 */
#ifndef SIDESNAP_REMOTE_CHALLENGE_H
#define SIDESNAP_REMOTE_CHALLENGE_H

#include <stdbool.h>

enum challenge_kind { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
	enum challenge_kind kind;
	char *realm,
		*service; /* of a bearer: where tokens are had, and for whom; service may be NULL */
};

void challenge_release(struct challenge *challenge);

/*
 * challenge_take(challenge, header): One more WWW-Authenticate header, of which there may be several:
 * bearer before basic. What is not understood is passed over.
 */
void challenge_take(struct challenge *challenge, const char *header);

/* challenge_next_link(header): The target of rel="next" in a Link header, to be freed; NULL: none. */
char *challenge_next_link(const char *header);

#endif
