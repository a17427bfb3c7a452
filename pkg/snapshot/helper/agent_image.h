/* The agent as it is embedded in this program by the build. */
#ifndef SIDESNAP_SNAPSHOT_AGENT_IMAGE_H
#define SIDESNAP_SNAPSHOT_AGENT_IMAGE_H

#include <stddef.h>

/* agent_image(): Its bytes, an ELF executable; agent_image_size() of them. */
const void *agent_image(void);
size_t agent_image_size(void);

/* agent_image_architecture(): As images name it: "amd64", "arm64". */
const char *agent_image_architecture(void);

#endif
