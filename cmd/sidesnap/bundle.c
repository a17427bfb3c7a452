/* sidesnap bundle: one safe file for whoever is to find the fault; and looking into one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/part_file.h"
#include "bundle/bundle.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

#define DEFAULT_LOG_LINES 10000
#define DEFAULT_SINCE_MS (24ULL * 60 * 60 * 1000)
#define DEFAULT_TIMEOUT_MS 30000

const struct option bundle_options_table[] = {
	{.name = "no-data",
	 .help = "leave the databases out: their dumps are data, nothing in them is hidden"},
	{.name = "since",
	 .type = OPTION_SECONDS,
	 .value = "TIME",
	 .otherwise = "24h",
	 .help = "logs and events no older than this"},
	{.name = "log-lines",
	 .type = OPTION_NUMBER,
	 .value = "N",
	 .otherwise = "10000",
	 .help = "the last lines of each log"},
	{.name = "config",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "SERVICE:PATH",
	 .help = "a configuration file in a container; may be given several times"},
	{.name = "compose",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "FILE",
	 .otherwise = "that of the project's labels, where it is here",
	 .help = "a compose file of this machine; may be given several times",
	 .completion = COMPLETE_FILES},
	{.name = "redact-extra",
	 .type = OPTION_TEXT,
	 .value = "FILE",
	 .help = "hide each line of FILE wherever it turns up, too",
	 .completion = COMPLETE_FILES},
	{.name = "show-redactions",
	 .help = "tell what was hidden where (file, line, rule), never the value"},
	{.name = "time-limit",
	 .type = OPTION_SECONDS,
	 .value = "TIME",
	 .otherwise = "30s",
	 .help = "of each part of it but the databases"},
	{.name = "list", .help = "open: list the files (this is done anyway)"},
	{.name = "grep",
	 .type = OPTION_TEXT,
	 .value = "PATTERN",
	 .help = "open: the lines that an extended regular expression fits"},
	{.name = "extract",
	 .type = OPTION_TEXT,
	 .value = "GLOB",
	 .help = "open: write the files that GLOB fits (`**` for all)"},
	{.name = "directory",
	 .letter = 'C',
	 .type = OPTION_TEXT,
	 .value = "DIR",
	 .otherwise = "the current one",
	 .help = "open: where --extract writes to; what is there already is not replaced",
	 .completion = COMPLETE_DIRECTORIES},
	{0},
};

static int write_out(void *context, const void *data, size_t size, struct error **err)
{
	(void)context;
	if (io_write_full(STDOUT_FILENO, data, size) < 0)
		return error_set_errno(err, errno, "cannot write to standard output");
	return 0;
}

static int write_file(void *context, const void *data, size_t size, struct error **err)
{
	return part_file_write(context, data, size, err);
}

/* ---- open ---- */

static ssize_t read_input(void *context, void *data, size_t size, struct error **err)
{
	ssize_t count = io_read_full(*(const int *)context, data, size);

	if (count < 0)
		error_set_errno(err, errno, "cannot read the bundle");
	return count;
}

static void print_match(void *context, const char *file, uint64_t number, const char *line)
{
	cleanup_free char *name = escape_text(file);
	cleanup_free char *text = escape_text(line);

	(void)context;
	printf("%s:%llu:%s\n", name, (unsigned long long)number, text);
}

/* What the file holds may be meant for the terminal. */
static int write_terminal(void *context, const void *data, size_t size, struct error **err)
{
	cleanup_free char *text = memory_strndup(data, size);
	cleanup_free char *shown = escape_lines(text);

	(void)context;
	return write_out(NULL, shown, strlen(shown), err);
}

static void list_match(void *context, const char *file, uint64_t number, const char *line)
{
	struct json *entry = json_add_object(context);

	json_set_string(entry, "file", file);
	json_set_int(entry, "line", (int64_t)number);
	json_set_bytes(entry, "text", line);
}

static int check_ways(const struct bundle_open *open, struct error **err)
{
	int ways = (open->name != NULL) + (open->grep != NULL) + (open->extract != NULL);

	return ways > 1 ? error_set(err, ERROR_USAGE,
				    "NAME, --grep and --extract exclude each other")
			: 0;
}

static int open_bundle(struct command *command, struct json **result, struct error **err)
{
	const char *path = verb_argument(command, 1);
	cleanup_fd int fd = -1;
	CLEANUP(cleanup_json_free) struct json *lines = json_new_array();
	struct bundle_open open_options = {
		.name = verb_argument(command, 2),
		.grep = options_text(&command->options, "grep"),
		.extract = options_text(&command->options, "extract"),
		.directory = text_or(options_text(&command->options, "directory"), "."),
		.input = read_input,
		.input_context = &fd,
		.found = command->json ? list_match : print_match,
		.output = isatty(STDOUT_FILENO) ? write_terminal : write_out,
		.context = lines,
	};

	if (!path)
		return error_set(err, ERROR_USAGE, "the FILE to be opened is missing");
	if (check_ways(&open_options, err) < 0)
		return -1;
	fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (bundle_open_archive(&open_options, result, err) < 0)
		return error_prefix(err, "%s", path);
	if (open_options.grep && command->json)
		json_set(*result, "lines", STEAL_POINTER(lines));
	else if (open_options.name || open_options.grep)
		json_free(STEAL_POINTER(*result));
	return 0;
}

/* ---- create ---- */

struct ending {
	const char *text;
	enum tar_packing packing;
};

static const struct ending endings[] = {
	{".tar.zst", TAR_ZSTD}, {".tzst", TAR_ZSTD}, {".tar", TAR_PLAIN}};

/* What OUT is called in the end, and how it is packed; to be freed. */
static char *choose_name(const char *out, enum tar_packing *packing, struct error **err)
{
	const char *slash = strrchr(out, '/'), *base = slash ? slash + 1 : out;

	*packing = TAR_ZSTD;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (text_has_suffix(base, endings[i].text)) {
			*packing = endings[i].packing;
			return memory_strdup(out);
		}
	if (text_has_suffix(base, ".gz") || text_has_suffix(base, ".xz") ||
	    text_has_suffix(base, ".zip") || text_has_suffix(base, ".bz2") ||
	    text_has_suffix(base, ".tgz")) {
		error_set(err, ERROR_UNSUPPORTED,
			  "a bundle is packed by zstd or not at all, so "
			  "it cannot be called %s",
			  base);
		error_hint(err, "leave the extension out, or call it .tar.zst or .tar; another "
				"packer takes \"bundle - | zstd -d | gzip\"");
		return NULL;
	}
	return memory_printf("%s.tar.zst", out);
}

static int check_stdout(const struct command *command, struct error **err)
{
	if (command->json || options_has(&command->options, "show-redactions"))
		return error_set(err, ERROR_USAGE,
				 "the bundle is on standard output: leave --json and "
				 "--show-redactions out (redactions.json in it tells the same)");
	if (isatty(STDOUT_FILENO)) {
		error_set(err, ERROR_USAGE, "a bundle is nothing for a terminal");
		return error_hint(err, "name a file, or write it into one: - > FILE.tar.zst");
	}
	return 0;
}

static void warn(const struct command *command, const struct json *done)
{
	struct progress *progress = command->session.progress;

	progress_end(progress);
	json_for_each(entry, json_get(done, "failed")) {
		cleanup_free char *service = escape_text(json_string(entry, "service"));
		cleanup_free char *reason = escape_text(json_string(entry, "reason"));

		progress_warn(progress, "not collected: %s%s%s: %s",
			      json_string_or(entry, "collector", ""), *service ? " of " : "",
			      service, reason);
	}
	json_for_each(note, json_get(done, "notes")) {
		cleanup_free char *text = escape_text(json_string(note, NULL));

		progress_note(progress, "%s", text);
	}
	if (json_count(json_get(done, "data")))
		progress_warn(progress, "the databases are in it as they are, nothing in them is "
					"hidden; --no-data leaves them out");
}

static void take_options(const struct options *given, struct bundle_options *options)
{
	string_list_init(&options->configs);
	string_list_init(&options->compose_files);
	options_list(given, "config", &options->configs);
	options_list(given, "compose", &options->compose_files);
	options->no_data = options_has(given, "no-data");
	options->redact_extra = options_text(given, "redact-extra");
	options->log_lines = (unsigned)options_number(given, "log-lines", DEFAULT_LOG_LINES);
	options->since_ms = options_milliseconds(given, "since", DEFAULT_SINCE_MS);
	options->timeout_ms = options_milliseconds(given, "time-limit", DEFAULT_TIMEOUT_MS);
}

static int create(struct command *command, struct bundle_options *options, const char *out,
		  struct json **result, struct error **err)
{
	CLEANUP(cleanup_part_file_free) struct part_file *file = NULL;
	CLEANUP(cleanup_json_free) struct json *done = NULL;
	cleanup_free char *name = NULL;
	bool is_stdout = strcmp(out, "-") == 0;

	options->packing = TAR_ZSTD;
	options->output = write_out;
	if (is_stdout) {
		if (check_stdout(command, err) < 0)
			return -1;
	} else {
		name = choose_name(out, &options->packing, err);
		file = name ? part_file_open(name, err) : NULL;
		if (!file)
			return -1;
		options->output = write_file;
		options->context = file;
	}
	if (verb_open_engine(command, err) < 0 ||
	    bundle_create(&command->session, options, &done, err) < 0)
		return is_stdout ? error_hint(err, "what was written to standard output is worth "
						   "nothing")
				 : -1;
	if (file && part_file_finish(file, err) < 0)
		return -1;
	warn(command, done);
	if (json_count(json_get(done, "failed")))
		command->exit_code = ERROR_UNFINISHED;
	if (!is_stdout) {
		json_set_string(done, "file", name);
		*result = STEAL_POINTER(done);
	}
	return 0;
}

int verb_bundle_run(struct command *command, struct json **result, struct error **err)
{
	const char *out = verb_argument(command, 0);
	struct bundle_options options = {0};
	int done;

	if (strcmp(out, "open") == 0)
		return open_bundle(command, result, err);
	if (verb_argument(command, 1))
		return error_set(err, ERROR_USAGE,
				 "there is one OUT; \"bundle open FILE\" looks "
				 "into one that is there");
	take_options(&command->options, &options);
	done = create(command, &options, out, result, err);
	string_list_release(&options.configs);
	string_list_release(&options.compose_files);
	return done;
}

static void print_redactions(const struct json *list)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	table_column(table, "FILE", TABLE_LEFT);
	table_column(table, "LINE", TABLE_RIGHT);
	table_column(table, "RULE", TABLE_LEFT);
	table_column(table, "COUNT", TABLE_RIGHT);
	json_for_each(entry, list) {
		table_cell(table, json_string(entry, "file"));
		table_cellf(table, "%lld", (long long)json_int(entry, "line"));
		table_cell(table, json_string(entry, "rule"));
		table_cellf(table, "%lld", (long long)json_int(entry, "count"));
	}
	present_table(table);
}

static void print_files(const struct json *files)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	table_column(table, "FILE", TABLE_LEFT);
	table_column(table, "BYTES", TABLE_RIGHT);
	json_for_each(entry, files) {
		table_cell(table, json_string(entry, "path"));
		table_cellf(table, "%lld", (long long)json_int(entry, "bytes"));
	}
	present_table(table);
}

void verb_bundle_print(const struct command *command, const struct json *result)
{
	const char *file = json_string(result, "file");

	json_for_each(entry, json_get(result, "skipped")) {
		cleanup_free char *name = escape_text(json_string(entry, NULL));

		progress_warn(command->session.progress, "passed over: %s", name);
	}
	if (json_get(result, "files") && !file) {
		print_files(json_get(result, "files"));
	} else if (json_get(result, "extracted")) {
		json_for_each(entry, json_get(result, "extracted")) {
			cleanup_free char *name = escape_text(json_string(entry, NULL));

			printf("%s\n", name);
		}
	} else {
		cleanup_free char *bytes = present_size(result, "bytes");
		cleanup_free char *name = escape_text(file);

		if (options_has(&command->options, "show-redactions"))
			print_redactions(json_get(result, "redactions"));
		if (!command->quiet)
			fprintf(stderr,
				"%s: %lld files, %s unpacked, secrets hidden in %zu lines\n", name,
				(long long)json_int(result, "files"), bytes,
				json_count(json_get(result, "redactions")));
	}
}
