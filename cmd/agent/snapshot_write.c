/*
 * The manifest is what makes a snapshot of what was written, so it comes last.
 */
#include "snapshot_write.h"

#include <errno.h>
#include <unistd.h>

#include "job.h"

#define COMPRESSION_MAX 22
#define WORKERS_MAX 256

int snapshot_options(struct capture_options *options, const struct snapshot_view *base,
		     struct layer_reserve *reserve, const struct json *job, struct error **err)
{
	uint64_t level = 0, workers = 0;

	if (job_uint(job, "compression", COMPRESSION_MAX, &level, err) < 0 ||
	    job_uint(job, "workers", WORKERS_MAX, &workers, err) < 0 ||
	    layer_reserve_init(reserve, base->root_fd, job, err) < 0 ||
	    layer_reserve_permit(reserve, 0, err) < 0)
		return -1;
	options->store_fd = base->store_fd;
	options->known = base->store;
	options->compression_level = (int)level;
	options->workers = (unsigned)workers;
	options->permit = layer_reserve_permit;
	options->permit_context = reserve;
	return 0;
}

int snapshot_complete(const struct snapshot_view *base, struct manifest *manifest,
		      const struct pack_info *packs, size_t count, const struct json *job,
		      struct error **err)
{
	manifest_add_packs(manifest, base->manifest.packs, base->manifest.pack_count);
	manifest_add_packs(manifest, packs, count);
	return layer_install_agent(base->root_fd, base->store_fd, json_string(job, "agent_path"),
				   &manifest->agent, err);
}

int snapshot_write(const struct snapshot_view *base, const struct manifest *manifest,
		   struct hash *hash, struct error **err)
{
	if (manifest_write(manifest, base->store_fd, hash, err) < 0)
		return -1;
	return syncfs(base->root_fd) < 0
		       ? error_set_errno(err, errno, "cannot sync the helper's layer")
		       : 0;
}

static void describe_tree(struct json *trees, const struct tree_record *record)
{
	struct json *tree = json_add_object(trees);
	char digits[HASH_HEX_SIZE];

	hash_format(&record->hash, digits);
	json_set_string(tree, "hash", digits);
	json_set_int(tree, "entries", (int64_t)record->entries);
	json_set_int(tree, "bytes", (int64_t)record->bytes);
}

struct json *snapshot_describe(const struct manifest *manifest, const struct hash *hash,
			       const struct store_writer_totals *totals,
			       const struct own_totals *own)
{
	struct json *done = json_new_object(), *list;
	char digits[HASH_HEX_SIZE];

	hash_format(hash, digits);
	json_set_string(done, "manifest", digits);
	list = json_set_array(done, "trees");
	for (size_t i = 0; i < manifest->tree_count; i++)
		describe_tree(list, &manifest->trees[i]);
	json_set_int(done, "raw_bytes", (int64_t)totals->raw_bytes);
	json_set_int(done, "new_bytes", (int64_t)totals->new_bytes);
	json_set_int(done, "stored_bytes", (int64_t)totals->stored_bytes);
	list = json_set_object(done, "own");
	json_set_int(list, "files", (int64_t)own->files);
	json_set_int(list, "bytes", (int64_t)own->bytes);
	json_set_int(list, "deleted", (int64_t)own->deleted);
	return done;
}
