/* What a driver refuses to capture, by how the server was started. */
#ifndef SIDESNAP_DRIVER_REFUSE_H
#define SIDESNAP_DRIVER_REFUSE_H

#include "driver/driver.h"
#include "driver/values.h"

/*
 * refusal_of(definition, values, processes): The reason of the first of "refuse" that applies to the server's
 * command line in ${values} or to the running ${processes}; borrowed; NULL: none does.
 */
const char *refusal_of(const struct json *definition, const struct values *values,
		       const struct string_list *processes);

#endif
