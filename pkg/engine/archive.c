/*
 * Files in and out of containers, as tar streams. GET of podman is empty just
 * after a container has ended (it is still unmounting): that is asked again.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/archive.h"
#include "engine/client.h"

#define EMPTY_TRIES 12
#define EMPTY_PAUSE_MS 250
#define FIRST_BLOCK 512

struct download {
	struct exchange *exchange;
	char first[FIRST_BLOCK]; /* read ahead to see whether there is anything */
	size_t first_size, first_given;
};

static char *archive_path(const struct engine *engine, const char *id, const char *path)
{
	cleanup_free char *escaped_id = engine_escape(id);
	cleanup_free char *escaped_path = engine_escape(path);

	return engine_path(engine, "/containers/%s/archive?path=%s", escaped_id, escaped_path);
}

static void download_release(struct download *download)
{
	exchange_free(download->exchange);
	download->exchange = NULL;
}

static int download_open(struct download *download, struct engine *engine, const char *id,
			 const char *path, struct error **err)
{
	cleanup_free char *url = archive_path(engine, id, path);
	struct transport_request request = {.method = "GET", .path = url};

	memset(download, 0, sizeof(*download));
	for (int i = 0; i < EMPTY_TRIES; i++) {
		ssize_t count;

		if (i && transport_pause(engine->transport, EMPTY_PAUSE_MS, err) < 0)
			return -1;
		download->exchange = engine_exchange(engine, &request, err);
		if (!download->exchange)
			return -1;
		count = exchange_read(download->exchange, download->first, FIRST_BLOCK, err);
		if (count > 0) {
			download->first_size = (size_t)count;
			return 0;
		}
		download_release(download);
		if (count < 0)
			return -1;
	}
	return error_set(err, ERROR_ENGINE, "the engine sent an empty archive");
}

static ssize_t download_read(void *context, void *data, size_t size, struct error **err)
{
	struct download *download = context;
	size_t left = download->first_size - download->first_given;

	if (!left)
		return exchange_read(download->exchange, data, size, err);
	if (size > left)
		size = left;
	memcpy(data, download->first + download->first_given, size);
	download->first_given += size;
	return (ssize_t)size;
}

static int get_failed(const char *id, const char *path, struct error **err)
{
	return error_prefix(err, "cannot read \"%s\" of container \"%.*s\"", path,
			    engine_id_shown(id), id);
}

int container_archive_get(struct engine *engine, const char *id, const char *path,
			  engine_sink *sink, void *context, struct error **err)
{
	struct download download;
	char block[65536];
	ssize_t count;

	if (download_open(&download, engine, id, path, err) < 0)
		return get_failed(id, path, err);
	while ((count = download_read(&download, block, sizeof(block), err)) > 0)
		if (sink(context, block, (size_t)count, err) < 0)
			break;
	download_release(&download);
	if (count < 0)
		get_failed(id, path, err);
	return count == 0 ? 0 : -1;
}

int container_archive_read(struct engine *engine, const char *id, const char *path,
			   const struct tar_callbacks *callbacks, void *context, struct error **err)
{
	struct download download;
	int result;

	if (download_open(&download, engine, id, path, err) < 0)
		return get_failed(id, path, err);
	result = tar_read(download_read, &download, callbacks, context, err);
	download_release(&download);
	return result < 0 ? get_failed(id, path, err) : 0;
}

static int put(struct engine *engine, const char *id, const char *directory,
	       struct transport_request *request, struct error **err)
{
	cleanup_free char *url = archive_path(engine, id, directory);
	CLEANUP(cleanup_exchange_free) struct exchange *exchange = NULL;
	struct buffer rest;
	int result = -1;

	request->method = "PUT";
	request->path = url;
	request->content_type = "application/x-tar";
	exchange = engine_exchange(engine, request, err);
	if (exchange) {
		buffer_init(&rest, 1u << 20);
		result = exchange_read_all(exchange, &rest, err);
		buffer_release(&rest);
	}
	if (result < 0)
		error_prefix(err, "cannot put files into \"%s\" of container \"%.*s\"", directory,
			     engine_id_shown(id), id);
	return result;
}

int container_archive_put(struct engine *engine, const char *id, const char *directory,
			  engine_source *source, void *context, struct error **err)
{
	struct transport_request request = {.source = source, .source_context = context};

	return put(engine, id, directory, &request, err);
}

int container_archive_put_buffer(struct engine *engine, const char *id, const char *directory,
				 const struct buffer *archive, struct error **err)
{
	struct transport_request request = {.body = archive->data, .body_size = archive->size};
	cleanup_error struct error *problem = NULL;

	if (put(engine, id, directory, &request, &problem) == 0)
		return 0;
	/* podman's own pipe to its unpacker breaks now and then under load. */
	if (engine_is_podman(engine) && problem->http_status == 500 &&
	    strstr(problem->message, "broken pipe"))
		return put(engine, id, directory, &request, err);
	if (err)
		*err = STEAL_POINTER(problem);
	return -1;
}

struct json *container_archive_stat(struct engine *engine, const char *id, const char *path,
				    struct error **err)
{
	cleanup_free char *url = archive_path(engine, id, path);
	struct transport_request request = {.method = "HEAD", .path = url};
	CLEANUP(cleanup_exchange_free)
	struct exchange *exchange = engine_exchange(engine, &request, err);
	cleanup_free uint8_t *text = NULL;
	const char *encoded;
	struct json *stat = NULL;
	size_t size = 0;

	if (exchange) {
		encoded = exchange_header(exchange, "X-Docker-Container-Path-Stat");
		text = encoded ? text_unbase64(encoded, &size) : NULL;
		stat = text ? json_parse((const char *)text, size, NULL) : NULL;
		if (!stat)
			error_set(err, ERROR_ENGINE, "the engine's answer is damaged");
	}
	if (!stat)
		error_prefix(err, "cannot look at \"%s\" of container \"%.*s\"", path,
			     engine_id_shown(id), id);
	return stat;
}
