/*
 * sidesnap man: manual pages, and the part of docs/reference.md that is about verbs,
 * made from the verb table by the build.
 */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/session.h"

#include "present.h"
#include "verb.h"

/* ---- roff ---- */

/* Text of a paragraph: nothing in it may be taken for a request or an escape. */
static void roff_text(FILE *file, const char *text)
{
	bool line_begins = true;

	for (; *text; text++) {
		if (line_begins && (*text == '.' || *text == '\''))
			fputs("\\&", file);
		line_begins = *text == '\n';
		if (*text == '\\')
			fputs("\\e", file);
		else if (*text == '-')
			fputs("\\-", file);
		else if (text[0] == '\n' && text[1] == '\n') {
			fputs("\n.PP\n", file);
			text++;
		} else
			fputc(*text, file);
	}
}

static void roff_options(FILE *file, const struct option *options, const struct option *hiding)
{
	for (; options && options->name; options++) {
		bool hidden = false;

		for (const struct option *o = hiding; o && o->name; o++)
			hidden = hidden || (o->letter && o->letter == options->letter);
		fputs(".TP\n", file);
		if (options->letter && !hidden)
			fprintf(file, "\\fB\\-%c\\fR, ", options->letter);
		fputs("\\fB\\-\\-", file);
		roff_text(file, options->name);
		fputs("\\fR", file);
		if (options->value) {
			fputs(" \\fI", file);
			roff_text(file, options->value);
			fputs("\\fR", file);
		}
		fputc('\n', file);
		roff_text(file, options->help);
		if (options->otherwise) {
			fputs(" (default: ", file);
			roff_text(file, options->otherwise);
			fputc(')', file);
		}
		fputs(options->repeated ? "; may be repeated.\n" : ".\n", file);
	}
}

static void roff_verb(FILE *file, const struct verb *verb)
{
	cleanup_free char *synopsis = verb_synopsis(verb);

	fprintf(file, ".TH SIDESNAP\\-%s 1 \"\" \"sidesnap %s\"\n.SH NAME\nsidesnap\\-%s \\- ",
		verb->name, present_version(), verb->name);
	roff_text(file, verb->summary);
	fputs("\n.SH SYNOPSIS\n.B ", file);
	roff_text(file, synopsis);
	fputs("\n.SH DESCRIPTION\n", file);
	roff_text(file, verb->description ? verb->description : verb->summary);
	if (verb->options)
		fputs("\n.SH OPTIONS", file);
	fputc('\n', file);
	roff_options(file, verb->options, NULL);
	fputs(".SH \"GLOBAL OPTIONS\"\n", file);
	roff_options(file, global_options, verb->options);
	if (verb->examples)
		fputs(".SH EXAMPLES\n", file);
	for (const struct example *e = verb->examples; e && e->command; e++) {
		fputs(".TP\n.B ", file);
		roff_text(file, e->command);
		fputc('\n', file);
		roff_text(file, e->text);
		fputc('\n', file);
	}
	fputs(".SH \"EXIT STATUS\"\n0 on success; ", file);
	roff_text(file, verb->exit_notes ? verb->exit_notes : "see");
	fputs("\nAll codes are in\n.BR sidesnap (1).\n", file);
}

static const struct {
	int code;
	const char *text;
} exit_codes[] = {
	{0, "success"},
	{ERROR_DAMAGED, "something is damaged, or two things differ"},
	{ERROR_FAILED, "a failure without a number of its own"},
	{ERROR_USAGE, "the command line or the input is wrong"},
	{ERROR_NOT_FOUND, "no such container, service or snapshot"},
	{ERROR_EXISTS, "the name is taken"},
	{ERROR_REFUSED, "would be unsafe; an option or an answer allows it; or a registry refuses"},
	{ERROR_ENGINE, "the engine or a registry cannot be reached, or broke off"},
	{ERROR_NO_SPACE, "too little room at the engine"},
	{ERROR_BUSY, "somebody else works on this target"},
	{ERROR_UNSUPPORTED, "a newer format, another architecture, a missing feature"},
	{ERROR_UNFINISHED, "the data is restored, but what is to follow failed"},
	{ERROR_CANCELLED, "interrupted by a person"},
};
#define EXIT_CODES (sizeof(exit_codes) / sizeof(exit_codes[0]))

static void roff_program(FILE *file)
{
	fprintf(file,
		".TH SIDESNAP 1 \"\" \"sidesnap %s\"\n.SH NAME\n"
		"sidesnap \\- snapshot containers with their volumes as images\n.SH SYNOPSIS\n"
		".B sidesnap\n[\\fIOPTION\\fR...] \\fIVERB\\fR [...]\n.SH DESCRIPTION\n"
		"Turns a running container, with its volumes and its database, into an image that "
		"boots back into exactly that state.\n.SH VERBS\n",
		present_version());
	for (const struct verb *verb = verbs; verb->name; verb++) {
		if (verb->hidden)
			continue;
		fprintf(file, ".TP\n.BR sidesnap\\-%s (1)\n", verb->name);
		roff_text(file, verb->summary);
		fputc('\n', file);
	}
	fputs(".SH OPTIONS\n", file);
	roff_options(file, global_options, NULL);
	fputs(".SH \"EXIT STATUS\"\n", file);
	for (size_t i = 0; i < EXIT_CODES; i++) {
		fprintf(file, ".TP\n.B %d\n", exit_codes[i].code);
		roff_text(file, exit_codes[i].text);
		fputc('\n', file);
	}
}

/* ---- markdown ---- */

static void markdown_options(const struct option *options)
{
	puts("| option | meaning |\n|---|---|");
	for (; options && options->name; options++) {
		fputs("| ", stdout);
		if (options->letter)
			printf("`-%c`, ", options->letter);
		printf("`--%s%s", options->name, options->value ? " " : "");
		/* A bar would end the cell, in code too. */
		for (const char *c = options->value ? options->value : ""; *c; c++)
			printf(*c == '|' ? "\\%c" : "%c", *c);
		printf("` | %s", options->help);
		if (options->otherwise)
			printf(" (default: %s)", options->otherwise);
		printf("%s |\n", options->repeated ? "; repeatable" : "");
	}
}

static void markdown(void)
{
	puts("### Options of every verb\n");
	markdown_options(global_options);
	for (const struct verb *verb = verbs; verb->name; verb++) {
		cleanup_free char *synopsis = verb_synopsis(verb);

		if (verb->hidden)
			continue;
		printf("\n### %s: %s\n\n    %s\n", verb->name, verb->summary, synopsis);
		if (verb->description)
			printf("\n%s\n", verb->description);
		if (verb->options) {
			putchar('\n');
			markdown_options(verb->options);
		}
		if (verb->examples)
			puts("\nExamples:\n");
		for (const struct example *e = verb->examples; e && e->command; e++)
			printf("- `%s`: %s\n", e->command, e->text);
		if (verb->exit_notes)
			printf("\nExit codes: %s\n", verb->exit_notes);
	}
	puts("\n### Exit codes\n\n| code | kind | meaning |\n|---|---|---|\n| 0 | | success |");
	for (size_t i = 1; i < EXIT_CODES; i++)
		printf("| %d | %s | %s |\n", exit_codes[i].code,
		       present_error_kind((enum error_kind)exit_codes[i].code), exit_codes[i].text);
}

/* ---- */

static int write_page(const char *directory, const struct verb *verb, struct error **err)
{
	cleanup_free char *path = verb ? memory_printf("%s/sidesnap-%s.1", directory, verb->name)
				       : memory_printf("%s/sidesnap.1", directory);
	FILE *file = fopen(path, "we");
	bool failed;

	if (!file)
		return error_set_errno(err, errno, "cannot write %s", path);
	if (verb)
		roff_verb(file, verb);
	else
		roff_program(file);
	failed = ferror(file) != 0;
	if (fclose(file) != 0 || failed)
		return error_set_errno(err, errno, "cannot write %s", path);
	return 0;
}

static int write_pages(const char *directory, struct error **err)
{
	if (write_page(directory, NULL, err) < 0)
		return -1;
	for (const struct verb *verb = verbs; verb->name; verb++)
		if (!verb->hidden && write_page(directory, verb, err) < 0)
			return -1;
	return 0;
}

int verb_man_run(struct command *command, struct json **result, struct error **err)
{
	const char *directory = options_text(&command->options, "output");
	const char *name = verb_argument(command, 0);
	const struct verb *verb = name ? verb_find(name) : NULL;

	(void)result;
	if (name && !verb)
		return error_set(err, ERROR_USAGE, "there is no verb \"%s\"", name);
	if (directory)
		return write_pages(directory, err);
	if (options_has(&command->options, "markdown"))
		markdown();
	else if (verb)
		roff_verb(stdout, verb);
	else
		roff_program(stdout);
	return 0;
}
