/*
 * libcurl's multi interface driven as a pull source: a transfer is paused
 * while its bytes wait to be read. One multi handle keeps the connections, so
 * that a second exchange may run while a first one is being read.
 */
#include "engine/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/http_header.h"

#define CONNECT_TIMEOUT_MS 10000L
#define RECEIVE_CAPACITY (256u << 10)
#define TURN_MS 100
#define SALVAGE_LIMIT (64u << 10)

struct transport {
	CURLM *multi;
	struct endpoint *endpoint;
	const volatile int *cancel;
	struct buffer salvage; /* what was in the socket when a send failed */
	bool uploading;	       /* only then is the socket looked into before it is closed */
};

struct exchange {
	struct transport *transport;
	CURL *easy;
	struct curl_slist *headers;
	char *url;
	struct transport_request request;
	struct error *source_error;
	char *received; /* bytes that curl gave and nobody has read yet */
	size_t received_start, received_end, received_capacity;
	int status;
	bool header_done, paused, done;
	CURLcode result;
	char reason[CURL_ERROR_SIZE];
};

struct connection {
	CURL *easy;
	curl_socket_t fd;
	const volatile int *cancel;
	char reason[CURL_ERROR_SIZE];
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_started;

static void start_curl(void)
{
	curl_started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool cancelled(const volatile int *flag)
{
	return flag && *flag;
}

static int cancel_error(struct error **err)
{
	return error_set(err, ERROR_CANCELLED, "interrupted");
}

struct transport *transport_open(const struct endpoint *endpoint, struct error **err)
{
	struct transport *transport;

	pthread_once(&curl_once, start_curl);
	if (curl_started != CURLE_OK) {
		error_set(err, ERROR_FAILED, "cannot start libcurl: %s",
			  curl_easy_strerror(curl_started));
		return NULL;
	}
	transport = memory_zalloc(sizeof(*transport));
	transport->multi = curl_multi_init();
	transport->endpoint = endpoint_copy(endpoint);
	buffer_init(&transport->salvage, SALVAGE_LIMIT);
	if (!transport->multi) {
		error_set(err, ERROR_FAILED, "no memory for libcurl");
		transport_free(transport);
		return NULL;
	}
	curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS, 4L);
	return transport;
}

void transport_free(struct transport *transport)
{
	if (!transport)
		return;
	transport->uploading = false;
	if (transport->multi)
		curl_multi_cleanup(transport->multi);
	endpoint_free(transport->endpoint);
	buffer_release(&transport->salvage);
	free(transport);
}

const struct endpoint *transport_endpoint(const struct transport *transport)
{
	return transport->endpoint;
}

void transport_set_cancel(struct transport *transport, const volatile int *flag)
{
	transport->cancel = flag;
}

int transport_pause(struct transport *transport, unsigned milliseconds, struct error **err)
{
	uint64_t end = clock_monotonic_ms() + milliseconds;

	for (;;) {
		uint64_t now = clock_monotonic_ms();

		if (cancelled(transport->cancel))
			return cancel_error(err);
		if (now >= end)
			return 0;
		poll(NULL, 0, end - now < TURN_MS ? (int)(end - now) : TURN_MS);
	}
}

/* ---- what went wrong ---- */

static int connect_error(const struct endpoint *endpoint, int number, const char *reason,
			 struct error **err)
{
	error_set(err, ERROR_ENGINE, "cannot reach the engine at %s: %s", endpoint->name,
		  number ? strerror(number) : reason);
	if (endpoint->socket_path && number == EACCES)
		return error_hint(err,
				  "run as root, or become a member of the group that owns "
				  "%s (usually \"docker\")",
				  endpoint->socket_path);
	if (endpoint->socket_path && number == ENOENT)
		return error_hint(err,
				  "start the engine; inside a container, mount the socket "
				  "with -v %s:/var/run/docker.sock; or set DOCKER_HOST",
				  endpoint->socket_path);
	return error_hint(err, "is the engine running? Check DOCKER_HOST and \"docker info\"");
}

static int curl_error(CURL *easy, const struct endpoint *endpoint, CURLcode code,
		      const char *reason, struct error **err)
{
	const char *text = *reason ? reason : curl_easy_strerror(code);
	long number = 0;

	switch (code) {
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
		return connect_error(endpoint, (int)number, text, err);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_OPERATION_TIMEDOUT:
		return connect_error(endpoint, 0, text, err);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		error_set(err, ERROR_ENGINE, "cannot agree on TLS with the engine at %s: %s",
			  endpoint->name, text);
		return error_hint(err, "check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH, "
				       "and that the certificate names this host");
	case CURLE_ABORTED_BY_CALLBACK:
		return cancel_error(err);
	default:
		error_set(err, ERROR_ENGINE, "the connection to the engine at %s broke: %s",
			  endpoint->name, text);
		return error_hint(err, "was the engine stopped or restarted? Try again");
	}
}

/* ---- options that every handle has ---- */

/*
 * A failed send hides an answer that came before it: curl closes and forgets.
 * So look into the socket just before it is closed.
 */
static int close_socket(void *context, curl_socket_t fd)
{
	struct transport *transport = context;
	char block[4096];

	while (transport->uploading) {
		ssize_t count = recv(fd, block, sizeof(block), MSG_DONTWAIT);

		if (count <= 0 || buffer_append(&transport->salvage, block, (size_t)count) < 0)
			break;
	}
	return close(fd);
}

static void set_tls(CURL *easy, const struct endpoint *endpoint)
{
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, endpoint->tls_verify ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, endpoint->tls_verify ? 2L : 0L);
	if (endpoint->authorities)
		curl_easy_setopt(easy, CURLOPT_CAINFO, endpoint->authorities);
	if (endpoint->certificate)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, endpoint->certificate);
	if (endpoint->key)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, endpoint->key);
}

static void set_common(CURL *easy, const struct endpoint *endpoint, char *reason)
{
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* The environment's proxies are for the web; a hijacked stream would not pass them. */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "sidesnap");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	if (endpoint->socket_path)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, endpoint->socket_path);
	if (endpoint->tls)
		set_tls(easy, endpoint);
}

static char *endpoint_url(const struct endpoint *endpoint, const char *path)
{
	return memory_printf("%s://%s%s%s", endpoint->tls ? "https" : "http", endpoint->authority,
			     endpoint->base_path, path);
}

/* ---- exchange ---- */

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
	struct exchange *exchange = context;

	size *= count;
	if (exchange->received_start == exchange->received_end)
		exchange->received_start = exchange->received_end = 0;
	if (exchange->received_end && size > exchange->received_capacity - exchange->received_end) {
		exchange->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (size > exchange->received_capacity) {
		exchange->received_capacity = size > RECEIVE_CAPACITY ? size : RECEIVE_CAPACITY;
		exchange->received =
			memory_array(exchange->received, exchange->received_capacity, 1);
	}
	memcpy(exchange->received + exchange->received_end, data, size);
	exchange->received_end += size;
	return size;
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
	struct exchange *exchange = context;
	long status = 0;

	size *= count;
	if (size <= 2 && (data[0] == '\r' || data[0] == '\n')) {
		curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
		exchange->status = (int)status;
		exchange->header_done = status >= 200;
	}
	return size;
}

static size_t give_body(char *data, size_t size, size_t count, void *context)
{
	struct exchange *exchange = context;
	ssize_t given = exchange->request.source(exchange->request.source_context, data,
						 size * count, &exchange->source_error);

	return given < 0 ? CURL_READFUNC_ABORT : (size_t)given;
}

static void add_header(struct exchange *exchange, const char *line)
{
	struct curl_slist *longer = curl_slist_append(exchange->headers, line);

	if (longer)
		exchange->headers = longer;
}

static void set_request(struct exchange *exchange)
{
	const struct transport_request *request = &exchange->request;
	CURL *easy = exchange->easy;
	cleanup_free char *type =
		memory_printf("Content-Type:%s%s", request->content_type ? " " : "",
			      request->content_type ? request->content_type : "");

	if (strcmp(request->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (request->source) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
		curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
		/* Asked for by name, so that it is there whatever curl thinks of the size. */
		add_header(exchange, "Expect: 100-continue");
		add_header(exchange, "Transfer-Encoding: chunked");
	} else if (request->body || strcmp(request->method, "POST") == 0 ||
		   strcmp(request->method, "PUT") == 0) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)(request->body ? request->body_size : 0));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
	}
	if (strcmp(request->method, "HEAD") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	if (strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0)
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	add_header(exchange, type);
	if (request->header)
		add_header(exchange, request->header);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
}

static struct exchange *exchange_new(struct transport *transport,
				     const struct transport_request *request, struct error **err)
{
	struct exchange *exchange = memory_zalloc(sizeof(*exchange));
	CURL *easy = exchange->easy = curl_easy_init();

	exchange->transport = transport;
	exchange->request = *request;
	exchange->url = endpoint_url(transport->endpoint, request->path);
	if (!easy) {
		error_set(err, ERROR_FAILED, "no memory for libcurl");
		exchange_free(exchange);
		return NULL;
	}
	set_common(easy, transport->endpoint, exchange->reason);
	curl_easy_setopt(easy, CURLOPT_URL, exchange->url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 128L << 10);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
	/* The transport, not the exchange: connections outlive what opened them. */
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transport);
	set_request(exchange);
	return exchange;
}

/*
 * Use an answer although the transfer failed: see close_socket(). It may be cut, so it must
 * be a refusal, whose text may be, or that of an upload, which has none.
 */
static void salvage_answer(struct exchange *exchange)
{
	const struct transport_request *request = &exchange->request;
	const struct buffer *salvage = &exchange->transport->salvage;
	const char *body = salvage->data;
	size_t size = salvage->size;
	int status = exchange->status;

	if (exchange->result != CURLE_SEND_ERROR && exchange->result != CURLE_RECV_ERROR &&
	    exchange->result != CURLE_GOT_NOTHING)
		return;
	if (!request->source && !request->body_size)
		return;
	if (!exchange->header_done)
		status = http_header_parse(salvage->data, salvage->size, &body, &size);
	if (status < 400 && (status < 200 || strcmp(request->method, "PUT") != 0))
		return;
	exchange->status = status;
	exchange->header_done = true;
	if (size)
		take_body((char *)(uintptr_t)body, 1, size, exchange);
	exchange->result = CURLE_OK;
}

static void collect_finished(struct transport *transport)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(transport->multi, &left)) != NULL) {
		struct exchange *exchange = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
		exchange->done = true;
		exchange->result = message->data.result;
		salvage_answer(exchange);
	}
}

static bool has_bytes(const struct exchange *exchange)
{
	return exchange->received_end > exchange->received_start;
}

static int multi_error(CURLMcode code, struct error **err)
{
	return error_set(err, ERROR_FAILED, "libcurl: %s", curl_multi_strerror(code));
}

/* Drive everything once. */
static int transport_drive(struct transport *transport, struct error **err)
{
	CURLMcode code;
	int running;

	if (cancelled(transport->cancel))
		return cancel_error(err);
	code = curl_multi_perform(transport->multi, &running);
	collect_finished(transport);
	return code == CURLM_OK ? 0 : multi_error(code, err);
}

static int transport_poll(struct transport *transport, int timeout_ms, struct error **err)
{
	CURLMcode code = curl_multi_poll(transport->multi, NULL, 0, timeout_ms, NULL);

	return code == CURLM_OK ? 0 : multi_error(code, err);
}

/* Drive everything once; wait a little when this exchange got nowhere. */
static int exchange_turn(struct exchange *exchange, struct error **err)
{
	struct transport *transport = exchange->transport;
	bool had_header = exchange->header_done;
	int result;

	transport->uploading = exchange->request.source || exchange->request.body_size;
	result = transport_drive(transport, err);
	transport->uploading = false;
	if (result < 0)
		return -1;
	if (exchange->done || has_bytes(exchange) || exchange->header_done != had_header)
		return 0;
	return transport_poll(transport, TURN_MS, err);
}

static int exchange_check(struct exchange *exchange, struct error **err)
{
	if (!exchange->done || exchange->result == CURLE_OK)
		return 0;
	if (exchange->source_error) {
		if (err)
			*err = STEAL_POINTER(exchange->source_error);
		return -1;
	}
	return curl_error(exchange->easy, exchange->transport->endpoint, exchange->result,
			  exchange->reason, err);
}

struct exchange *exchange_open(struct transport *transport, const struct transport_request *request,
			       struct error **err)
{
	CLEANUP(cleanup_exchange_free)
	struct exchange *exchange = exchange_new(transport, request, err);

	if (!exchange)
		return NULL;
	buffer_clear(&transport->salvage);
	if (curl_multi_add_handle(transport->multi, exchange->easy) != CURLM_OK) {
		error_set(err, ERROR_FAILED, "no memory for libcurl");
		return NULL;
	}
	while (!exchange->done && !exchange->header_done)
		if (exchange_turn(exchange, err) < 0)
			return NULL;
	if (!exchange->header_done && exchange_check(exchange, err) < 0)
		return NULL;
	return STEAL_POINTER(exchange);
}

void exchange_free(struct exchange *exchange)
{
	if (!exchange)
		return;
	if (exchange->easy) {
		curl_multi_remove_handle(exchange->transport->multi, exchange->easy);
		curl_easy_cleanup(exchange->easy);
	}
	curl_slist_free_all(exchange->headers);
	error_free(exchange->source_error);
	free(exchange->received);
	free(exchange->url);
	free(exchange);
}

int exchange_status(const struct exchange *exchange)
{
	return exchange->status;
}

const char *exchange_header(struct exchange *exchange, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(exchange->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

/* Let curl go on where it waits for its bytes to be read. */
static bool go_on(struct exchange *exchange)
{
	if (!exchange->paused)
		return false;
	exchange->paused = false;
	curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
	return true;
}

static size_t take_received(struct exchange *exchange, void *data, size_t size)
{
	size_t count = exchange->received_end - exchange->received_start;

	if (count > size)
		count = size;
	memcpy(data, exchange->received + exchange->received_start, count);
	exchange->received_start += count;
	return count;
}

ssize_t exchange_read(struct exchange *exchange, void *data, size_t size, struct error **err)
{
	while (!has_bytes(exchange) && !exchange->done)
		if (!go_on(exchange) && exchange_turn(exchange, err) < 0)
			return -1;
	if (!has_bytes(exchange))
		return exchange_check(exchange, err);
	return (ssize_t)take_received(exchange, data, size);
}

ssize_t exchange_read_now(struct exchange *exchange, void *data, size_t size, bool *ended,
			  struct error **err)
{
	*ended = false;
	if (!has_bytes(exchange) && !exchange->done) {
		go_on(exchange);
		if (transport_drive(exchange->transport, err) < 0)
			return -1;
	}
	if (has_bytes(exchange))
		return (ssize_t)take_received(exchange, data, size);
	*ended = exchange->done;
	return exchange->done ? exchange_check(exchange, err) : 0;
}

int transport_wait(struct transport *transport, int timeout_ms, struct error **err)
{
	if (transport_poll(transport, timeout_ms < TURN_MS ? timeout_ms : TURN_MS, err) < 0)
		return -1;
	return transport_drive(transport, err);
}

/* ---- bare connections ---- */

static int stop_connecting(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return cancelled(context);
}

struct connection *connection_open(const struct transport *transport, struct error **err)
{
	CLEANUP(cleanup_connection_free)
	struct connection *connection = memory_zalloc(sizeof(*connection));
	CURL *easy = connection->easy = curl_easy_init();
	cleanup_free char *url = endpoint_url(transport->endpoint, "/");
	CURLcode code;

	if (!easy) {
		error_set(err, ERROR_FAILED, "no memory for libcurl");
		return NULL;
	}
	connection->cancel = transport->cancel;
	set_common(easy, transport->endpoint, connection->reason);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, stop_connecting);
	curl_easy_setopt(easy, CURLOPT_XFERINFODATA, (void *)(uintptr_t)transport->cancel);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	code = curl_easy_perform(easy);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &connection->fd);
	if (code != CURLE_OK) {
		curl_error(easy, transport->endpoint, code, connection->reason, err);
		return NULL;
	}
	return STEAL_POINTER(connection);
}

void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	if (connection->easy)
		curl_easy_cleanup(connection->easy);
	free(connection);
}

static ssize_t connection_broken(struct connection *connection, CURLcode code, struct error **err)
{
	return error_set(err, ERROR_ENGINE, "the stream from the engine broke: %s",
			 *connection->reason ? connection->reason : curl_easy_strerror(code));
}

ssize_t connection_send(struct connection *connection, const void *data, size_t size,
			struct error **err)
{
	size_t count = 0;
	CURLcode code = curl_easy_send(connection->easy, data, size, &count);

	if (code == CURLE_AGAIN)
		return 0;
	if (code != CURLE_OK)
		return connection_broken(connection, code, err);
	return (ssize_t)count;
}

ssize_t connection_receive(struct connection *connection, void *data, size_t size, bool *ended,
			   struct error **err)
{
	size_t count = 0;
	CURLcode code = curl_easy_recv(connection->easy, data, size, &count);

	*ended = false;
	if (code == CURLE_AGAIN)
		return 0;
	if (code != CURLE_OK)
		return connection_broken(connection, code, err);
	*ended = count == 0;
	return (ssize_t)count;
}

int connection_wait(struct connection *connection, bool write, int timeout_ms, struct error **err)
{
	struct pollfd item = {connection->fd, write ? POLLIN | POLLOUT : POLLIN, 0};
	uint64_t start = clock_monotonic_ms();

	for (;;) {
		uint64_t spent = clock_monotonic_ms() - start;
		int wait_ms = TURN_MS;

		if (cancelled(connection->cancel))
			return cancel_error(err);
		if (timeout_ms >= 0 && spent >= (uint64_t)timeout_ms)
			wait_ms = 0;
		else if (timeout_ms >= 0 && (uint64_t)timeout_ms - spent < TURN_MS)
			wait_ms = (int)((uint64_t)timeout_ms - spent);
		if (poll(&item, 1, wait_ms) > 0)
			return 1;
		if (!wait_ms)
			return 0;
	}
}

int connection_wait_with(struct connection *connection, int fd, int timeout_ms, struct error **err)
{
	struct pollfd items[] = {{connection->fd, POLLIN, 0}, {fd, POLLIN, 0}};

	if (cancelled(connection->cancel))
		return cancel_error(err);
	if (poll(items, 2, timeout_ms < TURN_MS ? timeout_ms : TURN_MS) <= 0)
		return cancelled(connection->cancel) ? cancel_error(err) : 0;
	return items[1].revents != 0;
}

int connection_shutdown(struct connection *connection)
{
	return shutdown(connection->fd, SHUT_WR);
}
