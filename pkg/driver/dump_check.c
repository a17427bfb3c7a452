/*
 * Both ends are kept, 4 KiB of each, and lines that every dump has are looked for. All of it is linear,
 * and most of it at the speed of memory.
 */
#include "driver/dump_check.h"

#include <regex.h>
#include <string.h>

#include "base/memory.h"
#include "driver/line_search.h"

#define END_SIZE 4096

/* One kind that it may be of. */
struct proof {
	const struct json *member, *operation; /* borrowed from the driver */
	struct line_search search;
	int holds; /* its number in search; -1: none */
};

struct dump_check {
	struct proof proofs[2];
	size_t count;
	struct buffer head, tail; /* the tail: at most twice END_SIZE */
	uint64_t size;
};

/* Of this operation, or of all dumps. */
static const struct json *get(const struct proof *proof, const char *name)
{
	const struct json *own = json_get(proof->operation, name);

	return own ? own : json_get(proof->member, name);
}

static int add(struct dump_check *check, const struct json *member, const char *operation,
	       struct error **err)
{
	struct proof *proof = &check->proofs[check->count];
	const char *holds;

	if (!json_get(member, operation))
		return 0;
	check->count++;
	proof->member = member;
	proof->operation = json_get(member, operation);
	proof->holds = -1;
	line_search_init(&proof->search);
	holds = json_string(get(proof, "holds"), NULL);
	if (holds) {
		proof->holds = line_search_add(&proof->search, holds, NULL, err);
		if (proof->holds < 0)
			return -1;
	}
	json_for_each(item, get(proof, "requires"))
		if (line_search_add(&proof->search, json_string_or(item, "pattern", ""),
				    json_string_or(item, "problem", ""), err) < 0)
			return -1;
	return 0;
}

struct dump_check *dump_check_new(const struct driver *driver, enum dump_kind kind,
				  struct error **err)
{
	CLEANUP(cleanup_dump_check_free)
	struct dump_check *check = memory_zalloc(sizeof(*check));
	const struct json *member = json_get(driver->definition, "dump");

	buffer_init(&check->head, END_SIZE);
	buffer_init(&check->tail, 2 * END_SIZE);
	if ((kind & DUMP_OF_SERVER && add(check, member, "server", err) < 0) ||
	    (kind & DUMP_OF_DATABASE && add(check, member, "database", err) < 0))
		return NULL;
	return STEAL_POINTER(check);
}

void dump_check_free(struct dump_check *check)
{
	if (!check)
		return;
	for (size_t i = 0; i < check->count; i++)
		line_search_release(&check->proofs[i].search);
	buffer_release(&check->head);
	buffer_release(&check->tail);
	free(check);
}

/* ---- what passes by ---- */

/* As text: a NUL is seen as a blank. */
static void append(struct buffer *text, const char *data, size_t size)
{
	size_t start = text->size;

	buffer_append(text, data, size);
	for (size_t i = start; i < text->size; i++)
		if (!text->data[i])
			text->data[i] = ' ';
}

void dump_check_take(struct dump_check *check, const void *data, size_t size)
{
	const char *bytes = data;
	size_t room = check->head.limit - check->head.size;

	check->size += size;
	append(&check->head, bytes, size < room ? size : room);
	for (size_t i = 0; i < check->count; i++)
		line_search_take(&check->proofs[i].search, bytes, size);
	if (size > END_SIZE) {
		bytes += size - END_SIZE;
		size = END_SIZE;
	}
	if (check->tail.size + size > check->tail.limit)
		buffer_consume(&check->tail, check->tail.size + size - END_SIZE);
	append(&check->tail, bytes, size);
}

/* ---- the verdict ---- */

static bool fits(const struct proof *proof, const char *name, const char *text)
{
	const char *pattern = json_string(get(proof, name), NULL);
	regex_t regex;
	bool result;

	if (!pattern)
		return true;
	if (pattern_compile(&regex, pattern, REG_NOSUB) != 0)
		return false;
	result = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return result;
}

int dump_check_start(const struct dump_check *check, struct error **err)
{
	for (size_t i = 0; i < check->count; i++)
		if (fits(&check->proofs[i], "starts", check->head.data))
			return 0;
	if (!check->count)
		return 0;
	return error_set(err, ERROR_DAMAGED,
			 check->size ? "it does not begin as such a dump does" : "it is empty");
}

/* Without quotes around it, of which the one that ends it is doubled where it is a part of the name. */
static char *unquoted(const char *name, size_t size)
{
	char *text = memory_strndup(name, size);
	char quote = *text;
	size_t to = 0;

	if (quote != '"' && quote != '`')
		return text;
	for (size_t from = 1; text[from]; from++) {
		if (text[from] == quote && text[++from] != quote)
			break;
		text[to++] = text[from];
	}
	text[to] = '\0';
	return text;
}

/* The database that the dump says it is of; NULL: it says nothing. */
static char *name_in(const struct dump_check *check, const char *pattern)
{
	regmatch_t groups[2];
	regex_t regex;
	char *name = NULL;

	if (!check->head.size || pattern_compile(&regex, pattern, 0) != 0)
		return NULL;
	if (regexec(&regex, check->head.data, 2, groups, 0) == 0 && groups[1].rm_so >= 0)
		name = unquoted(check->head.data + groups[1].rm_so,
				(size_t)(groups[1].rm_eo - groups[1].rm_so));
	regfree(&regex);
	return name;
}

/* Neither one that names another nor one that names none: it would go where a session is by default. */
static int judge_name(const char *name, const char *database, struct error **err)
{
	if (name && strcmp(name, database) == 0)
		return 0;
	if (name) {
		error_set(err, ERROR_USAGE,
			  "the dump is of database \"%s\": it would replace that one, not \"%s\"",
			  name, database);
		return error_hint(err,
				  "no dump is loaded under another name; --database \"%s\" "
				  "replaces what it was made of",
				  name);
	}
	error_set(err, ERROR_USAGE,
		  "the dump does not say of which database it is: it would not go into \"%s\"",
		  database);
	return error_hint(err,
			  "those of \"sidesnap dump --database NAME\" say so (pg_dump: --create; "
			  "mysqldump: --databases)");
}

int dump_check_database(const struct dump_check *check, const char *database, struct error **err)
{
	for (size_t i = 0; i < check->count; i++) {
		const struct proof *proof = &check->proofs[i];
		const char *pattern = json_string(json_get(proof->operation, "names"), NULL);
		cleanup_free char *name = pattern ? name_in(check, pattern) : NULL;

		if (pattern && judge_name(name, database, err) < 0)
			return -1;
	}
	return 0;
}

static int judge(const struct dump_check *check, const struct proof *proof, struct error **err)
{
	const char *tail = check->tail.data;

	if (check->tail.size > END_SIZE)
		tail += check->tail.size - END_SIZE;
	if (!fits(proof, "starts", check->head.data))
		return error_set(err, ERROR_DAMAGED, "it does not begin as such a dump does");
	if (!fits(proof, "complete", tail))
		return error_set(err, ERROR_DAMAGED, "it is not whole: its end is missing");
	for (size_t i = 0; i < proof->search.count; i++)
		if ((int)i != proof->holds && !proof->search.patterns[i].found)
			return error_set(err, ERROR_DAMAGED, "it is not whole: %s",
					 proof->search.patterns[i].problem);
	return 0;
}

int dump_check_end(struct dump_check *check, struct error **err)
{
	cleanup_error struct error *first = NULL;

	for (size_t i = 0; i < check->count; i++)
		line_search_end(&check->proofs[i].search);
	for (size_t i = 0; i < check->count; i++) {
		cleanup_error struct error *problem = NULL;

		if (judge(check, &check->proofs[i], &problem) == 0)
			return 0;
		if (!first)
			first = STEAL_POINTER(problem);
	}
	if (!first)
		return 0;
	error_append(err, STEAL_POINTER(first));
	return -1;
}

bool dump_check_is_empty(const struct dump_check *check)
{
	const struct proof *proof = &check->proofs[0];
	uint64_t size;

	if (!check->count)
		return false;
	if (proof->holds >= 0)
		return !proof->search.patterns[proof->holds].found;
	return json_uint_checked(get(proof, "empty_size"), NULL, UINT32_MAX, &size) &&
	       check->size <= size;
}
