/* Docker's credential files and helpers, read as its own client reads them. */
#include "remote/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "remote/client_config.h"
#include "remote/registry.h"

#define ANSWER_LIMIT (1u << 20)
#define WORDS_SHOWN 300
#define PASSWORD_LIMIT (64u << 10)
#define HELPER_TIMEOUT_MS 120000
/* What helpers answer, on stdout, when they have nothing; and the user name of a token. */
#define NOT_FOUND "credentials not found"
#define TOKEN_USER "<token>"

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void credentials_release(struct credentials *credentials)
{
	free(credentials->username);
	forget(credentials->password);
	forget(credentials->identity_token);
	*credentials = (struct credentials){0};
}

bool credentials_are_known(const struct credentials *credentials)
{
	return credentials->username || credentials->identity_token;
}

/* ---- config.json ---- */

/* "https://registry.example/v1/" is what old clients wrote for "registry.example". */
static bool is_host(const char *name, const char *host)
{
	const char *scheme = strstr(name, "://");
	const char *rest = scheme ? scheme + 3 : name;
	size_t length = strcspn(rest, "/");

	return strlen(host) == length && !strncmp(rest, host, length);
}

static const struct json *find_entry(const struct json *config, const char *key)
{
	const struct json *entries = json_get(config, "auths"), *entry = json_get(entries, key);

	if (entry)
		return entry;
	json_for_each(item, entries)
		if (is_host(json_key(item), key))
			return item;
	return NULL;
}

static char *known(const char *text)
{
	return text && *text ? memory_strdup(text) : NULL;
}

static int take_entry(const struct json *entry, struct credentials *credentials, struct error **err)
{
	const char *encoded = json_string_or(entry, "auth", "");
	size_t size = 0;
	char *decoded, *colon;

	credentials->identity_token = known(json_string(entry, "identitytoken"));
	if (!*encoded) {
		credentials->username = known(json_string(entry, "username"));
		credentials->password = known(json_string(entry, "password"));
		return 0;
	}
	decoded = (char *)text_unbase64(encoded, &size);
	colon = decoded ? strchr(decoded, ':') : NULL;
	if (colon) {
		credentials->username = memory_strndup(decoded, (size_t)(colon - decoded));
		credentials->password = memory_strdup(colon + 1);
	}
	forget(decoded);
	return colon ? 0
		     : error_set(err, ERROR_FAILED, "its \"auth\" is not base64 of NAME:PASSWORD");
}

/* ---- helpers ---- */

static int helper_failed(const struct process *process, struct error **err)
{
	/* What it says may be on either; an answer that it gave before it failed is not shown. */
	const char *words = process->errors->size	      ? process->errors->data
			    : process->output->data[0] != '{' ? process->output->data
							      : "";

	error_set(err, ERROR_FAILED, "\"%s\" ended with exit code %d%s%.*s", process->arguments[0],
		  process->exit_code, *words ? ": " : "", (int)strcspn(words, "\n"), words);
	return -1;
}

static int ask_helper(const char *helper, const char *key, const volatile int *cancel,
		      struct credentials *credentials, struct error **err)
{
	cleanup_free char *program = memory_printf("docker-credential-%s", helper);
	CLEANUP(buffer_release) struct buffer output, errors;
	CLEANUP(cleanup_json_free) struct json *answer = NULL;
	struct process process = {
		.arguments = (const char *const[]){program, "get", NULL},
		.input = key,
		.input_size = strlen(key),
		.timeout_ms = HELPER_TIMEOUT_MS,
		.cancel = cancel,
		.output = &output,
		.errors = &errors,
	};
	const char *username;

	buffer_init(&output, ANSWER_LIMIT);
	buffer_init(&errors, WORDS_SHOWN);
	if (process_run(&process, err) < 0)
		return -1;
	if (process.exit_code)
		return text_has_prefix(output.data, NOT_FOUND) ? 0 : helper_failed(&process, err);
	answer = json_parse(output.data, output.size, NULL);
	if (output.size)
		explicit_bzero(output.data, output.size);
	username = json_string(answer, "Username");
	if (!username || !json_string(answer, "Secret"))
		return error_set(err, ERROR_FAILED, "the answer of \"%s\" is not understood",
				 program);
	if (!strcmp(username, TOKEN_USER)) {
		credentials->identity_token = memory_strdup(json_string(answer, "Secret"));
		return 0;
	}
	credentials->username = memory_strdup(username);
	credentials->password = memory_strdup(json_string(answer, "Secret"));
	return 0;
}

int credentials_find(const char *host, const volatile int *cancel, struct credentials *credentials,
		     struct error **err)
{
	cleanup_free char *path = client_config_path();
	struct error *problem = NULL;
	CLEANUP(cleanup_json_free) struct json *config = client_config_read(path, &problem);
	const char *key = registry_key(host);
	const char *helper = json_string(json_get(config, "credHelpers"), key);
	int result;

	*credentials = (struct credentials){0};
	if (!helper)
		helper = text_or(json_string(config, "credsStore"), NULL);
	if (problem)
		result = -1;
	else if (helper && *helper)
		result = ask_helper(helper, key, cancel, credentials, &problem);
	else
		result = take_entry(find_entry(config, key), credentials, &problem);
	if (result == 0)
		return 0;
	credentials_release(credentials);
	error_prefix(&problem, "cannot take the credentials for %s from \"%s\"", host, path);
	error_hint(&problem,
		   "\"docker login %s\" writes them anew; or give --username NAME and "
		   "--password-stdin",
		   host);
	error_append(err, problem);
	return -1;
}

/* ---- what the engine wants ---- */

char *credentials_header(const char *host, const struct credentials *credentials)
{
	CLEANUP(cleanup_json_free) struct json *body = json_new_object();
	char *text, *header;

	/* Docker 20.10 refuses a push without the header; {} is what it takes for nobody. */
	if (credentials_are_known(credentials)) {
		json_set_string(body, "serveraddress", registry_key(host));
		if (credentials->username)
			json_set_string(body, "username", credentials->username);
		if (credentials->password)
			json_set_string(body, "password", credentials->password);
		if (credentials->identity_token)
			json_set_string(body, "identitytoken", credentials->identity_token);
	}
	text = json_print(body, false);
	header = text_base64(text, strlen(text), true);
	forget(text);
	return header;
}

int credentials_read_password(int fd, char **password, struct error **err)
{
	cleanup_free char *text = memory_zalloc(PASSWORD_LIMIT + 1);
	ssize_t size = io_read_full(fd, text, PASSWORD_LIMIT);

	if (size < 0)
		return error_set_errno(err, errno, "cannot read the password from standard input");
	if ((size_t)size == PASSWORD_LIMIT)
		return error_set(err, ERROR_USAGE, "the password is longer than %u bytes",
				 PASSWORD_LIMIT - 1);
	size = (ssize_t)strlen(text);
	if (size && text[size - 1] == '\n')
		text[--size] = '\0';
	if (size && text[size - 1] == '\r')
		text[--size] = '\0';
	if (!size)
		return error_set(err, ERROR_USAGE, "there is no password on standard input");
	*password = STEAL_POINTER(text);
	return 0;
}
