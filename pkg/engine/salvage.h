/* An answer that is found in the socket after sending the request failed. */
#ifndef SIDESNAP_ENGINE_SALVAGE_H
#define SIDESNAP_ENGINE_SALVAGE_H

#include <stddef.h>

/*
 * salvage_parse(data, size, body, body_size):
 * The final status of the HTTP/1 answer in those bytes, 100 (Continue) skipped; *body
 * points at what follows its header (chunk sizes and all). 0: there is no whole header.
 */
int salvage_parse(const char *data, size_t size, const char **body, size_t *body_size);

#endif
