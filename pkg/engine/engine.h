/*
 * A client of the Docker Engine API (1.41 to 1.5x; podman's compatible service)
 * over a unix socket, tcp or TLS. Answers are JSON as the engine gives them;
 * what differs between engines is evened out here and nowhere else.
 *
 * An object is used by one thread at a time; any number of objects may exist.
 * Every failure carries the engine's own message and its HTTP status. Kinds:
 * ERROR_NOT_FOUND (404), ERROR_EXISTS (the name is taken: 409, on podman 500),
 * ERROR_ENGINE (not reachable, broke off), ERROR_UNSUPPORTED (API version),
 * ERROR_NO_SPACE, ERROR_CANCELLED, else ERROR_FAILED, with error->http_status.
 */
#ifndef SIDESNAP_ENGINE_ENGINE_H
#define SIDESNAP_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

struct engine;

/* ---- connection (engine.c, endpoint.c) ---- */

/*
 * engine_open(host, err):
 * Resolve the endpoint: ${host} when not NULL, else DOCKER_HOST (with DOCKER_TLS_VERIFY,
 * DOCKER_CERT_PATH), else DOCKER_CONTEXT or the config's currentContext, else
 * /var/run/docker.sock. Pings it and negotiates the API version (DOCKER_API_VERSION
 * overrides). NULL on failure; the hint says what to do (start the engine, mount the
 * socket, join the group, ssh:// is not supported ...).
 */
struct engine *engine_open(const char *host, struct error **err);
void engine_free(struct engine *engine); /* NULL ok */
CLEANUP_DEFINE(struct engine, engine_free)

/* engine_reopen(engine, err): A second object on the same endpoint and version (no ping). */
/*
 * Also after fork(): there the child uses only what it opened itself, and does not free
 * the parent's objects.
 */
struct engine *engine_reopen(const struct engine *engine, struct error **err);

/*
 * engine_requested_host(engine): What engine_open() was given, NULL where the environment decided.
 * Another process that opens this reaches the same engine with the same TLS files, which the
 * host alone does not say when it came from a context.
 */
const char *engine_requested_host(const struct engine *engine);

const char *engine_host(const struct engine *engine);	     /* "unix:///var/run/docker.sock" */
const char *engine_api_version(const struct engine *engine); /* "1.41" */
bool engine_is_podman(const struct engine *engine);

/* engine_set_cancel(engine, flag): Calls end with ERROR_CANCELLED soon after *flag gets non-zero. */
void engine_set_cancel(struct engine *engine, const volatile int *flag);

/* engine_version(engine, err), engine_info(engine, err): GET /version, /info. Free with json_free. */
struct json *engine_version(struct engine *engine, struct error **err);
struct json *engine_info(struct engine *engine, struct error **err);

/* engine_escape(text): For a path segment or query value; to be freed. */
char *engine_escape(const char *text);

/* ---- containers (container.c) ---- */

struct json *container_inspect(struct engine *engine, const char *id, struct error **err);

/* container_list(engine, all, filters, err): ${filters}: an object of arrays as the API has it, or NULL. */
struct json *container_list(struct engine *engine, bool all, const struct json *filters,
			    struct error **err);

/*
 * container_listed(engine, id, err):
 * The list's entry of one container, by its whole id: Id, Names, State ("paused"). NULL when
 * there is none (ERROR_NOT_FOUND). For containers that are or may be frozen: an inspect of one
 * waits for an exec (a health check's) that began while it froze, until that times out.
 */
struct json *container_listed(struct engine *engine, const char *id, struct error **err);

/*
 * container_create(engine, name, body, err): The new id, to be freed; NULL name: the engine's
 * choice. Once begun it is not interrupted, nor is image_commit(): what was made would have no owner.
 */
char *container_create(struct engine *engine, const char *name, const struct json *body,
		       struct error **err);
int container_start(struct engine *engine, const char *id, struct error **err);

/* container_stop(engine, id, timeout_s, err): -1 means the container's own time-out. Already stopped: success. */
int container_stop(struct engine *engine, const char *id, int timeout_s, struct error **err);
int container_kill(struct engine *engine, const char *id, const char *signal, struct error **err);

/*
 * container_pause / container_unpause: judged by the state afterwards, not by the
 * code (engines answer 409 or 500 for what is so already); *changed (may be NULL)
 * says whether this call did it. A container that is gone: ERROR_NOT_FOUND.
 */
int container_pause(struct engine *engine, const char *id, bool *changed, struct error **err);
int container_unpause(struct engine *engine, const char *id, bool *changed, struct error **err);

/* container_remove(engine, id, volumes, force, err): ${volumes}: its anonymous ones too. Gone already: success. */
int container_remove(struct engine *engine, const char *id, bool volumes, bool force,
		     struct error **err);
int container_rename(struct engine *engine, const char *id, const char *name, struct error **err);
int container_update(struct engine *engine, const char *id, const struct json *body,
		     struct error **err);

/* container_changes(engine, id, err): Array of {Path, Kind: 0 modified, 1 added, 2 deleted}; never NULL JSON. */
struct json *container_changes(struct engine *engine, const char *id, struct error **err);

/* container_top(engine, id, err): /top; columns: the host's pid, user id, command with arguments. */
struct json *container_top(struct engine *engine, const char *id, struct error **err);

/* container_logs(engine, id, tail, output, err): Last ${tail} lines, both streams, de-multiplexed. */
int container_logs(struct engine *engine, const char *id, unsigned tail, struct buffer *output,
		   struct error **err);

/* ---- logs (logs.c): several at once on one engine object, for one thread ---- */

#define LOG_TAIL_ALL UINT64_MAX

struct log_options {
	const struct timespec *since, *until; /* by the engine's clock; NULL: none */
	uint64_t tail;			      /* so many of the last lines; LOG_TAIL_ALL */
	bool follow;			      /* goes on until the container ends */
	bool raw;			      /* Config.Tty of the container */
};

/* A part of what it wrote; each message begins with its time (RFC 3339, UTC, nine digits) and a blank. */
struct log_piece {
	int stream;  /* 1 stdout, 2 stderr, 3 an error of the engine's own */
	bool begins; /* a message begins here; of one with a terminal the lines must tell */
	const char *
		data; /* until the next call; no line end where a long line goes on in the next message */
	size_t size;
};

struct log_stream;

struct log_stream *log_stream_open(struct engine *engine, const char *id,
				   const struct log_options *options, struct error **err);
void log_stream_free(struct log_stream *stream); /* at whatever point; NULL ok */
CLEANUP_DEFINE(struct log_stream, log_stream_free)

/* log_stream_next(stream, piece, err): 1: one more; 0: none yet; 2: it has ended; -1. Does not wait. */
int log_stream_next(struct log_stream *stream, struct log_piece *piece, struct error **err);

/* engine_wait(engine, timeout_ms, err): Until something may have come for an open stream, at most 100 ms. 0, -1 cancelled. */
int engine_wait(struct engine *engine, int timeout_ms, struct error **err);

/*
 * container_exec(engine, id, exec, err):
 * Run a command in a running container, give it its input, and wait for its end;
 * exec->exit_code says how it ended. Output beyond a buffer's limit is dropped
 * without failing. -1: it could not be run, the stream broke, or exec->timeout_ms
 * passed (ERROR_FAILED): the engine has no way to stop it, so it may run on.
 */
/* Gets what came of a stream: 1 stdout, 2 stderr. Must not use the engine. */
typedef void exec_sink(void *context, int stream, const void *data, size_t size);

struct container_exec {
	const char *user;		/* NULL: the container's */
	const char *const *environment; /* "NAME=value"..., NULL at the end; may be NULL */
	const char *const *arguments;	/* the command and its words, NULL at the end */
	const void *input;		/* for its stdin; NULL: it has none */
	size_t input_size;
	bool asks;	       /* of a stream: its stdin stays open for exec_stream_write() */
	uint64_t timeout_ms;   /* 0: none */
	struct buffer *output; /* stdout; may be NULL */
	struct buffer *errors; /* stderr; NULL: to output */
	exec_sink *sink;       /* of a stream that is fed: gets all of both; NULL: none */
	void *context;	       /* for the sink */
	int exit_code;	       /* result */
};
int container_exec(struct engine *engine, const char *id, struct container_exec *exec,
		   struct error **err);

/* container_exec_inspect(engine, id, err): Of a command by its id (an inspect's ExecIDs): {"Running","Pid","ExitCode"...}. */
struct json *container_exec_inspect(struct engine *engine, const char *id, struct error **err);

/*
 * The same where the output is more than fits anywhere: read as it comes, and the command waits
 * while nobody reads. Several may be open on one engine object, for one thread.
 */
struct exec_stream;

/*
 * exec_stream_open(engine, id, exec, err):
 * Start it and give it its input, of at most some megabytes. ${exec}->errors gets the beginning of
 * stderr and must outlive the stream; output, timeout_ms and exit_code are not used.
 */
struct exec_stream *exec_stream_open(struct engine *engine, const char *id,
				     const struct container_exec *exec, struct error **err);
/* exec_stream_free(stream): At whatever point; a command that still writes then fails. NULL ok. */
void exec_stream_free(struct exec_stream *stream);
CLEANUP_DEFINE(struct exec_stream, exec_stream_free)

/* exec_stream_write(stream, data, size): More input, of one that asks; that it ended instead is for who reads to see. */
void exec_stream_write(struct exec_stream *stream, const void *data, size_t size);

/*
 * exec_stream_read(stream, data, size, err):
 * Bytes of stdout, waiting for the first of them, and for more only while they keep coming; 0 at the
 * end, -1.
 */
ssize_t exec_stream_read(struct exec_stream *stream, void *data, size_t size, struct error **err);

/*
 * exec_stream_feed(stream, data, size, err):
 * More input, of whatever size in all, of one that asks and has a sink: waits until the command has
 * taken it, and meanwhile hands what comes to the sink, so that neither side blocks the other. 1: taken;
 * 0: the command reads no more, and how it ended tells why; -1: cancelled, or the engine broke off.
 */
int exec_stream_feed(struct exec_stream *stream, const void *data, size_t size, struct error **err);

/*
 * exec_stream_finish(stream, timeout_ms, err):
 * No more input: read on into the sink until the command ends. 0; -1 also after ${timeout_ms} (0: none).
 */
int exec_stream_finish(struct exec_stream *stream, uint64_t timeout_ms, struct error **err);

/* exec_stream_exit_code(stream, exit_code, err): After the end: how the command ended. */
int exec_stream_exit_code(struct exec_stream *stream, int *exit_code, struct error **err);

/* ---- archives (archive.c): bodies are streamed, memory is bounded ---- */

/* Sink of a download: -1 stops it (then container_archive_get fails with *err as the sink set it). */
typedef int engine_sink(void *context, const void *data, size_t size, struct error **err);
/* Source of an upload: bytes put into data (0 at the end), or -1. Must not use the engine. */
typedef ssize_t engine_source(void *context, void *data, size_t size, struct error **err);

/*
 * container_archive_get(engine, id, path, sink, context, err):
 * The tar of ${path} as the engine sends it; engine/archive.h has the same by members.
 * An empty answer (podman while it unmounts) is asked for again, then an error; that the
 * tar has its end is for its reader to see. The sink may use the engine.
 */
int container_archive_get(struct engine *engine, const char *id, const char *path,
			  engine_sink *sink, void *context, struct error **err);
/*
 * container_archive_put(engine, id, directory, source, context, err):
 * Unpack an uncompressed tar in an existing directory. Never on a running target, never
 * below a mount. The engine may stop listening early: its answer is what counts.
 */
int container_archive_put(struct engine *engine, const char *id, const char *directory,
			  engine_source *source, void *context, struct error **err);
/* container_archive_put_buffer(...): The same from memory; repeated once where podman's pipe broke. */
int container_archive_put_buffer(struct engine *engine, const char *id, const char *directory,
				 const struct buffer *archive, struct error **err);
/* container_archive_stat(engine, id, path, err): X-Docker-Container-Path-Stat: {name,size,mode,mtime,linkTarget}. */
struct json *container_archive_stat(struct engine *engine, const char *id, const char *path,
				    struct error **err);

/* ---- attach (attach.c): the hijacked stream, both directions ---- */

struct attachment;

/* container_attach(engine, id, err): stdin, stdout, stderr, stream; on a connection of its own. */
struct attachment *container_attach(struct engine *engine, const char *id, struct error **err);
void attachment_free(struct attachment *attachment); /* closes it; NULL ok */
CLEANUP_DEFINE(struct attachment, attachment_free)

/*
 * attachment_read(attachment, stream, data, size, timeout_ms, err):
 * De-multiplexed: up to ${size} bytes of one stream (1 stdout, 2 stderr in *stream).
 * Returns the count; 0 after ${timeout_ms} without data (0: do not wait, -1: for ever);
 * -1 with *err, ERROR_ENGINE "the stream ended" at its end.
 */
ssize_t attachment_read(struct attachment *attachment, int *stream, void *data, size_t size,
			int timeout_ms, struct error **err);

/*
 * attachment_write(attachment, data, size, err):
 * All of it. While it waits for room it takes what arrives into a side buffer (16 MiB)
 * for later reads; fails when that is full and the other end does not read for a minute.
 * After a failure what the other end had to say can still be read.
 */
int attachment_write(struct attachment *attachment, const void *data, size_t size,
		     struct error **err);

/*
 * attachment_set_raw(attachment): Of a container with a terminal: what comes is in no frames, and counts as
 * stdout. Before the first read.
 */
void attachment_set_raw(struct attachment *attachment);

/*
 * attachment_wait_with(attachment, fd, timeout_ms, err):
 * Until something may have come, or ${fd} (-1: none) can be read, or that time has passed. Whether the
 * latter can be read: 1, 0; -1 cancelled. What has come must have been read before (a read gave 0).
 */
int attachment_wait_with(struct attachment *attachment, int fd, int timeout_ms, struct error **err);

/* container_resize(engine, id, columns, rows, err): Of its terminal. */
int container_resize(struct engine *engine, const char *id, unsigned columns, unsigned rows,
		     struct error **err);

/* attachment_close_input(attachment): Half-close, so that the other end reads end of file. 0 or -1. */
int attachment_close_input(struct attachment *attachment);

/* ---- images (image.c) ---- */

struct json *image_inspect(struct engine *engine, const char *reference, struct error **err);
struct json *image_list(struct engine *engine, const struct json *filters, struct error **err);
int image_tag(struct engine *engine, const char *image, const char *repository, const char *tag,
	      struct error **err);
/* image_remove(engine, reference, force, prune, answer, err): answer (may be NULL): [{Untagged|Deleted}]. */
int image_remove(struct engine *engine, const char *reference, bool force, bool prune,
		 struct json **answer, struct error **err);

/*
 * image_commit(engine, container, config, comment, author, err):
 * POST /commit with pause=false and no tag. ${config} names every field of the image's
 * configuration explicitly; engines union Labels, Env, ExposedPorts and Volumes with the
 * container's, and an empty User or WorkingDir takes the container's. On podman 4, which
 * ignores the body, it is sent as changes=: there the health check is lost, and values
 * with a line end, or a quote at either end, are refused (ERROR_UNSUPPORTED).
 * Returns the id with "sha256:", to be freed.
 */
char *image_commit(struct engine *engine, const char *container, const struct json *config,
		   const char *comment, const char *author, struct error **err);

/*
 * image_import(engine, archive, err): An image of one layer out of a tar, with no configuration and no
 * tag: its id, to be freed.
 */
char *image_import(struct engine *engine, const struct buffer *archive, struct error **err);

/* ---- transfers (transfer.c): between the engine and a registry, by the engine ---- */

struct image_transfer {
	const char *repository; /* with the registry's host: "registry.example/team/db" */
	const char *tag;
	const char *auth; /* of X-Registry-Auth: remote/credentials.h */
	/* Gets every message of the engine's: {"id","status","progressDetail":{"current","total"},..}. */
	void (*report)(void *context, const struct json *message);
	void *context;
	bool is_transient; /* result of a failure: the registry may do better another time */
};

/*
 * image_push(engine, transfer, err), image_pull(engine, transfer, err):
 * The engine itself repeats what breaks off on the way (docker five times, within a minute). A tag,
 * there or here, names the new image only when all of it is there. Kinds: ERROR_NOT_FOUND (the
 * registry has none), ERROR_REFUSED (wrong credentials, or none), ERROR_DAMAGED (what arrived has
 * another digest), ERROR_NO_SPACE, ERROR_ENGINE with is_transient (the registry cannot be
 * reached, breaks off or answers 5xx) or without (the engine does), ERROR_FAILED.
 */
int image_push(struct engine *engine, struct image_transfer *transfer, struct error **err);
int image_pull(struct engine *engine, struct image_transfer *transfer, struct error **err);

/* ---- volumes, networks (volume.c, network.c) ---- */

struct json *volume_inspect(struct engine *engine, const char *name, struct error **err);
struct json *volume_create(struct engine *engine, const struct json *body, struct error **err);
int volume_remove(struct engine *engine, const char *name, bool force, struct error **err);
struct json *network_inspect(struct engine *engine, const char *network, struct error **err);
int network_connect(struct engine *engine, const char *network, const char *container,
		    const struct json *endpoint, struct error **err);
int network_disconnect(struct engine *engine, const char *network, const char *container,
		       bool force, struct error **err);

#endif
