/*
 * Finding the engine as Docker's own client does, so that whatever makes
 * "docker ps" work on a machine makes us work as well.
 */
#include "engine/endpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"

#define DEFAULT_HOST "unix:///var/run/docker.sock"
#define CONFIG_LIMIT (4u << 20)

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* The client's configuration directory, or NULL where there is no home. */
static char *config_directory(void)
{
	const char *home = environment("HOME");

	if (environment("DOCKER_CONFIG"))
		return memory_strdup(environment("DOCKER_CONFIG"));
	return home ? path_join(home, ".docker") : NULL;
}

static bool readable(const char *path)
{
	return access(path, R_OK) == 0;
}

/* A PEM file of that name, or NULL where there is none. */
static char *pem_file(const char *directory, const char *name)
{
	char *path = path_join(directory, name);

	if (readable(path))
		return path;
	free(path);
	return NULL;
}

static void take_certificates(struct endpoint *endpoint, const char *directory)
{
	endpoint->authorities = pem_file(directory, "ca.pem");
	endpoint->certificate = pem_file(directory, "cert.pem");
	endpoint->key = pem_file(directory, "key.pem");
}

/* As Docker's client library: a certificate path alone means TLS, unverified. */
static int take_tls_environment(struct endpoint *endpoint, struct error **err)
{
	cleanup_free char *config = config_directory();
	const char *directory = environment("DOCKER_CERT_PATH");
	bool verify = environment("DOCKER_TLS_VERIFY") != NULL;
	bool asked = verify || directory || environment("DOCKER_TLS") != NULL;

	if (!asked && !endpoint->tls)
		return 0;
	endpoint->tls_verify = verify || !asked;
	endpoint->tls = true;
	if (!directory)
		directory = config;
	if (!directory)
		return 0;
	take_certificates(endpoint, directory);
	if (environment("DOCKER_CERT_PATH") && !endpoint->authorities && !endpoint->certificate) {
		error_set(err, ERROR_USAGE, "no readable ca.pem or cert.pem in \"%s\"", directory);
		return error_hint(err, "let DOCKER_CERT_PATH name the directory of ca.pem, "
				       "cert.pem and key.pem");
	}
	return 0;
}

/* "host[:port][/base]" behind the scheme. */
static int parse_address(struct endpoint *endpoint, const char *address, struct error **err)
{
	size_t size = strcspn(address, "/");
	cleanup_free char *authority = memory_strndup(address, size);
	const char *closing = strrchr(authority, ']');
	const char *colon = strrchr(closing ? closing : authority, ':');
	uint64_t port = 0;
	char *base;

	if (!size || colon == authority || strpbrk(authority, " @?#\\\r\n\t") ||
	    (colon && !text_parse_uint(colon + 1, 65535, &port)))
		return error_set(err, ERROR_USAGE, "\"%s\" is no address of an engine",
				 endpoint->name);
	if (strpbrk(address, " \r\n\t?#"))
		return error_set(err, ERROR_USAGE, "\"%s\" is no address of an engine",
				 endpoint->name);
	free(endpoint->authority);
	endpoint->authority =
		colon ? STEAL_POINTER(authority)
		      : memory_printf("%s:%d", authority, endpoint->tls ? 2376 : 2375);
	base = path_clean(address + size);
	free(endpoint->base_path);
	endpoint->base_path = strcmp(base, "/") == 0 ? memory_strdup("") : memory_strdup(base);
	free(base);
	return 0;
}

static int refuse_scheme(const char *host, struct error **err)
{
	if (text_has_prefix(host, "ssh://")) {
		error_set(err, ERROR_UNSUPPORTED,
			  "cannot reach the engine at \"%s\": "
			  "ssh:// is not supported",
			  host);
		return error_hint(err, "forward the socket with \"ssh -nNT -L "
				       "/tmp/docker.sock:/var/run/docker.sock USER@HOST\" and set "
				       "DOCKER_HOST=unix:///tmp/docker.sock");
	}
	if (text_has_prefix(host, "npipe://")) {
		error_set(err, ERROR_UNSUPPORTED,
			  "cannot reach the engine at \"%s\": "
			  "named pipes are Windows'",
			  host);
		return error_hint(err, "run it inside the Linux machine of the engine");
	}
	error_set(err, ERROR_USAGE, "\"%s\" is no address of an engine", host);
	return error_hint(err, "use unix:///PATH or tcp://HOST:PORT");
}

/* Fill in what ${host} says, without TLS files. */
static int parse_host(struct endpoint *endpoint, const char *host, struct error **err)
{
	endpoint->name = memory_strdup(host);
	endpoint->base_path = memory_strdup("");
	if (text_has_prefix(host, "unix://") || host[0] == '/') {
		const char *path = host[0] == '/' ? host : host + 7;

		if (path[0] != '/')
			return error_set(err, ERROR_USAGE,
					 "\"%s\" names no absolute path of a socket", host);
		endpoint->socket_path = memory_strdup(path);
		endpoint->authority = memory_strdup("localhost");
		return 0;
	}
	if (text_has_prefix(host, "https://"))
		endpoint->tls = true;
	else if (!text_has_prefix(host, "tcp://") && !text_has_prefix(host, "http://"))
		return refuse_scheme(host, err);
	return 0;
}

static int finish_address(struct endpoint *endpoint, struct error **err)
{
	if (endpoint->socket_path)
		return 0;
	return parse_address(endpoint, strstr(endpoint->name, "://") + 3, err);
}

static int from_host(struct endpoint *endpoint, const char *host, struct error **err)
{
	if (parse_host(endpoint, host, err) < 0)
		return -1;
	if (!endpoint->socket_path && take_tls_environment(endpoint, err) < 0)
		return -1;
	return finish_address(endpoint, err);
}

static struct json *read_json(const char *path, struct error **err)
{
	struct buffer buffer;
	struct json *json = NULL;

	buffer_init(&buffer, CONFIG_LIMIT);
	if (io_read_file(AT_FDCWD, path, &buffer, err) == 0) {
		json = json_parse(buffer.data, buffer.size, err);
		if (!json)
			error_prefix(err, "cannot read \"%s\"", path);
	}
	buffer_release(&buffer);
	return json;
}

/* The context that is in use, or NULL for the default one. */
static int current_context(const char *config, char **name, struct error **err)
{
	cleanup_free char *path = NULL;
	CLEANUP(cleanup_json_free) struct json *json = NULL;
	cleanup_error struct error *problem = NULL;
	const char *current = environment("DOCKER_CONTEXT");

	*name = NULL;
	if (!current && config) {
		path = path_join(config, "config.json");
		json = read_json(path, &problem);
		if (!json && problem->kind != ERROR_NOT_FOUND) {
			if (err)
				*err = STEAL_POINTER(problem);
			return -1;
		}
		current = json_string(json, "currentContext");
	}
	if (current && *current && strcmp(current, "default") != 0)
		*name = memory_strdup(current);
	return 0;
}

/* The directory name of a context below contexts/meta (a hash of its name, but that may change). */
static char *find_context(const char *config, const char *name, struct json **meta)
{
	cleanup_free char *root = path_join(config, "contexts/meta");
	DIR *directory = opendir(root);
	struct dirent *item;
	char *found = NULL;

	while (directory && !found && (item = readdir(directory)) != NULL) {
		cleanup_free char *path = NULL;
		CLEANUP(cleanup_json_free) struct json *json = NULL;

		if (item->d_name[0] == '.')
			continue;
		path = memory_printf("%s/%s/meta.json", root, item->d_name);
		json = read_json(path, NULL);
		if (strcmp(json_string_or(json, "Name", ""), name) == 0) {
			found = memory_strdup(item->d_name);
			*meta = STEAL_POINTER(json);
		}
	}
	if (directory)
		closedir(directory);
	return found;
}

static int from_context(struct endpoint *endpoint, const char *config, const char *name,
			struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *meta = NULL;
	cleanup_free char *directory = config ? find_context(config, name, &meta) : NULL;
	const struct json *docker = json_path(meta, "Endpoints", "docker");
	cleanup_free char *tls = NULL;

	if (!directory) {
		error_set(err, ERROR_NOT_FOUND, "no docker context \"%s\"", name);
		return error_hint(err, "see \"docker context ls\", or set DOCKER_HOST");
	}
	if (parse_host(endpoint, text_or(json_string(docker, "Host"), DEFAULT_HOST), err) < 0)
		goto fail;
	if (endpoint->socket_path)
		return 0;
	tls = memory_printf("%s/contexts/tls/%s/docker", config, directory);
	take_certificates(endpoint, tls);
	endpoint->tls_verify = !json_bool(docker, "SkipTLSVerify");
	if (endpoint->authorities || endpoint->certificate || !endpoint->tls_verify)
		endpoint->tls = true;
	if (finish_address(endpoint, err) == 0)
		return 0;
fail:
	return error_prefix(err, "docker context \"%s\"", name);
}

struct endpoint *endpoint_resolve(const char *host, struct error **err)
{
	CLEANUP(cleanup_endpoint_free) struct endpoint *endpoint = memory_zalloc(sizeof(*endpoint));
	cleanup_free char *config = config_directory();
	cleanup_free char *context = NULL;
	int result;

	if (!host || !*host)
		host = environment("DOCKER_HOST");
	if (!host && current_context(config, &context, err) < 0)
		return NULL;
	if (context)
		result = from_context(endpoint, config, context, err);
	else
		result = from_host(endpoint, host ? host : DEFAULT_HOST, err);
	return result < 0 ? NULL : STEAL_POINTER(endpoint);
}

struct endpoint *endpoint_copy(const struct endpoint *endpoint)
{
	struct endpoint *copy = memory_zalloc(sizeof(*copy));

	copy->name = memory_strdup(endpoint->name);
	copy->socket_path = memory_strdup(endpoint->socket_path);
	copy->authority = memory_strdup(endpoint->authority);
	copy->base_path = memory_strdup(endpoint->base_path);
	copy->tls = endpoint->tls;
	copy->tls_verify = endpoint->tls_verify;
	copy->authorities = memory_strdup(endpoint->authorities);
	copy->certificate = memory_strdup(endpoint->certificate);
	copy->key = memory_strdup(endpoint->key);
	return copy;
}

void endpoint_free(struct endpoint *endpoint)
{
	if (!endpoint)
		return;
	free(endpoint->name);
	free(endpoint->socket_path);
	free(endpoint->authority);
	free(endpoint->base_path);
	free(endpoint->authorities);
	free(endpoint->certificate);
	free(endpoint->key);
	free(endpoint);
}
