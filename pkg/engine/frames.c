/* The frames of attach, exec and logs; strict, since what follows a wrong size is noise. */
#include "engine/frames.h"

#include <string.h>

void frames_init(struct frames *frames)
{
	memset(frames, 0, sizeof(*frames));
}

ssize_t frames_header(struct frames *frames, const void *data, size_t size, struct error **err)
{
	size_t take = FRAME_HEADER_SIZE - frames->header_have;
	const uint8_t *header = frames->header;

	if (take > size)
		take = size;
	memcpy(frames->header + frames->header_have, data, take);
	frames->header_have += take;
	if (frames->header_have < FRAME_HEADER_SIZE)
		return (ssize_t)take;
	frames->header_have = 0;
	if (header[0] > FRAME_ENGINE || header[1] || header[2] || header[3])
		return error_set(err, ERROR_ENGINE,
				 "the stream from the engine is not multiplexed (has the container "
				 "a terminal?)");
	/* 0 is stdin, which an engine may echo; nothing of ours tells it from stdout. */
	frames->stream = header[0] ? header[0] : FRAME_STDOUT;
	frames->left = (uint32_t)header[4] << 24 | (uint32_t)header[5] << 16 |
		       (uint32_t)header[6] << 8 | header[7];
	return (ssize_t)take;
}
