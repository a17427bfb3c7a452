/*
 * The boundary search runs over every byte in the one feeding thread, so its
 * inner loop is what bounds a machine with many cores: one shift, one add, one
 * compare a byte, and the first CHUNK_SIZE_MIN bytes of a chunk are skipped.
 */
#include "store/chunker.h"

#include "store/format.h"

/*
 * A boundary is where the topmost bits of the rolling hash are zero: 18 of them
 * before the normal size, 14 behind it (2^16 two steps up and down), which gathers
 * the sizes around the normal one. The top bits see the last 64 bytes. Half the size is
 * one bit less.
 */
#define STRICT_BITS 18
#define LOOSE_BITS 14

/* SplitMix64 from the bytes "sidesnap": any fixed random numbers would do. */
void chunker_init(struct chunker *chunker)
{
	uint64_t state = 0x73696465736e6170ULL;

	for (size_t i = 0; i < 256; i++) {
		uint64_t value;

		state += 0x9e3779b97f4a7c15ULL;
		value = state;
		value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
		value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
		chunker->gear[i] = value ^ (value >> 31);
	}
	chunker_reset(chunker, 0);
}

void chunker_reset(struct chunker *chunker, unsigned shift)
{
	chunker->hash = 0;
	chunker->shift = shift;
	chunker->position = CHUNK_SIZE_MIN >> shift;
}

/* The position behind the first boundary in [position, end), or 0. */
static size_t search(struct chunker *chunker, const uint8_t *data, size_t end, uint64_t limit)
{
	const uint64_t *gear = chunker->gear;
	uint64_t hash = chunker->hash;
	size_t position = chunker->position;

	while (position + 4 <= end) {
		hash = (hash << 1) + gear[data[position]];
		if (hash < limit)
			return position + 1;
		hash = (hash << 1) + gear[data[position + 1]];
		if (hash < limit)
			return position + 2;
		hash = (hash << 1) + gear[data[position + 2]];
		if (hash < limit)
			return position + 3;
		hash = (hash << 1) + gear[data[position + 3]];
		if (hash < limit)
			return position + 4;
		position += 4;
	}
	for (; position < end; position++) {
		hash = (hash << 1) + gear[data[position]];
		if (hash < limit)
			return position + 1;
	}
	chunker->hash = hash;
	chunker->position = position;
	return 0;
}

size_t chunker_next(struct chunker *chunker, const uint8_t *data, size_t size)
{
	const unsigned shift = chunker->shift;
	const size_t normal = CHUNK_SIZE_NORMAL >> shift, most = CHUNK_SIZE_MAX >> shift;
	size_t cut = 0;

	if (chunker->position < normal && size > chunker->position)
		cut = search(chunker, data, size < normal ? size : normal,
			     1ULL << (64 - STRICT_BITS + shift));
	if (!cut && size > normal)
		cut = search(chunker, data, size < most ? size : most,
			     1ULL << (64 - LOOSE_BITS + shift));
	if (!cut && size >= most)
		cut = most;
	if (cut)
		chunker_reset(chunker, shift);
	return cut;
}
