/*
 * Pushing and pulling. The engine answers 200 before it begins, and what went wrong is a line of
 * the stream that follows, in words that differ by engine and by registry.
 */
#include <string.h>

#include "base/memory.h"
#include "engine/client.h"

#define LINE_LIMIT (1u << 20)
#define TAR_END_SIZE 1024

struct kind_of_words {
	enum error_kind kind;
	const char *const *words;
};

static const char *const space_words[] = {"no space left on device", "disk quota exceeded", NULL};
static const char *const digest_words[] = {"verification failed for digest",
					   "digest invalid",
					   "did not match",
					   "unexpected commit digest",
					   "digest mismatch",
					   "does not match the digest",
					   "does not match expected sha256",
					   "digests did not match",
					   "invalid checksum",
					   "checksum mismatch",
					   NULL};
static const char *const containerd_words[] = {"failed commit on ref", "unexpected commit", NULL};
static const char *const missing_words[] = {"manifest unknown", "name unknown", "does not exist",
					    "repository name not known", NULL};
static const char *const refused_words[] = {"unauthorized",
					    "authentication required",
					    "no basic auth credentials",
					    "denied",
					    "forbidden",
					    "insufficient_scope",
					    "invalid username/password",
					    "401 ",
					    NULL};
static const char *const lasting_words[] = {"x509", "certificate", "HTTP response to HTTPS client",
					    "no such host", NULL};
static const char *const transient_words[] = {"EOF",
					      "connection reset",
					      "connection refused",
					      "broken pipe",
					      "closed network connection",
					      "server closed",
					      "timeout",
					      "timed out",
					      "deadline exceeded",
					      "no route to host",
					      "network is unreachable",
					      "toomanyrequests",
					      "too many requests",
					      "internal server error",
					      "bad gateway",
					      "service unavailable",
					      "HTTP status: 5",
					      "HTTP response status 5",
					      "StatusCode: 5",
					      "status: 5",
					      ": 500 ",
					      ": 502 ",
					      ": 503 ",
					      ": 504 ",
					      NULL};

/* In the order in which they are looked for: a digest that is wrong may be called "unknown", too. */
static const struct kind_of_words kinds[] = {
	{ERROR_NO_SPACE, space_words},	  {ERROR_DAMAGED, digest_words},
	{ERROR_NOT_FOUND, missing_words}, {ERROR_REFUSED, refused_words},
	{ERROR_FAILED, lasting_words},	  {ERROR_ENGINE, transient_words},
};

static enum error_kind kind_of(const char *message)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (engine_mentions(message, kinds[i].words))
			return kinds[i].kind;
	return ERROR_FAILED;
}

/* The engine's own refusals are of the registry's words where they have any. */
static void judge(struct image_transfer *transfer, struct error *error)
{
	if (error->http_status == 404)
		return;
	if (error->kind != ERROR_NO_SPACE)
		error->kind = kind_of(error->message);
	transfer->is_transient = error->kind == ERROR_ENGINE;
}

static int failed(struct image_transfer *transfer, const char *words, struct error **err)
{
	cleanup_free char *line = engine_one_line(words, strlen(words));
	struct error *error = NULL;

	error_set(&error, ERROR_FAILED, "%s", line);
	judge(transfer, error);
	error_append(err, error);
	return -1;
}

static int take_message(struct image_transfer *transfer, const char *line, size_t size,
			struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *message = json_parse(line, size, NULL);
	const char *words = json_string(json_get(message, "errorDetail"), "message");

	if (!message)
		return error_set(err, ERROR_ENGINE, "the engine's answer is damaged");
	if (!words)
		words = json_string(message, "error");
	if (words)
		return failed(transfer, words, err);
	if (transfer->report)
		transfer->report(transfer->context, message);
	return 0;
}

/* Every whole line of ${text}, or with ${ended} what is left of it. */
static int take_lines(struct image_transfer *transfer, struct buffer *text, bool ended,
		      struct error **err)
{
	for (;;) {
		const char *end = memchr(text->data, '\n', text->size);
		size_t size = end ? (size_t)(end - text->data) + 1 : ended ? text->size : 0;

		if (!size)
			return 0;
		if (strspn(text->data, " \r\n\t") < size &&
		    take_message(transfer, text->data, size, err) < 0)
			return -1;
		buffer_consume(text, size);
	}
}

static int read_stream(struct image_transfer *transfer, struct exchange *exchange,
		       struct error **err)
{
	CLEANUP(buffer_release) struct buffer text;
	char block[16384];
	ssize_t count;

	buffer_init(&text, LINE_LIMIT);
	while ((count = exchange_read(exchange, block, sizeof(block), err)) > 0) {
		if (buffer_append(&text, block, (size_t)count) < 0)
			return error_set(err, ERROR_ENGINE, "the engine's answer is damaged");
		if (take_lines(transfer, &text, false, err) < 0)
			return -1;
	}
	return count < 0 ? -1 : take_lines(transfer, &text, true, err);
}

static int run(struct engine *engine, struct image_transfer *transfer, char *path,
	       struct error **err)
{
	cleanup_free char *owned = path;
	cleanup_free char *header = memory_printf("X-Registry-Auth: %s", transfer->auth);
	struct transport_request request = {.method = "POST", .path = owned, .header = header};
	struct error *error = NULL;
	CLEANUP(cleanup_exchange_free)
	struct exchange *exchange = engine_exchange(engine, &request, &error);

	transfer->is_transient = false;
	if (!exchange) {
		if (error->http_status)
			judge(transfer, error);
		error_append(err, error);
		return -1;
	}
	return read_stream(transfer, exchange, err);
}

/*
 * A containerd store goes on from what it has of a blob, and of one that arrived whole and wrong that
 * is all of it: every later pull fails without asking the registry (github.com/containerd/containerd
 * issue 3974). It is forgotten when garbage is collected, which waits for a hundred changes to the
 * store, or for an image that is removed: so one that holds nothing is made and removed.
 */
static void forget_received(struct engine *engine)
{
	static const char nothing[TAR_END_SIZE];
	cleanup_free char *path = engine_path(engine, "/images/create?fromSrc=-");
	struct transport_request request = {
		.method = "POST",
		.path = path,
		.content_type = "application/x-tar",
		.body = nothing,
		.body_size = sizeof(nothing),
	};
	const volatile int *cancel = engine->cancel;
	CLEANUP(cleanup_json_free) struct json *answer = NULL;
	CLEANUP(buffer_release) struct buffer text;
	struct exchange *exchange;

	buffer_init(&text, LINE_LIMIT);
	/* As in engine_make(): only the answer names what is to be removed. */
	engine_set_cancel(engine, NULL);
	exchange = engine_exchange(engine, &request, NULL);
	if (exchange && exchange_read_all(exchange, &text, NULL) == 0)
		answer = json_parse(text.data, text.size, NULL);
	exchange_free(exchange);
	if (json_string(answer, "status"))
		image_remove(engine, json_string(answer, "status"), true, false, NULL, NULL);
	engine_set_cancel(engine, cancel);
}

int image_push(struct engine *engine, struct image_transfer *transfer, struct error **err)
{
	cleanup_free char *repository = engine_escape_reference(transfer->repository);
	cleanup_free char *tag = engine_escape(transfer->tag);

	return run(engine, transfer, engine_path(engine, "/images/%s/push?tag=%s", repository, tag),
		   err);
}

int image_pull(struct engine *engine, struct image_transfer *transfer, struct error **err)
{
	cleanup_free char *repository = engine_escape(transfer->repository);
	cleanup_free char *tag = engine_escape(transfer->tag);
	struct error *problem = NULL;

	if (run(engine, transfer,
		engine_path(engine, "/images/create?fromImage=%s&tag=%s", repository, tag),
		&problem) == 0)
		return 0;
	if (engine_mentions(problem->message, containerd_words))
		forget_received(engine);
	error_append(err, problem);
	return -1;
}
