/*
 * sidesnap shell: the database's own client, of the version of its server, in a container beside it.
 */
#include <string.h>

#include "base/memory.h"
#include "driver/driver.h"
#include "project/interactive.h"
#include "project/project.h"
#include "snapshot/target.h"

static int no_client(const struct target *target, struct error **err)
{
	return error_hint(err, "a program in the container itself is run by: docker exec -it %s sh",
			  target->name);
}

/* An anonymous volume for every VOLUME of the image would be made, and filled. */
static void cover_volumes(const struct json *image, struct json *host)
{
	struct json *covers = json_set_object(host, "Tmpfs");

	json_for_each(volume, json_path(image, "Config", "Volumes"))
		json_set_string(covers, json_key(volume), "");
}

static struct json *client_body(const struct target *target, const struct json *image,
				const struct string_list *environment,
				const struct string_list *words)
{
	struct json *body = json_new_object(), *host = json_set_object(body, "HostConfig"), *list;
	const char *mode = json_string(json_get(target->inspect, "HostConfig"), "UsernsMode");
	cleanup_free char *network = memory_printf("container:%s", target->id);

	list = json_set_array(body, "Entrypoint");
	for (size_t i = 0; i < words->count; i++)
		json_add_string(list, words->items[i]);
	json_set_array(body, "Cmd");
	list = json_set_array(body, "Env");
	for (size_t i = 0; i < environment->count; i++)
		json_add_string(list, environment->items[i]);
	json_set_string(host, "NetworkMode", network);
	json_add_string(json_set_array(host, "SecurityOpt"), "no-new-privileges");
	if (mode && *mode)
		json_set_string(host, "UsernsMode", mode);
	cover_volumes(image, host);
	return body;
}

static int run_client(struct session *session, const struct shell_options *options,
		      const struct target *target, int *exit_code, struct error **err)
{
	CLEANUP(driver_match_release) struct driver_match match = {0};
	CLEANUP(string_list_release) struct string_list words, environment;
	CLEANUP(cleanup_json_free) struct json *image = NULL, *body = NULL;
	CLEANUP(cleanup_interactive_free) struct interactive *interactive = NULL;

	string_list_init(&words);
	string_list_init(&environment);
	image = image_inspect(session->engine, target->image_id, err);
	if (!image)
		return error_prefix(err, "the image of \"%s\"", target->name);
	if (driver_detect(session->engine, target->inspect, image, &match, err) < 0)
		return -1;
	if (driver_shell(session->engine, target->id, &match, &words, &environment, err) < 0) {
		error_prefix(err, "\"%s\"", target->name);
		return err && *err && (*err)->kind == ERROR_UNSUPPORTED ? no_client(target, err)
									: -1;
	}
	if (options->terminal)
		string_list_add(&environment, options->terminal);
	string_list_add_all(&words, options->arguments);
	body = client_body(target, image, &environment, &words);
	interactive = interactive_new(session, image, NULL);
	if (interactive_create(interactive, body, NULL, err) < 0)
		return -1;
	if (interactive_run(interactive, exit_code, err) == 0)
		return 0;
	return err && *err && (*err)->kind == ERROR_UNSUPPORTED ? no_client(target, err) : -1;
}

int project_shell(struct session *session, const struct shell_options *options, int *exit_code,
		  struct error **err)
{
	CLEANUP(target_release) struct target target = {0};

	if (target_find(session, options->target, &target, err) < 0)
		return -1;
	if (!target.running || target.paused || target.restarting) {
		error_set(err, ERROR_FAILED, "\"%s\" does not run", target.name);
		return error_hint(err,
				  "start it (sidesnap up), or see why it does not: sidesnap logs "
				  "%s, sidesnap debug %s",
				  target.name, target.name);
	}
	return run_client(session, options, &target, exit_code, err);
}
