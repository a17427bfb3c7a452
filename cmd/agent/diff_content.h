/* The part of the diff job that looks into one file. */
#ifndef SIDESNAP_AGENT_DIFF_CONTENT_H
#define SIDESNAP_AGENT_DIFF_CONTENT_H

#include "base/error.h"
#include "base/text.h"
#include "view.h"

/*
 * diff_content_send(from, to, path, dropped, err):
 * What differs in the file at ${path}: both whole where they are text of a bearable size, else
 * the ranges that differ. As wire.h has it.
 */
int diff_content_send(const struct snapshot_view *from, const struct snapshot_view *to,
		      const char *path, const struct string_list *dropped, struct error **err);

#endif
