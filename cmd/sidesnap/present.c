/*
 * What people see is made here and in the verbs' print functions; text that comes
 * from an engine or an image is escaped on the way (ui/escape.h, ui/table.h).
 */
#include "present.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "ui/escape.h"
#include "ui/terminal.h"

const char *present_version(void)
{
	return SIDESNAP_VERSION;
}

void present_open_missing(int fd)
{
	if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
		return;
	/* The lowest free number is taken, and those below are open already. */
	if (open("/dev/null", O_RDWR) != fd)
		abort();
}

void present_json(const struct json *json)
{
	cleanup_free char *text = json_print(json, isatty(STDOUT_FILENO));

	fputs(text, stdout);
	fputc('\n', stdout);
}

int present_finish(struct error **err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return error_set_errno(err, errno, "cannot write the result to standard output");
}

const char *present_error_kind(enum error_kind kind)
{
	switch (kind) {
	case ERROR_DAMAGED:
		return "damaged";
	case ERROR_FAILED:
		return "failed";
	case ERROR_USAGE:
		return "usage";
	case ERROR_NOT_FOUND:
		return "not-found";
	case ERROR_EXISTS:
		return "exists";
	case ERROR_REFUSED:
		return "refused";
	case ERROR_ENGINE:
		return "engine";
	case ERROR_NO_SPACE:
		return "no-space";
	case ERROR_BUSY:
		return "busy";
	case ERROR_UNSUPPORTED:
		return "unsupported";
	case ERROR_UNFINISHED:
		return "unfinished";
	case ERROR_CANCELLED:
		return "cancelled";
	}
	return "failed";
}

void present_error(const struct error *error, bool json)
{
	cleanup_free char *message = escape_lines(error ? error->message : "unknown error");
	cleanup_free char *hint = escape_lines(error && error->hint ? error->hint : "");
	bool colour = terminal_has_colour(STDERR_FILENO);

	fprintf(stderr, "%ssidesnap:%s %s\n", colour_on(COLOUR_RED, colour),
		colour_off(COLOUR_RED, colour), message);
	if (*hint)
		fprintf(stderr, "%shint:%s %s\n", colour_on(COLOUR_BOLD, colour),
			colour_off(COLOUR_BOLD, colour), hint);
	if (json) {
		CLEANUP(cleanup_json_free) struct json *root = json_new_object();
		struct json *object = json_set_object(root, "error");

		json_set_string(object, "kind",
				present_error_kind(error ? error->kind : ERROR_FAILED));
		json_set_string(object, "message", error ? error->message : "unknown error");
		json_set_string(object, "hint", error && error->hint ? error->hint : "");
		present_json(root);
		fflush(stdout);
	}
}

void present_table(const struct table *table)
{
	table_print(table, stdout, terminal_width(STDOUT_FILENO));
}

char *present_age(const char *created)
{
	struct timespec time;

	if (!created || !clock_parse(created, &time))
		return memory_strdup("");
	return clock_format_age((int64_t)(clock_now().tv_sec - time.tv_sec));
}

char *present_time(const char *created)
{
	cleanup_free char *age = present_age(created), *utc = NULL;
	struct timespec time;

	if (!created || !clock_parse(created, &time))
		return memory_strdup(created);
	utc = clock_format(time);
	return memory_printf("%.10s %.8s UTC (%s)", utc, utc + strlen("2026-01-31T"), age);
}

char *present_size(const struct json *object, const char *key)
{
	if (!json_is_number(json_get(object, key)))
		return memory_strdup("-");
	/* What was freed may be less than what was needed for it. */
	return text_format_size(json_int(object, key) > 0 ? (uint64_t)json_int(object, key) : 0);
}

char *present_names(const struct json *list)
{
	CLEANUP(string_list_release) struct string_list names;

	string_list_init(&names);
	json_for_each(item, list)
		if (json_is_string(item))
			string_list_add(&names, json_string(item, NULL));
	return names.count ? string_list_join(&names, ", ") : memory_strdup("-");
}

char *present_snapshot(const struct json *entry)
{
	const struct json *references = json_get(entry, "references");

	if (json_count(references))
		return present_names(references);
	return memory_strndup(text_or(json_string(entry, "id"), "-"), SHORT_ID);
}

char *present_title(const struct json *entry)
{
	bool safety = !strcmp(json_string_or(entry, "kind", ""), "safety");
	const char *title = json_string_or(entry, "title", "");
	char *text = memory_printf("%s%s%s", safety ? "[safety] " : "",
				   json_bool(entry, "pinned") ? "[pinned] " : "", title);
	size_t length = strlen(text);

	if (!*title && length)
		text[length - 1] = '\0';
	return text;
}

char *present_source(const struct json *source)
{
	const char *service = json_string_or(source, "service", "");

	if (*service)
		return memory_printf("%s/%s", json_string_or(source, "project", ""), service);
	return memory_strdup(json_string_or(source, "container", ""));
}

char *present_tree_path(const struct json *tree)
{
	if (!strcmp(json_string_or(tree, "kind", ""), "own"))
		return memory_strdup("own files");
	return present_names(json_get(tree, "paths"));
}

/* ---- help ---- */

#define HELP_WIDTH 96
#define HELP_COLUMN 28

/* Words of ${text} wrapped to HELP_WIDTH, each line behind ${indent} columns; the first line
 * begins at column ${column}. */
static void print_wrapped(FILE *file, const char *text, size_t indent, size_t column)
{
	while (*text) {
		size_t length = strcspn(text, " \n");

		if (column > indent && column + 1 + length > HELP_WIDTH) {
			fputc('\n', file);
			column = 0;
		}
		if (column < indent) {
			fprintf(file, "%*s", (int)(indent - column), "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', file);
			column++;
		}
		fwrite(text, 1, length, file);
		column += length;
		text += length;
		if (text[0] == '\n' && text[1] == '\n') {
			fputs("\n\n", file);
			column = 0;
			text += 2;
		} else if (*text) {
			text++;
		}
	}
	fputc('\n', file);
}

static void print_options(FILE *file, const struct option *options, const struct option *hiding)
{
	for (; options && options->name; options++) {
		char letter[8] = "    ";
		cleanup_free char *name = NULL, *help = NULL;
		bool hidden = false;

		for (const struct option *o = hiding; o && o->name; o++)
			hidden = hidden || (o->letter && o->letter == options->letter);
		if (options->letter && !hidden) {
			letter[0] = '-';
			letter[1] = options->letter;
			letter[2] = ',';
		}
		name = options->value
			       ? memory_printf("%s--%s %s", letter, options->name, options->value)
			       : memory_printf("%s--%s", letter, options->name);
		help = options->otherwise ? memory_printf("%s (default: %s)", options->help,
							  options->otherwise)
					  : memory_strdup(options->help);
		fprintf(file, "  %s", name);
		if (strlen(name) + 4 > HELP_COLUMN) {
			fputc('\n', file);
			print_wrapped(file, help, HELP_COLUMN, 0);
		} else {
			fprintf(file, "%*s", (int)(HELP_COLUMN - 2 - strlen(name)), "");
			print_wrapped(file, help, HELP_COLUMN, HELP_COLUMN);
		}
	}
}

static void print_verb_help(const struct verb *verb, FILE *file)
{
	cleanup_free char *synopsis = verb_synopsis(verb);

	fprintf(file, "%s\n\n", synopsis);
	print_wrapped(file, verb->description ? verb->description : verb->summary, 0, 0);
	if (verb->options) {
		fputs("\nOptions:\n", file);
		print_options(file, verb->options, NULL);
	}
	fputs("\nGlobal options:\n", file);
	print_options(file, global_options, verb->options);
	if (verb->examples)
		fputs("\nExamples:\n", file);
	for (const struct example *e = verb->examples; e && e->command; e++)
		fprintf(file, "  %s\n      %s\n", e->command, e->text);
	if (verb->exit_notes) {
		fputs("\nExit codes:", file);
		print_wrapped(file, verb->exit_notes, 0, strlen("Exit codes:"));
	}
}

void present_help(const struct verb *verb, FILE *file)
{
	if (verb) {
		print_verb_help(verb, file);
		return;
	}
	fputs("sidesnap [OPTION...] VERB [...]\n\n"
	      "Turns a running container, with its volumes and its database, into an image that\n"
	      "boots back into exactly that state.\n\nVerbs:\n",
	      file);
	for (const struct verb *v = verbs; v->name; v++)
		if (!v->hidden)
			fprintf(file, "  %-12s %s\n", v->name, v->summary);
	fputs("\nOptions of every verb:\n", file);
	print_options(file, global_options, NULL);
	fputs("\n\"sidesnap VERB --help\" says more of one verb.\n", file);
}

int present_spool(FILE *spool, struct error **err)
{
	char block[65536];
	size_t size;

	if (fflush(spool) != 0 || fseek(spool, 0, SEEK_SET) != 0)
		return error_set_errno(err, errno, "cannot read a temporary file");
	while ((size = fread(block, 1, sizeof(block), spool)) > 0)
		fwrite(block, 1, size, stdout);
	return ferror(spool) ? error_set_errno(err, errno, "cannot read a temporary file") : 0;
}

int present_json_with(const struct json *object, const char *key, FILE *spool, struct error **err)
{
	cleanup_free char *text = json_print(object, false);

	text[strlen(text) - 1] = '\0';
	printf("%s,\"%s\":[", text, key);
	if (present_spool(spool, err) < 0)
		return -1;
	fputs("]}\n", stdout);
	return 0;
}

char *present_end(const struct json *end)
{
	return memory_strdup(
		json_string_or(end, "reference", json_string_or(end, "container", "?")));
}
