/* Too much hidden is a nuisance, too little is a leak: whatever is in doubt counts as a secret. */
#include "bundle/judge.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_SIZE 256
#define WORDS_MAX 32

static bool is_one_of(const char *word, size_t size, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == size && strncasecmp(*list, word, size) == 0)
			return true;
	return false;
}

static bool begins_with_one_of(const char *text, size_t size, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) <= size && memcmp(*list, text, strlen(*list)) == 0)
			return true;
	return false;
}

/* Anywhere in a name, as people glue words together. */
static bool has_plain_part(const char *lower)
{
	static const char *const parts[] = {
		"passw",       "passphrase", "secret",		 "token",
		"credential",  "apikey",     "privatekey",	 "accesskey",
		"requirepass", "masterauth", "connectionstring", "connstr",
		"masterpass",  NULL};

	for (const char *const *part = parts; *part; part++)
		if (strstr(lower, *part))
			return true;
	return false;
}

static bool word_is_secret(const char *word, size_t size)
{
	static const char *const words[] = {
		"pass", "pwd", "pw",   "key",	     "keys",  "auth",	"authorization",
		"dsn",	"pin", "salt", "cookie",     "jwt",   "bearer", "signature",
		"sig",	"psk", "otp",  "identified", "creds", "cred",	NULL};
	static const char *const no_keys[] = {"monkey",	 "turkey", "hockey", "jockey",
					      "whiskey", "donkey", NULL};

	if (is_one_of(word, size, words))
		return true;
	if (size > 3 && strncasecmp(word + size - 3, "key", 3) == 0)
		return !is_one_of(word, size, no_keys);
	return size > 4 && (strncasecmp(word + size - 3, "pwd", 3) == 0 ||
			    (strncasecmp(word + size - 4, "pass", 4) == 0 &&
			     strncasecmp(word, "by", 2) != 0 && strncasecmp(word, "com", 3) != 0));
}

/* The next word of a name: "pgPassword_file" has three. */
static size_t next_word(const char *name, size_t size, size_t *at)
{
	size_t begin;

	while (*at < size && !isalnum((unsigned char)name[*at]))
		++*at;
	begin = *at;
	while (*at < size && isalnum((unsigned char)name[*at])) {
		if (*at > begin && isupper((unsigned char)name[*at]) &&
		    islower((unsigned char)name[*at - 1]))
			break;
		++*at;
	}
	return begin;
}

static void last_word(const char *name, size_t size, const char **word, size_t *length)
{
	size_t at = 0;

	*word = name;
	*length = 0;
	while (at < size) {
		size_t begin = next_word(name, size, &at);

		if (at > begin) {
			*word = name + begin;
			*length = at - begin;
		}
	}
}

static void lower_name(const char *name, size_t size, char lower[NAME_MAX_SIZE])
{
	size_t made = 0;

	for (size_t i = 0; i < size && made + 1 < NAME_MAX_SIZE; i++)
		if (isalnum((unsigned char)name[i]))
			lower[made++] = (char)tolower((unsigned char)name[i]);
	lower[made] = '\0';
}

/* How a secret is used, not the secret. */
static bool names_a_manner(const char *name, size_t size)
{
	static const char *const manners[] = {"method",	    "plugin", "type",	 "mode",
					      "enabled",    "ttl",    "timeout", "algorithm",
					      "encryption", "expiry", "expires", NULL};
	const char *word;
	size_t length;

	last_word(name, size, &word, &length);
	return is_one_of(word, length, manners);
}

bool judge_name(const char *name, size_t size)
{
	char lower[NAME_MAX_SIZE];
	size_t at = 0;

	if (size >= NAME_MAX_SIZE)
		return true;
	if (names_a_manner(name, size))
		return false;
	lower_name(name, size, lower);
	if (has_plain_part(lower))
		return true;
	while (at < size) {
		size_t begin = next_word(name, size, &at);

		if (at > begin && word_is_secret(name + begin, at - begin))
			return true;
	}
	return false;
}

bool judge_name_is_plain(const char *name, size_t size)
{
	static const char *const words[] = {
		"password",   "passwd", "passphrase",	"pwd", "requirepass",
		"masterauth", "secret", "identifiedby", "by",  NULL};
	char lower[NAME_MAX_SIZE];

	if (size >= NAME_MAX_SIZE)
		return false;
	lower_name(name, size, lower);
	return is_one_of(lower, strlen(lower), words);
}

static bool names_a_file(const char *name, size_t size)
{
	static const char *const files[] = {"file", "path", "dir", "directory", NULL};
	const char *word;
	size_t length;

	last_word(name, size, &word, &length);
	return is_one_of(word, length, files) ||
	       (length > 4 && strncasecmp(word + length - 4, "file", 4) == 0);
}

static bool is_reference(const char *value, size_t size)
{
	size_t begin = 1, end = size;

	if (size < 2 || value[0] != '$')
		return false;
	if (value[1] == '{') {
		if (value[size - 1] != '}')
			return false;
		begin = 2;
		end--;
	}
	for (size_t i = begin; i < end; i++)
		if (!isalnum((unsigned char)value[i]) && value[i] != '_')
			return false;
	return end > begin && !isdigit((unsigned char)value[begin]);
}

static bool is_path(const char *value, size_t size)
{
	static const char *const ends[] = {".key",  ".pem", ".crt", ".txt",
					   ".conf", ".p12", ".jks", NULL};

	if (memchr(value, ' ', size))
		return false;
	for (const char *const *end = ends; value[0] != '/' && *end; end++)
		if (size > strlen(*end) &&
		    memcmp(value + size - strlen(*end), *end, strlen(*end)) == 0)
			return true;
	return value[0] == '/';
}

bool judge_value_is_harmless(const char *name, size_t name_size, const char *value, size_t size)
{
	static const char *const words[] = {"true", "false", "yes",	"no",	    "on",  "off",
					    "none", "null",  "enabled", "disabled", "nil", NULL};

	while (size && isspace((unsigned char)value[size - 1]))
		size--;
	while (size && (value[size - 1] == ',' || value[size - 1] == ';'))
		size--;
	if (!size || is_one_of(value, size, words) || is_reference(value, size))
		return true;
	return names_a_file(name, name_size) && is_path(value, size);
}

bool judge_is_token_byte(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '_' || c == '-';
}

/* Bits of each byte, were it drawn by the frequencies in the text itself. */
static double entropy(const char *text, size_t size)
{
	size_t counts[256] = {0};
	double bits = 0;

	for (size_t i = 0; i < size; i++)
		counts[(uint8_t)text[i]]++;
	for (size_t i = 0; i < 256; i++)
		if (counts[i]) {
			double share = (double)counts[i] / (double)size;

			bits -= share * log2(share);
		}
	return bits;
}

enum class { CLASS_OTHER, CLASS_UPPER, CLASS_LOWER, CLASS_DIGIT };

static enum class class_of(char c) {
	return isupper((unsigned char)c)   ? CLASS_UPPER
	       : islower((unsigned char)c) ? CLASS_LOWER
	       : isdigit((unsigned char)c) ? CLASS_DIGIT
					   : CLASS_OTHER;
}

/* Names in camel case keep to a class for some letters; what is drawn at random does not. */
static bool is_mixed(const char *text, size_t size)
{
	size_t counts[4] = {0}, changes = 0;

	for (size_t i = 0; i < size; i++) {
		counts[class_of(text[i])]++;
		changes += i && class_of(text[i]) != class_of(text[i - 1]);
	}
	return counts[CLASS_UPPER] && counts[CLASS_LOWER] && counts[CLASS_DIGIT] &&
	       changes * 3 >= size && entropy(text, size) >= 3.3;
}

static bool is_all_hex(const char *text, size_t size)
{
	size_t digits = 0;

	for (size_t i = 0; i < size; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
		digits += (size_t)(isdigit((unsigned char)text[i]) != 0);
	}
	return digits > 0;
}

bool judge_token(const char *text, size_t size, bool is_suspicious)
{
	static const char *const beginnings[] = {
		"AKIA",	  "ASIA",  "ghp_",    "gho_",  "ghs_",	    "ghu_",	"github_pat_",
		"glpat-", "xoxb-", "xoxp-",   "xoxa-", "sk_live_",  "rk_live_", "sk-",
		"AIza",	  "npm_",  "dop_v1_", "hvs.",  "dckr_pat_", NULL};

	if (size >= 16 && begins_with_one_of(text, size, beginnings))
		return true;
	if (size >= (is_suspicious ? 14 : 20) && is_mixed(text, size))
		return true;
	return is_suspicious && size >= 32 && is_all_hex(text, size);
}
