/*
 * A thread with an engine object of its own. It is given up through the flag that its
 * requests look at, so that nobody waits for a checkpoint of minutes in vain.
 */
#include "snapshot/create/preparation.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"

/* How often the owner looks whether a person wants to stop. */
#define TURN_NS (50 * 1000 * 1000L)

struct preparation {
	const struct session *session;
	const char *id;
	const struct driver_match *driver;
	struct engine *engine;
	volatile int is_given_up;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t end;
	bool has_ended;
	int result;
	struct error *err;
};

static void *run(void *context)
{
	struct preparation *preparation = context;
	int result = driver_prepare(preparation->engine, preparation->id, preparation->driver,
				    &preparation->err);

	pthread_mutex_lock(&preparation->lock);
	preparation->result = result;
	preparation->has_ended = true;
	pthread_cond_signal(&preparation->end);
	pthread_mutex_unlock(&preparation->lock);
	return NULL;
}

/* Signals are for the thread that waits in the engine's calls. */
static int start_thread(struct preparation *preparation)
{
	sigset_t all, before;
	int number;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	number = pthread_create(&preparation->thread, NULL, run, preparation);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return number;
}

static void release(struct preparation *preparation)
{
	engine_free(preparation->engine);
	pthread_cond_destroy(&preparation->end);
	pthread_mutex_destroy(&preparation->lock);
	error_free(preparation->err);
	free(preparation);
}

struct preparation *preparation_start(const struct session *session, const char *id,
				      const struct driver_match *driver, struct error **err)
{
	struct preparation *preparation = memory_zalloc(sizeof(*preparation));
	int number;

	preparation->session = session;
	preparation->id = id;
	preparation->driver = driver;
	pthread_mutex_init(&preparation->lock, NULL);
	pthread_cond_init(&preparation->end, NULL);
	preparation->engine = engine_reopen(session->engine, err);
	if (!preparation->engine) {
		release(preparation);
		return NULL;
	}
	engine_set_cancel(preparation->engine, &preparation->is_given_up);
	number = start_thread(preparation);
	if (number) {
		error_set_errno(err, number, "cannot start a thread");
		release(preparation);
		return NULL;
	}
	return preparation;
}

static void wait_a_turn(struct preparation *preparation)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += TURN_NS;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&preparation->end, &preparation->lock, &until);
}

int preparation_finish(struct preparation *preparation, struct error **err)
{
	int result;

	pthread_mutex_lock(&preparation->lock);
	while (!preparation->has_ended) {
		wait_a_turn(preparation);
		if (session_check(preparation->session, NULL) < 0)
			preparation->is_given_up = 1;
	}
	pthread_mutex_unlock(&preparation->lock);
	pthread_join(preparation->thread, NULL);
	result = preparation->result;
	if (result < 0)
		error_append(err, STEAL_POINTER(preparation->err));
	release(preparation);
	return result;
}

void preparation_abandon(struct preparation *preparation)
{
	if (!preparation)
		return;
	preparation->is_given_up = 1;
	pthread_join(preparation->thread, NULL);
	release(preparation);
}
