/*
 * A pause takes the engine some 20 ms, nearly all of it waiting for a process of its runtime. What cannot be
 * done by a thread of its own is done by the caller's.
 */
#include "snapshot/create/pause_all.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/memory.h"

/* More at the same time than an engine has hands for gain nothing. */
#define AT_ONCE 16

struct worker {
	const struct engine *engine;
	const volatile int *cancelled;
	struct pause_task *tasks;
	size_t first, step, count; /* of its tasks: every ${step}th */
	bool thaw;
	pthread_t thread;
	bool is_started;
};

static void do_one(struct engine *engine, struct pause_task *task, bool thaw)
{
	task->result = thaw ? container_unpause(engine, task->id, &task->changed, &task->problem)
			    : container_pause(engine, task->id, &task->changed, &task->problem);
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct error *problem = NULL;
	CLEANUP(cleanup_engine_free)
	struct engine *engine = engine_reopen(worker->engine, &problem);

	if (engine)
		engine_set_cancel(engine, worker->cancelled);
	for (size_t i = worker->first; i < worker->count; i += worker->step) {
		struct pause_task *task = &worker->tasks[i];

		if (engine)
			do_one(engine, task, worker->thaw);
		else
			task->result =
				error_set(&task->problem, ERROR_ENGINE, "%s", problem->message);
	}
	error_free(problem);
	return NULL;
}

void pause_all(struct engine *engine, const volatile int *cancelled, struct pause_task *tasks,
	       size_t count, bool thaw)
{
	size_t threads = count < AT_ONCE ? count : AT_ONCE;
	cleanup_free struct worker *workers = memory_zalloc((threads + 1) * sizeof(*workers));
	sigset_t all, before;

	if (count == 1) {
		do_one(engine, tasks, thaw);
		return;
	}
	/* Signals are for the thread that waits in the caller's calls. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t i = 0; i < threads; i++) {
		workers[i] = (struct worker){engine, cancelled, tasks, i,    threads,
					     count,  thaw,	0,     false};
		workers[i].is_started =
			pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (size_t i = 0; i < threads; i++)
		if (!workers[i].is_started)
			work(&workers[i]);
	for (size_t i = 0; i < threads; i++)
		if (workers[i].is_started)
			pthread_join(workers[i].thread, NULL);
}
