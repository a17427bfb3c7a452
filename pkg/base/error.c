/*
 * The error object. Building a message must not fail in turn, so memory comes
 * from memory.h, which ends the program with a message when there is none.
 */
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static struct error *error_new(enum error_kind kind, char *message)
{
	struct error *error = memory_zalloc(sizeof(*error));

	error->kind = kind;
	error->message = message;
	return error;
}

int error_set(struct error **err, enum error_kind kind, const char *format, ...)
{
	va_list arguments;

	if (!err)
		return -1;
	va_start(arguments, format);
	error_free(*err);
	*err = error_new(kind, memory_vprintf(format, arguments));
	va_end(arguments);
	return -1;
}

int error_set_errno(struct error **err, int number, const char *format, ...)
{
	va_list arguments;
	char *message;
	bool no_space = number == ENOSPC || number == EDQUOT;

	if (!err)
		return -1;
	va_start(arguments, format);
	message = memory_vprintf(format, arguments);
	va_end(arguments);
	error_free(*err);
	*err = error_new(no_space ? ERROR_NO_SPACE : ERROR_FAILED,
			 memory_printf("%s: %s", message, strerror(number)));
	free(message);
	return -1;
}

int error_prefix(struct error **err, const char *format, ...)
{
	va_list arguments;
	char *prefix, *message;

	if (!err || !*err)
		return -1;
	va_start(arguments, format);
	prefix = memory_vprintf(format, arguments);
	va_end(arguments);
	message = memory_printf("%s: %s", prefix, (*err)->message);
	free(prefix);
	free((*err)->message);
	(*err)->message = message;
	return -1;
}

int error_hint(struct error **err, const char *format, ...)
{
	va_list arguments;

	if (!err || !*err)
		return -1;
	va_start(arguments, format);
	free((*err)->hint);
	(*err)->hint = memory_vprintf(format, arguments);
	va_end(arguments);
	return -1;
}

void error_append(struct error **err, struct error *other)
{
	char *message;

	if (!other)
		return;
	if (!err) {
		error_free(other);
		return;
	}
	if (!*err) {
		*err = other;
		return;
	}
	message = memory_printf("%s; also: %s", (*err)->message, other->message);
	free((*err)->message);
	(*err)->message = message;
	error_free(other);
}

void error_free(struct error *error)
{
	if (!error)
		return;
	free(error->message);
	free(error->hint);
	free(error);
}
