/*
 * Just enough of HTTP for what libcurl does not read: the answer of an engine
 * that closed while its request was being sent, and that of a hijacked stream.
 */
#include "engine/http_header.h"

#include <string.h>

int http_header_parse(const char *data, size_t size, const char **body, size_t *body_size)
{
	for (;;) {
		const char *end;
		int status = 0;

		if (size < 12 || memcmp(data, "HTTP/1.", 7) != 0 || data[8] != ' ')
			return 0;
		for (int i = 9; i < 12; i++) {
			if (data[i] < '0' || data[i] > '9')
				return 0;
			status = status * 10 + (data[i] - '0');
		}
		end = memmem(data, size, "\r\n\r\n", 4);
		if (!end)
			return 0;
		size -= (size_t)(end + 4 - data);
		data = end + 4;
		if (status == 100)
			continue;
		*body = data;
		*body_size = size;
		return status;
	}
}
