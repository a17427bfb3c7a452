/* Inflating piece by piece, into a buffer whose limit is that of a bomb. */
#include "base/gzip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"

#define BLOCK_SIZE (64U << 10)
#define GZIP_WINDOW (MAX_WBITS + 16) /* with the header and trailer of gzip, and of nothing else */

struct gunzip {
	z_stream stream;
	bool is_whole; /* at the end of a member; another may follow */
};

bool gzip_is(const void *data, size_t size)
{
	return size >= 2 && memcmp(data, "\x1f\x8b", 2) == 0;
}

struct gunzip *gunzip_new(void)
{
	struct gunzip *gunzip = memory_zalloc(sizeof(*gunzip));

	/* It fails only without memory. */
	if (inflateInit2(&gunzip->stream, GZIP_WINDOW) != Z_OK)
		abort();
	return gunzip;
}

void gunzip_free(struct gunzip *gunzip)
{
	if (!gunzip)
		return;
	inflateEnd(&gunzip->stream);
	free(gunzip);
}

bool gunzip_is_whole(const struct gunzip *gunzip)
{
	return gunzip->is_whole;
}

/* One step; 1: there may be more to tell of what was fed. */
static int step(struct gunzip *gunzip, struct buffer *output, struct error **err)
{
	z_stream *stream = &gunzip->stream;
	uint8_t block[BLOCK_SIZE];
	int code;

	if (gunzip->is_whole)
		inflateReset(stream);
	gunzip->is_whole = false;
	stream->next_out = block;
	stream->avail_out = sizeof(block);
	code = inflate(stream, Z_NO_FLUSH);
	if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
		return error_set(err, ERROR_DAMAGED, "what gzip has compressed is damaged: %s",
				 stream->msg ? stream->msg : "no end");
	gunzip->is_whole = code == Z_STREAM_END;
	if (buffer_append(output, block, sizeof(block) - stream->avail_out) < 0)
		return error_set(err, ERROR_UNSUPPORTED,
				 "what gzip has compressed is larger than %zu bytes",
				 output->limit);
	return stream->avail_in || (!stream->avail_out && !gunzip->is_whole);
}

int gunzip_feed(struct gunzip *gunzip, const void *data, size_t size, struct buffer *output,
		struct error **err)
{
	z_stream *stream = &gunzip->stream;
	int result = size > 0;

	/* zlib counts in unsigned int, and asks for no bytes that can be written */
	stream->next_in = (Bytef *)data;
	stream->avail_in = (uInt)size;
	while (result > 0)
		result = step(gunzip, output, err);
	return result;
}
