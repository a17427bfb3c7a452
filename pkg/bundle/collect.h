/* What the collectors of a bundle share; nobody outside of this folder includes it. */
#ifndef SIDESNAP_BUNDLE_COLLECT_H
#define SIDESNAP_BUNDLE_COLLECT_H

#include <pthread.h>
#include <stdio.h>

#include "base/redact.h"
#include "bundle/bundle.h"
#include "bundle/redactor.h"
#include "driver/driver.h"
#include "store/hash.h"

/* One container. */
struct service {
	char *name; /* in the bundle: of the compose service, else of the container */
	const char *id;
	struct json *inspect, *image; /* image: may be NULL */
	struct driver_match match;
	struct string_list configs; /* absolute paths of its configuration files... */
	size_t asked; /* ...so many by a label or an option, the others by the driver */
	bool running, paused;
	char *closed; /* why nothing of its own words may be shown; NULL: it may */
};

struct bundle {
	struct session session; /* with an engine of our own, and a cancel flag of our own */
	const struct session *outer;
	const struct bundle_options *options;
	struct secrets *secrets;
	struct service *services;
	size_t service_count;
	char *project;
	struct string_list compose_files; /* paths on this machine */
	int64_t now, since;		  /* seconds since 1970, by the engine's clock */

	struct tar_writer *writer;
	struct error *broken;  /* the archive cannot be written: all is over */
	struct json *manifest; /* {PATH: {"bytes","blake3"}} */
	struct json *files;    /* as in the index: [{"path","bytes"}] */
	struct json *failed, *notes, *redactions, *data;
	struct json *facts;  /* per service, for the index: {NAME: {...}} */
	struct json *events; /* redacted; NULL: none were got */
	struct json *engine; /* for the index: what it is */
	uint64_t bytes;
	size_t redaction_count;
	bool is_listed; /* marks are listed no more */

	/* the time limit of the collector that runs */
	pthread_t clock;
	bool clock_runs;
	pthread_mutex_t lock;
	uint64_t deadline_ms; /* 0: none */
	volatile int stop;    /* the cancel flag: a person, or the time limit */
	volatile int ends;
	bool timed_out;
};

/* ---- archive (output.c) ---- */

/* output_add(bundle, path, data, size): A file that has been redacted, or needs no redaction. */
int output_add(struct bundle *bundle, const char *path, const char *data, size_t size,
	       struct error **err);

/* output_add_spool(bundle, path, spool, is_text, err): All of a file; of text the marks are listed. */
int output_add_spool(struct bundle *bundle, const char *path, FILE *spool, bool is_text,
		     struct error **err);

/* output_json(bundle, path, json, err): Redacted, then added. */
int output_json(struct bundle *bundle, const char *path, const struct json *json,
		struct error **err);

/* output_text(bundle, path, kind, text, size, err): Redacted, then added. */
int output_text(struct bundle *bundle, const char *path, enum redact_kind kind, const char *text,
		size_t size, struct error **err);

/* output_finish(bundle, err): Index, list of what was hidden, checksums, and the end. */
int output_finish(struct bundle *bundle, struct error **err);

/* spool_write(file, data, size, err): A redact_sink, engine_sink and tar_sink for a FILE. */
int spool_write(void *file, const void *data, size_t size, struct error **err);

/* ---- collectors (collect.c): each of these has the time that is allowed ---- */

typedef int collector(struct bundle *bundle, struct service *service, struct error **err);

/*
 * collect_run(bundle, name, service, limit_ms, run, err):
 * What fails is listed, and the next one may go on. -1: a person has interrupted, or the archive cannot be written.
 */
int collect_run(struct bundle *bundle, const char *name, struct service *service, uint64_t limit_ms,
		collector *run, struct error **err);
void collect_start(struct bundle *bundle);
void collect_stop(struct bundle *bundle);

/* collect_note(bundle, ...): Something that is not there, and needs not be. */
void collect_note(struct bundle *bundle, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* service_path(service, file): "services/NAME/FILE", to be freed. */
char *service_path(const struct service *service, const char *file);

/* service_fact(bundle, service): What the index says of it. */
struct json *service_fact(struct bundle *bundle, const struct service *service);

/*
 * container_file(bundle, service, path, limit, text, err):
 * A file, through links, also of a container that does not run. ERROR_NOT_FOUND; ERROR_UNSUPPORTED where it is no
 * file, or larger.
 */
int container_file(struct bundle *bundle, const struct service *service, const char *path,
		   struct buffer *text, struct error **err);

/*
 * container_command(bundle, service, arguments, user, output, err):
 * Run in it; its output, and what it said on stderr, are appended. ERROR_UNSUPPORTED where it does not run.
 */
int container_command(struct bundle *bundle, const struct service *service,
		      const char *const *arguments, struct buffer *output, struct error **err);

/* ---- services.c, learn.c ---- */

int services_find(struct bundle *bundle, struct error **err);
void services_release(struct bundle *bundle);

/* learn_secrets(bundle, err): From everything that names one, before anything is written. */
int learn_secrets(struct bundle *bundle, struct error **err);

/* ---- the collectors ---- */

collector collect_engine, collect_events, collect_networks, collect_compose, collect_stats;
collector collect_inspect, collect_logs, collect_processes, collect_clock, collect_packages,
	collect_source, collect_config, collect_monitor, collect_data;

/* compose_find(bundle): Those that are asked for, else those that the labels name, where they are here. */
void compose_find(struct bundle *bundle);

/* config_find(bundle, service): Add those paths that the driver names. */
void config_find(struct bundle *bundle, struct service *service);

/* index_html(index): The page that a person opens first; to be freed. */
char *index_html(const struct json *index);

#endif
