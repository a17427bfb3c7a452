/* The header of an HTTP answer that libcurl has left to us. */
#ifndef SIDESNAP_ENGINE_HTTP_HEADER_H
#define SIDESNAP_ENGINE_HTTP_HEADER_H

#include <stddef.h>

/*
 * http_header_parse(data, size, body, body_size):
 * The final status of the HTTP/1 answer in those bytes, 100 (Continue) skipped; *body
 * points at what follows its header (chunk sizes and all). 0: there is no whole header (yet).
 */
int http_header_parse(const char *data, size_t size, const char **body, size_t *body_size);

#endif
