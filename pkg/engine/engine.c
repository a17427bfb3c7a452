/*
 * The engine object: version negotiation, JSON requests, and the engine's own
 * words turned into errors of ours.
 */
#include "engine/engine.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "engine/client.h"

#define ANSWER_LIMIT (64u << 20)
#define MESSAGE_LIMIT 600

/* ---- versions ---- */

static bool parse_version(const char *text, unsigned *major, unsigned *minor)
{
	char *end;
	unsigned long number;

	if (!text || !isdigit((unsigned char)*text))
		return false;
	number = strtoul(text, &end, 10);
	if (*end != '.' || number > 1000 || !isdigit((unsigned char)end[1]))
		return false;
	*major = (unsigned)number;
	number = strtoul(end + 1, &end, 10);
	*minor = (unsigned)number;
	return number < 100000;
}

/* <0, 0, >0 as strcmp(); both are well-formed. */
static int compare_versions(const char *a, const char *b)
{
	unsigned x[2] = {0, 0}, y[2] = {0, 0};

	parse_version(a, &x[0], &x[1]);
	parse_version(b, &y[0], &y[1]);
	if (x[0] != y[0])
		return x[0] < y[0] ? -1 : 1;
	return x[1] == y[1] ? 0 : x[1] < y[1] ? -1 : 1;
}

static int choose_version(struct engine *engine, const char *highest, struct error **err)
{
	const char *wanted = text_or(getenv("DOCKER_API_VERSION"), NULL);
	const char *chosen = wanted ? wanted : highest;
	unsigned major, minor;

	if (!parse_version(chosen, &major, &minor)) {
		if (wanted)
			return error_set(err, ERROR_USAGE,
					 "DOCKER_API_VERSION=\"%s\" is no version like 1.41",
					 wanted);
		return error_set(err, ERROR_ENGINE, "%s answers, but not as a Docker engine",
				 engine_host(engine));
	}
	if (compare_versions(chosen, ENGINE_OLDEST_API) < 0) {
		error_set(err, ERROR_UNSUPPORTED,
			  "API version %s of the engine at %s is too old: %s is needed", chosen,
			  engine_host(engine), ENGINE_OLDEST_API);
		return error_hint(err,
				  wanted ? "unset DOCKER_API_VERSION"
					 : "docker 20.10 and podman 4 are the oldest that work");
	}
	if (!wanted && compare_versions(highest, ENGINE_NEWEST_API) > 0)
		parse_version(ENGINE_NEWEST_API, &major, &minor);
	engine->version = memory_printf("%u.%u", major, minor);
	return 0;
}

static int negotiate(struct engine *engine, struct error **err)
{
	struct transport_request request = {.method = "GET", .path = "/_ping"};
	CLEANUP(cleanup_exchange_free)
	struct exchange *exchange = engine_exchange(engine, &request, err);
	CLEANUP(cleanup_json_free) struct json *version = NULL;
	const char *podman, *highest;

	if (!exchange)
		return -1;
	podman = exchange_header(exchange, "Libpod-API-Version");
	engine->podman = memory_strdup(podman);
	highest = exchange_header(exchange, "Api-Version");
	if (highest)
		return choose_version(engine, highest, err);
	/* A proxy in front of the socket may drop headers. */
	version = engine_version(engine, err);
	return version ? choose_version(engine, json_string(version, "ApiVersion"), err) : -1;
}

/* ---- the object ---- */

static struct engine *engine_new(const struct endpoint *endpoint, struct error **err)
{
	struct transport *transport = transport_open(endpoint, err);
	struct engine *engine;

	if (!transport)
		return NULL;
	engine = memory_zalloc(sizeof(*engine));
	engine->transport = transport;
	return engine;
}

struct engine *engine_open(const char *host, struct error **err)
{
	CLEANUP(cleanup_endpoint_free) struct endpoint *endpoint = endpoint_resolve(host, err);
	CLEANUP(cleanup_engine_free)
	struct engine *engine = endpoint ? engine_new(endpoint, err) : NULL;

	if (!engine || negotiate(engine, err) < 0)
		return NULL;
	engine->request = host && *host ? memory_strdup(host) : NULL;
	return STEAL_POINTER(engine);
}

struct engine *engine_reopen(const struct engine *engine, struct error **err)
{
	struct engine *other = engine_new(transport_endpoint(engine->transport), err);

	if (!other)
		return NULL;
	other->version = memory_strdup(engine->version);
	other->podman = memory_strdup(engine->podman);
	other->request = memory_strdup(engine->request);
	return other;
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	transport_free(engine->transport);
	free(engine->version);
	free(engine->podman);
	free(engine->request);
	free(engine);
}

const char *engine_requested_host(const struct engine *engine)
{
	return engine->request;
}

const char *engine_host(const struct engine *engine)
{
	return transport_endpoint(engine->transport)->name;
}

const char *engine_api_version(const struct engine *engine)
{
	return engine->version;
}

bool engine_is_podman(const struct engine *engine)
{
	return engine->podman != NULL;
}

unsigned engine_podman_major(const struct engine *engine)
{
	unsigned major = 0, minor;

	return parse_version(engine->podman, &major, &minor) ? major : 0;
}

void engine_set_cancel(struct engine *engine, const volatile int *flag)
{
	engine->cancel = flag;
	transport_set_cancel(engine->transport, flag);
}

/* ---- the engine's words ---- */

/* Where the query of an address ends that begins at ${at}, or ${at} where none does. */
static size_t after_query(const char *text, size_t size, size_t word, size_t at)
{
	if (text[at] != '?' || !memmem(text + word, at - word, "://", 3))
		return at;
	while (at < size && (unsigned char)text[at] > ' ' && text[at] != '"')
		at++;
	return at;
}

char *engine_one_line(const char *text, size_t size)
{
	cleanup_free char *line = memory_alloc(size + 1);
	char *end = line;
	size_t word = 0;

	for (size_t i = 0; i < size && text[i]; i++) {
		unsigned char c;

		i = after_query(text, size, word, i);
		if (i == size)
			break;
		c = (unsigned char)text[i];
		if (c <= ' ' || c == '"')
			word = i + 1;
		if (c > ' ' && c != 0x7f)
			*end++ = (char)c;
		else if (end != line && end[-1] != ' ')
			*end++ = ' ';
	}
	while (end != line && (end[-1] == ' ' || end[-1] == '.'))
		end--;
	*end = '\0';
	/* podman prints whole data structures in front of the reason */
	if (end - line > MESSAGE_LIMIT)
		return memory_printf("%.*s ... %s", MESSAGE_LIMIT / 2, line,
				     end - MESSAGE_LIMIT / 2);
	return STEAL_POINTER(line);
}

/*
 * docker: {"message"}; podman: {"cause", "message", "response"}, of a push {"errorDetail", "error"};
 * a proxy: plain text.
 */
static char *answer_message(const char *body, size_t size)
{
	const char *begin = memchr(body, '{', size);
	const char *end = begin ? memrchr(begin, '}', size - (size_t)(begin - body)) : NULL;
	CLEANUP(cleanup_json_free)
	struct json *json = end ? json_parse(begin, (size_t)(end + 1 - begin), NULL) : NULL;
	const char *message = json_string(json, "message");
	const char *cause = json_string(json, "cause");
	cleanup_free char *both = NULL;

	if (!message || !*message)
		message = cause;
	if (!message)
		message = json_string(json, "error");
	if (!message)
		return engine_one_line(body, size);
	if (cause && !strstr(message, cause))
		message = both = memory_printf("%s: %s", message, cause);
	return engine_one_line(message, strlen(message));
}

bool engine_mentions(const char *message, const char *const *words)
{
	for (; *words; words++)
		if (strcasestr(message, *words))
			return true;
	return false;
}

static enum error_kind kind_of(const struct engine *engine, int status, const char *message)
{
	static const char *const space[] = {"no space left on device", "disk quota exceeded", NULL};
	static const char *const taken[] = {"already in use", "already exists", NULL};
	static const char *const unknown[] = {"no such container",
					      "no such image",
					      "image not known",
					      "no such volume",
					      "identifier is not a container",
					      NULL};

	if (engine_mentions(message, space))
		return ERROR_NO_SPACE;
	if (status == 404)
		return ERROR_NOT_FOUND;
	/* 409 is many things besides, such as an exec in a paused container */
	if ((status == 409 || (engine->podman && status == 500)) && engine_mentions(message, taken))
		return ERROR_EXISTS;
	if (engine->podman && status == 500 && engine_mentions(message, unknown))
		return ERROR_NOT_FOUND;
	return ERROR_FAILED;
}

/* The engine is too new or too old for the version that was asked for. */
static int version_refused(struct engine *engine, const char *message, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *version = engine_version(engine, NULL);
	const char *least = json_string_or(version, "MinAPIVersion", "a newer one");

	error_set(err, ERROR_UNSUPPORTED,
		  "the engine at %s refuses API version %s (400: %s); it "
		  "speaks %s to %s",
		  engine_host(engine), engine->version, message, least,
		  json_string_or(version, "ApiVersion", "an unknown one"));
	return error_hint(err, compare_versions(least, ENGINE_NEWEST_API) > 0
				       ? "this sidesnap is too old for that engine"
				       : "unset DOCKER_API_VERSION");
}

int engine_failed(struct engine *engine, int status, const char *body, size_t size,
		  struct error **err)
{
	cleanup_free char *message = answer_message(body, size);

	if (status == 400 && engine->version && strstr(message, "client version"))
		version_refused(engine, message, err);
	else if (*message)
		error_set(err, kind_of(engine, status, message), "engine refused (%d: %s)", status,
			  message);
	else
		error_set(err, kind_of(engine, status, message), "engine refused (%d)", status);
	if (err && *err)
		(*err)->http_status = status;
	return -1;
}

/* ---- requests ---- */

int exchange_read_all(struct exchange *exchange, struct buffer *buffer, struct error **err)
{
	char block[16384];
	ssize_t count;

	while ((count = exchange_read(exchange, block, sizeof(block), err)) > 0)
		if (buffer_append(buffer, block, (size_t)count) < 0)
			return error_set(err, ERROR_ENGINE,
					 "the engine's answer is larger than %zu bytes",
					 buffer->limit);
	return count < 0 ? -1 : 0;
}

static int refused(struct engine *engine, struct exchange *exchange, struct error **err)
{
	struct buffer body;

	buffer_init(&body, 1u << 20);
	/* A cut or endless error text is still better than none. */
	exchange_read_all(exchange, &body, NULL);
	if (engine->cancel && *engine->cancel)
		error_set(err, ERROR_CANCELLED, "interrupted");
	else
		engine_failed(engine, exchange_status(exchange), body.data, body.size, err);
	buffer_release(&body);
	return -1;
}

struct exchange *engine_exchange(struct engine *engine, const struct transport_request *request,
				 struct error **err)
{
	struct exchange *exchange = exchange_open(engine->transport, request, err);

	if (exchange && exchange_status(exchange) >= 400) {
		refused(engine, exchange, err);
		exchange_free(exchange);
		return NULL;
	}
	return exchange;
}

static int read_answer(struct exchange *exchange, struct json **answer, struct error **err)
{
	struct buffer body;
	int result;

	buffer_init(&body, ANSWER_LIMIT);
	result = exchange_read_all(exchange, &body, err);
	if (result == 0 && answer && strspn(body.data, " \r\n\t") < body.size) {
		*answer = json_parse(body.data, body.size, err);
		if (!*answer) {
			error_prefix(err, "the engine's answer is damaged");
			if (err && *err)
				(*err)->kind = ERROR_ENGINE;
			result = -1;
		}
	}
	buffer_release(&body);
	return result;
}

static int send_request(struct engine *engine, const char *method, const char *path,
			const struct json *body, struct json **answer, struct error **err)
{
	cleanup_free char *text = body ? json_print(body, false) : NULL;
	struct transport_request request = {
		.method = method,
		.path = path,
		.content_type = text ? "application/json" : NULL,
		.body = text,
		.body_size = text ? strlen(text) : 0,
	};
	CLEANUP(cleanup_exchange_free)
	struct exchange *exchange = engine_exchange(engine, &request, err);

	if (answer)
		*answer = NULL;
	return exchange ? read_answer(exchange, answer, err) : -1;
}

int engine_call(struct engine *engine, const char *method, char *path, const struct json *body,
		struct json **answer, struct error **err)
{
	cleanup_free char *owned = path;

	return send_request(engine, method, owned, body, answer, err);
}

int engine_make(struct engine *engine, char *path, const struct json *body, struct json **answer,
		struct error **err)
{
	const volatile int *cancel = engine->cancel;
	int result;

	if (cancel && *cancel) {
		free(path);
		return error_set(err, ERROR_CANCELLED, "interrupted");
	}
	engine_set_cancel(engine, NULL);
	result = engine_call(engine, "POST", path, body, answer, err);
	engine_set_cancel(engine, cancel);
	return result;
}

struct json *engine_get(struct engine *engine, char *path, struct error **err)
{
	struct json *answer = NULL;

	if (engine_call(engine, "GET", path, NULL, &answer, err) < 0)
		return NULL;
	if (!answer)
		error_set(err, ERROR_ENGINE, "the engine's answer is empty");
	return answer;
}

int engine_id_shown(const char *id)
{
	return strlen(id) == 64 ? 12 : 64;
}

char *engine_path(const struct engine *engine, const char *format, ...)
{
	va_list arguments;
	cleanup_free char *rest = NULL;

	va_start(arguments, format);
	rest = memory_vprintf(format, arguments);
	va_end(arguments);
	return memory_printf("/v%s%s", engine->version, rest);
}

static char *escape(const char *text, const char *also)
{
	static const char digits[] = "0123456789ABCDEF";
	char *result = memory_alloc(3 * strlen(text) + 1), *end = result;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c < 128 && isalnum(c)) || strchr("-._~", c) || strchr(also, c)) {
			*end++ = (char)c;
		} else {
			*end++ = '%';
			*end++ = digits[c >> 4];
			*end++ = digits[c & 15];
		}
	}
	*end = '\0';
	return result;
}

char *engine_escape(const char *text)
{
	return escape(text, "");
}

char *engine_escape_reference(const char *text)
{
	return escape(text, "/:@");
}

char *engine_filters(char *path, const struct json *filters)
{
	cleanup_free char *owned = path;
	cleanup_free char *text = NULL;
	cleanup_free char *escaped = NULL;

	if (!filters)
		return STEAL_POINTER(owned);
	text = json_print(filters, false);
	escaped = engine_escape(text);
	return memory_printf("%s%cfilters=%s", owned, strchr(owned, '?') ? '&' : '?', escaped);
}

struct json *engine_version(struct engine *engine, struct error **err)
{
	/* Without a version in its path: it must answer when ours is refused. */
	return engine_get(engine, memory_strdup("/version"), err);
}

struct json *engine_info(struct engine *engine, struct error **err)
{
	return engine_get(engine, engine_path(engine, "/info"), err);
}
