/*
 * Allocation that ends the program when it fails: see memory.h for what may
 * use it.
 */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static void *memory_checked(void *pointer)
{
	static const char message[] = "sidesnap: out of memory\n";

	if (!pointer) {
		(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
		_exit(ERROR_FAILED);
	}
	return pointer;
}

void *memory_alloc(size_t size)
{
	return memory_checked(malloc(size ? size : 1));
}

void *memory_zalloc(size_t size)
{
	return memory_checked(calloc(1, size ? size : 1));
}

void *memory_array(void *old, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size)
		return memory_checked(NULL);
	return memory_checked(realloc(old, (count && size) ? count * size : 1));
}

char *memory_strdup(const char *string)
{
	return string ? memory_checked(strdup(string)) : NULL;
}

char *memory_strndup(const char *string, size_t size)
{
	return memory_checked(strndup(string, size));
}

char *memory_vprintf(const char *format, va_list arguments)
{
	char *result = NULL;

	if (vasprintf(&result, format, arguments) < 0)
		result = NULL;
	return memory_checked(result);
}

char *memory_printf(const char *format, ...)
{
	va_list arguments;
	char *result;

	va_start(arguments, format);
	result = memory_vprintf(format, arguments);
	va_end(arguments);
	return result;
}
