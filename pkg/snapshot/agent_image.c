/*
 * The embedded agent. The symbols come from the build, which links the stripped
 * program in as data (Makefile, "agent image").
 */
#include "snapshot/agent_image.h"

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
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#else
#error "name this architecture as OCI images do"
#endif
}
