/*
 * The log of one container as lines with their times: put together from what the engine sends, whose
 * messages end in the middle of long lines.
 */
#ifndef SIDESNAP_PROJECT_LOG_SOURCE_H
#define SIDESNAP_PROJECT_LOG_SOURCE_H

#include "base/buffer.h"
#include "engine/engine.h"

#define LOG_TIME_SIZE 40

struct log_source {
	char *id, *name, *project, *service; /* of the container; the last two may be NULL */
	bool raw;			     /* it has a terminal */
	struct log_stream *stream;	     /* NULL: not open */
	struct buffer parts[3];		     /* of each stream, the line that has no end yet */
	bool skips_time[3]; /* of a line that goes on: until the blank behind its time */
	struct buffer head; /* the next line, with its time */
	bool has_head;
	int head_stream;
	char time[LOG_TIME_SIZE]; /* of the last line, as RFC 3339; "" none yet */
	uint64_t empty_since_ms;  /* clock_monotonic_ms(), while there is no head */
	struct buffer waiting;	  /* of a piece, what is behind the head */
	int waiting_stream;
};

void log_source_init(struct log_source *source, const struct json *inspect);
void log_source_release(struct log_source *source);

/*
 * log_source_open(source, engine, options, err): Its lines from now on; ${options}->raw is set by it. Behind
 * what was read already where there was something: nothing comes twice.
 */
int log_source_open(struct log_source *source, struct engine *engine,
		    const struct log_options *options, struct error **err);

/* log_source_fill(source, err): Until there is a head. 1: there is; 0: not yet; 2: the log has ended; -1. */
int log_source_fill(struct log_source *source, struct error **err);

/* log_source_text(source): Of the head, without its time; borrowed until it is dropped. */
const char *log_source_text(const struct log_source *source);

/* log_source_drop(source): The head was used. */
void log_source_drop(struct log_source *source);

#endif
