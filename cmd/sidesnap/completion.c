/*
 * sidesnap completion SHELL: scripts made from the verb table. They know verbs and
 * options by themselves, and ask `sidesnap __complete` for names.
 */
#include <string.h>

#include "present.h"
#include "verb.h"

static const char *kind_of(enum completion completion)
{
	switch (completion) {
	case COMPLETE_TARGETS:
		return "targets";
	case COMPLETE_SNAPSHOTS:
		return "snapshots";
	case COMPLETE_NAMES:
		return "names";
	case COMPLETE_PROJECTS:
		return "projects";
	case COMPLETE_DRIVERS:
		return "drivers";
	case COMPLETE_NOTHING:
	case COMPLETE_VERBS:
	case COMPLETE_FILES:
	case COMPLETE_DIRECTORIES:
	case COMPLETE_WORDS:
		break;
	}
	return NULL;
}

static void print_verb_names(const char *separator)
{
	const char *before = "";

	for (const struct verb *verb = verbs; verb->name; verb++)
		if (!verb->hidden) {
			printf("%s%s", before, verb->name);
			before = separator;
		}
}

static bool is_hidden_letter(const struct option *own, const struct option *option)
{
	for (; own && own->name; own++)
		if (own->letter && own->letter == option->letter)
			return true;
	return false;
}

/* ---- bash ---- */

/* The words that compgen gets for a value or an argument, as a statement. */
static void print_bash_values(enum completion completion, const char *words)
{
	if (kind_of(completion))
		printf("_sidesnap_names %s", kind_of(completion));
	else if (completion == COMPLETE_VERBS) {
		fputs("_sidesnap_words '", stdout);
		print_verb_names(" ");
		fputs("'", stdout);
	} else if (completion == COMPLETE_FILES)
		fputs("COMPREPLY=($(compgen -f -- \"$current\"))", stdout);
	else if (completion == COMPLETE_DIRECTORIES)
		fputs("COMPREPLY=($(compgen -d -- \"$current\"))", stdout);
	else if (completion == COMPLETE_WORDS)
		printf("_sidesnap_words '%s'", words);
	else
		fputs(":", stdout);
}

static void print_bash_option_values(const char *verb, const struct option *options,
				     const struct option *hiding)
{
	for (const struct option *option = options; option && option->name; option++) {
		if (option->type == OPTION_FLAG)
			continue;
		printf("\t%s:--%s", verb, option->name);
		if (option->letter && !is_hidden_letter(hiding, option))
			printf("|%s:-%c", verb, option->letter);
		fputs(") ", stdout);
		print_bash_values(option->completion, option->words);
		fputs("; return ;;\n", stdout);
	}
}

static void print_option_names(const struct option *options)
{
	for (; options && options->name; options++)
		printf(" --%s", options->name);
}

static void print_bash(void)
{
	fputs("# bash completion of sidesnap, made by \"sidesnap completion bash\".\n"
	      "_sidesnap_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$current\")); }\n"
	      "_sidesnap_names() {\n"
	      "\t_sidesnap_words \"$(sidesnap __complete \"$1\" 2>/dev/null)\"\n"
	      "\t# bash splits words at colons: offer what is behind the last one\n"
	      "\t[[ $current != *:* ]] || COMPREPLY=(\"${COMPREPLY[@]#\"${current%\"${current##*:}\"}\"}\")\n"
	      "}\n"
	      "_sidesnap() {\n"
	      "\tlocal current previous verb= word index=0 position=0 line\n"
	      "\tlocal -a words\n"
	      "\tline=${COMP_LINE:0:COMP_POINT}\n"
	      "\tread -ra words <<<\"$line\"\n"
	      "\t[[ $line != *[[:space:]] ]] || words+=('')\n"
	      "\tcurrent=${words[-1]} previous=\n"
	      "\t((${#words[@]} < 2)) || previous=${words[-2]}\n"
	      "\tCOMPREPLY=()\n"
	      "\tfor ((index = 1; index < ${#words[@]} - 1; index++)); do\n"
	      "\t\tword=${words[index]}\n"
	      "\t\tif [[ $word == -* ]]; then\n"
	      "\t\t\tcase $verb:$word in\n",
	      stdout);
	/* The value of an option is no argument. */
	for (const struct verb *verb = verbs; verb->name; verb++) {
		if (verb->hidden)
			continue;
		for (const struct option *o = verb->options; o && o->name; o++)
			if (o->type != OPTION_FLAG) {
				printf("\t\t\t%s:--%s", verb->name, o->name);
				if (o->letter)
					printf("|%s:-%c", verb->name, o->letter);
				fputs(") ((index++)) ;;\n", stdout);
			}
	}
	fputs("\t\t\t*:--host|*:--project|*:-H|*:-p) ((index++)) ;;\n"
	      "\t\t\tesac\n"
	      "\t\telif [[ -z $verb ]]; then verb=$word\n"
	      "\t\telse ((position++)); fi\n"
	      "\tdone\n"
	      "\tcase $verb:$previous in\n",
	      stdout);
	for (const struct verb *verb = verbs; verb->name; verb++)
		if (!verb->hidden)
			print_bash_option_values(verb->name, verb->options, NULL);
	print_bash_option_values("*", global_options, NULL);
	fputs("\tesac\n\tif [[ $current == -* ]]; then\n\t\tcase $verb in\n", stdout);
	for (const struct verb *verb = verbs; verb->name; verb++) {
		if (verb->hidden)
			continue;
		printf("\t\t%s) _sidesnap_words '", verb->name);
		print_option_names(verb->options);
		print_option_names(global_options);
		fputs("' ;;\n", stdout);
	}
	fputs("\t\t*) _sidesnap_words '", stdout);
	print_option_names(global_options);
	fputs("' ;;\n\t\tesac\n\t\treturn\n\tfi\n\tcase $verb:$position in\n\t:*) _sidesnap_words '",
	      stdout);
	print_verb_names(" ");
	fputs("' ;;\n", stdout);
	for (const struct verb *verb = verbs; verb->name; verb++) {
		int position = 0;

		if (verb->hidden)
			continue;
		for (const struct argument *a = verb->arguments; a && a->name; a++, position++) {
			if (a->repeated)
				printf("\t%s:*) ", verb->name);
			else
				printf("\t%s:%d) ", verb->name, position);
			print_bash_values(a->completion, a->words);
			fputs(" ;;\n", stdout);
		}
	}
	fputs("\tesac\n}\ncomplete -F _sidesnap sidesnap\n", stdout);
}

/* ---- zsh ---- */

/* A text within '...' within a specification: quotes, brackets and colons are special. */
static void print_zsh_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void print_zsh_action(enum completion completion, const char *words)
{
	if (kind_of(completion))
		printf("_sidesnap_names %s", kind_of(completion));
	else if (completion == COMPLETE_VERBS) {
		fputs("(", stdout);
		print_verb_names(" ");
		fputs(")", stdout);
	} else if (completion == COMPLETE_FILES)
		fputs("_files", stdout);
	else if (completion == COMPLETE_DIRECTORIES)
		fputs("_files -/", stdout);
	else if (completion == COMPLETE_WORDS)
		printf("(%s)", words);
	else
		fputs(" ", stdout);
}

static void print_zsh_option(const struct option *option, const char *form)
{
	printf("\t\t'%s%s%s[", option->repeated ? "*" : "", form,
	       option->type == OPTION_FLAG ? ""
	       : form[1] == '-'		   ? "="
					   : "+");
	print_zsh_text(option->help);
	putchar(']');
	if (option->type != OPTION_FLAG) {
		putchar(':');
		print_zsh_text(option->value);
		putchar(':');
		print_zsh_action(option->completion, option->words);
	}
	fputs("' \\\n", stdout);
}

static void print_zsh_options(const struct option *options, const struct option *hiding)
{
	for (; options && options->name; options++) {
		char letter[3] = {'-', options->letter, 0}, form[64];

		snprintf(form, sizeof(form), "--%s", options->name);
		print_zsh_option(options, form);
		if (options->letter && !is_hidden_letter(hiding, options))
			print_zsh_option(options, letter);
	}
}

static void print_zsh(void)
{
	fputs("#compdef sidesnap\n"
	      "# zsh completion of sidesnap, made by \"sidesnap completion zsh\".\n"
	      "_sidesnap_names() {\n"
	      "\t# _arguments puts words of its own before ours\n"
	      "\tlocal -a names\n"
	      "\tnames=(${(f)\"$(sidesnap __complete ${@[-1]} 2>/dev/null)\"})\n"
	      "\tcompadd \"${@[1,-2]}\" -a names\n"
	      "}\n"
	      "_sidesnap() {\n"
	      "\tlocal context state line curcontext=$curcontext\n"
	      "\t_arguments -C \\\n",
	      stdout);
	print_zsh_options(global_options, NULL);
	fputs("\t\t'1: :->verb' '*:: :->rest' && return\n"
	      "\tif [[ $state == verb ]]; then\n"
	      "\t\tlocal -a verbs\n\t\tverbs=(\n",
	      stdout);
	for (const struct verb *verb = verbs; verb->name; verb++)
		if (!verb->hidden) {
			printf("\t\t\t'%s:", verb->name);
			print_zsh_text(verb->summary);
			fputs("'\n", stdout);
		}
	fputs("\t\t)\n\t\t_describe verb verbs\n\t\treturn\n\tfi\n\tcase $line[1] in\n", stdout);
	for (const struct verb *verb = verbs; verb->name; verb++) {
		int position = 1;

		if (verb->hidden)
			continue;
		printf("\t%s) _arguments \\\n", verb->name);
		print_zsh_options(verb->options, NULL);
		print_zsh_options(global_options, verb->options);
		for (const struct argument *a = verb->arguments; a && a->name; a++, position++) {
			if (a->repeated)
				printf("\t\t'*:%s:", a->name);
			else
				printf("\t\t'%d:%s:", position, a->name);
			print_zsh_action(a->completion, a->words);
			fputs("' \\\n", stdout);
		}
		fputs("\t\t&& return ;;\n", stdout);
	}
	fputs("\tesac\n}\n"
	      "if [[ $funcstack[1] == _sidesnap ]]; then _sidesnap \"$@\"; else compdef _sidesnap "
	      "sidesnap; fi\n",
	      stdout);
}

/* ---- fish ---- */

static void print_fish_text(const char *text)
{
	for (; *text; text++) {
		if (strchr("'\\", *text))
			putchar('\\');
		putchar(*text);
	}
}

static void print_fish_values(enum completion completion, const char *words)
{
	if (kind_of(completion))
		printf(" -x -a '(sidesnap __complete %s 2>/dev/null)'", kind_of(completion));
	else if (completion == COMPLETE_VERBS) {
		fputs(" -x -a '", stdout);
		print_verb_names(" ");
		fputs("'", stdout);
	} else if (completion == COMPLETE_FILES)
		fputs(" -r -F", stdout);
	else if (completion == COMPLETE_DIRECTORIES)
		fputs(" -x -a '(__fish_complete_directories)'", stdout);
	else if (completion == COMPLETE_WORDS)
		printf(" -x -a '%s'", words);
	else
		fputs(" -x", stdout);
}

static void print_fish_options(const struct option *options, const char *verb,
			       const struct option *hiding)
{
	for (; options && options->name; options++) {
		printf("complete -c sidesnap");
		if (verb)
			printf(" -n '__fish_seen_subcommand_from %s'", verb);
		printf(" -l %s", options->name);
		if (options->letter && !is_hidden_letter(hiding, options))
			printf(" -s %c", options->letter);
		fputs(" -d '", stdout);
		print_fish_text(options->help);
		fputs("'", stdout);
		if (options->type != OPTION_FLAG)
			print_fish_values(options->completion, options->words);
		putchar('\n');
	}
}

/* Letters of a verb's own options that mean something else elsewhere. */
static void print_fish_globals(void)
{
	for (const struct verb *verb = verbs; verb->name; verb++)
		if (!verb->hidden)
			print_fish_options(global_options, verb->name, verb->options);
}

static void print_fish(void)
{
	fputs("# fish completion of sidesnap, made by \"sidesnap completion fish\".\n"
	      "complete -c sidesnap -f\n",
	      stdout);
	for (const struct verb *verb = verbs; verb->name; verb++) {
		if (verb->hidden)
			continue;
		printf("complete -c sidesnap -n __fish_use_subcommand -a %s -d '", verb->name);
		print_fish_text(verb->summary);
		fputs("'\n", stdout);
		print_fish_options(verb->options, verb->name, NULL);
		for (const struct argument *a = verb->arguments; a && a->name; a++)
			if (a->completion != COMPLETE_NOTHING) {
				printf("complete -c sidesnap -n '__fish_seen_subcommand_from %s'",
				       verb->name);
				print_fish_values(a->completion, a->words);
				putchar('\n');
			}
	}
	print_fish_globals();
}

int verb_completion_run(struct command *command, struct json **result, struct error **err)
{
	const char *shell = verb_argument(command, 0);

	(void)result;
	if (!strcmp(shell, "bash"))
		print_bash();
	else if (!strcmp(shell, "zsh"))
		print_zsh();
	else if (!strcmp(shell, "fish"))
		print_fish();
	else
		return error_set(err, ERROR_USAGE,
				 "no completion for \"%s\"; there is bash, zsh, fish", shell);
	return 0;
}
