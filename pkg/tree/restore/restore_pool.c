/* The workers of a restore and the bounded queue that feeds them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tree/restore/restore_private.h"

/* Enough that no worker waits, few enough that open files and memory stay bounded. */
#define QUEUE_LENGTH_MAX 64
#define PROGRESS_INTERVAL_MS 100
#define WORKER_STACK_SIZE (256U << 10)

int restore_fail(struct restore *restore, struct error *error)
{
	pthread_mutex_lock(&restore->lock);
	if (!restore->error)
		restore->error = error;
	else
		error_free(error);
	atomic_store(&restore->failed, true);
	pthread_cond_broadcast(&restore->work);
	pthread_cond_broadcast(&restore->room);
	pthread_mutex_unlock(&restore->lock);
	return -1;
}

int restore_refused(struct restore *restore, int number, const char *what, const char *path,
		    struct error **err)
{
	struct error *refusal = NULL;

	error_set_errno(&refusal, number, "cannot %s \"%s\"", what, *path ? path : ".");
	/* EINVAL: an owner that this user namespace does not have */
	if (number != EPERM && number != EACCES && number != ENOTSUP && number != EINVAL) {
		if (err)
			*err = refusal;
		else
			error_free(refusal);
		return -1;
	}
	pthread_mutex_lock(&restore->lock);
	restore->refusals++;
	if (!restore->refusal)
		restore->refusal = refusal;
	else
		error_free(refusal);
	pthread_mutex_unlock(&restore->lock);
	return 0;
}

int restore_tick(struct restore *restore, struct error **err)
{
	const struct restore_options *options = restore->options;
	struct restore_totals totals;
	uint64_t now;

	if (!options->progress)
		return 0;
	now = clock_monotonic_ms();
	if (now < restore->progress_at_ms)
		return 0;
	restore->progress_at_ms = now + PROGRESS_INTERVAL_MS;
	memset(&totals, 0, sizeof(totals));
	restore_count(restore, &totals);
	return options->progress(options->progress_context, &totals, err);
}

/* Wait under the lock for some change, at most until progress is due. */
static void wait_for_room(struct restore *restore)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PROGRESS_INTERVAL_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&restore->room, &restore->lock, &until);
}

int restore_pool_add(struct restore *restore, struct restore_job *job, struct error **err)
{
	pthread_mutex_lock(&restore->lock);
	while (restore->queued >= QUEUE_LENGTH_MAX && !atomic_load(&restore->failed)) {
		wait_for_room(restore);
		pthread_mutex_unlock(&restore->lock);
		if (restore_tick(restore, err) < 0) {
			restore_job_free(restore, job);
			return -1;
		}
		pthread_mutex_lock(&restore->lock);
	}
	job->next = NULL;
	*restore->last = job;
	restore->last = &job->next;
	restore->queued++;
	/* not one of them: it might be one that does not take this job */
	pthread_cond_broadcast(&restore->work);
	pthread_mutex_unlock(&restore->lock);
	return 0;
}

/* The first job, if it is one for this worker. */
static struct restore_job *own_job(const struct restore *restore, bool only_large)
{
	struct restore_job *job = restore->first;

	return job && (job->large || !only_large) ? job : NULL;
}

/*
 * The next job, NULL at the end. After a failure jobs are only taken to be freed. What is left when
 * a worker for large files ends is done by the others.
 */
static struct restore_job *take_job(struct restore *restore, bool only_large)
{
	struct restore_job *job;

	pthread_mutex_lock(&restore->lock);
	while (!(job = own_job(restore, only_large)) && !restore->closing)
		pthread_cond_wait(&restore->work, &restore->lock);
	if (job) {
		restore->first = job->next;
		if (!restore->first)
			restore->last = &restore->first;
		else if (restore->first->large)
			pthread_cond_broadcast(&restore->work);
		restore->queued--;
		restore->busy++;
		pthread_cond_signal(&restore->room);
	}
	pthread_mutex_unlock(&restore->lock);
	return job;
}

static void *work(struct restore *restore, bool only_large)
{
	struct restore_worker worker = {.restore = restore};
	struct restore_job *job;

	record_space_init(&worker.space);
	attribute_space_init(&worker.attributes);
	while ((job = take_job(restore, only_large))) {
		struct error *error = NULL;

		if (!atomic_load(&restore->failed) && restore_job_run(&worker, job, &error) < 0)
			restore_fail(restore, error);
		restore_job_free(restore, job);
		pthread_mutex_lock(&restore->lock);
		restore->busy--;
		pthread_cond_signal(&restore->room);
		pthread_mutex_unlock(&restore->lock);
	}
	record_space_release(&worker.space);
	attribute_space_release(&worker.attributes);
	free(worker.buffer);
	free(worker.compare);
	return NULL;
}

static void *worker_main(void *context)
{
	return work(context, false);
}

static void *large_worker_main(void *context)
{
	return work(context, true);
}

int restore_pool_start(struct restore *restore, pthread_t *threads, unsigned *count, unsigned large,
		       struct error **err)
{
	pthread_attr_t attributes;
	unsigned started = 0, needed = *count - large;
	int number = 0;

	pthread_attr_init(&attributes);
	/* sanitizers and glibc want more than musl's default anyway */
	pthread_attr_setstacksize(&attributes, WORKER_STACK_SIZE);
	for (; started < *count && !number; started += !number)
		number =
			pthread_create(&threads[started], &attributes,
				       started < needed ? worker_main : large_worker_main, restore);
	pthread_attr_destroy(&attributes);
	if (started >= needed) {
		*count = started;
		return 0;
	}
	restore_pool_stop(restore, threads, started, NULL);
	return error_set_errno(err, number, "cannot start a restoring thread");
}

int restore_pool_stop(struct restore *restore, pthread_t *threads, unsigned count,
		      struct error **err)
{
	int result = 0;

	pthread_mutex_lock(&restore->lock);
	while (err && !result && (restore->queued || restore->busy)) {
		wait_for_room(restore);
		pthread_mutex_unlock(&restore->lock);
		result = restore_tick(restore, err);
		pthread_mutex_lock(&restore->lock);
	}
	if (result < 0)
		atomic_store(&restore->failed, true);
	restore->closing = true;
	pthread_cond_broadcast(&restore->work);
	pthread_mutex_unlock(&restore->lock);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return result;
}
