/*
 * Capturing and rewriting differ in where trees come from, not in where they go to.
 */
#include "tree/capture/tree_writer.h"

#include <string.h>

#include "base/text.h"

#define PROGRESS_INTERVAL_MS 100

/* Calls with fewer bytes than this look at the clock only once in a while. */
#define PROGRESS_BYTES (64U << 10)
#define PROGRESS_CALLS 32

int tree_writer_open(struct tree_writer *writer, const struct capture_options *options,
		     struct error **err)
{
	struct store_writer_options store = {
		.directory_fd = options->store_fd,
		.known = options->known,
		.compression_level = options->compression_level,
		.workers = options->workers,
		.sink = catalog_writer_sink,
		.permit = options->permit,
		.permit_context = options->permit_context,
	};

	memset(writer, 0, sizeof(*writer));
	writer->options = *options;
	writer->catalog = catalog_writer_new();
	store.sink_context = writer->catalog;
	writer->store = store_writer_open(&store, err);
	if (!writer->store)
		return -1;
	catalog_writer_attach(writer->catalog, writer->store);
	return 0;
}

void tree_writer_release(struct tree_writer *writer)
{
	store_writer_free(writer->store);
	catalog_writer_free(writer->catalog);
}

int tree_writer_progress(struct tree_writer *writer, uint64_t bytes, struct error **err)
{
	const struct capture_options *options = &writer->options;
	uint64_t now;

	writer->bytes += bytes;
	if (!options->progress || (bytes < PROGRESS_BYTES && ++writer->calls % PROGRESS_CALLS))
		return 0;
	now = clock_monotonic_ms();
	if (now < writer->progress_at_ms)
		return 0;
	writer->progress_at_ms = now + PROGRESS_INTERVAL_MS;
	return options->progress(options->progress_context, writer->files, writer->bytes, err);
}

int tree_writer_finish(struct tree_writer *writer, struct pack_info **packs, size_t *count,
		       struct store_writer_totals *totals, struct error **err)
{
	if (store_writer_finish(writer->store, packs, count, err) < 0)
		return -1;
	if (totals)
		store_writer_totals(writer->store, totals);
	return 0;
}
