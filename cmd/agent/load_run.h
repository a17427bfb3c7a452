/*
 * One operation of a load ("load" of the manifest's extra): a program of the image, its words
 * and variables from templates, the dump on its stdin. What it says is read line by line.
 */
#ifndef SIDESNAP_AGENT_LOAD_RUN_H
#define SIDESNAP_AGENT_LOAD_RUN_H

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "load_process.h"
#include "load_values.h"
#include "tree/dump.h"

struct load_run {
	struct load_values *values;
	const struct privilege *privilege;
	const struct json *way;	      /* in, found before; NULL: none is needed */
	struct load_process *server;  /* that must not end meanwhile; NULL: none runs */
	struct dump_reader *dump;     /* its stdin behind "input"; NULL: nothing */
	const char *errors, *ignored; /* expressions for lines of its output; NULL: none */
	uint64_t timeout_ms;	      /* 0: as long as it takes */
};

/*
 * load_run(run, operation, err):
 * 0 when it has ended with 0, has taken all of the dump, and said nothing that is an error.
 * One whose "needs" are absent is left out, which is a success. ERROR_CANCELLED: a signal came.
 */
int load_run(const struct load_run *run, const struct json *operation, struct error **err);

/* load_run_all(run, operations, err): In order, up to the first that fails. */
int load_run_all(const struct load_run *run, const struct json *operations, struct error **err);

/* load_set_variable(environment, pair): "NAME=value" in it, in place of another value of that name. */
void load_set_variable(struct string_list *environment, const char *pair);

/* load_check_signal(err): ERROR_CANCELLED where one came that stops the container. */
int load_check_signal(struct error **err);

#endif
