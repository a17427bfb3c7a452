/*
 * The engine transfers, we look on. Its messages are text for people: of what is not known
 * here nothing is concluded.
 */
#include "snapshot/share/transfer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "remote/credentials.h"
#include "remote/registry.h"

#define TRIES 3
/* The engine may have to send or receive a large layer for each of them. */
#define DAMAGED_TRIES 2
#define PAUSE_STEP_MS 100
#define LAYERS_MAX 1000
#define ID_MAX 80

/* ---- messages ---- */

void transfer_state_release(struct transfer_state *state)
{
	for (size_t i = 0; i < state->count; i++)
		free(state->layers[i].id);
	free(state->layers);
	free(state->digest);
	*state = (struct transfer_state){0};
}

static struct transfer_layer *layer_of(struct transfer_state *state, const char *id)
{
	for (size_t i = 0; i < state->count; i++)
		if (!strcmp(state->layers[i].id, id))
			return &state->layers[i];
	if (state->count == LAYERS_MAX || !*id || strlen(id) > ID_MAX)
		return NULL;
	state->layers = memory_array(state->layers, state->count + 1, sizeof(*state->layers));
	state->layers[state->count] = (struct transfer_layer){.id = memory_strdup(id)};
	return &state->layers[state->count++];
}

static bool begins_with(const char *status, const char *const *words)
{
	for (; *words; words++)
		if (text_has_prefix(status, *words))
			return true;
	return false;
}

static void take_digest(struct transfer_state *state, const struct json *message,
			const char *status)
{
	const char *digest = json_string(json_get(message, "aux"), "Digest");

	if (!digest && text_has_prefix(status, "Digest: "))
		digest = status + strlen("Digest: ");
	if (!digest)
		return;
	free(state->digest);
	state->digest = memory_strdup(digest);
}

static uint64_t bytes_of(const struct json *detail, const char *key)
{
	uint64_t bytes = 0;

	/* As far as 1000 layers of that can be added up. */
	return json_uint_checked(detail, key, 1ULL << 50, &bytes) ? bytes : 0;
}

const struct transfer_layer *transfer_state_take(struct transfer_state *state,
						 const struct json *message)
{
	static const char *const waits[] = {"Preparing", "Waiting", "Pulling fs layer", NULL};
	static const char *const moves[] = {"Pushing", "Downloading", NULL};
	static const char *const moved[] = {"Pushed", "Download complete", "Pull complete", NULL};
	static const char *const there[] = {"Layer already exists", "Already exists",
					    "Mounted from", NULL};
	const char *status = json_string_or(message, "status", "");
	const struct json *detail = json_get(message, "progressDetail");
	struct transfer_layer *layer;
	bool known = begins_with(status, waits) || begins_with(status, moves) ||
		     begins_with(status, moved) || begins_with(status, there);

	take_digest(state, message, status);
	if (text_has_prefix(status, "Retrying in"))
		state->engine_repeated = true;
	layer = known ? layer_of(state, json_string_or(message, "id", "")) : NULL;
	if (!layer || layer->state >= LAYER_MOVED)
		return NULL;
	if (begins_with(status, moves)) {
		layer->state = LAYER_MOVES;
		layer->bytes = bytes_of(detail, "current");
		layer->total = bytes_of(detail, "total");
		return NULL;
	}
	if (begins_with(status, waits))
		return NULL;
	layer->state = begins_with(status, there) ? LAYER_THERE : LAYER_MOVED;
	if (layer->state == LAYER_THERE)
		layer->bytes = layer->total = 0;
	else if (layer->bytes < layer->total)
		layer->bytes = layer->total;
	return layer;
}

struct json *transfer_state_report(const struct transfer_state *state)
{
	struct json *report = json_new_object(), *layers;
	int64_t moved = 0, there = 0, bytes = 0;

	for (size_t i = 0; i < state->count; i++) {
		moved += state->layers[i].state == LAYER_MOVED;
		there += state->layers[i].state == LAYER_THERE;
		bytes += (int64_t)state->layers[i].bytes;
	}
	json_set_string(report, "digest", state->digest ? state->digest : "");
	layers = json_set_object(report, "layers");
	json_set_int(layers, "moved", moved);
	json_set_int(layers, "there", there);
	json_set_int(report, "bytes", bytes);
	return report;
}

/* ---- credentials ---- */

void transfer_init(struct transfer *transfer, struct session *session,
		   enum transfer_direction direction, const struct registry_login *login)
{
	*transfer = (struct transfer){
		.session = session,
		.direction = direction,
		.login = login,
		.headers = json_new_object(),
	};
}

void transfer_release(struct transfer *transfer)
{
	json_free(transfer->headers);
}

static const char *verb(const struct transfer *transfer)
{
	return transfer->direction == TRANSFER_PUSH ? "push" : "pull";
}

int transfer_credentials(struct session *session, const struct registry_login *login,
			 const char *host, struct credentials *found, struct error **err)
{
	struct error *problem = NULL;

	if (login->username) {
		found->username = memory_strdup(login->username);
		found->password = memory_strdup(login->password);
	} else if (credentials_find(host, session->cancelled, found, &problem) < 0) {
		if (problem->kind == ERROR_CANCELLED) {
			error_append(err, problem);
			return -1;
		}
		progress_warn(session->progress, "%s; going on without", problem->message);
		error_free(problem);
	}
	return 0;
}

/* The header for a host. */
static int log_in(struct transfer *transfer, const char *host, struct error **err)
{
	struct credentials found = {0};
	cleanup_free char *header = NULL;

	if (json_get(transfer->headers, host))
		return 0;
	if (transfer_credentials(transfer->session, transfer->login, host, &found, err) < 0)
		return -1;
	header = credentials_header(host, &found);
	json_set_string(transfer->headers, host, header);
	credentials_release(&found);
	return 0;
}

int transfer_check(struct transfer *transfer, const struct reference *reference, struct error **err)
{
	cleanup_free char *host = registry_host(reference->repository);

	if (!registry_takes(reference->repository)) {
		error_set(err, ERROR_USAGE, "\"%s\" is no name at a registry that one can %s",
			  reference->repository, verb(transfer));
		return error_hint(
			err, transfer->direction == TRANSFER_PUSH
				     ? "say where to: --to registry.example/team/db, or USER/db "
				       "for Docker Hub"
				     : "write it with its registry, as in "
				       "registry.example/team/db:monday, or USER/db:monday for "
				       "Docker Hub");
	}
	if (transfer->login->username && json_count(transfer->headers) &&
	    !json_get(transfer->headers, host))
		return error_set(err, ERROR_USAGE,
				 "one name and password is for one registry: %s is not %s", host,
				 json_key(json_first(transfer->headers)));
	return log_in(transfer, host, err);
}

/* ---- one image ---- */

struct run {
	struct transfer *transfer;
	struct transfer_state state;
};

static void report(void *context, const struct json *message)
{
	struct run *run = context;
	struct progress *progress = run->transfer->session->progress;
	bool repeated = run->state.engine_repeated;
	const struct transfer_layer *layer = transfer_state_take(&run->state, message);
	uint64_t bytes = 0, total = 0;

	if (layer && layer->state == LAYER_MOVED) {
		cleanup_free char *size = text_format_size(layer->total);

		progress_note(progress, "layer %s: %sed%s%s", layer->id, verb(run->transfer),
			      layer->total ? ", " : "", layer->total ? size : "");
	} else if (layer) {
		progress_detail(progress, "layer %s: is there already", layer->id);
	} else if (run->state.engine_repeated && !repeated) {
		progress_note(
			progress,
			"layer %s did not get through; the engine tries again, for some minutes at most",
			json_string_or(message, "id", "?"));
	}
	for (size_t i = 0; i < run->state.count; i++) {
		bytes += run->state.layers[i].bytes;
		total += run->state.layers[i].total;
	}
	progress_update(progress, 0, bytes, total);
}

static int wait_s(const struct session *session, unsigned seconds, struct error **err)
{
	static const struct timespec step = {.tv_nsec = PAUSE_STEP_MS * 1000000L};

	for (unsigned i = 0; i < seconds * 1000 / PAUSE_STEP_MS; i++) {
		if (session_check(session, err) < 0)
			return -1;
		nanosleep(&step, NULL);
	}
	return session_check(session, err);
}

static void add_advice(const struct transfer *transfer, const char *host, struct error **err)
{
	const struct error *error = err ? *err : NULL;

	if (!error)
		return;
	if (error->kind == ERROR_REFUSED && transfer->login->username)
		error_hint(
			err,
			"check the name and the password for %s, and what that user may do there",
			host);
	else if (error->kind == ERROR_REFUSED)
		error_hint(err, "docker login %s, or give --username NAME and --password-stdin",
			   host);
	else if (error->kind == ERROR_NOT_FOUND)
		error_hint(err,
			   "check the name; some registries say so as well of what one may "
			   "not see: docker login %s",
			   host);
	else if (error->kind == ERROR_DAMAGED)
		error_hint(
			err,
			transfer->direction == TRANSFER_PUSH
				? "what the registry received is not what was sent: look at what "
				  "is between it and the engine; its tag is as it was"
				: "nothing of it was kept; try again, and if it stays so, it is "
				  "damaged at the registry: push it anew from where it came");
	else if (strstr(error->message, "x509") || strstr(error->message, "certificate"))
		error_hint(err,
			   "the engine does not know who signed for the registry: put that "
			   "certificate into /etc/docker/certs.d/%s/ca.crt on its machine",
			   host);
	else if (strstr(error->message, "HTTP response to HTTPS"))
		error_hint(err,
			   "the registry speaks no TLS; the engine takes it only when "
			   "\"insecure-registries\" in its daemon.json lists %s (podman: with "
			   "insecure = true in registries.conf)",
			   host);
	else if (error->kind == ERROR_ENGINE)
		error_hint(err, "try again later: layers that were transferred whole are not "
				"transferred again");
}

/* How often in all a failure of that kind is worth it. */
static int64_t most_tries(const struct run *run, const struct image_transfer *one,
			  const struct error *problem)
{
	if (run->state.engine_repeated)
		return 1;
	if (problem->kind == ERROR_DAMAGED)
		return DAMAGED_TRIES;
	return one->is_transient ? TRIES : 1;
}

static void note_end(const struct transfer *transfer, const char *name, const struct json *result)
{
	const struct json *layers = json_get(result, "layers");
	int64_t moved = json_int(layers, "moved"), there = json_int(layers, "there");
	cleanup_free char *bytes = text_format_size((uint64_t)json_int(result, "bytes"));

	progress_note(transfer->session->progress, "%s: %lld of %lld layers %sed, %s", name,
		      (long long)moved, (long long)(moved + there), verb(transfer), bytes);
}

struct json *transfer_run(struct transfer *transfer, const struct reference *reference,
			  struct error **err)
{
	cleanup_free char *host = registry_host(reference->repository);
	cleanup_free char *name = reference_format(reference);
	struct progress *progress = transfer->session->progress;
	struct json *result = NULL;
	int64_t tries = 0;

	progress_phase(progress, "%sing %s", verb(transfer), name);
	while (!result) {
		struct run run = {.transfer = transfer};
		struct image_transfer one = {
			.repository = reference->repository,
			.tag = reference->tag,
			.auth = json_string_or(transfer->headers, host, ""),
			.report = report,
			.context = &run,
		};
		struct error *problem = NULL;
		bool again;

		if ((transfer->direction == TRANSFER_PUSH ? image_push : image_pull)(
			    transfer->session->engine, &one, &problem) == 0)
			result = transfer_state_report(&run.state);
		again = !result && ++tries < most_tries(&run, &one, problem);
		transfer_state_release(&run.state);
		if (again) {
			progress_note(progress, "%s: %s; trying again", host, problem->message);
			error_free(STEAL_POINTER(problem));
			again = wait_s(transfer->session, 1U << tries, &problem) == 0;
		}
		if (!result && !again) {
			add_advice(transfer, host, &problem);
			error_prefix(&problem, "cannot %s \"%s\"", verb(transfer), name);
			error_append(err, problem);
			return NULL;
		}
	}
	progress_end(progress);
	note_end(transfer, name, result);
	json_set_int(result, "tries", tries + 1);
	return result;
}
