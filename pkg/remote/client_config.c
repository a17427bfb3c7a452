/* Where docker's client keeps its configuration, and what is in it. */
#include "remote/client_config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/text.h"

#define CONFIG_LIMIT (4u << 20)

char *client_config_path(void)
{
	const char *directory = text_or(getenv("DOCKER_CONFIG"), NULL);
	const char *home = text_or(getenv("HOME"), NULL);

	if (directory)
		return path_join(directory, "config.json");
	return home ? path_join(home, ".docker/config.json") : NULL;
}

struct json *client_config_read(const char *path, struct error **err)
{
	CLEANUP(buffer_release) struct buffer text;
	cleanup_error struct error *problem = NULL;
	struct json *config = NULL;

	buffer_init(&text, CONFIG_LIMIT);
	if (path && io_read_file(AT_FDCWD, path, &text, &problem) == 0)
		config = json_parse(text.data, text.size, &problem);
	if (text.size)
		explicit_bzero(text.data, text.size);
	if (problem && problem->kind != ERROR_NOT_FOUND)
		error_append(err, STEAL_POINTER(problem));
	return config;
}
