/*
 * The helper's own root: the store in it, and the agent's file.
 */
#ifndef SIDESNAP_AGENT_LAYER_H
#define SIDESNAP_AGENT_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "store/hash.h"
#include "store/writer.h"

/*
 * layer_open_store(root_fd, make, err):
 * /.sidesnap below ${root_fd}: a real directory of root's that others cannot write, else
 * ERROR_REFUSED. Where it is absent it is made with ${make}, else ERROR_NOT_FOUND.
 */
int layer_open_store(int root_fd, bool make, struct error **err);

/*
 * How much of the engine's disk is left alone. What was written is needed again while
 * commit copies it.
 */
struct layer_reserve {
	int root_fd;
	uint64_t min_free, written; /* bytes: to stay free, and written so far */
};

/* layer_reserve_init(reserve, root_fd, job, err): By the job's "min_free", or the larger of 1 GiB and 5 %. */
int layer_reserve_init(struct layer_reserve *reserve, int root_fd, const struct json *job,
		       struct error **err);

/* A store_permit whose context is a struct layer_reserve: ERROR_NO_SPACE. One thread at a time. */
store_permit layer_reserve_permit;

/* layer_free_space(root_fd, bytes, size, err): What may still be written there; of all in *size (may be NULL). */
int layer_free_space(int root_fd, uint64_t *bytes, uint64_t *size, struct error **err);

/*
 * layer_install_agent(root_fd, store_fd, agent_path, hash, err):
 * Make the injected copy at ${agent_path} ("/RANDOM/agent") the store's agent unless that is
 * the same already, and remove it and its directory. *hash is the agent's.
 */
int layer_install_agent(int root_fd, int store_fd, const char *agent_path, struct hash *hash,
			struct error **err);

/* layer_hash_file(directory_fd, name, hash, err): A regular file's. */
int layer_hash_file(int directory_fd, const char *name, struct hash *hash, struct error **err);

#endif
