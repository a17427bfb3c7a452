/*
 * Content-defined boundaries (FastCDC, normalised): the same bytes are cut at
 * the same places wherever they stand in a stream, so that an insertion changes
 * the chunks around it and no others.
 *
 * Boundaries are no part of the pack format, but a change of them makes every
 * stored chunk useless for the next snapshot: FORMAT.md fixes them too.
 */
#ifndef SIDESNAP_STORE_CHUNKER_H
#define SIDESNAP_STORE_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

struct chunker {
	uint64_t gear[256];
	uint64_t hash;	 /* of the bytes searched so far */
	size_t position; /* bytes of the current chunk that need no second look */
	unsigned shift;	 /* sizes are those of format.h divided by two to this power */
};

/* chunker_init(chunker): Make the gear table; ready for a stream's first chunk. */
void chunker_init(struct chunker *chunker);

/*
 * chunker_reset(chunker, shift): The next bytes begin a new chunk of a new stream, all of
 * whose sizes are divided by two to the power of ${shift} (at most 4).
 */
void chunker_reset(struct chunker *chunker, unsigned shift);

/*
 * chunker_next(chunker, data, size):
 * ${data} is the current chunk from its first byte, as far as it is known. Returns
 * its length when a boundary is within ${size} bytes, the chunker then stands at
 * the next chunk; 0 when more bytes are needed: call again with the same bytes
 * and more behind them (at another address if you like).
 */
size_t chunker_next(struct chunker *chunker, const uint8_t *data, size_t size);

#endif
