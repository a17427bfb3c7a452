/* Names of images as registries understand them. */
#include "remote/registry.h"

#include <ctype.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"

#define HUB "docker.io"
#define HUB_ALIAS "index.docker.io"
#define HUB_KEY "https://index.docker.io/v1/"

size_t registry_host_length(const char *name)
{
	size_t slash = strcspn(name, "/");

	if (!name[slash])
		return 0;
	if (slash == strlen("localhost") && !strncmp(name, "localhost", slash))
		return slash;
	/* A part with an upper-case letter could not be the beginning of a path. */
	for (size_t i = 0; i < slash; i++)
		if (name[i] == '.' || name[i] == ':' || isupper((unsigned char)name[i]))
			return slash;
	return 0;
}

char *registry_host(const char *name)
{
	size_t length = registry_host_length(name);

	if (!length || (length == strlen(HUB_ALIAS) && !strncmp(name, HUB_ALIAS, length)))
		return memory_strdup(HUB);
	return memory_strndup(name, length);
}

const char *registry_key(const char *host)
{
	return !strcmp(host, HUB) ? HUB_KEY : host;
}

bool registry_takes(const char *name)
{
	size_t length = registry_host_length(name);
	cleanup_free char *host = registry_host(name);
	const char *path = length ? name + length + 1 : name;

	if (!strcmp(host, "localhost"))
		return false;
	return strcmp(host, HUB) != 0 ||
	       (strchr(path, '/') && strncmp(path, "library/", strlen("library/")) != 0);
}
