/*
 * A dump as a file, for servers that read it by themselves when they start, and for tools that
 * want it so.
 */
#ifndef SIDESNAP_AGENT_LOAD_FILE_H
#define SIDESNAP_AGENT_LOAD_FILE_H

#include "base/error.h"
#include "boot.h"
#include "tree/dump.h"

/*
 * load_file_write(boot, path, dump, err):
 * "/.sidesnap/load", for tools that want the service's directory empty, which then is of the user that
 * boot runs as; else below a place that the dump's tree fills, with the owner of the directory that it is in;
 * directories that are missing are made likewise. No link is followed. Synced.
 */
int load_file_write(const struct boot *boot, const char *path, struct dump_reader *dump,
		    struct error **err);

/* load_file_remove(boot, path, err): What is at such a path, with all that is in it; nothing is right, too. */
int load_file_remove(const struct boot *boot, const char *path, struct error **err);

#endif
