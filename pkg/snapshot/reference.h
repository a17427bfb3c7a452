/*
 * Image references (REF): parsing after the distribution reference grammar
 * (github.com/distribution/reference), and the default tag of a snapshot.
 */
#ifndef SIDESNAP_SNAPSHOT_REFERENCE_H
#define SIDESNAP_SNAPSHOT_REFERENCE_H

#include <time.h>

#include "base/error.h"

struct reference {
	char *repository; /* "localhost/sidesnap/db", "demo" */
	char *tag;	  /* "before", never NULL: "latest" when none was written */
};

void reference_release(struct reference *reference);

/* reference_parse(text, reference, err): ERROR_USAGE with what is wrong at which place. */
int reference_parse(const char *text, struct reference *reference, struct error **err);

/* reference_format(reference): "repository:tag", to be freed. */
char *reference_format(const struct reference *reference);

/* reference_default(name, time, reference): localhost/sidesnap/NAME:20260131T131500.123Z. */
void reference_default(const char *name, struct timespec time, struct reference *reference);

#endif
