/*
 * Scope-bound clean-up: `cleanup_free char *name = ...`, and CLEANUP(type_free)
 * for any type with such a function. Ownership leaves the scope by
 * STEAL_POINTER, as in crun and glib.
 */
#ifndef SIDESNAP_BASE_CLEANUP_H
#define SIDESNAP_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"

static inline void cleanup_free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_close_file(FILE *const *file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_error_free(struct error *const *error)
{
	error_free(*error);
}

#define CLEANUP(function) __attribute__((cleanup(function)))
#define cleanup_free CLEANUP(cleanup_free_pointer)
#define cleanup_fd CLEANUP(cleanup_close_fd)
#define cleanup_file CLEANUP(cleanup_close_file)
#define cleanup_error CLEANUP(cleanup_error_free)

/* Make cleanup_NAME(TYPE **) that calls FUNCTION(*pointer); NULL is passed on. */
#define CLEANUP_DEFINE(type, function)                                                             \
	static inline void cleanup_##function(type *const *pointer)                                \
	{                                                                                          \
		function(*pointer);                                                                \
	}

#define STEAL_POINTER(pointer)                                                                     \
	__extension__({                                                                            \
		__typeof__(pointer) stolen_pointer = (pointer);                                    \
		(pointer) = NULL;                                                                  \
		stolen_pointer;                                                                    \
	})

#define STEAL_FD(fd)                                                                               \
	__extension__({                                                                            \
		int stolen_fd = (fd);                                                              \
		(fd) = -1;                                                                         \
		stolen_fd;                                                                         \
	})

#endif
