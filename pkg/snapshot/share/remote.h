/*
 * Snapshots as a registry has them, without the engine: their labels from the image's configuration,
 * manifest and catalogs from the front of its layers. The digest of the image's manifest, which the
 * registry vouches for or which a person has given, leads to the configuration, that by the label
 * sidesnap.manifest to manifest.json, and that to all packs: each step is checked.
 */
#ifndef SIDESNAP_SNAPSHOT_REMOTE_H
#define SIDESNAP_SNAPSHOT_REMOTE_H

#include "remote/distribution.h"
#include "snapshot/share/front.h"
#include "snapshot/snapshot.h"
#include "store/reader.h"
#include "tree/manifest.h"

/* "registry.example/team/db:monday", taken apart. */
struct remote_name {
	char *repository; /* with its registry, as written */
	char *host;
	char *path;	 /* of the repository at the registry */
	char *reference; /* a tag or a digest; NULL: none was written */
};

/* remote_is_name(text): Whether with --remote it means something at a registry: else it is one of here. */
bool remote_is_name(const char *text);

/* remote_name_parse(text, name, err): ERROR_USAGE where it is none of a registry. The tag is not checked. */
int remote_name_parse(const char *text, struct remote_name *name, struct error **err);
void remote_name_release(struct remote_name *name);

/* remote_client(session, name, options, err): With the credentials for it; to be freed. */
struct client *remote_client(struct session *session, const struct remote_name *name,
			     const struct remote_options *options, struct error **err);

/* remote_labels(image): Of its configuration. */
const struct json *remote_labels(const struct remote_image *image);

/* remote_is_snapshot(image): Whether they say that it is one, and that nothing was built on it. */
bool remote_is_snapshot(const struct remote_image *image);

/* remote_find(client, name, image, err): The image that a name means; ERROR_USAGE where it is no snapshot. */
int remote_find(struct client *client, const struct remote_name *name, struct remote_image *image,
		struct error **err);

/* remote_entry(name, reference, image): As in snapshot_list(), and "digest"; to be freed. */
struct json *remote_entry(const struct remote_name *name, const char *reference,
			  const struct remote_image *image);

/* Fronts of layers that were fetched, so that two snapshots share them. An all-zero one is empty. */
struct remote_fronts {
	struct layer_front *list;
	size_t count;
	bool manifest_only; /* catalogs are not read */
};

void remote_fronts_release(struct remote_fronts *fronts);

/*
 * remote_read_manifest(client, fronts, image, text, err): manifest.json, checked against the label, into
 * an initialised buffer.
 */
int remote_read_manifest(struct client *client, struct remote_fronts *fronts,
			 const struct remote_image *image, struct buffer *text, struct error **err);

/*
 * remote_read_catalogs(client, fronts, image, manifest, err):
 * A store of its packs of catalogs alone, in memory. ERROR_UNSUPPORTED: they are not to be had so.
 */
struct store *remote_read_catalogs(struct client *client, struct remote_fronts *fronts,
				   const struct remote_image *image,
				   const struct manifest *manifest, struct error **err);

#endif
