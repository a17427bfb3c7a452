/*
 * sidesnap-agent: captures and restores from the inside of a container, and is the
 * entrypoint of a snapshot. One static program without network code, since it runs
 * in images that have nothing else.
 */
#include <stdio.h>
#include <string.h>

#include "agent.h"

#ifndef SIDESNAP_VERSION
#define SIDESNAP_VERSION "0"
#endif

static const char help_text[] =
	"usage: sidesnap-agent MODE ...\n"
	"\n"
	"  boot -- COMMAND [ARGUMENT...]  restore the volumes of the snapshot that this\n"
	"                                 container was made from, once, then become COMMAND\n"
	"  helper                         talk to sidesnap over stdin and stdout\n"
	"  pack DIRECTORY STORE [--pages PATTERN]...\n"
	"                                 put a directory into a store; one that is there is\n"
	"                                 added to, with what has changed. Files of a PATTERN\n"
	"                                 are stored by pages of 8 KiB\n"
	"  unpack STORE DIRECTORY [--tree NUMBER] [--replace]\n"
	"                                 take a tree (the first one) out of a store into an\n"
	"                                 empty directory; the store of a snapshot is its\n"
	"                                 directory /.sidesnap; --replace: also into one that\n"
	"                                 is not empty, whose other content is deleted\n"
	"  check STORE                    read every byte of a store and compare its hashes\n"
	"  --version, --help\n"
	"\n"
	"boot reads SIDESNAP_RESTORE: \"keep\" starts on what a volume holds already,\n"
	"\"replace\" throws that away, once.\n"
	"Exit codes: 1 damaged, 2 failed, 3 wrong usage (helper: its owner is gone), 4 not\n"
	"found, 6 refused, 8 no space, 10 unsupported; boot also 126 and 127 when COMMAND\n"
	"cannot be run or is not found.\n";

int agent_report(struct error *error)
{
	int code = ERROR_FAILED;

	if (error) {
		code = (int)error->kind;
		fprintf(stderr, "sidesnap: %s\n", error->message);
		if (error->hint)
			fprintf(stderr, "sidesnap: %s\n", error->hint);
	}
	error_free(error);
	return code;
}

int main(int count, char **arguments)
{
	const char *mode = count > 1 ? arguments[1] : "";

	if (strcmp(mode, "boot") == 0)
		return agent_boot(arguments + 2);
	if (strcmp(mode, "helper") == 0)
		return agent_helper();
	if (strcmp(mode, "pack") == 0)
		return agent_pack(count - 2, arguments + 2);
	if (strcmp(mode, "unpack") == 0)
		return agent_unpack(count - 2, arguments + 2);
	if (strcmp(mode, "check") == 0)
		return agent_check(count - 2, arguments + 2);
	if (strcmp(mode, "--version") == 0) {
		printf("sidesnap-agent %s\n", SIDESNAP_VERSION);
		return 0;
	}
	fputs(help_text, strcmp(mode, "--help") == 0 ? stdout : stderr);
	return strcmp(mode, "--help") == 0 ? 0 : ERROR_USAGE;
}
