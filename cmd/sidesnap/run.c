/* sidesnap run: a snapshot booted as a container of its own, with docker run's options. */
#include <string.h>

#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "restoring.h"
#include "run_body.h"
#include "verb.h"

const struct option run_options_table[] = {
	{.name = "name", .type = OPTION_TEXT, .value = "NAME", .help = "name of the container"},
	{.name = "publish",
	 .letter = 'p',
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "[IP:][PORT:]PORT[/PROTOCOL]",
	 .help = "publish a port"},
	{.name = "volume",
	 .letter = 'v',
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "[NAME:|/PATH:]PATH[:ro]",
	 .help = "mount a volume or a folder of the host"},
	{.name = "mount",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "type=...,...",
	 .help = "mount in the long form: type, source, target, readonly, bind-propagation, "
		 "volume-nocopy, volume-subpath, tmpfs-size, tmpfs-mode"},
	{.name = "tmpfs",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "PATH[:OPTIONS]",
	 .help = "mount a tmpfs"},
	{.name = "env",
	 .letter = 'e',
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "NAME[=VALUE]",
	 .help = "a variable; without a value that of this command"},
	{.name = "env-file",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "FILE",
	 .help = "variables, one a line",
	 .completion = COMPLETE_FILES},
	{.name = "network", .type = OPTION_TEXT, .value = "NAME", .help = "network to join"},
	{.name = "network-alias",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "NAME",
	 .help = "a further name in that network"},
	{.name = "ip", .type = OPTION_TEXT, .value = "ADDRESS", .help = "fixed IPv4 address"},
	{.name = "ip6", .type = OPTION_TEXT, .value = "ADDRESS", .help = "fixed IPv6 address"},
	{.name = "hostname", .type = OPTION_TEXT, .value = "NAME", .help = "host name inside"},
	{.name = "add-host",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "NAME:ADDRESS",
	 .help = "a line for /etc/hosts"},
	{.name = "user",
	 .letter = 'u',
	 .type = OPTION_TEXT,
	 .value = "USER[:GROUP]",
	 .help = "user of the service"},
	{.name = "workdir",
	 .letter = 'w',
	 .type = OPTION_PATH,
	 .value = "PATH",
	 .help = "working directory"},
	{.name = "entrypoint",
	 .type = OPTION_TEXT,
	 .value = "COMMAND",
	 .help = "in place of the image's; the data is restored before it all the same"},
	{.name = "init", .help = "an init process that reaps"},
	{.name = "read-only", .help = "a read-only root file system"},
	{.name = "restart",
	 .type = OPTION_TEXT,
	 .value = "POLICY",
	 .help = "no, always, unless-stopped, on-failure[:N]",
	 .completion = COMPLETE_WORDS,
	 .words = "no always unless-stopped on-failure"},
	{.name = "memory",
	 .letter = 'm',
	 .type = OPTION_SIZE,
	 .value = "SIZE",
	 .help = "limit of memory"},
	{.name = "cpus",
	 .type = OPTION_TEXT,
	 .value = "NUMBER",
	 .help = "limit of processors, as 1.5"},
	{.name = "shm-size", .type = OPTION_SIZE, .value = "SIZE", .help = "size of /dev/shm"},
	{.name = "ulimit",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "NAME=SOFT[:HARD]",
	 .help = "a resource limit"},
	{.name = "cap-add",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "NAME",
	 .help = "add a capability"},
	{.name = "cap-drop",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "NAME",
	 .help = "drop a capability"},
	{.name = "security-opt",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "OPTION",
	 .help = "no-new-privileges, label=..., apparmor=..., seccomp=unconfined"},
	{.name = "privileged", .help = "all privileges"},
	{.name = "label",
	 .letter = 'l',
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "NAME[=VALUE]",
	 .help = "a label"},
	{.name = "rm", .help = "remove the container and its anonymous volumes when it ends"},
	{.name = "detach",
	 .letter = 'd',
	 .help = "accepted; a container always stays in the background"},
	RESTORING_FINISH,
	{.name = "timeout",
	 .type = OPTION_SECONDS,
	 .value = "TIME",
	 .otherwise = "10m",
	 .help = "how long it may take to be ready"},
	{0},
};

int verb_run_run(struct command *command, struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *body = run_body(&command->options, err);
	struct run_options options = {
		.reference = verb_argument(command, 0),
		.container = body,
		.name = options_text(&command->options, "name"),
		.timeout_ms = options_milliseconds(&command->options, "timeout", 600000),
		.finish = options_text(&command->options, "finish"),
		.remove_on_exit = options_has(&command->options, "rm"),
	};
	const char *address;

	if (!body)
		return -1;
	if (snapshot_run(&command->session, &options, result, err) < 0)
		return -1;
	progress_end(command->session.progress);
	address = json_string_or(*result, "address", "");
	progress_note(command->session.progress, "%s is ready%s%s; next: %s",
		      json_string_or(*result, "name", "?"), *address ? " at " : "", address,
		      json_string_or(*result, "next", ""));
	return 0;
}

void verb_run_print(const struct command *command, const struct json *result)
{
	cleanup_free char *name = escape_text(json_string(result, "name"));

	(void)command;
	printf("%s\n", name);
}
