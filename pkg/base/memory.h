/*
 * Allocation for small things whose size is ours, not an attacker's: when
 * there is no memory the program says so and ends. What is sized by input is
 * allocated with malloc by its reader, after a cap, and reported as an error.
 */
#ifndef SIDESNAP_BASE_MEMORY_H
#define SIDESNAP_BASE_MEMORY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* memory_alloc(size): ${size} bytes, not initialised. Never NULL. */
void *memory_alloc(size_t size);

/* memory_zalloc(size): ${size} zeroed bytes. Never NULL. */
void *memory_zalloc(size_t size);

/* memory_array(old, count, size): realloc for an array, overflow checked. Never NULL. */
void *memory_array(void *old, size_t count, size_t size);

/* memory_strdup(string): a copy, to be freed; NULL gives NULL. */
char *memory_strdup(const char *string);

/* memory_strndup(string, size): a NUL-terminated copy of at most ${size} bytes. */
char *memory_strndup(const char *string, size_t size);

/* memory_printf(format, ...): the formatted string, to be freed. */
char *memory_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* memory_vprintf(format, arguments): the same from a va_list. */
char *memory_vprintf(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

#endif
