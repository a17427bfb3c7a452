/*
 * A stack: which containers belong together, and in which order they can be started. What depends on
 * what is told by compose v2's label, else by the compose files, else by what the engine was told: so
 * it works for stacks whose files are on another machine.
 */
#include "project/stack.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "project/compose_file.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/labels.h"

#define CONTAINER_MODE "container:"

static const char *label(const struct stack_member *member, const char *name)
{
	return json_string(json_path(member->inspect, "Config", "Labels"), name);
}

static void fill(struct stack_member *member)
{
	const char *name = json_string_or(member->inspect, "Name", "");

	member->id = json_string_or(member->inspect, "Id", "");
	member->name = name + (*name == '/');
	member->project = label(member, COMPOSE_PROJECT);
	member->service = label(member, COMPOSE_SERVICE);
}

const char *stack_condition_name(enum stack_condition condition)
{
	static const char *const names[] = {"service_started", "service_healthy",
					    "service_completed_successfully"};

	return names[condition];
}

static enum stack_condition condition_of(const char *name)
{
	for (enum stack_condition i = STACK_STARTED; i <= STACK_COMPLETED; i++)
		if (strcmp(name, stack_condition_name(i)) == 0)
			return i;
	return STACK_STARTED;
}

char *stack_member_shown(const struct stack_member *member)
{
	const char *number = label(member, COMPOSE_NUMBER);

	if (!member->service)
		return memory_strdup(member->name);
	if (!number || !*number || strcmp(number, "1") == 0)
		return memory_strdup(member->service);
	return memory_printf("%s-%s", member->service, number);
}

/* ---- dependencies ---- */

static void add_dependency(struct stack *stack, struct stack_member *member, size_t other,
			   enum stack_condition condition, bool shares)
{
	struct stack_dependency *known = NULL;

	if (&stack->members[other] == member)
		return;
	for (size_t i = 0; i < member->dependency_count; i++)
		if (member->dependencies[i].member == other)
			known = &member->dependencies[i];
	if (!known) {
		member->dependencies =
			memory_array(member->dependencies, member->dependency_count + 1,
				     sizeof(*member->dependencies));
		known = &member->dependencies[member->dependency_count++];
		*known = (struct stack_dependency){.member = other};
	}
	/* What asks for more counts. */
	if (condition > known->condition)
		known->condition = condition;
	known->shares = known->shares || shares;
}

/* All containers of a service of the same project. */
static void add_service(struct stack *stack, struct stack_member *member, const char *service,
			const char *condition)
{
	bool found = false;

	for (size_t i = 0; i < stack->count; i++) {
		const struct stack_member *other = &stack->members[i];

		if (!other->service || strcmp(other->service, service) != 0 || !other->project ||
		    strcmp(other->project, text_or(member->project, "")) != 0)
			continue;
		found = true;
		add_dependency(stack, member, i, condition_of(condition), false);
	}
	if (!found && !string_list_has(&member->missing, service))
		string_list_add(&member->missing, service);
}

/* "db:service_healthy:false,cache:service_started:true"; early releases wrote names only. */
static void add_from_label(struct stack *stack, struct stack_member *member, const char *text)
{
	CLEANUP(string_list_release) struct string_list items;

	string_list_init(&items);
	string_list_split(&items, text, ',');
	for (size_t i = 0; i < items.count; i++) {
		char *rest = items.items[i];
		const char *service = strsep(&rest, ":");
		const char *condition = rest ? strsep(&rest, ":") : "";

		if (*service)
			add_service(stack, member, service, condition);
	}
}

/* A container by a reference of the engine's: an id, or a name with or without '/'. */
static void add_container(struct stack *stack, struct stack_member *member, const char *reference,
			  size_t size, bool shares)
{
	cleanup_free char *word = memory_strndup(reference, size);
	const char *name = word + (*word == '/');

	for (size_t i = 0; *name && i < stack->count; i++)
		if (strcmp(stack->members[i].id, name) == 0 ||
		    strcmp(stack->members[i].name, name) == 0)
			add_dependency(stack, member, i, STACK_STARTED, shares);
}

/* What the container cannot be started without, whoever made it. */
static void add_bindings(struct stack *stack, struct stack_member *member)
{
	static const char *const modes[] = {"NetworkMode", "PidMode", "IpcMode"};
	const struct json *host = json_get(member->inspect, "HostConfig");

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const char *mode = json_string_or(host, modes[i], "");

		if (text_has_prefix(mode, CONTAINER_MODE))
			add_container(stack, member, mode + strlen(CONTAINER_MODE), strlen(mode),
				      true);
	}
	json_for_each(item, json_get(host, "VolumesFrom")) {
		const char *text = json_string_or(item, NULL, "");

		add_container(stack, member, text, strcspn(text, ":"), false);
	}
}

static void add_links(struct stack *stack, struct stack_member *member, const struct json *links)
{
	json_for_each(item, links) {
		const char *text = json_string_or(item, NULL, "");

		add_container(stack, member, text, strcspn(text, ":"), false);
	}
}

static void add_all_links(struct stack *stack, struct stack_member *member)
{
	add_links(stack, member, json_path(member->inspect, "HostConfig", "Links"));
	json_for_each(network, json_path(member->inspect, "NetworkSettings", "Networks"))
		add_links(stack, member, json_get(network, "Links"));
}

/* Of each project that was asked for, what its files say; an empty object: nothing. */
static const struct json *project_files(struct stack *stack, struct json *known,
					const struct stack_member *member)
{
	const struct json *found = json_get(known, member->project);
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free) struct json *dependencies = NULL;
	cleanup_free char *note = NULL;
	int result;

	if (found)
		return found;
	dependencies = json_new_object();
	result = compose_file_read(json_path(member->inspect, "Config", "Labels"), dependencies,
				   &problem);
	if (result <= 0) {
		note = memory_printf("of project %s the conditions of depends_on are not known: "
				     "its containers have no label for them (compose v2 writes "
				     "it), and %s",
				     member->project,
				     problem ? problem->message
					     : "its compose files cannot be read from here");
		string_list_add(&stack->notes, note);
		json_free(STEAL_POINTER(dependencies));
		dependencies = json_new_object();
	}
	return json_set(known, member->project, STEAL_POINTER(dependencies));
}

static void find_dependencies(struct stack *stack, struct stack_member *member, struct json *files)
{
	const char *text = label(member, COMPOSE_DEPENDS_ON);
	const struct json *services = NULL;

	add_bindings(stack, member);
	if (text) {
		add_from_label(stack, member, text);
		return;
	}
	if (member->project && member->service)
		services = json_get(project_files(stack, files, member), member->service);
	if (!services) {
		member->source = STACK_SETTINGS;
		add_all_links(stack, member);
		return;
	}
	member->source = STACK_FILES;
	json_for_each(other, services)
		add_service(stack, member, json_key(other), json_string_or(other, NULL, ""));
}

/* ---- order ---- */

struct sorting {
	struct stack *stack;
	unsigned char *states; /* of each member: 0 not seen, 1 on the way, 2 placed */
	size_t *order, placed; /* members as they are placed */
	size_t *way, depth;    /* from where we came to where we are */
};

/* "web -> db -> web" */
static char *cycle_text(const struct sorting *sorting, size_t again)
{
	struct buffer text;
	size_t start = 0;

	buffer_init(&text, 1U << 16);
	while (sorting->way[start] != again)
		start++;
	for (size_t i = start; i <= sorting->depth; i++) {
		size_t member = i < sorting->depth ? sorting->way[i] : again;
		cleanup_free char *shown = stack_member_shown(&sorting->stack->members[member]);

		buffer_printf(&text, "%s%s", i > start ? " -> " : "", shown);
	}
	return buffer_steal(&text);
}

/* No deeper than there are members, and each has a frame of a few words. */
static void place(struct sorting *sorting, size_t index)
{
	const struct stack_member *member = &sorting->stack->members[index];

	sorting->states[index] = 1;
	sorting->way[sorting->depth++] = index;
	for (size_t i = 0; i < member->dependency_count; i++) {
		size_t other = member->dependencies[i].member;

		if (sorting->states[other] == 0)
			place(sorting, other);
		else if (sorting->states[other] == 1 && !sorting->stack->cycle)
			sorting->stack->cycle = cycle_text(sorting, other);
	}
	sorting->depth--;
	sorting->states[index] = 2;
	sorting->order[sorting->placed++] = index;
}

static void apply_order(struct stack *stack, const size_t *order)
{
	struct stack_member *sorted = memory_zalloc((stack->count + 1) * sizeof(*sorted));
	cleanup_free size_t *places = memory_zalloc((stack->count + 1) * sizeof(*places));

	for (size_t i = 0; i < stack->count; i++)
		places[order[i]] = i;
	for (size_t i = 0; i < stack->count; i++) {
		sorted[i] = stack->members[order[i]];
		for (size_t k = 0; k < sorted[i].dependency_count; k++)
			sorted[i].dependencies[k].member = places[sorted[i].dependencies[k].member];
	}
	free(stack->members);
	stack->members = sorted;
}

static void sort_by_dependencies(struct stack *stack)
{
	size_t size = stack->count + 1;
	cleanup_free unsigned char *states = memory_zalloc(size);
	cleanup_free size_t *order = memory_zalloc(size * sizeof(*order));
	cleanup_free size_t *way = memory_zalloc(size * sizeof(*way));
	struct sorting sorting = {.stack = stack, .states = states, .order = order, .way = way};

	for (size_t i = 0; i < stack->count; i++)
		if (states[i] == 0)
			place(&sorting, i);
	apply_order(stack, order);
}

static int compare_members(const void *a, const void *b)
{
	const struct stack_member *x = a, *y = b;
	int result = strcmp(text_or(x->project, ""), text_or(y->project, ""));

	if (result == 0)
		result = strcmp(text_or(x->service, ""), text_or(y->service, ""));
	return result != 0 ? result : strverscmp(x->name, y->name);
}

void stack_build(struct stack *stack, const struct json *inspects, const char *own)
{
	CLEANUP(cleanup_json_free) struct json *files = json_new_object();

	*stack = (struct stack){0};
	string_list_init(&stack->notes);
	stack->members = memory_zalloc((json_count(inspects) + 1) * sizeof(*stack->members));
	json_for_each(inspect, inspects) {
		struct stack_member *member = &stack->members[stack->count++];

		member->inspect = json_copy(inspect);
		string_list_init(&member->missing);
		fill(member);
		member->is_own = own && strcmp(member->id, own) == 0;
	}
	qsort(stack->members, stack->count, sizeof(*stack->members), compare_members);
	for (size_t i = 0; i < stack->count; i++)
		find_dependencies(stack, &stack->members[i], files);
	sort_by_dependencies(stack);
}

void stack_release(struct stack *stack)
{
	for (size_t i = 0; i < stack->count; i++) {
		json_free(stack->members[i].inspect);
		free(stack->members[i].dependencies);
		string_list_release(&stack->members[i].missing);
	}
	free(stack->members);
	free(stack->project);
	free(stack->cycle);
	string_list_release(&stack->notes);
	*stack = (struct stack){0};
}

int stack_check_order(const struct stack *stack, struct error **err)
{
	if (!stack->cycle)
		return 0;
	error_set(err, ERROR_FAILED, "they depend on one another in a circle: %s", stack->cycle);
	return error_hint(err, "there is no order to start or stop them in; take one of these "
			       "dependencies out of the compose file and make the container anew");
}

/* ---- on an engine ---- */

static bool is_member(const struct json *inspect)
{
	const char *oneoff =
		json_string_or(json_path(inspect, "Config", "Labels"), COMPOSE_ONEOFF, "");

	return strcasecmp(oneoff, "true") != 0 && !helper_is_ours(inspect) &&
	       !scratch_is_ours(inspect);
}

/* Inspects of a list's entries; one that is gone meanwhile is none. NULL: *err. */
static struct json *inspect_all(const struct session *session, const struct json *list,
				struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *inspects = json_new_array();

	json_for_each(entry, list) {
		cleanup_error struct error *problem = NULL;
		struct json *inspect = container_inspect(session->engine,
							 json_string_or(entry, "Id", ""), &problem);

		if (!inspect && problem->kind == ERROR_NOT_FOUND)
			continue;
		if (!inspect) {
			error_append(err, STEAL_POINTER(problem));
			error_prefix(err, "cannot inspect a container");
			return NULL;
		}
		if (is_member(inspect))
			json_add(inspects, inspect);
		else
			json_free(inspect);
	}
	return STEAL_POINTER(inspects);
}

/* The projects that there are, ", " between; to be freed, NULL: none. */
static char *project_names(const struct json *list)
{
	CLEANUP(string_list_release) struct string_list names;

	string_list_init(&names);
	json_for_each(entry, list) {
		const char *name = json_string(json_get(entry, "Labels"), COMPOSE_PROJECT);

		if (name && *name && !string_list_has(&names, name))
			string_list_add(&names, name);
	}
	string_list_sort(&names);
	return names.count ? string_list_join(&names, ", ") : NULL;
}

/* The project that is asked for, to be freed; NULL: *err. */
static char *choose_project(const struct session *session, const struct json *list, const char *own,
			    struct error **err)
{
	cleanup_free char *names = project_names(list);

	if (session->project)
		return memory_strdup(session->project);
	json_for_each(entry, list) {
		const char *name = json_string(json_get(entry, "Labels"), COMPOSE_PROJECT);

		if (own && name && *name && strcmp(json_string_or(entry, "Id", ""), own) == 0)
			return memory_strdup(name);
	}
	error_set(err, ERROR_USAGE, "no compose project is named, and we run in none");
	if (names)
		error_hint(err, "name one with -p; there are: %s", names);
	else
		error_hint(err, "name one with -p; none has a container on this engine");
	return NULL;
}

static struct json *entries_of(const struct json *list, const char *project)
{
	struct json *entries = json_new_array();

	json_for_each(entry, list)
		if (!project ||
		    strcmp(json_string_or(json_get(entry, "Labels"), COMPOSE_PROJECT, ""),
			   project) == 0)
			json_add(entries, json_copy(entry));
	return entries;
}

int stack_find(const struct session *session, bool all, struct stack *stack, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *list = NULL, *entries = NULL, *inspects = NULL;
	cleanup_free char *own = session_own_container(session), *project = NULL;

	*stack = (struct stack){0};
	list = container_list(session->engine, true, NULL, err);
	if (!list)
		return error_prefix(err, "cannot list containers");
	if (!all) {
		project = choose_project(session, list, own, err);
		if (!project)
			return -1;
	}
	entries = entries_of(list, project);
	inspects = inspect_all(session, entries, err);
	if (!inspects)
		return -1;
	if (project && !json_count(inspects)) {
		cleanup_free char *names = project_names(list);

		error_set(err, ERROR_NOT_FOUND, "compose project %s has no containers", project);
		return error_hint(err, "projects with containers: %s", text_or(names, "none"));
	}
	stack_build(stack, inspects, own);
	stack->project = STEAL_POINTER(project);
	return 0;
}

int stack_refresh(const struct session *session, struct stack_member *member, struct error **err)
{
	struct json *inspect = container_inspect(session->engine, member->id, err);

	if (!inspect)
		return error_prefix(err, "cannot inspect container \"%s\"", member->name);
	json_free(member->inspect);
	member->inspect = inspect;
	fill(member);
	return 0;
}

/* ---- some of them ---- */

static int not_in_stack(const struct stack *stack, const char *word, struct error **err)
{
	CLEANUP(string_list_release) struct string_list names;
	cleanup_free char *joined = NULL;

	string_list_init(&names);
	for (size_t i = 0; i < stack->count; i++) {
		const char *name = text_or(stack->members[i].service, stack->members[i].name);

		if (!string_list_has(&names, name))
			string_list_add(&names, name);
	}
	string_list_sort(&names);
	joined = names.count ? string_list_join(&names, ", ") : memory_strdup("none");
	error_set(err, ERROR_NOT_FOUND, "no service or container \"%s\"%s%s", word,
		  stack->project ? " in project " : "", text_or(stack->project, ""));
	return error_hint(err, "there are: %s", joined);
}

int stack_choose(const struct stack *stack, const struct string_list *words, bool *chosen,
		 struct error **err)
{
	for (size_t i = 0; i < stack->count; i++)
		chosen[i] = words->count == 0;
	for (size_t w = 0; w < words->count; w++) {
		const char *word = words->items[w];
		bool found = false;

		for (size_t i = 0; i < stack->count; i++) {
			const struct stack_member *member = &stack->members[i];
			cleanup_free char *shown = stack_member_shown(member);

			if (strcmp(text_or(member->service, ""), word) != 0 &&
			    strcmp(member->name, word) != 0 && strcmp(member->id, word) != 0 &&
			    strcmp(shown, word) != 0)
				continue;
			chosen[i] = found = true;
		}
		if (!found)
			return not_in_stack(stack, word, err);
	}
	return 0;
}

void stack_add_dependencies(const struct stack *stack, bool *chosen)
{
	bool more = true;

	/* Again for as long as it adds: with a cycle one pass from the end is not enough. */
	while (more) {
		more = false;
		for (size_t i = stack->count; i-- > 0;)
			for (size_t k = 0; chosen[i] && k < stack->members[i].dependency_count;
			     k++) {
				size_t other = stack->members[i].dependencies[k].member;

				more = more || !chosen[other];
				chosen[other] = true;
			}
	}
}

void stack_add_dependents(const struct stack *stack, bool *chosen)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < stack->count; i++)
			for (size_t k = 0; !chosen[i] && k < stack->members[i].dependency_count;
			     k++)
				if (chosen[stack->members[i].dependencies[k].member])
					chosen[i] = more = true;
	}
}
