/*
 * What differs between all trees of two snapshots, as JSON. A volume is the same by the path that it had
 * in its container; the containers' own files are one tree.
 */
#ifndef SIDESNAP_TREE_DIFF_REPORT_H
#define SIDESNAP_TREE_DIFF_REPORT_H

#include "base/error.h"
#include "base/json.h"
#include "tree/diff/diff.h"
#include "tree/manifest.h"

struct diff_report_side {
	const struct manifest *manifest;
	struct store *store;
	/* As of struct diff_side. */
	int (*look)(void *context, const char *path, struct catalog_entry *entry,
		    struct error **err);
	void *look_context;
};

struct diff_report_options {
	bool no_contents; /* as of struct diff_options */
	/*
	 * ${message} is owned by it: {"tree":{...}}, then any number of {"entries":[...]}, then
	 * {"totals":{...}}, for each tree (wire.h). -1 ends it.
	 */
	int (*send)(void *context, struct json *message, struct error **err);
	int (*progress)(void *context, uint64_t records, struct error **err); /* may be NULL */
	void *context;							      /* of both */
};

/*
 * diff_report(from, to, options, totals, err): In ${totals} only records, skipped and read_bytes are
 * summed up.
 */
int diff_report(const struct diff_report_side *from, const struct diff_report_side *to,
		const struct diff_report_options *options, struct diff_totals *totals,
		struct error **err);

#endif
