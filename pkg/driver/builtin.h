/* The definitions in data/, carried inside the program. */
#ifndef SIDESNAP_DRIVER_BUILTIN_H
#define SIDESNAP_DRIVER_BUILTIN_H

#include <stddef.h>

struct builtin_driver {
	const char *name; /* file name without ".json"; the driver has the same name */
	const char *text;
	size_t size; /* bytes of text */
};

/* builtin_driver(index): The ${index}th of them, NULL past the last. Its size is computed on the first call. */
const struct builtin_driver *builtin_driver(size_t index);

#endif
