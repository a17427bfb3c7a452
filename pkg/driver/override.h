/* What a person's labels on a container change of its driver: sidesnap.driver.prepare and the others. */
#ifndef SIDESNAP_DRIVER_OVERRIDE_H
#define SIDESNAP_DRIVER_OVERRIDE_H

#include "driver/driver.h"

/* The driver of a container that no other fits, and that has such labels. */
#define DRIVER_OF_LABELS "labels"

/* override_member(index): The members that a label may change, NULL behind the last. */
const char *override_member(size_t index);

/* override_text(labels, index): What the label of that member holds, JSON on one line, "" where it is absent; to be freed. */
char *override_text(const struct json *labels, size_t index);

/* override_is_used(labels): Whether one of them is there. */
bool override_is_used(const struct json *labels);

/*
 * override_apply(driver, labels, err):
 * Put them into its definition. ERROR_USAGE names the label, the line in it and what is wrong; then some
 * may be in already.
 */
int override_apply(struct driver *driver, const struct json *labels, struct error **err);

/* override_driver(): One that knows nothing but what labels will say. */
struct driver *override_driver(void);

#endif
