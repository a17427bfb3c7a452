/*
 * A support bundle: what somebody far away needs to find a fault in a stack, in one archive, without
 * its secrets. And looking into one.
 */
#ifndef SIDESNAP_BUNDLE_BUNDLE_H
#define SIDESNAP_BUNDLE_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tar.h"
#include "snapshot/session.h"

struct bundle_options {
	bool no_data;			  /* --no-data: without the databases */
	unsigned log_lines;		  /* of each service, the last ones */
	uint64_t since_ms;		  /* logs and events no older than this */
	uint64_t timeout_ms;		  /* of each collector; databases have no limit */
	struct string_list configs;	  /* "SERVICE:PATH" */
	struct string_list compose_files; /* on this machine */
	const char *redact_extra; /* a file of this machine: a value to be hidden a line; NULL */
	enum tar_packing packing;
	tar_sink *output;
	void *context;
};

/*
 * bundle_create(session, options, result, err):
 * {"project","services":[NAME],"files","bytes","data":[{"service","file","bytes"}],
 *  "failed":[{"collector","service","reason"}],"notes":[TEXT],
 *  "redactions":[{"file","line","rule","count"}],"duration_ms"}
 * A collector that fails is no failure of this: it is in "failed". -1: the archive is worth nothing.
 */
int bundle_create(struct session *session, const struct bundle_options *options,
		  struct json **result, struct error **err);

/* What is done with an archive that is there. */
struct bundle_open {
	const char *name; /* one file to ${output}; NULL */
	const char *grep; /* an extended regular expression; NULL */
	const char *
		extract; /* a pattern as of text_match(), whose files go below ${directory}; NULL */
	const char *directory;
	tar_source *input;
	void *input_context;
	/* What people see of --grep: each line that fits. */
	void (*found)(void *context, const char *file, uint64_t number, const char *line);
	tar_sink *output;
	void *context;
};

/*
 * bundle_open_archive(open, result, err):
 * Member by member, as it is read; nothing is kept. {"files":[{"path","bytes"}]} where nothing else
 * is asked for, {"matches":N}, {"extracted":[PATH],"skipped":[PATH]}. Members that are no files, and names
 * that would lead out of the directory, are never made. ERROR_NOT_FOUND: no file of that name, or none fits.
 */
int bundle_open_archive(const struct bundle_open *open, struct json **result, struct error **err);

#endif
