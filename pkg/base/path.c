/* Paths as text, without a file system. */
#include "base/path.h"

#include <string.h>

#include "base/memory.h"

char *path_clean(const char *path)
{
	size_t length = 0;
	char *result = memory_alloc(strlen(path) + 2);

	while (*path) {
		size_t part = strcspn(path, "/");

		if (part == 2 && path[0] == '.' && path[1] == '.') {
			while (length && result[length - 1] != '/')
				length--;
			if (length)
				length--;
		} else if (part && !(part == 1 && path[0] == '.')) {
			result[length++] = '/';
			memcpy(result + length, path, part);
			length += part;
		}
		path += part;
		path += strspn(path, "/");
	}
	if (!length)
		result[length++] = '/';
	result[length] = '\0';
	return result;
}

char *path_join(const char *directory, const char *name)
{
	size_t length = strlen(directory);

	while (length && directory[length - 1] == '/')
		length--;
	while (*name == '/')
		name++;
	return memory_printf("%.*s/%s", (int)length, directory, name);
}

const char *path_below(const char *path, const char *parent)
{
	size_t length = strlen(parent);

	if (length == 1 && parent[0] == '/')
		return path[0] == '/' ? path + 1 : NULL;
	if (strncmp(path, parent, length) != 0)
		return NULL;
	if (path[length] == '\0')
		return path + length;
	return path[length] == '/' ? path + length + 1 : NULL;
}

bool path_is_at_or_under(const char *path, const char *parent)
{
	return path_below(path, parent) != NULL;
}

bool path_is_safe_relative(const char *path, size_t size)
{
	size_t start = 0;

	if (!size || size > 4095 || memchr(path, '\0', size))
		return false;
	for (size_t i = 0; i <= size; i++) {
		size_t part = i - start;

		if (i < size && path[i] != '/')
			continue;
		if (!part || part > 255)
			return false;
		if (path[start] == '.' && (part == 1 || (part == 2 && path[start + 1] == '.')))
			return false;
		start = i + 1;
	}
	return true;
}

int path_compare(const char *a, const char *b)
{
	const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (*x == *y)
		return 0;
	if (!*x || !*y)
		return *x ? 1 : -1;
	if (*x == '/' || *y == '/')
		return *x == '/' ? -1 : 1;
	return *x < *y ? -1 : 1;
}
