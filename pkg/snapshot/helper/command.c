/*
 * Command and environment of a snapshot. A command word is copied into an image
 * that travels, so one that looks like a secret stops the create.
 */
#include "snapshot/helper/command.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "tree/manifest.h"

#define BOOT_WORDS 3
static const char *const boot_prefix[BOOT_WORDS] = {STORE_DIRECTORY "/" AGENT_NAME, "boot", "--"};

static bool starts_with_boot(const struct json *entrypoint)
{
	size_t i = 0;

	json_for_each(word, entrypoint) {
		const char *text = json_string(word, NULL);

		if (!text || strcmp(text, boot_prefix[i]) != 0)
			return false;
		if (++i == BOOT_WORDS)
			return true;
	}
	return false;
}

struct json *command_strip_boot(const struct json *entrypoint)
{
	struct json *words = json_new_array();
	size_t i = 0, skip = starts_with_boot(entrypoint) ? BOOT_WORDS : 0;

	json_for_each(word, entrypoint)
		if (i++ >= skip)
			json_add_string(words, json_string(word, NULL));
	return words;
}

struct json *command_entrypoint(const struct json *config)
{
	struct json *words = json_new_array();
	CLEANUP(cleanup_json_free)
	struct json *own = command_strip_boot(json_get(config, "Entrypoint"));

	for (size_t i = 0; i < BOOT_WORDS; i++)
		json_add_string(words, boot_prefix[i]);
	json_for_each(word, own)
		json_add_string(words, json_string(word, NULL));
	return words;
}

/* By its end: "password_encryption" names no secret. */
static bool names_a_secret(const char *text, size_t size)
{
	static const char *const names[] = {
		"password",    "passwd",      "requirepass", "masterauth", "secret",
		"token",       "api-key",     "apikey",	     "api_key",	   "credential",
		"credentials", "private-key", "passphrase",  "secret-key", "secret_key",
		"access-key",  "access_key",  "pwd",	     "--pass"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t length = strlen(names[i]);

		if (length <= size && strncasecmp(text + size - length, names[i], length) == 0)
			return true;
	}
	return false;
}

/* A value behind "...password=": a path (a secret's file) or a variable is none. */
static bool is_plain_value(const char *value)
{
	value += strspn(value, "'\"");
	return *value && *value != '/' && *value != '$' && *value != '-';
}

bool command_word_is_secret(const char *previous, const char *word)
{
	const char *equals = strchr(word, '='), *scheme = strstr(word, "://");
	size_t length = strlen(previous);

	if (equals && names_a_secret(word, (size_t)(equals - word)) && !strcasestr(word, "file=") &&
	    is_plain_value(equals + 1))
		return true;
	if (scheme) {
		size_t host = strcspn(scheme + 3, "/?#");
		const char *at = memchr(scheme + 3, '@', host);

		if (at && memchr(scheme + 3, ':', (size_t)(at - scheme - 3)))
			return true;
	}
	return previous[0] == '-' && !strchr(previous, '=') && names_a_secret(previous, length) &&
	       !(length > 4 && strcasecmp(previous + length - 4, "file") == 0) &&
	       is_plain_value(word);
}

char *command_find_secret(const char *previous, const char *word)
{
	/* What parts words for a shell: a command may be one long word of "sh -c". */
	static const char blanks[] = " \t\r\n;&|()";
	cleanup_free char *copy = NULL;
	char *rest, *part, *before = NULL;

	bool is_line = strpbrk(word, blanks) != NULL;

	if ((!is_line || !strchr(word, '=')) && command_word_is_secret(previous, word)) {
		const char *name = strchr(word, '=') || !*previous ? word : previous;

		return memory_strndup(name, strcspn(name, "=:"));
	}
	if (!is_line)
		return NULL;
	rest = copy = memory_strdup(word);
	while ((part = strsep(&rest, blanks))) {
		part += strspn(part, "'\"");
		if (!*part)
			continue;
		if (command_word_is_secret(before ? before : "", part)) {
			const char *name = strchr(part, '=') || !before ? part : before;

			return memory_strndup(name, strcspn(name, "=:"));
		}
		before = part;
	}
	return NULL;
}

static int check_words(const struct target *target, const char *what, const struct json *words,
		       const struct json *image_words, struct error **err)
{
	const char *previous = "";

	json_for_each(item, words) {
		const char *word = json_string_or(item, NULL, "");
		cleanup_free char *name = json_has_string(image_words, word)
						  ? NULL
						  : command_find_secret(previous, word);

		if (name) {
			error_set(err, ERROR_REFUSED,
				  "the %s of container \"%s\" seems to hold a secret (behind "
				  "\"%s\"), which the snapshot would carry to everybody who has it",
				  what, target->name, name);
			return error_hint(err, "give the secret to the container by a variable or "
					       "a file instead, or use --image-command, so that "
					       "the snapshot has the image's command and health "
					       "check, and you pass yours again at \"docker run\"");
		}
		previous = word;
	}
	return 0;
}

int command_check(const struct target *target, const struct json *image,
		  const struct create_options *options, struct error **err)
{
	const struct json *config = json_get(target->inspect, "Config");
	const struct json *image_config = json_get(image, "Config");

	if (options->image_command)
		return 0;
	if (check_words(target, "command", json_get(config, "Entrypoint"),
			json_get(image_config, "Entrypoint"), err) < 0 ||
	    check_words(target, "command", json_get(config, "Cmd"), json_get(image_config, "Cmd"),
			err) < 0)
		return -1;
	return check_words(target, "health check", json_path(config, "Healthcheck", "Test"),
			   json_path(image_config, "Healthcheck", "Test"), err);
}

static bool has_variable(const struct string_list *variables, const char *name)
{
	size_t size = strlen(name);

	for (size_t i = 0; i < variables->count; i++)
		if (strncmp(variables->items[i], name, size) == 0 &&
		    variables->items[i][size] == '=')
			return true;
	return false;
}

void command_environment(const struct target *target, const struct json *image,
			 const struct create_options *options, const struct driver_match *driver,
			 struct string_list *kept, struct string_list *omitted)
{
	const struct json *image_environment = json_path(image, "Config", "Env");

	string_list_add_all(kept, &driver->state_values);
	json_for_each(item, json_path(target->inspect, "Config", "Env")) {
		const char *variable = json_string_or(item, NULL, "");
		cleanup_free char *name = memory_strndup(variable, strcspn(variable, "="));

		if (has_variable(&driver->state_values, name))
			continue;
		if (json_has_string(image_environment, variable) ||
		    string_list_has(&driver->state_variables, name) ||
		    string_list_has(&options->with_environment, name))
			string_list_add(kept, variable);
		else if (strcmp(name, "PATH") != 0 || json_count(image_environment))
			string_list_add(omitted, name);
	}
	/* A run-time value that stays out leaves the image's own in force. */
	json_for_each(item, image_environment) {
		const char *variable = json_string_or(item, NULL, "");
		cleanup_free char *name = memory_strndup(variable, strcspn(variable, "="));

		if (string_list_has(omitted, name))
			string_list_add(kept, variable);
	}
}
