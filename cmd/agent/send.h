/*
 * Sending the command what is at a place of a snapshot, as the extract job has it.
 */
#ifndef SIDESNAP_AGENT_SEND_H
#define SIDESNAP_AGENT_SEND_H

#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "locate.h"
#include "view.h"

struct send_totals {
	uint64_t files, bytes;
	uint64_t expected_bytes; /* for the progress; 0: not known */
};

/*
 * send_location(view, location, dropped, totals, err):
 * ENTRY, DATA and holes of it and of all below it, volumes over the image. ${dropped}: absolute
 * paths of the image that are none of its own. What was sent is added to ${totals}.
 */
int send_location(const struct snapshot_view *view, const struct location *location,
		  const struct string_list *dropped, struct send_totals *totals,
		  struct error **err);

#endif
