/* What the files of this folder share; nobody outside includes it. */
#ifndef SIDESNAP_ENGINE_CLIENT_H
#define SIDESNAP_ENGINE_CLIENT_H

#include "engine/engine.h"
#include "engine/transport.h"

#define ENGINE_NEWEST_API "1.51"
#define ENGINE_OLDEST_API "1.41"

struct engine {
	struct transport *transport;
	char *version; /* of the API, in every path */
	char *request; /* the host that engine_open() was given, or NULL */
	char *podman;  /* podman's own version, NULL: not podman */
	const volatile int *cancel;
};

/* engine_podman_major(engine): 4, 5 ...; 0 where it is not podman. */
unsigned engine_podman_major(const struct engine *engine);

/* engine_id_shown(id): How much of a container's id or name messages show, for "%.*s". */
int engine_id_shown(const char *id);

/* engine_path(engine, format, ...): "/v1.41" and the formatted rest; to be freed. */
char *engine_path(const struct engine *engine, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* container_path(engine, id, rest): "/containers/ID" and the rest, as engine_path(). */
char *container_path(const struct engine *engine, const char *id, const char *rest);

/* engine_escape_reference(text): As engine_escape(), but '/', ':' and '@' stay: an image's name. */
char *engine_escape_reference(const char *text);

/*
 * engine_one_line(text, size):
 * One line of printable text, whatever the engine or a proxy sent; of a long one both ends. Queries of
 * addresses are left out: that of an upload is longer than all the rest, and with that of a storage
 * behind a registry anybody can read there. To be freed.
 */
char *engine_one_line(const char *text, size_t size);

/*
 * engine_failed(engine, status, body, size, err):
 * Make the error of an answer of 400 and above from the engine's own words. Returns -1.
 */
int engine_failed(struct engine *engine, int status, const char *body, size_t size,
		  struct error **err);

/* engine_mentions(message, words): Whether one of ${words} (NULL at the end) is in it, case ignored. */
bool engine_mentions(const char *message, const char *const *words);

/* exchange_read_all(exchange, buffer, err): The rest of the body; more than fits is an error. */
int exchange_read_all(struct exchange *exchange, struct buffer *buffer, struct error **err);

/*
 * engine_exchange(engine, request, err):
 * exchange_open() whose statuses of 400 and above are failures.
 */
struct exchange *engine_exchange(struct engine *engine, const struct transport_request *request,
				 struct error **err);

/* engine_get(engine, path, err): GET of JSON; ${path} is freed. */
struct json *engine_get(struct engine *engine, char *path, struct error **err);

/*
 * engine_call(engine, method, path, body, answer, err):
 * One JSON request; ${path} is as engine_path() makes it, and is freed. ${body} may be NULL.
 * *answer (may be NULL) gets the parsed answer, or NULL where it had no body. Statuses of
 * 400 and above are failures, 304 is success.
 */
int engine_call(struct engine *engine, const char *method, char *path, const struct json *body,
		struct json **answer, struct error **err);

/*
 * engine_make(engine, path, body, answer, err):
 * POST that makes something which only the answer names. The engine makes it all the same when
 * the request is given up (moby and podman do not watch the connection), and nobody would
 * remove it: so once sent it is waited for, and who is interrupted removes it afterwards.
 */
int engine_make(struct engine *engine, char *path, const struct json *body, struct json **answer,
		struct error **err);

/* engine_filters(path, filters): ${path} (freed) with "filters=" added where there are any. */
char *engine_filters(char *path, const struct json *filters);

/*
 * engine_hijack(engine, path, body, err):
 * POST and take over the connection as a stream; ${path} is freed, ${body} may be NULL.
 */
struct attachment *engine_hijack(struct engine *engine, char *path, const struct json *body,
				 struct error **err);

/* attachment_write_some(attachment, data, size, err): Bytes taken now, 0: would block, -1. */
ssize_t attachment_write_some(struct attachment *attachment, const void *data, size_t size,
			      struct error **err);

/* attachment_wait(attachment, write, timeout_ms, err): As connection_wait(). */
int attachment_wait(struct attachment *attachment, bool write, int timeout_ms, struct error **err);

/* attachment_ended(attachment): Whether the last -1 of a read was the stream's orderly end. */
bool attachment_ended(const struct attachment *attachment);

#endif
