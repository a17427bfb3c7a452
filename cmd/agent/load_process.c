/*
 * What runs beside boot runs without the rights that boot has for the restore alone: they are
 * dropped in the child, before its program begins.
 */
#include "load_process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "execute.h"

#define GROUPS_MAX 256
#define REST_MS 20
#define CHILDREN_MAX 8

/* Who is waited for; all others that end are orphans, which nobody asks about. */
static struct load_process *children[CHILDREN_MAX];

static volatile sig_atomic_t stopped_by;
static struct {
	int number;
	struct sigaction before;
} caught[4];
static size_t caught_count;

static void note_signal(int number)
{
	stopped_by = number;
}

static void ignore_signal(int number)
{
	(void)number;
}

/* Caught rather than ignored: what is caught is as by default in a program that is begun. */
static void catch (int number, void (*handler)(int))
{
	struct sigaction action;

	for (size_t i = 0; i < caught_count; i++)
		if (caught[i].number == number)
			return;
	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	sigemptyset(&action.sa_mask);
	caught[caught_count].number = number;
	if (number > 0 && sigaction(number, &action, &caught[caught_count].before) == 0)
		caught_count++;
}

void load_process_open(int stop_signal)
{
	stopped_by = 0;
	caught_count = 0;
	catch (SIGTERM, note_signal);
	catch (SIGINT, note_signal);
	catch (SIGPIPE, ignore_signal);
	catch (stop_signal, note_signal);
}

void load_process_close(void)
{
	while (caught_count) {
		caught_count--;
		(void)sigaction(caught[caught_count].number, &caught[caught_count].before, NULL);
	}
}

int load_process_signal(void)
{
	return stopped_by;
}

/* ---- who it runs as ---- */

struct identity {
	bool is_given;
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	int group_count;
	char home[256];
};

static int find_group(const char *name, gid_t *gid)
{
	const struct group *group = getgrnam(name);
	uint64_t number;

	if (group)
		*gid = group->gr_gid;
	else if (text_parse_uint(name, UINT32_MAX - 1, &number))
		*gid = (gid_t)number;
	else
		return -1;
	return 0;
}

/* By the container's own /etc/passwd, as an exec into it would. */
static int find_user(const char *text, struct identity *identity, struct error **err)
{
	size_t size = text ? strcspn(text, ":") : 0;
	cleanup_free char *name = memory_strndup(text_or(text, ""), size);
	const struct passwd *user;
	uint64_t number;

	memset(identity, 0, sizeof(*identity));
	if (!size)
		return 0;
	identity->is_given = true;
	user = getpwnam(name);
	if (!user && text_parse_uint(name, UINT32_MAX - 1, &number)) {
		user = getpwuid((uid_t)number);
		identity->uid = (uid_t)number;
	} else if (!user) {
		return error_set(err, ERROR_NOT_FOUND, "there is no user \"%s\"", name);
	}
	identity->group_count = GROUPS_MAX;
	if (user) {
		identity->uid = user->pw_uid;
		identity->gid = user->pw_gid;
		snprintf(identity->home, sizeof(identity->home), "%s", text_or(user->pw_dir, ""));
		if (getgrouplist(user->pw_name, user->pw_gid, identity->groups,
				 &identity->group_count) < 0)
			identity->group_count = 0;
	} else {
		identity->group_count = 0;
	}
	if (text[size] && find_group(text + size + 1, &identity->gid) < 0)
		return error_set(err, ERROR_NOT_FOUND, "there is no group \"%s\"", text + size + 1);
	return 0;
}

static int become(const struct identity *identity)
{
	if (!identity->is_given ||
	    (geteuid() == identity->uid && getegid() == identity->gid && geteuid() != 0))
		return 0;
	if (setgroups((size_t)identity->group_count, identity->groups) < 0 ||
	    setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
	    setresuid(identity->uid, identity->uid, identity->uid) < 0)
		return -1;
	return 0;
}

/* ---- a child's begin ---- */

/* Why there is no program goes through a pipe that closes where there is one. */
static void run_child(const struct load_program *program, const struct identity *identity,
		      int report)
{
	const int fds[3] = {program->input, program->output, program->errors};
	int number = 0;

	for (size_t i = 0; i < caught_count; i++)
		(void)signal(caught[i].number, SIG_DFL);
	if (program->leads)
		(void)setsid();
	for (int i = 0; i < 3; i++)
		if (fds[i] != i && dup2(fds[i], i) < 0)
			_exit(126);
	if (become(identity) < 0 || privilege_end(program->privilege, NULL) < 0)
		number = errno ? errno : EPERM;
	if (!number) {
		environ = program->environment;
		if (identity->home[0])
			setenv("HOME", identity->home, 1);
		number = execute_quietly(program->arguments);
	}
	(void)io_write_full(report, &number, sizeof(number));
	_exit(126);
}

static int read_report(int fd)
{
	int number = 0;

	return io_read_full(fd, &number, sizeof(number)) == sizeof(number) ? number : 0;
}

static void remember(struct load_process *process)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		if (children[i] && children[i] != process)
			continue;
		children[i] = process;
		return;
	}
}

static void forget(struct load_process *process)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (children[i] == process)
			children[i] = NULL;
}

int load_process_start(struct load_process *process, const struct load_program *program,
		       struct error **err)
{
	struct identity identity;
	int report[2], number;

	memset(process, 0, sizeof(*process));
	if (find_user(program->user, &identity, err) < 0)
		return -1;
	if (pipe2(report, O_CLOEXEC) < 0)
		return error_set_errno(err, errno, "cannot make a pipe");
	process->pid = fork();
	if (process->pid == 0) {
		close(report[0]);
		run_child(program, &identity, report[1]);
	}
	number = errno;
	close(report[1]);
	if (process->pid < 0) {
		close(report[0]);
		process->pid = 0;
		return error_set_errno(err, number, "cannot start a process");
	}
	remember(process);
	number = read_report(report[0]);
	close(report[0]);
	if (!number)
		return 0;
	load_process_kill(process);
	error_set_errno(err, number, "cannot run \"%s\"%s%s", program->arguments[0],
			program->user ? " as " : "", text_or(program->user, ""));
	if (err)
		(*err)->kind =
			number == ENOENT || number == ENOTDIR ? ERROR_NOT_FOUND : ERROR_REFUSED;
	return -1;
}

bool load_process_look(struct load_process *process)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < CHILDREN_MAX; i++) {
			if (!children[i] || children[i]->pid != pid)
				continue;
			children[i]->has_ended = true;
			children[i]->status = status;
			children[i] = NULL;
			break;
		}
	}
	return process->has_ended;
}

void load_process_kill(struct load_process *process)
{
	const struct timespec pause = {.tv_nsec = REST_MS * 1000000L};

	if (!process->pid)
		return;
	while (!load_process_look(process)) {
		/* One that is no leader is in our own session, of which only it is meant. */
		if (getsid(process->pid) == process->pid)
			(void)kill(-process->pid, SIGKILL);
		(void)kill(process->pid, SIGKILL);
		nanosleep(&pause, NULL);
	}
	forget(process);
}

char *load_process_describe(const struct load_process *process)
{
	if (WIFSIGNALED(process->status))
		return memory_printf("signal %d (%s)", WTERMSIG(process->status),
				     strsignal(WTERMSIG(process->status)));
	return memory_printf("exit code %d", WEXITSTATUS(process->status));
}
