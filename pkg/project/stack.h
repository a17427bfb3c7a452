/*
 * The containers of a compose project, or all of an engine, with what each depends on, in the order
 * in which they can be started. Compose itself is not needed, nor its file: what the engine knows, and
 * what labels say, is enough.
 */
#ifndef SIDESNAP_PROJECT_STACK_H
#define SIDESNAP_PROJECT_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "base/text.h"
#include "snapshot/session.h"

enum stack_condition {
	STACK_STARTED,	 /* service_started */
	STACK_HEALTHY,	 /* service_healthy */
	STACK_COMPLETED, /* service_completed_successfully: it ended with 0 */
};

/* Where it is known from what a member depends on. */
enum stack_source {
	STACK_LABEL,	/* com.docker.compose.depends_on, of compose v2 */
	STACK_FILES,	/* the compose files that its labels name */
	STACK_SETTINGS, /* its links alone: conditions are not known */
};

struct stack_dependency {
	size_t member; /* index; smaller than that of whoever depends on it, unless there is a cycle */
	enum stack_condition condition;
	bool shares; /* its namespaces are used: a restart of it alone cuts off who depends on it */
};

struct stack_member {
	struct json *inspect; /* container inspect; owned */
	const char *id;	      /* 64 hex digits; borrowed from inspect, as all below */
	const char *name;     /* without '/' */
	const char *project;  /* compose, or NULL */
	const char *service;  /* compose, or NULL */
	bool is_own;	      /* the container that we run in: never stopped by us */
	enum stack_source source;
	struct stack_dependency *dependencies; /* each member once */
	size_t dependency_count;
	struct string_list missing; /* services or ids that it depends on and that are not there */
};

struct stack {
	char *project; /* NULL: all of the engine */
	struct stack_member *members;
	size_t count;
	char *cycle; /* "a -> b -> a" where they depend on one another in a circle; else NULL */
	struct string_list notes; /* why something of it may not be known, for people */
};

/*
 * stack_find(session, all, stack, err):
 * Those of session->project, else of the sidecar's own; with ${all} every container. One-off containers
 * ("compose run") and our helpers are left out. ERROR_USAGE: no project is named, and we run in none;
 * ERROR_NOT_FOUND: it has no containers.
 */
int stack_find(const struct session *session, bool all, struct stack *stack, struct error **err);

/*
 * stack_build(stack, inspects, own):
 * The same from inspects (an array; copied) that are of it. ${own}: id of our container, or NULL.
 */
void stack_build(struct stack *stack, const struct json *inspects, const char *own);

void stack_release(struct stack *stack);

/* stack_check_order(stack, err): ERROR_FAILED where there is a cycle, so no order. */
int stack_check_order(const struct stack *stack, struct error **err);

/*
 * stack_choose(stack, words, chosen, err):
 * Mark in ${chosen} (stack->count of them) those whose service or name is one of ${words}; all where
 * there are none. ERROR_NOT_FOUND names those that there are.
 */
int stack_choose(const struct stack *stack, const struct string_list *words, bool *chosen,
		 struct error **err);

/* stack_add_dependencies(stack, chosen), stack_add_dependents(): Mark what those need, or who needs them, too. */
void stack_add_dependencies(const struct stack *stack, bool *chosen);
void stack_add_dependents(const struct stack *stack, bool *chosen);

/* stack_refresh(session, member, err): Inspect anew. ERROR_NOT_FOUND when it is gone; then the old one stays. */
int stack_refresh(const struct session *session, struct stack_member *member, struct error **err);

/* stack_condition_name(condition): As compose calls it. */
const char *stack_condition_name(enum stack_condition condition);

/* stack_member_shown(member): Its service, with the number of the container where that is not 1; else its name. To be freed. */
char *stack_member_shown(const struct stack_member *member);

#endif
