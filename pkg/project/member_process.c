/*
 * Both ends of the pipes between leader and member: a line of JSON each way. A process, not a
 * thread: what one member does to its memory or its signals is no matter of the others, and the
 * kernel tells of its end.
 */
#include "project/member_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"

/* A result names every path that was not captured. */
#define LINE_MAX_SIZE (64U << 20)
#define TICK_MS 1000
#define UPDATE_MS 200

/* Descriptors of a leader: two for each member, and a few. */
#define OPEN_MOST 4096

/* ---- the member's side ---- */

struct side {
	const struct session *session;
	int in, out;
	uint64_t updated_ms;
	uint64_t files, bytes;
};

static void say(struct side *side, struct json *message)
{
	cleanup_free char *text = json_print(message, false);
	cleanup_free char *line = memory_printf("%s\n", text);

	/* Where nobody reads, the leader is gone, which the next wait finds. */
	(void)io_write_full(side->out, line, strlen(line));
	json_free(message);
}

static void say_update(void *context, uint64_t files, uint64_t bytes, uint64_t total)
{
	struct side *side = context;
	struct json *message;

	(void)total;
	side->files = files;
	side->bytes = bytes;
	if (clock_monotonic_ms() - side->updated_ms < UPDATE_MS)
		return;
	side->updated_ms = clock_monotonic_ms();
	message = json_new_object();
	json_set_int(message, "files", (int64_t)files);
	json_set_int(message, "bytes", (int64_t)bytes);
	say(side, message);
}

/* The leader names its own phases. */
static void say_phase(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static void say_line(void *context, enum progress_line kind, const char *text)
{
	struct json *message = json_new_object();

	json_set_int(message, "kind", kind);
	json_set_bytes(message, "line", text);
	say(context, message);
}

static void say_alive(void *context)
{
	struct json *message = json_new_object();

	json_set_bool(message, "alive", true);
	say(context, message);
}

static void say_disturbed(void *context)
{
	struct json *message = json_new_object();

	json_set_bool(message, "disturbed", true);
	say(context, message);
}

static void say_made(void *context, const struct json *result)
{
	struct json *message = json_new_object();

	json_set(message, "result", json_copy(result));
	say(context, message);
}

/* One byte: 'g' go on, 'a' again. */
static int await_word(struct side *side, void (*tick)(void *create), void *create,
		      struct error **err)
{
	for (;;) {
		struct pollfd input = {.fd = side->in, .events = POLLIN};
		int ready;
		char word;

		tick(create);
		if (session_check(side->session, err) < 0)
			return -1;
		ready = poll(&input, 1, TICK_MS);
		if (ready <= 0)
			continue;
		if (read(side->in, &word, 1) == 1)
			return word == 'a' ? 1 : 0;
		return error_set(err, ERROR_CANCELLED, "the set is given up");
	}
}

static int await_others(void *context, enum create_step step, void (*tick)(void *create),
			void *create, struct error **err)
{
	struct json *message = json_new_object();

	json_set_int(message, "step", step);
	json_set_int(message, "files", (int64_t)((struct side *)context)->files);
	json_set_int(message, "bytes", (int64_t)((struct side *)context)->bytes);
	say(context, message);
	return await_word(context, tick, create, err);
}

static struct json *describe_failure(const struct error *problem)
{
	struct json *message = json_new_object();
	struct json *failure = json_set_object(message, "failed");

	json_set_int(failure, "kind", problem->kind);
	json_set_bytes(failure, "message", problem->message);
	if (problem->hint)
		json_set_bytes(failure, "hint", problem->hint);
	return message;
}

/* Never returns. Nothing of the leader's is freed: it is used by the leader. */
static void run_member(const struct session *leader, const struct create_options *options, int in,
		       int out)
{
	struct side side = {.in = in, .out = out};
	struct progress_sink sink = {say_phase, say_update, say_line, &side};
	struct session session = *leader;
	struct create_options own = *options;
	struct create_member member = *options->member;
	struct error *problem = NULL;
	struct json *result = NULL, *done;

	side.session = &session;
	session.progress = progress_new_relay(&sink);
	session.engine = engine_reopen(leader->engine, &problem);
	member.wait = await_others;
	member.alive = say_alive;
	member.disturbed = say_disturbed;
	member.made = say_made;
	member.context = &side;
	own.member = &member;
	if (session.engine)
		engine_set_cancel(session.engine, session.cancelled);
	if (!session.engine || snapshot_create(&session, &own, &result, &problem) < 0) {
		say(&side, describe_failure(problem));
		_exit(problem->kind);
	}
	done = json_new_object();
	json_set_bool(done, "done", true);
	say(&side, done);
	_exit(0);
}

/* ---- the leader's side ---- */

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void member_process_init(struct member_process *process)
{
	*process = (struct member_process){.from = -1, .to = -1};
	buffer_init(&process->line, LINE_MAX_SIZE);
}

/*
 * A member knows of the leader's death by the end of its pipe, which no other member may hold; nor does
 * it use any other of the leader's connections.
 */
static void enter_child(pid_t leader, int in, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != leader)
		_exit(ERROR_CANCELLED);
	for (int fd = STDERR_FILENO + 1; fd < OPEN_MOST; fd++)
		if (fd != in && fd != out)
			close(fd);
}

int member_process_start(struct member_process *process, const struct session *session,
			 const struct create_options *options, struct error **err)
{
	int there[2] = {-1, -1}, back[2] = {-1, -1};
	pid_t leader = getpid(), pid = -1;

	if (pipe2(there, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC) == 0)
		pid = fork();
	if (pid < 0) {
		error_set_errno(err, errno, "cannot start a process");
		for (int i = 0; i < 2; i++) {
			close_end(&there[i]);
			close_end(&back[i]);
		}
		return -1;
	}
	if (pid == 0) {
		enter_child(leader, there[0], back[1]);
		run_member(session, options, there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	process->pid = pid;
	process->to = there[1];
	process->from = back[0];
	process->state = MEMBER_WORKS;
	(void)fcntl(process->from, F_SETFL, O_NONBLOCK);
	return 0;
}

static void fail(struct member_process *process, enum error_kind kind, const char *message,
		 const char *hint)
{
	process->state = MEMBER_FAILED;
	if (process->problem)
		return;
	error_set(&process->problem, kind, "%s", message);
	if (hint)
		error_hint(&process->problem, "%s", hint);
}

static void take_failure(struct member_process *process, const struct json *failure)
{
	cleanup_free char *message = json_bytes(failure, "message");
	cleanup_free char *hint = json_bytes(failure, "hint");

	fail(process, (enum error_kind)json_int(failure, "kind"), text_or(message, "it failed"),
	     hint);
}

static void take_step(struct member_process *process, const struct json *message)
{
	process->step = (enum create_step)json_int(message, "step");
	process->state = MEMBER_AT_STEP;
	process->reached_ms = clock_monotonic_ms();
}

static void take(struct member_process *process, const struct session *session, const char *name,
		 const struct json *message)
{
	cleanup_free char *line = json_bytes(message, "line");

	if (line) {
		cleanup_free char *text = memory_printf("%s: %s", name, line);

		progress_line(session->progress, (enum progress_line)json_int(message, "kind"),
			      text);
	}
	if (json_get(message, "bytes")) {
		process->files = (uint64_t)json_int(message, "files");
		process->bytes = (uint64_t)json_int(message, "bytes");
	}
	if (json_get(message, "step"))
		take_step(process, message);
	process->is_alive_told |= json_bool(message, "alive");
	process->disturbed |= json_bool(message, "disturbed");
	if (json_get(message, "result")) {
		json_free(process->result);
		process->result = json_copy(json_get(message, "result"));
	}
	if (json_get(message, "failed"))
		take_failure(process, json_get(message, "failed"));
	if (json_bool(message, "done"))
		process->state = MEMBER_DONE;
}

static void take_lines(struct member_process *process, const struct session *session,
		       const char *name)
{
	char *end;

	while ((end = memchr(process->line.data, '\n', process->line.size))) {
		size_t size = (size_t)(end - process->line.data);
		CLEANUP(cleanup_json_free)
		struct json *message = json_parse(process->line.data, size, NULL);

		buffer_consume(&process->line, size + 1);
		take(process, session, name, message);
	}
}

void member_process_read(struct member_process *process, const struct session *session,
			 const char *name)
{
	char data[65536];
	ssize_t count;

	while ((count = read(process->from, data, sizeof(data))) > 0) {
		if (buffer_append(&process->line, data, (size_t)count) < 0) {
			fail(process, ERROR_FAILED, "its process says more than fits", NULL);
			break;
		}
		take_lines(process, session, name);
	}
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close_end(&process->from);
	if (process->state != MEMBER_DONE && process->state != MEMBER_FAILED)
		fail(process, ERROR_FAILED, "its process was killed",
		     "run \"sidesnap doctor\", then try again");
}

void member_process_tell(struct member_process *process, bool again)
{
	if (process->state != MEMBER_AT_STEP)
		return;
	process->state = MEMBER_WORKS;
	(void)io_write_full(process->to, again ? "a" : "g", 1);
}

void member_process_give_up(struct member_process *process)
{
	close_end(&process->to);
	if (process->pid > 0)
		kill(process->pid, SIGTERM);
}

void member_process_end(struct member_process *process)
{
	close_end(&process->to);
	close_end(&process->from);
	if (process->pid > 0)
		while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	json_free(process->result);
	error_free(process->problem);
	buffer_release(&process->line);
	member_process_init(process);
}
