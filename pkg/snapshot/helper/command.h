/*
 * What a snapshot runs and knows: the container's effective command behind boot,
 * and which of its variables go with it.
 */
#ifndef SIDESNAP_SNAPSHOT_COMMAND_H
#define SIDESNAP_SNAPSHOT_COMMAND_H

#include "base/json.h"
#include "base/text.h"
#include "driver/driver.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

/*
 * command_entrypoint(config): The Entrypoint array for the image: ["/.sidesnap/agent","boot","--"]
 * and then that of ${config}, whose own boot prefix is dropped first. To be freed.
 */
struct json *command_entrypoint(const struct json *config);

/* command_strip_boot(entrypoint): A copy without our prefix; an empty array for NULL. To be freed. */
struct json *command_strip_boot(const struct json *entrypoint);

/*
 * command_check(target, image, options, err):
 * ERROR_REFUSED when a word of the container's command or health check, that is not the image's own, looks like a
 * secret; the hint gives the ways on. Nothing with --image-command.
 */
int command_check(const struct target *target, const struct json *image,
		  const struct create_options *options, struct error **err);

/*
 * command_environment(target, image, options, driver, kept, omitted):
 * ${kept}: "NAME=value" of those run-time variables that the driver names as state or the person asked
 * for, of the image, and those that the driver makes; ${omitted}: names of the others.
 */
void command_environment(const struct target *target, const struct json *image,
			 const struct create_options *options, const struct driver_match *driver,
			 struct string_list *kept, struct string_list *omitted);

/*
 * command_find_secret(previous, word):
 * The same, also within a word that is a line for a shell. The name that gives it away,
 * without the secret, to be freed; NULL: none.
 */
char *command_find_secret(const char *previous, const char *word);

/* command_word_is_secret(previous, word): Whether a word (after ${previous}, or "") looks like a secret. */
bool command_word_is_secret(const char *previous, const char *word);

#endif
