/*
 * The embedded agent. The symbols come from the build, which links the stripped
 * program in as data (Makefile, "agent image").
 */
#include "snapshot/helper/agent_image.h"

#include "tree/manifest.h"

extern const unsigned char agent_image_start[], agent_image_end[];

const void *agent_image(void)
{
	return agent_image_start;
}

size_t agent_image_size(void)
{
	return (size_t)(agent_image_end - agent_image_start);
}

const char *agent_image_architecture(void)
{
	return MANIFEST_ARCHITECTURE;
}
