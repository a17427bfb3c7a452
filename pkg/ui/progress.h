/*
 * What a person sees while it works, on stderr only: one line that is redrawn on
 * a terminal, plain lines otherwise. Never blocks: a stalled terminal loses
 * updates, not time (a target may be frozen meanwhile).
 */
#ifndef SIDESNAP_UI_PROGRESS_H
#define SIDESNAP_UI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

enum verbosity { VERBOSITY_QUIET, VERBOSITY_NORMAL, VERBOSITY_VERBOSE };

struct progress;

/* progress_new(verbosity): For stderr as it is now. Never NULL. */
struct progress *progress_new(enum verbosity verbosity);

enum progress_line { PROGRESS_NOTE, PROGRESS_WARNING, PROGRESS_DETAIL };

/* Where that of one out of several processes goes: who shows it shows that of all. */
struct progress_sink {
	void (*phase)(void *context, const char *text);
	void (*update)(void *context, uint64_t files, uint64_t bytes, uint64_t total);
	void (*line)(void *context, enum progress_line kind, const char *text);
	void *context;
};

/* progress_new_relay(sink): Shows nothing itself. ${sink} is borrowed. Never NULL. */
struct progress *progress_new_relay(const struct progress_sink *sink);

/* progress_line(progress, kind, text): As progress_note(), progress_warn() or progress_detail(). */
void progress_line(struct progress *progress, enum progress_line kind, const char *text);

void progress_free(struct progress *progress); /* ends the line; NULL ok */
CLEANUP_DEFINE(struct progress, progress_free)

/*
 * progress_phase(progress, format, ...): What is being done from now on ("reading 2 volumes"). Nothing
 * new where that is being done already.
 */
void progress_phase(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* progress_end(progress): The work is done: no line is drawn until the next phase. */
void progress_end(struct progress *progress);

/* progress_update(progress, files, bytes, total): Totals of this phase; ${total} 0: not known. */
void progress_update(struct progress *progress, uint64_t files, uint64_t bytes, uint64_t total);

/* progress_note(progress, ...): A line that stays (not with --quiet). */
void progress_note(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* progress_warn(progress, ...): "warning: ..." a line that stays, also with --quiet. */
void progress_warn(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* progress_detail(progress, ...): Only with --verbose. */
void progress_detail(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
