/*
 * libcurl's multi interface: few transfers at once, over connections that are kept for the next. What
 * fails for a moment is tried again, later each time; what is refused once, with a new token.
 */
#include "remote/client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "remote/client_private.h"

#define PARALLEL 8
#define TRIES 4
#define FIRST_PAUSE_MS 250
#define RETRY_AFTER_MAX_S 60
#define REDIRECTS_MAX 5L
#define CONNECT_TIMEOUT_MS 10000L
#define STALL_S 30
#define TURN_MS 100
#define WORDS_SHOWN 200
#define HUB "docker.io"
#define HUB_AUTHORITY "registry-1.docker.io"

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_started;

static void start_curl(void)
{
	curl_started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static char *copy_of(const char *text)
{
	return text ? memory_strdup(text) : NULL;
}

struct client *client_new(const struct client_options *options, struct error **err)
{
	const struct credentials *credentials = options->credentials;
	struct client *client;

	pthread_once(&curl_once, start_curl);
	if (curl_started != CURLE_OK) {
		error_set(err, ERROR_FAILED, "cannot start libcurl: %s",
			  curl_easy_strerror(curl_started));
		return NULL;
	}
	client = memory_zalloc(sizeof(*client));
	client->host = memory_strdup(options->host);
	client->authority =
		memory_strdup(strcmp(options->host, HUB) ? options->host : HUB_AUTHORITY);
	client->repository = memory_strdup(options->repository);
	if (credentials) {
		client->credentials.username = copy_of(credentials->username);
		client->credentials.password = copy_of(credentials->password);
		client->credentials.identity_token = copy_of(credentials->identity_token);
	}
	client->cancel = options->cancel;
	client->retrying = options->retrying;
	client->context = options->context;
	client->first_pause_ms = options->first_pause_ms ? options->first_pause_ms : FIRST_PAUSE_MS;
	client->stall_s = options->stall_s ? (long)options->stall_s : STALL_S;
	client->is_loopback = trust_is_loopback(options->host);
	client->insecure = options->insecure || client->is_loopback;
	trust_find(options->host, &client->trust);
	client->transfers = curl_multi_init();
	client->tokens = curl_multi_init();
	if (!client->transfers || !client->tokens) {
		error_set(err, ERROR_FAILED, "no memory for libcurl");
		client_free(client);
		return NULL;
	}
	curl_multi_setopt(client->transfers, CURLMOPT_MAXCONNECTS, (long)PARALLEL);
	return client;
}

void client_free(struct client *client)
{
	if (!client)
		return;
	curl_multi_cleanup(client->transfers);
	curl_multi_cleanup(client->tokens);
	credentials_release(&client->credentials);
	trust_release(&client->trust);
	if (client->authorization)
		explicit_bzero(client->authorization, strlen(client->authorization));
	free(client->authorization);
	free(client->host);
	free(client->authority);
	free(client->repository);
	free(client);
}

uint64_t client_received(const struct client *client)
{
	return client->received;
}

static void clear_answer(struct client_request *request)
{
	free(request->type);
	free(request->digest);
	free(request->next);
	request->type = request->digest = request->next = NULL;
	buffer_release(&request->body);
	buffer_init(&request->body, request->length ? (size_t)request->length : request->limit);
}

void client_request_release(struct client_request *request)
{
	free(request->path);
	free(request->type);
	free(request->digest);
	free(request->next);
	/* of one that never ran all is zero, which a buffer is not */
	if (request->body.data)
		buffer_release(&request->body);
	error_free(request->problem);
	*request = (struct client_request){0};
}

/* ---- what comes ---- */

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
	struct client_transfer *transfer = context;
	struct client_request *request = transfer->request;
	uint64_t skip = 0, room;
	long status = 0;

	size *= count;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	/* all of it, where a part was asked for */
	if (request->length && status == 200 && transfer->skipped < request->offset) {
		skip = request->offset - transfer->skipped;
		skip = skip < size ? skip : size;
		transfer->skipped += skip;
	}
	room = request->body.limit - request->body.size;
	if (size - skip > room) {
		transfer->has_enough = request->length != 0;
		transfer->is_too_large = !request->length;
		buffer_append(&request->body, data + skip, (size_t)room);
		return CURL_WRITEFUNC_ERROR;
	}
	buffer_append(&request->body, data + skip, size - (size_t)skip);
	return size;
}

/* The path of a link, if it leads nowhere else. */
static char *own_path(const struct client_transfer *transfer, const char *link)
{
	CURLU *url = curl_url();
	char *before = NULL, *full = NULL, *result = NULL;
	const char *path;

	if (url && curl_url_set(url, CURLUPART_URL, transfer->url, 0) == 0) {
		curl_url_set(url, CURLUPART_PATH, "/", 0);
		curl_url_set(url, CURLUPART_QUERY, NULL, 0);
		curl_url_get(url, CURLUPART_URL, &before, 0);
		curl_url_set(url, CURLUPART_URL, transfer->url, 0);
		if (curl_url_set(url, CURLUPART_URL, link, CURLU_DISALLOW_USER) == 0)
			curl_url_get(url, CURLUPART_URL, &full, 0);
	}
	/* ${before} ends with the "/" that the path begins with */
	if (before && full && text_has_prefix(full, before)) {
		path = full + strlen(before) - 1;
		result = memory_strndup(path, strcspn(path, "#"));
	}
	curl_free(before);
	curl_free(full);
	curl_url_cleanup(url);
	return result;
}

static void take_field(struct client_transfer *transfer, const char *name, const char *value)
{
	struct client_request *request = transfer->request;
	uint64_t number;

	if (!strcasecmp(name, "Content-Type") && !request->type) {
		request->type = memory_strndup(value, strcspn(value, "; "));
	} else if (!strcasecmp(name, "Docker-Content-Digest") && !request->digest) {
		request->digest = memory_strdup(value);
	} else if (!strcasecmp(name, "WWW-Authenticate")) {
		challenge_take(&transfer->challenge, value);
	} else if (!strcasecmp(name, "Link") && !request->next) {
		cleanup_free char *link = challenge_next_link(value);

		request->next = link ? own_path(transfer, link) : NULL;
	} else if (!strcasecmp(name, "Retry-After") &&
		   text_parse_uint(value, UINT32_MAX, &number)) {
		transfer->retry_after_s =
			(unsigned)(number < RETRY_AFTER_MAX_S ? number : RETRY_AFTER_MAX_S);
	} else if (!strcasecmp(name, "Location")) {
		transfer->is_redirected = true;
	}
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
	struct client_transfer *transfer = context;
	cleanup_free char *line = NULL;
	char *value;

	size *= count;
	line = memory_strndup(data, size);
	line[strcspn(line, "\r\n")] = '\0';
	/* of a redirection nothing is kept */
	if (text_has_prefix(line, "HTTP/")) {
		clear_answer(transfer->request);
		challenge_release(&transfer->challenge);
	}
	value = strchr(line, ':');
	if (value) {
		*value++ = '\0';
		take_field(transfer, line, value + strspn(value, " \t"));
	}
	return size;
}

/* ---- what is asked for ---- */

static char *make_url(const struct client *client, const struct client_request *request)
{
	const char *scheme = client->plain ? "http" : "https";

	if (request->path[0] == '/')
		return memory_printf("%s://%s%s", scheme, client->authority, request->path);
	return memory_printf("%s://%s/v2/%s/%s", scheme, client->authority, client->repository,
			     request->path);
}

static void add_header(struct client_transfer *transfer, const char *line)
{
	struct curl_slist *longer = curl_slist_append(transfer->headers, line);

	if (longer)
		transfer->headers = longer;
}

static void set_trust(const struct client *client, CURL *easy)
{
	struct curl_blob blob = {
		.data = client->trust.authorities,
		.len = client->trust.authorities_size,
		.flags = CURL_BLOB_NOCOPY,
	};

	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, client->insecure ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, client->insecure ? 0L : 2L);
	/* not where this library was built to look */
	curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	if (blob.data && !client->insecure)
		curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
	if (client->trust.certificate) {
		curl_easy_setopt(easy, CURLOPT_SSLCERT, client->trust.certificate);
		curl_easy_setopt(easy, CURLOPT_SSLKEY, client->trust.key);
	}
}

static void set_limits(const struct client_transfer *transfer, CURL *easy)
{
	/* curl itself leaves authorization out where a redirection leads to another host */
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
			 transfer->client->insecure ? "http,https" : "https");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, transfer->client->stall_s);
}

static void set_headers(struct client_transfer *transfer, CURL *easy)
{
	const struct client *client = transfer->client;
	const struct client_request *request = transfer->request;
	const char *header = transfer->header ? transfer->header : client->authorization;

	if (request->accept) {
		cleanup_free char *line = memory_printf("Accept: %s", request->accept);

		add_header(transfer, line);
	}
	if (header && *header)
		add_header(transfer, header);
	if (request->length) {
		cleanup_free char *range =
			memory_printf("%llu-%llu", (unsigned long long)request->offset,
				      (unsigned long long)(request->offset + request->length - 1));

		curl_easy_setopt(easy, CURLOPT_RANGE, range);
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static int start(struct client_transfer *transfer, CURLM *multi, struct error **err)
{
	struct client *client = transfer->client;
	CURL *easy = curl_easy_init();

	if (!easy)
		return error_set(err, ERROR_FAILED, "no memory for libcurl");
	transfer->easy = easy;
	transfer->state = TRANSFER_RUNNING;
	transfer->was_plain = client->plain;
	transfer->authorization = client->authorizations;
	transfer->has_enough = transfer->is_too_large = transfer->is_redirected = false;
	transfer->skipped = 0;
	transfer->retry_after_s = 0;
	transfer->reason[0] = '\0';
	challenge_release(&transfer->challenge);
	clear_answer(transfer->request);
	if (transfer->request->path) {
		free(transfer->url);
		transfer->url = make_url(client, transfer->request);
	}
	curl_easy_setopt(easy, CURLOPT_URL, transfer->url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->reason);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "sidesnap");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	if (client->is_loopback)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (transfer->posted)
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->posted);
	set_limits(transfer, easy);
	set_trust(client, easy);
	set_headers(transfer, easy);
	if (curl_multi_add_handle(multi, easy) != CURLM_OK)
		return error_set(err, ERROR_FAILED, "libcurl takes no transfer");
	return 0;
}

/* The transfer's easy handle is given back; what came stays. */
static void stop(struct client_transfer *transfer, CURLM *multi)
{
	curl_off_t body = 0;
	long header = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &body);
	curl_easy_getinfo(transfer->easy, CURLINFO_HEADER_SIZE, &header);
	transfer->client->received += (uint64_t)body + (uint64_t)header;
	curl_multi_remove_handle(multi, transfer->easy);
	curl_easy_cleanup(STEAL_POINTER(transfer->easy));
	curl_slist_free_all(STEAL_POINTER(transfer->headers));
}

/* ---- what went wrong ---- */

static struct error **problem_of(struct client_transfer *transfer)
{
	return &transfer->request->problem;
}

static void add_tls_hint(const struct client *client, CURLcode code, struct error **err)
{
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		error_hint(
			err,
			"put the certificate of whoever signed for it into "
			"/etc/docker/certs.d/%s/ca.crt, or name a file with it in SSL_CERT_FILE; "
			"in a container these must be mounted",
			client->host);
	else
		error_hint(err, "if it speaks no TLS, or is not to be verified, give --insecure");
}

static bool is_transient_code(CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_AGAIN:
		return true;
	default:
		return false;
	}
}

static void connection_failed(struct client_transfer *transfer, CURLcode code)
{
	const struct client *client = transfer->client;
	struct error **err = problem_of(transfer);
	const char *text = *transfer->reason ? transfer->reason : curl_easy_strerror(code);

	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_PROXY:
		error_set(err, ERROR_ENGINE, "cannot reach %s: %s", client->host, text);
		error_hint(err, "check the registry's name and port, and the network");
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		error_set(err, ERROR_ENGINE, "cannot agree on TLS with %s: %s", client->host, text);
		add_tls_hint(client, code, err);
		break;
	default:
		error_set(err, ERROR_ENGINE, "the connection to %s broke: %s", client->host, text);
		error_hint(err, "try again later");
	}
}

/* {"errors":[{"code","message"}]}: the first, if there is one. To be freed. */
static char *words_of(const struct client_request *request)
{
	CLEANUP(cleanup_json_free)
	struct json *json = json_parse(request->body.data, request->body.size, NULL);
	const struct json *first = json_first(json_get(json, "errors"));
	const char *text = json_string_or(first, "message", json_string_or(first, "code", ""));

	size_t length = strcspn(text, "\r\n");

	return memory_printf("%s%.*s", length ? ": " : "",
			     (int)(length < WORDS_SHOWN ? length : WORDS_SHOWN), text);
}

static void status_failed(struct client_transfer *transfer, long status)
{
	const struct client *client = transfer->client;
	struct error **err = problem_of(transfer);
	cleanup_free char *words = words_of(transfer->request);

	if (status == 401 || status == 403) {
		error_set(err, ERROR_REFUSED, "%s refuses \"%s\"%s", client->host,
			  client->repository, words);
		if (credentials_are_known(&client->credentials))
			error_hint(err,
				   "check the name and the password for %s, and what that user "
				   "may see there",
				   client->host);
		else
			error_hint(err,
				   "docker login %s, or give --username NAME and --password-stdin",
				   client->host);
	} else if (status == 404) {
		error_set(err, ERROR_NOT_FOUND, "%s has no such thing in \"%s\"%s", client->host,
			  client->repository, words);
	} else {
		error_set(err, ERROR_ENGINE, "%s answers with %ld%s", client->host, status, words);
		error_hint(err, "try again later");
	}
	if (*err)
		(*err)->http_status = (int)status;
}

static bool is_transient_status(long status)
{
	return status == 408 || status == 429 || (status >= 500 && status != 501);
}

/* Once more after a pause; false: it was often enough. */
static bool try_again(struct client_transfer *transfer)
{
	struct client *client = transfer->client;
	struct error *problem = *problem_of(transfer);

	if (++transfer->tries >= TRIES)
		return false;
	if (client->retrying && problem)
		client->retrying(client->context, problem->message);
	error_free(problem);
	*problem_of(transfer) = NULL;
	transfer->due_ms = clock_monotonic_ms() +
			   ((uint64_t)client->first_pause_ms << (transfer->tries - 1)) +
			   transfer->retry_after_s * 1000ULL;
	transfer->state = TRANSFER_DUE;
	return true;
}

/* Where TLS fails from the beginning there may be none; only who is not verified may do without. */
static bool falls_back(struct client_transfer *transfer, CURLcode code)
{
	struct client *client = transfer->client;

	if (!client->insecure || client->answered || transfer->was_plain || transfer->url == NULL ||
	    !transfer->request->path ||
	    (code != CURLE_SSL_CONNECT_ERROR && code != CURLE_COULDNT_CONNECT &&
	     code != CURLE_RECV_ERROR && code != CURLE_GOT_NOTHING && code != CURLE_SEND_ERROR))
		return false;
	client->plain = true;
	transfer->state = TRANSFER_DUE;
	return true;
}

/* 1: with an authorization that it had not; 0: there is none; -1. */
static int log_in(struct client_transfer *transfer, struct error **err)
{
	struct client *client = transfer->client;
	struct error *problem = NULL;

	/* another host's word, or what logging in itself is refused with */
	if (transfer->header || transfer->is_redirected || transfer->was_authorized)
		return 0;
	transfer->was_authorized = true;
	if (transfer->authorization == client->authorizations &&
	    authorize(client, &transfer->challenge, &problem) < 0) {
		if (problem && problem->kind == ERROR_CANCELLED) {
			error_append(err, problem);
			return -1;
		}
		if (problem && problem->kind == ERROR_REFUSED && !problem->hint)
			error_hint(&problem,
				   "docker login %s, or give --username NAME and --password-stdin",
				   client->host);
		error_append(problem_of(transfer), problem);
		return 0;
	}
	transfer->state = TRANSFER_DUE;
	return 1;
}

/* What has become of a transfer whose handle is still there. -1: interrupted. */
static int judge(struct client_transfer *transfer, CURLcode code, long status, struct error **err)
{
	struct client *client = transfer->client;
	int result;

	transfer->state = TRANSFER_DONE;
	if (code != CURLE_OK && !transfer->has_enough && !transfer->is_too_large) {
		if (falls_back(transfer, code))
			return 0;
		connection_failed(transfer, code);
		if (is_transient_code(code))
			try_again(transfer);
		return 0;
	}
	client->answered = true;
	if (status == 401) {
		result = log_in(transfer, err);
		if (result < 0)
			return -1;
		if (result == 0 && !*problem_of(transfer))
			status_failed(transfer, status);
		return 0;
	}
	/* of a blob that ends before */
	if (status == 416 && transfer->request->length)
		buffer_clear(&transfer->request->body);
	else if (status != 200 && !(status == 206 && transfer->request->length))
		status_failed(transfer, status);
	else if (transfer->is_too_large)
		error_set(problem_of(transfer), ERROR_DAMAGED,
			  "%s answers with more than the %zu bytes that are possible", client->host,
			  transfer->request->limit);
	if (*problem_of(transfer) && is_transient_status(status))
		try_again(transfer);
	return 0;
}

/* ---- all of them ---- */

static int start_due(CURLM *multi, struct client_transfer *transfers, size_t count, size_t *running,
		     struct error **err)
{
	uint64_t now = clock_monotonic_ms();

	for (size_t i = 0; i < count && *running < PARALLEL; i++) {
		if (transfers[i].state != TRANSFER_DUE || transfers[i].due_ms > now)
			continue;
		if (start(&transfers[i], multi, err) < 0)
			return -1;
		++*running;
	}
	return 0;
}

static int take_ended(CURLM *multi, size_t *running, struct error **err)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left))) {
		struct client_transfer *transfer = NULL;
		CURLcode code = message->data.result;
		long status = 0;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		stop(transfer, multi);
		--*running;
		if (judge(transfer, code, status, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_done(const struct client_transfer *transfers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (transfers[i].state != TRANSFER_DONE)
			return false;
	return true;
}

static int run(struct client *client, CURLM *multi, struct client_transfer *transfers, size_t count,
	       struct error **err)
{
	size_t running = 0;

	while (!is_done(transfers, count)) {
		int active;

		if (client->cancel && *client->cancel)
			return error_set(err, ERROR_CANCELLED, "interrupted");
		if (start_due(multi, transfers, count, &running, err) < 0)
			return -1;
		curl_multi_perform(multi, &active);
		if (take_ended(multi, &running, err) < 0)
			return -1;
		if (!is_done(transfers, count))
			curl_multi_poll(multi, NULL, 0, TURN_MS, NULL);
	}
	return 0;
}

int client_transfers_run(struct client *client, CURLM *multi, struct client_transfer *transfers,
			 size_t count, struct error **err)
{
	int result = run(client, multi, transfers, count, err);

	for (size_t i = 0; i < count; i++) {
		if (transfers[i].easy)
			stop(&transfers[i], multi);
		challenge_release(&transfers[i].challenge);
	}
	return result;
}

int client_run(struct client *client, struct client_request *requests, size_t count,
	       struct error **err)
{
	cleanup_free struct client_transfer *transfers =
		memory_zalloc((count + 1) * sizeof(*transfers));
	int result;

	for (size_t i = 0; i < count; i++)
		transfers[i] = (struct client_transfer){.client = client, .request = &requests[i]};
	result = client_transfers_run(client, client->transfers, transfers, count, err);
	for (size_t i = 0; i < count; i++)
		free(transfers[i].url);
	return result;
}
