/* What reading and verifying share of a store. */
#ifndef SIDESNAP_STORE_READER_PRIVATE_H
#define SIDESNAP_STORE_READER_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "store/frame_cache.h"
#include "store/pack_reader.h"
#include "store/reader.h"

struct store {
	struct pack_reader *packs;
	size_t count;
	struct frame_cache cache;
	uint64_t *filter;     /* a bit for each id, by its second eight bytes */
	uint64_t filter_bits; /* a power of two; 0: no filter */
};

#endif
