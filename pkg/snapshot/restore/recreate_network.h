/* The networks of a container that is made again. */
#ifndef SIDESNAP_SNAPSHOT_RECREATE_NETWORK_H
#define SIDESNAP_SNAPSHOT_RECREATE_NETWORK_H

#include "snapshot/restore/recreate.h"

/*
 * recreate_networks(source, recreation):
 * The first network, that of NetworkMode, into the body (engines before API 1.44 take
 * only one there), the others into recreation->connect.
 */
void recreate_networks(const struct recreate_source *source, struct recreation *recreation);

#endif
