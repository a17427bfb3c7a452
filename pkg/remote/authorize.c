/*
 * Tokens (distribution's docs/content/spec/auth: token.md, oauth.md). The registry says where they
 * are had; asked for is only what is needed here, whatever scope it names.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "remote/client_private.h"

#define ANSWER_LIMIT (256u << 10)

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static char *basic_header(const struct credentials *credentials)
{
	char *pair =
		memory_printf("%s:%s", credentials->username, text_or(credentials->password, ""));
	char *digits = text_base64(pair, strlen(pair), false);
	char *header = memory_printf("Authorization: Basic %s", digits);

	forget(pair);
	forget(digits);
	return header;
}

static void set_authorization(struct client *client, char *header)
{
	forget(client->authorization);
	client->authorization = header;
	client->authorizations++;
}

static char *quote(const char *text)
{
	char *quoted = curl_easy_escape(NULL, text, 0);
	char *copy = memory_strdup(text_or(quoted, ""));

	curl_free(quoted);
	return copy;
}

static char *add_parameters(const struct client *client, const struct challenge *challenge,
			    const char *before)
{
	cleanup_free char *service = quote(text_or(challenge->service, ""));
	cleanup_free char *repository = quote(client->repository);

	return memory_printf("%s%s%s%sscope=repository%%3A%s%%3Apull", before,
			     *service ? "service=" : "", service, *service ? "&" : "", repository);
}

/* Credentials go to a realm only where nobody can listen. */
static int check_realm(const struct client *client, const char *realm, struct error **err)
{
	CURLU *url = curl_url();
	char *scheme = NULL, *host = NULL;
	bool is_url = url && curl_url_set(url, CURLUPART_URL, realm, CURLU_DISALLOW_USER) == 0 &&
		      curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == 0 &&
		      curl_url_get(url, CURLUPART_HOST, &host, 0) == 0;
	bool is_safe = is_url &&
		       (!strcmp(scheme, "https") ||
			(!strcmp(scheme, "http") && (client->insecure || trust_is_loopback(host))));

	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(url);
	if (!is_url)
		return error_set(err, ERROR_ENGINE,
				 "%s names no usable place for tokens (\"%.200s\")", client->host,
				 realm);
	if (!is_safe) {
		error_set(err, ERROR_REFUSED,
			  "%s wants to be logged in to at \"%.200s\", without TLS", client->host,
			  realm);
		return error_hint(err, "if that is how it is meant, give --insecure");
	}
	return 0;
}

/* It becomes part of a header. */
static bool is_token(const char *text)
{
	if (!text || !*text)
		return false;
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

static int take_token(struct client *client, const struct buffer *answer, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *json = json_parse(answer->data, answer->size, NULL);
	const char *token = json_string(json, "token");

	if (!is_token(token))
		token = json_string(json, "access_token");
	if (!is_token(token))
		return error_set(err, ERROR_ENGINE, "%s sent no token to log in with",
				 client->host);
	set_authorization(client, memory_printf("Authorization: Bearer %s", token));
	return 0;
}

/* Make the request for a token: of an identity token by a form, else by GET. */
static void prepare(struct client *client, const struct challenge *challenge,
		    struct client_transfer *transfer, char **form)
{
	const char *realm = challenge->realm;

	if (client->credentials.identity_token) {
		cleanup_free char *token = quote(client->credentials.identity_token);
		cleanup_free char *begin =
			memory_printf("grant_type=refresh_token&refresh_token=%s&client_id="
				      "sidesnap&",
				      token);

		*form = add_parameters(client, challenge, begin);
		transfer->posted = *form;
		transfer->url = memory_strdup(realm);
		explicit_bzero(begin, strlen(begin));
	} else {
		cleanup_free char *begin =
			memory_printf("%s%s", realm, strchr(realm, '?') ? "&" : "?");

		transfer->url = add_parameters(client, challenge, begin);
	}
	transfer->header = client->credentials.username && !*form
				   ? basic_header(&client->credentials)
				   : memory_strdup("");
}

static int get_token(struct client *client, const struct challenge *challenge, struct error **err)
{
	struct client_request request = {.limit = ANSWER_LIMIT};
	struct client_transfer transfer = {.client = client, .request = &request};
	char *form = NULL;
	int result;

	if (check_realm(client, challenge->realm, err) < 0)
		return -1;
	prepare(client, challenge, &transfer, &form);
	result = client_transfers_run(client, client->tokens, &transfer, 1, err);
	if (result == 0 && request.problem) {
		result = -1;
		error_append(err, STEAL_POINTER(request.problem));
		error_prefix(err, "cannot log in");
	}
	if (result == 0)
		result = take_token(client, &request.body, err);
	if (request.body.size)
		explicit_bzero(request.body.data, request.body.size);
	client_request_release(&request);
	free(transfer.url);
	forget(transfer.header);
	forget(form);
	return result;
}

int authorize(struct client *client, const struct challenge *challenge, struct error **err)
{
	switch (challenge->kind) {
	case CHALLENGE_BEARER:
		return get_token(client, challenge, err);
	case CHALLENGE_BASIC:
		if (!client->credentials.username)
			return error_set(err, ERROR_REFUSED,
					 "%s wants to know who is asking, and nobody is known for "
					 "it here",
					 client->host);
		set_authorization(client, basic_header(&client->credentials));
		return 0;
	case CHALLENGE_NONE:
		break;
	}
	return error_set(err, ERROR_REFUSED, "%s does not say how to log in", client->host);
}
