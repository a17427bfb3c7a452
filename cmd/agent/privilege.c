/*
 * Whoever can run the agent's file in a container gets its capabilities as permitted.
 * So they are worth something only at a moment that a service cannot bring about:
 * the start of the container's first process.
 */
#include "privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"

#define FIRST_SECONDS_MAX 30.0 /* a first process older than that has been something else before */
#define CHILD_SECONDS_MAX 2.0  /* between the start of an init and that of its child */
#define CAPABILITY_COUNT 64

struct capabilities {
	uint64_t effective, permitted, inheritable;
};

static int get_capabilities(struct capabilities *capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	memset(data, 0, sizeof(data));
	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	capabilities->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	capabilities->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	capabilities->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

static int set_capabilities(const struct capabilities *capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)capabilities->effective, (uint32_t)capabilities->permitted,
		 (uint32_t)capabilities->inheritable},
		{(uint32_t)(capabilities->effective >> 32),
		 (uint32_t)(capabilities->permitted >> 32),
		 (uint32_t)(capabilities->inheritable >> 32)},
	};

	return (int)syscall(SYS_capset, &header, data);
}

static uint64_t ambient_capabilities(void)
{
	uint64_t set = 0;

	for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			set |= 1ULL << i;
	}
	return set;
}

/* Start time of a process in clock ticks since the machine's; 0: unknown. */
static double start_seconds(const char *pid)
{
	cleanup_free char *path = memory_printf("/proc/%s/stat", pid);
	cleanup_error struct error *ignored = NULL;
	struct buffer buffer;
	double result = 0;
	char *text;

	buffer_init(&buffer, 65536);
	if (io_read_file(AT_FDCWD, path, &buffer, &ignored) == 0 &&
	    (text = strrchr(buffer.data, ')'))) {
		for (int i = 0; text && i < 20; i++)
			text = strchr(text + 1, ' ');
		if (text)
			result =
				(double)strtoull(text + 1, NULL, 10) / (double)sysconf(_SC_CLK_TCK);
	}
	buffer_release(&buffer);
	return result;
}

static bool started_just_now(void)
{
	struct timespec now;
	double start = start_seconds("self");

	/* Without /proc nothing tells; then being process 1 has to do. */
	if (start == 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
		return true;
	return (double)now.tv_sec - start < FIRST_SECONDS_MAX;
}

/* Whether the command line of process 1 ends with: boot -- ARGUMENTS. */
static bool init_runs(char **arguments)
{
	cleanup_error struct error *ignored = NULL;
	struct buffer line, tail;
	bool result;

	buffer_init(&line, 8U << 20);
	buffer_init(&tail, 8U << 20);
	buffer_append(&tail, "boot\0--", sizeof("boot\0--"));
	for (; *arguments; arguments++)
		buffer_append(&tail, *arguments, strlen(*arguments) + 1);
	result = io_read_file(AT_FDCWD, "/proc/1/cmdline", &line, &ignored) == 0 && !tail.failed &&
		 line.size > tail.size &&
		 memcmp(line.data + line.size - tail.size, tail.data, tail.size) == 0;
	buffer_release(&line);
	buffer_release(&tail);
	return result;
}

static bool is_first_process(char **arguments)
{
	double init, self;

	if (getpid() == 1)
		return started_just_now();
	if (getppid() != 1 || !init_runs(arguments))
		return false;
	init = start_seconds("1");
	self = start_seconds("self");
	return init > 0 && self >= init && self - init <= CHILD_SECONDS_MAX && started_just_now();
}

void privilege_begin(struct privilege *privilege, char **arguments)
{
	struct capabilities capabilities;

	memset(privilege, 0, sizeof(*privilege));
	if (geteuid() != 0 && get_capabilities(&capabilities) == 0)
		privilege->gained = capabilities.permitted & ~ambient_capabilities();
	privilege->may_act = true;
	if (!privilege->gained)
		return;
	privilege->is_first = privilege->may_act = is_first_process(arguments);
	if (privilege->is_first) {
		privilege_resume(privilege);
		return;
	}
	if (privilege_end(privilege, NULL) < 0)
		_exit(ERROR_FAILED);
	privilege->gained = 0;
}

static void switch_effective(const struct privilege *privilege, bool on)
{
	struct capabilities capabilities;

	if (!privilege->gained || get_capabilities(&capabilities) < 0)
		return;
	if (on)
		capabilities.effective |= privilege->gained;
	else
		capabilities.effective &= ~privilege->gained;
	(void)set_capabilities(&capabilities);
}

void privilege_pause(const struct privilege *privilege)
{
	switch_effective(privilege, false);
}

void privilege_resume(const struct privilege *privilege)
{
	switch_effective(privilege, true);
}

int privilege_end(const struct privilege *privilege, struct error **err)
{
	struct capabilities capabilities;

	if (!privilege->gained)
		return 0;
	if (get_capabilities(&capabilities) < 0)
		return error_set_errno(err, errno, "cannot examine the capabilities");
	capabilities.permitted &= ~privilege->gained;
	capabilities.effective &= capabilities.permitted;
	if (set_capabilities(&capabilities) < 0)
		return error_set_errno(err, errno, "cannot drop the capabilities of the restore");
	if (get_capabilities(&capabilities) < 0 ||
	    ((capabilities.permitted | capabilities.effective) & privilege->gained))
		return error_set(err, ERROR_FAILED, "cannot drop the capabilities of the restore");
	return 0;
}

static char *advice_for(const struct privilege *privilege)
{
	if (geteuid() == 0)
		return memory_strdup(
			"give the container the capabilities CHOWN, DAC_OVERRIDE, FOWNER, "
			"FSETID, MKNOD and SETFCAP for its start (--cap-add; compose: "
			"cap_add)");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return memory_printf("the restore runs as user %u without more rights because of "
				     "no-new-privileges; start once without that option, or with "
				     "--user 0",
				     (unsigned)geteuid());
	if (prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0) == 0 ||
	    prctl(PR_CAPBSET_READ, CAP_DAC_OVERRIDE, 0, 0, 0) == 0)
		return memory_printf(
			"the restore runs as user %u and --cap-drop (compose: cap_drop) "
			"took its rights; leave CHOWN, DAC_OVERRIDE, FOWNER, FSETID, "
			"MKNOD and SETFCAP for the first start",
			(unsigned)geteuid());
	if (privilege->gained)
		return memory_strdup(
			"give the container the capabilities CHOWN, DAC_OVERRIDE, FOWNER, "
			"FSETID, MKNOD and SETFCAP for its start");
	return memory_printf("the restore runs as user %u without more rights; start once with "
			     "--user 0, and with a process namespace of the container's own",
			     (unsigned)geteuid());
}

void privilege_explain(const struct privilege *privilege, struct error **err)
{
	cleanup_free char *advice = NULL;

	if (!err || !*err ||
	    (!strstr((*err)->message, strerror(EPERM)) &&
	     !strstr((*err)->message, strerror(EACCES))))
		return;
	advice = advice_for(privilege);
	error_hint(err, "%s", advice);
}
