/*
 * Docker's multiplexed stream: an 8-byte header (stream, three zeros, size in
 * big endian) before each run of bytes. Parsed in whatever pieces it arrives.
 */
#ifndef SIDESNAP_ENGINE_FRAMES_H
#define SIDESNAP_ENGINE_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define FRAME_HEADER_SIZE 8

enum frame_stream {
	FRAME_STDOUT = 1,
	FRAME_STDERR = 2,
	FRAME_ENGINE = 3, /* the engine's own error text */
};

struct frames {
	uint8_t header[FRAME_HEADER_SIZE];
	size_t header_have;
	int stream;    /* of the present frame */
	uint32_t left; /* bytes of the present frame that are still to come */
};

void frames_init(struct frames *frames);

/*
 * frames_header(frames, data, size, err):
 * Between two frames (left is 0): take header bytes. Returns how many were taken; once
 * the header is whole, stream and left are set (left may be 0: an empty frame).
 * -1: this is no multiplexed stream.
 */
ssize_t frames_header(struct frames *frames, const void *data, size_t size, struct error **err);

#endif
