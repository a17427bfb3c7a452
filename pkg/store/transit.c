/*
 * The quickest that zstd has is enough: what counts is the time of packing and of passing on together,
 * and the store compresses once more, and better.
 */
#include "store/transit.h"

#include <stdint.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/memory.h"

#define LEVEL (-1)
/* What shrinks by less than this share goes as it is, and so do this many behind it, untried. */
#define GAIN_SHIFT 3
#define UNTRIED 15

struct transit_packer {
	ZSTD_CCtx *context;
	unsigned untried; /* so many are left */
	uint8_t packed[TRANSIT_BLOCK_MAX];
};

struct transit_unpacker {
	ZSTD_DCtx *context;
	uint8_t block[TRANSIT_BLOCK_MAX];
};

struct transit_packer *transit_packer_new(struct error **err)
{
	struct transit_packer *packer = memory_zalloc(sizeof(*packer));

	packer->context = ZSTD_createCCtx();
	if (packer->context &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel, LEVEL)))
		return packer;
	transit_packer_free(packer);
	error_set(err, ERROR_FAILED, "no memory for compression");
	return NULL;
}

void transit_packer_free(struct transit_packer *packer)
{
	if (!packer)
		return;
	ZSTD_freeCCtx(packer->context);
	free(packer);
}

size_t transit_pack(struct transit_packer *packer, const void *block, size_t size,
		    const void **packed)
{
	size_t result, enough = size - (size >> GAIN_SHIFT);

	if (!size || size > TRANSIT_BLOCK_MAX)
		return 0;
	if (packer->untried) {
		packer->untried--;
		return 0;
	}
	/* Too little room is how the library tells us that it does not shrink. */
	result = ZSTD_compress2(packer->context, packer->packed, enough, block, size);
	if (ZSTD_isError(result)) {
		packer->untried = UNTRIED;
		return 0;
	}
	*packed = packer->packed;
	return result;
}

struct transit_unpacker *transit_unpacker_new(struct error **err)
{
	struct transit_unpacker *unpacker = memory_zalloc(sizeof(*unpacker));

	unpacker->context = ZSTD_createDCtx();
	if (unpacker->context)
		return unpacker;
	transit_unpacker_free(unpacker);
	error_set(err, ERROR_FAILED, "no memory for decompression");
	return NULL;
}

void transit_unpacker_free(struct transit_unpacker *unpacker)
{
	if (!unpacker)
		return;
	ZSTD_freeDCtx(unpacker->context);
	free(unpacker);
}

ssize_t transit_unpack(struct transit_unpacker *unpacker, const void *packed, size_t size,
		       const void **block, struct error **err)
{
	unsigned long long holds = ZSTD_getFrameContentSize(packed, size);
	size_t result;

	/* What is no frame, or does not tell, is larger than any block. */
	if (!holds || holds > TRANSIT_BLOCK_MAX)
		return error_set(err, ERROR_FAILED, "a packed block is none");
	result = ZSTD_decompressDCtx(unpacker->context, unpacker->block, sizeof(unpacker->block),
				     packed, size);
	if (ZSTD_isError(result))
		return error_set(err, ERROR_FAILED, "a packed block is damaged: %s",
				 ZSTD_getErrorName(result));
	if (result != holds)
		return error_set(err, ERROR_FAILED, "a packed block holds more than it says");
	*block = unpacker->block;
	return (ssize_t)result;
}
