/*
 * Blocks of a stream on their way between two of our processes, through an engine that copies every
 * byte several times: quickly compressed they cost less of the processor than it takes to pass them on.
 * A packed block is one zstd frame that says how much it holds.
 */
#ifndef SIDESNAP_STORE_TRANSIT_H
#define SIDESNAP_STORE_TRANSIT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"

#define TRANSIT_BLOCK_MAX (256U << 10) /* bytes of a block before it is packed */

struct transit_packer;

/* transit_packer_new(err): To be freed; NULL: no memory. */
struct transit_packer *transit_packer_new(struct error **err);
void transit_packer_free(struct transit_packer *packer); /* NULL ok */
CLEANUP_DEFINE(struct transit_packer, transit_packer_free)

/*
 * transit_pack(packer, block, size, packed):
 * Pack a block of up to TRANSIT_BLOCK_MAX bytes: how many *packed has, which is valid until the next
 * call. 0: send it as it is, for it does not shrink, or those before it did not.
 */
size_t transit_pack(struct transit_packer *packer, const void *block, size_t size,
		    const void **packed);

struct transit_unpacker;

/* transit_unpacker_new(err): To be freed; NULL: no memory. */
struct transit_unpacker *transit_unpacker_new(struct error **err);
void transit_unpacker_free(struct transit_unpacker *unpacker); /* NULL ok */
CLEANUP_DEFINE(struct transit_unpacker, transit_unpacker_free)

/*
 * transit_unpack(unpacker, packed, size, block, err):
 * The block in what transit_pack() made: how many bytes *block has, valid until the next call.
 * ERROR_FAILED: it is no such thing.
 */
ssize_t transit_unpack(struct transit_unpacker *unpacker, const void *packed, size_t size,
		       const void **block, struct error **err);

#endif
