/*
 * Helper containers. The container's name, made from the target's id, is the lock
 * of a create: engines guarantee that only one container has a name.
 */
#include "snapshot/helper/helper.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/tar.h"
#include "base/text.h"
#include "snapshot/helper/agent_image.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/owner.h"
#include "snapshot/labels.h"

/* A last cry of the agent on stderr; more than this says no more. */
#define STDERR_LIMIT 4096

/* How long a removal may take until the container is gone: two seconds. */
#define REMOVAL_ATTEMPTS 40
#define REMOVAL_PAUSE_US 50000

struct helper {
	const struct session *session;
	char *id, *name, *nonce, *agent_path, *target_id;
	struct attachment *attachment;
	struct wire_decoder decoder;
	struct buffer cry;   /* what came on stderr */
	helper_found *found; /* may be NULL */
	void *found_context;
	size_t layers;
	bool started;
};

const char *helper_id(const struct helper *helper)
{
	return helper->id;
}

const char *helper_agent_path(const struct helper *helper)
{
	return helper->agent_path;
}

size_t helper_layers(const struct helper *helper)
{
	return helper->layers;
}

char *helper_folder(const struct helper *helper)
{
	return memory_printf("/%s", helper->nonce);
}

static void add_capabilities(struct json *host, const struct helper_specification *specification)
{
	/* What reading any file and writing any file of its own layer or of a volume takes. */
	static const char *const always[] = {"DAC_READ_SEARCH", "DAC_OVERRIDE", "CHOWN",  "FOWNER",
					     "FSETID",		"MKNOD",	"SETFCAP"};
	struct json *drop = json_set_array(host, "CapDrop");
	struct json *add = json_set_array(host, "CapAdd");

	json_add_string(drop, "ALL");
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		json_add_string(add, always[i]);
	/* /proc/PID/root of another container's process: see ptrace(2), access mode checking. */
	if (specification->join_processes)
		json_add_string(add, "SYS_PTRACE");
}

/* Every VOLUME that the image declares, covered: else the engine makes and seeds a volume. */
static void cover_volumes(struct json *mounts, const struct json *image)
{
	json_for_each(volume, json_path(image, "Config", "Volumes")) {
		struct json *mount = json_add_object(mounts);

		json_set_string(mount, "Type", "tmpfs");
		json_set_string(mount, "Target", json_key(volume));
	}
}

static struct json *host_config(const struct helper_specification *specification,
				const struct json *image)
{
	const struct json *target = json_get(specification->target, "HostConfig");
	const char *apparmor = json_string(specification->target, "AppArmorProfile");
	struct json *host = json_new_object(), *security, *mounts;

	json_set_string(host, "NetworkMode", "none");
	if (specification->join_processes) {
		cleanup_free char *mode = memory_printf("container:%s", specification->target_id);

		json_set_string(host, "PidMode", mode);
	}
	json_set_string(host, "UsernsMode", json_string_or(target, "UsernsMode", ""));
	add_capabilities(host, specification);
	security = json_set_array(host, "SecurityOpt");
	json_add_string(security, "no-new-privileges");
	json_add_string(security, "label=disable");
	/* ptrace access between two AppArmor profiles needs a rule in both; the same one has it. */
	if (apparmor && *apparmor) {
		cleanup_free char *option = memory_printf("apparmor=%s", apparmor);

		json_add_string(security, option);
	}
	json_set_string(json_set_object(host, "LogConfig"), "Type", "none");
	json_set_bool(host, "AutoRemove", false);
	json_set_string(json_set_object(host, "RestartPolicy"), "Name", "no");
	mounts = specification->mounts ? json_copy(specification->mounts) : json_new_array();
	json_set(host, "Mounts", mounts);
	cover_volumes(mounts, image);
	return host;
}

static struct json *create_body(const struct helper *helper,
				const struct helper_specification *specification,
				const struct json *image)
{
	struct json *body = json_new_object(), *labels, *list;
	cleanup_free char *owner = owner_label(helper->session);

	json_set_string(body, "Image", json_string(image, "Id"));
	list = json_set_array(body, "Entrypoint");
	json_add_string(list, helper->agent_path);
	json_add_string(list, "helper");
	json_set_array(body, "Cmd");
	json_set_array(body, "Env");
	json_set_string(body, "User", "0");
	json_set_string(body, "WorkingDir", "/");
	/* The image's may be the one that "sidesnap cancel" sends, or one that ends nothing. */
	if (json_string(json_get(image, "Config"), "StopSignal"))
		json_set_string(body, "StopSignal", "SIGTERM");
	json_set_bool(body, "AttachStdin", true);
	json_set_bool(body, "AttachStdout", true);
	json_set_bool(body, "AttachStderr", true);
	json_set_bool(body, "OpenStdin", true);
	json_set_bool(body, "StdinOnce", true);
	/* An image's own check would run as root beside the data. */
	list = json_set_array(json_set_object(body, "Healthcheck"), "Test");
	json_add_string(list, "NONE");
	labels = json_set_object(body, "Labels");
	json_set_string(labels, LABEL_ROLE, "helper");
	json_set_string(labels, LABEL_NONCE, helper->nonce);
	json_set_string(labels, LABEL_PURPOSE, specification->purpose);
	json_set_string(labels, LABEL_TARGET, text_or(specification->target_id, ""));
	json_set_string(labels, LABEL_FREEZES, text_or(specification->freezes, ""));
	json_set_string(labels, LABEL_RELEASE, text_or(specification->release, ""));
	json_set_string(labels, LABEL_STARTS, text_or(specification->starts, ""));
	json_set_string(labels, LABEL_MAKES, text_or(specification->makes, ""));
	json_set_string(labels, LABEL_SET, text_or(specification->set, ""));
	json_set_string(labels, LABEL_OWNER, owner);
	json_set_string(labels, LABEL_JOURNAL, text_or(specification->journal, ""));
	json_set(body, "HostConfig", host_config(specification, image));
	return body;
}

struct upload {
	const struct buffer *archive;
	size_t position;
};

static ssize_t upload_source(void *context, void *data, size_t size, struct error **err)
{
	struct upload *upload = context;
	size_t left = upload->archive->size - upload->position;

	(void)err;
	if (size > left)
		size = left;
	memcpy(data, upload->archive->data + upload->position, size);
	upload->position += size;
	return (ssize_t)size;
}

/*
 * Permitted-only file capabilities, so that boot can restore owners and modes where the
 * image's user is not root: nothing is effective until the agent raises it, and under
 * no-new-privileges it starts all the same. struct vfs_cap_data, revision 2:
 * include/uapi/linux/capability.h.
 */
static size_t agent_capabilities(uint8_t data[20])
{
	static const unsigned wanted[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
					  CAP_SETGID, CAP_SETUID,	CAP_MKNOD,  CAP_SETFCAP};
	uint32_t permitted = 0, words[5];

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		permitted |= 1U << wanted[i];
	words[0] = VFS_CAP_REVISION_2;
	words[1] = permitted;
	words[2] = words[3] = words[4] = 0;
	for (size_t i = 0; i < 20; i++)
		data[i] = (uint8_t)(words[i / 4] >> 8 * (i % 4));
	return 20;
}

/*
 * Put the agent under a random top-level name. PUT archive resets the mode and owner
 * of every directory named in the tar, so only our own is named.
 */
static int inject_agent(struct helper *helper, struct error **err)
{
	uint8_t capabilities[20];
	struct tar_attribute attribute = {"security.capability", capabilities,
					  agent_capabilities(capabilities)};
	cleanup_free char *path = memory_printf("%s/agent", helper->nonce);
	struct tar_entry entries[2] = {
		{.path = helper->nonce, .mode = S_IFDIR | 0700, .mtime = clock_now()},
		{.path = path,
		 .mode = S_IFREG | 0755,
		 .mtime = clock_now(),
		 .size = agent_image_size(),
		 .attributes = &attribute,
		 .attribute_count = 1},
	};
	const void *data[2] = {NULL, agent_image()};
	struct buffer archive;
	struct upload upload = {&archive, 0};
	int result;

	buffer_init(&archive, agent_image_size() + (1U << 20));
	result = tar_write_all(&archive, entries, data, 2, err);
	if (result == 0)
		result = container_archive_put(helper->session->engine, helper->id, "/",
					       upload_source, &upload, err);
	buffer_release(&archive);
	return result;
}

static int create_container(struct helper *helper, const struct json *body, struct error **err)
{
	cleanup_error struct error *first = NULL;
	struct engine *engine = helper->session->engine;

	helper->id = container_create(engine, helper->name, body, &first);
	if (!helper->id && first->kind == ERROR_EXISTS) {
		if (helper_lock_break(helper->session, helper->name, err) < 0)
			return -1;
		helper->id = container_create(engine, helper->name, body, err);
		if (!helper->id && err && (*err)->kind == ERROR_EXISTS)
			(*err)->kind = ERROR_BUSY;
	} else if (!helper->id) {
		error_append(err, STEAL_POINTER(first));
	}
	if (!helper->id)
		return error_prefix(err, "cannot create a helper container");
	return 0;
}

static int check_architecture(const struct json *image, struct error **err)
{
	const char *architecture = json_string_or(image, "Architecture", "");

	if (!*architecture || strcmp(architecture, agent_image_architecture()) == 0)
		return 0;
	error_set(err, ERROR_UNSUPPORTED,
		  "the image is for %s, but this sidesnap carries an agent for %s only",
		  architecture, agent_image_architecture());
	return error_hint(err, "use a sidesnap that was built for %s", architecture);
}

/* A volume there would lie within the data that is mounted for us. */
static int check_volumes(const struct json *image, struct error **err)
{
	json_for_each(volume, json_path(image, "Config", "Volumes")) {
		cleanup_free char *path = path_clean(json_key(volume));

		if (path_is_at_or_under(path, "/dev") || path_is_at_or_under(path, "/proc") ||
		    path_is_at_or_under(path, "/sys")) {
			error_set(
				err, ERROR_REFUSED,
				"the image declares a volume at \"%s\", where no image may have one",
				path);
			return error_hint(err, "use an image that was not tampered with");
		}
	}
	return 0;
}

struct helper *helper_create(const struct session *session,
			     const struct helper_specification *specification, struct error **err)
{
	struct helper *helper = memory_zalloc(sizeof(*helper));
	CLEANUP(cleanup_json_free) struct json *image = NULL, *body = NULL;

	helper->session = session;
	wire_decoder_init(&helper->decoder);
	buffer_init(&helper->cry, STDERR_LIMIT);
	helper->nonce = text_random_hex(16);
	helper->agent_path = memory_printf("/%s/agent", helper->nonce);
	/* Of a restore it is meant to be stopped, or gone: that explains no failure. Nor does a snapshot. */
	helper->target_id = memory_strdup(specification->write_volumes || specification->is_snapshot
						  ? NULL
						  : specification->target_id);
	helper->name = helper_lock_name(specification->target_id, specification->purpose);
	image = image_inspect(session->engine, specification->image, err);
	if (!image || (!specification->empty && check_architecture(image, err) < 0) ||
	    check_volumes(image, err) < 0)
		goto fail;
	helper->layers = json_count(json_path(image, "RootFS", "Layers"));
	body = create_body(helper, specification, image);
	if (create_container(helper, body, err) < 0)
		goto fail;
	failpoint("helper/created");
	if (specification->made && specification->made(specification->context, err) < 0)
		goto fail;
	if (!specification->empty && inject_agent(helper, err) < 0) {
		error_prefix(err, "cannot put the agent into helper \"%s\"", helper->name);
		goto fail;
	}
	failpoint("helper/injected");
	return helper;
fail:
	helper_free(helper);
	return NULL;
}

/* A removal kills first, which ends the helper: whether it is one is seen a moment later. */
static struct json *inspect_target(const struct helper *helper)
{
	for (int attempt = 0;; attempt++) {
		struct json *target =
			container_inspect(helper->session->engine, helper->target_id, NULL);
		const struct json *state = json_get(target, "State");
		bool is_going = strcmp(json_string_or(state, "Status", ""), "removing") == 0 ||
				json_bool(state, "Dead") ||
				(!json_bool(state, "Running") &&
				 json_bool(json_get(target, "HostConfig"), "AutoRemove"));

		if (!target || !is_going || attempt == REMOVAL_ATTEMPTS)
			return target;
		json_free(target);
		usleep(REMOVAL_PAUSE_US);
	}
}

/* -1 when the target was removed. */
static int explain_target(const struct helper *helper, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *target = NULL;

	if (!helper->target_id || !*helper->target_id)
		return 0;
	target = inspect_target(helper);
	return target ? 0
		      : error_set(err, ERROR_NOT_FOUND,
				  "the target container was removed meanwhile");
}

static int broke_off(struct error *problem, struct error **err)
{
	error_append(err, problem);
	error_prefix(err, "the connection to the engine broke off");
	return error_hint(err, "when the engine is there again, run \"sidesnap doctor\", "
			       "then try again");
}

/*
 * An engine that ends takes no more connections before it stops its containers, and answers on those
 * that there are until the last one has stopped.
 */
static int check_engine_stays(const struct helper *helper, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_engine_free)
	struct engine *other = engine_reopen(helper->session->engine, &problem);
	CLEANUP(cleanup_json_free) struct json *version = NULL;

	engine_set_cancel(other, helper->session->cancelled);
	version = other ? engine_version(other, &problem) : NULL;
	if (version || problem->kind != ERROR_ENGINE)
		return 0;
	return broke_off(STEAL_POINTER(problem), err);
}

/* Why the helper's stream ended, as far as the engine knows. */
static int explain_end(struct helper *helper, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *inspect = NULL, *target = NULL;
	struct engine *engine = helper->session->engine;
	cleanup_error struct error *problem = NULL;
	int64_t code;

	if (session_check(helper->session, err) < 0)
		return -1;
	inspect = container_inspect(engine, helper->id, &problem);
	if (!inspect && problem->kind == ERROR_ENGINE)
		return broke_off(STEAL_POINTER(problem), err);
	if (check_engine_stays(helper, err) < 0)
		return -1;
	if (!inspect)
		return error_set(err, ERROR_FAILED,
				 "the helper container disappeared while it worked (removed by "
				 "somebody, or the engine was restarted)");
	if (helper->target_id && *helper->target_id) {
		if (explain_target(helper, err) < 0)
			return -1;
		target = container_inspect(engine, helper->target_id, NULL);
	}
	code = json_int(json_get(inspect, "State"), "ExitCode");
	if (json_bool(json_get(inspect, "State"), "OOMKilled"))
		return error_set(err, ERROR_FAILED, "the helper ran out of memory");
	if (code == 128 + WIRE_CANCEL_SIGNAL)
		return error_set(err, ERROR_CANCELLED, "cancelled by \"sidesnap cancel\"");
	if (target && !json_bool(json_get(target, "State"), "Running")) {
		error_set(err, ERROR_FAILED, "the target container stopped meanwhile");
		return error_hint(err,
				  "start it and try again, or snapshot it while it is stopped");
	}
	if (code == 128 + SIGTERM || code == 128 + SIGINT || code == 128 + SIGQUIT) {
		error_set(err, ERROR_ENGINE, "the helper container was stopped");
		return error_hint(err, "if the engine was stopped: when it is there again, run "
				       "\"sidesnap doctor\", then try again");
	}
	return error_set(err, ERROR_FAILED, "the helper ended early (exit code %lld)%s%s",
			 (long long)code, helper->cry.size ? ": " : "", helper->cry.data);
}

static void take_stderr(struct helper *helper, const char *data, size_t size)
{
	size_t room = helper->cry.limit - helper->cry.size;

	buffer_append(&helper->cry, data, size < room ? size : room);
	while (helper->cry.size && helper->cry.data[helper->cry.size - 1] == '\n')
		helper->cry.data[--helper->cry.size] = '\0';
}

/* The next frame of the agent, waiting for it. */
static int receive(struct helper *helper, struct wire_frame *frame, struct error **err)
{
	char data[65536];
	int stream;

	for (;;) {
		cleanup_error struct error *problem = NULL;
		int got = wire_decoder_next(&helper->decoder, frame, err);
		ssize_t count;

		if (got)
			return got < 0 ? -1 : 0;
		if (session_check(helper->session, err) < 0)
			return -1;
		count = attachment_read(helper->attachment, &stream, data, sizeof(data), 200,
					&problem);
		if (count < 0)
			return explain_end(helper, err);
		if (count > 0 && stream == 2)
			take_stderr(helper, data, (size_t)count);
		else if (count > 0 &&
			 wire_decoder_feed(&helper->decoder, data, (size_t)count, err) < 0)
			return -1;
	}
}

static void show_progress(struct helper *helper, const struct wire_frame *frame)
{
	CLEANUP(cleanup_json_free) struct json *json = wire_frame_json(frame, NULL);
	uint64_t files = 0, bytes = 0, total = 0;

	json_uint_checked(json, "files", 1ULL << 52, &files);
	json_uint_checked(json, "bytes", 1ULL << 52, &bytes);
	json_uint_checked(json, "total_bytes", 1ULL << 52, &total);
	progress_update(helper->session->progress, files, bytes, total);
	if (helper->session->heartbeat)
		helper->session->heartbeat(helper->session->heartbeat_context);
}

int helper_wait(struct helper *helper, enum wire_type type, struct json **answer,
		struct error **err)
{
	struct wire_frame frame;

	while (receive(helper, &frame, err) == 0) {
		CLEANUP(cleanup_json_free) struct json *json = NULL;

		if (frame.type == WIRE_PROGRESS) {
			show_progress(helper, &frame);
			continue;
		}
		json = wire_frame_json(&frame, err);
		if (!json)
			return error_prefix(err, "the agent sent garbage");
		if (frame.type == WIRE_FAILED)
			return wire_error_from(json, err);
		if (frame.type == WIRE_FOUND && helper->found) {
			if (helper->found(helper->found_context, json, err) < 0)
				return -1;
			continue;
		}
		if (frame.type != type)
			return error_set(err, ERROR_FAILED,
					 "the agent answered out of turn (%d instead of %d)",
					 (int)frame.type, (int)type);
		if (answer)
			*answer = STEAL_POINTER(json);
		return 0;
	}
	return -1;
}

static int send_buffer(struct helper *helper, const struct buffer *buffer, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	struct wire_frame frame;

	if (buffer->failed)
		return error_set(err, ERROR_FAILED, "a message to the agent is too large");
	if (attachment_write(helper->attachment, buffer->data, buffer->size, &problem) == 0)
		return 0;
	/* What it said before it went is the better reason. */
	while (receive(helper, &frame, err) == 0) {
		CLEANUP(cleanup_json_free) struct json *json = NULL;

		if (frame.type != WIRE_FAILED)
			continue;
		json = wire_frame_json(&frame, NULL);
		return wire_error_from(json, err);
	}
	return -1;
}

int helper_send(struct helper *helper, enum wire_type type, const struct json *json,
		struct error **err)
{
	struct buffer buffer;
	int result;

	buffer_init(&buffer, WIRE_PAYLOAD_MAX + 64);
	wire_encode_json(&buffer, type, json);
	result = send_buffer(helper, &buffer, err);
	buffer_release(&buffer);
	return result;
}

int helper_send_bytes(struct helper *helper, enum wire_type type, const void *data, size_t size,
		      struct error **err)
{
	struct buffer buffer;
	int result;

	buffer_init(&buffer, WIRE_PAYLOAD_MAX + 64);
	wire_encode(&buffer, type, data, size);
	result = send_buffer(helper, &buffer, err);
	buffer_release(&buffer);
	return result;
}

int helper_open(struct helper *helper, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *hello = json_new_object(), *answer = NULL;
	cleanup_error struct error *problem = NULL;
	uint64_t version = 0;

	helper->attachment = container_attach(helper->session->engine, helper->id, err);
	if (!helper->attachment)
		return error_prefix(err, "cannot attach to helper \"%s\"", helper->name);
	if (container_start(helper->session->engine, helper->id, &problem) < 0) {
		/* It joins the target's processes: that there are none any more is the better reason. */
		if (problem->kind == ERROR_FAILED && explain_target(helper, err) < 0)
			return -1;
		error_append(err, STEAL_POINTER(problem));
		return error_prefix(err, "cannot start helper \"%s\"", helper->name);
	}
	helper->started = true;
	failpoint("helper/started");
	json_set_int(hello, "version", WIRE_VERSION);
	if (helper_send(helper, WIRE_HELLO, hello, err) < 0 ||
	    helper_wait(helper, WIRE_HELLO, &answer, err) < 0)
		return -1;
	if (!json_uint_checked(answer, "version", WIRE_VERSION, &version) ||
	    version != WIRE_VERSION)
		return error_set(err, ERROR_UNSUPPORTED, "the agent speaks another protocol");
	return 0;
}

int helper_start(struct helper *helper, const struct json *job, struct json **ready,
		 struct error **err)
{
	if (!helper->started && helper_open(helper, err) < 0)
		return -1;
	if (helper_send(helper, WIRE_JOB, job, err) < 0)
		return -1;
	return helper_wait(helper, WIRE_READY, ready, err);
}

int helper_next(struct helper *helper, struct wire_frame *frame, struct error **err)
{
	while (receive(helper, frame, err) == 0) {
		CLEANUP(cleanup_json_free) struct json *json = NULL;

		if (frame->type == WIRE_PROGRESS) {
			show_progress(helper, frame);
			continue;
		}
		if (frame->type != WIRE_FAILED)
			return 0;
		json = wire_frame_json(frame, err);
		return json ? wire_error_from(json, err)
			    : error_prefix(err, "the agent sent garbage");
	}
	return -1;
}

void helper_listen(struct helper *helper, helper_found *found, void *context)
{
	helper->found = found;
	helper->found_context = context;
}

int helper_close(struct helper *helper, struct error **err)
{
	int result = 0;

	if (helper->attachment && helper->started)
		helper_send(helper, WIRE_BYE, NULL, NULL);
	attachment_free(STEAL_POINTER(helper->attachment));
	if (helper->id) {
		/* Cleaning up must go on after Ctrl-C. */
		engine_set_cancel(helper->session->engine, NULL);
		result = container_remove(helper->session->engine, helper->id, true, true, err);
		engine_set_cancel(helper->session->engine, helper->session->cancelled);
		free(STEAL_POINTER(helper->id));
	}
	if (result < 0)
		error_prefix(err, "cannot remove helper container \"%s\"", helper->name);
	return result;
}

static void helper_release(struct helper *helper)
{
	attachment_free(helper->attachment);
	wire_decoder_release(&helper->decoder);
	buffer_release(&helper->cry);
	free(helper->id);
	free(helper->name);
	free(helper->nonce);
	free(helper->agent_path);
	free(helper->target_id);
	free(helper);
}

void helper_abandon(struct helper *helper)
{
	if (helper)
		helper_release(helper);
}

void helper_free(struct helper *helper)
{
	cleanup_error struct error *problem = NULL;

	if (!helper)
		return;
	if (helper_close(helper, &problem) < 0)
		progress_warn(helper->session->progress, "%s; \"sidesnap doctor\" removes it later",
			      problem->message);
	helper_release(helper);
}
