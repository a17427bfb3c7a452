/* Two texts as lines that differ, by the machine's own diff. */
#include "snapshot/compare/text_diff.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/process.h"

#define DIFF_MAX (64U << 20)
#define DIFF_TIMEOUT_MS 60000

static int make_file(const struct buffer *text, struct error **err)
{
	int fd = memfd_create("sidesnap-diff", MFD_CLOEXEC);

	if (fd < 0 || io_write_full(fd, text->data, text->size) < 0) {
		error_set_errno(err, errno, "cannot make a temporary file");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* ${program}: "diff", or "busybox" with it. 0 and the text, or -1. */
static int run_diff(const struct text_side *from, const struct text_side *to, const char *program,
		    int fd, struct buffer *output, const volatile int *cancel, struct error **err)
{
	cleanup_free char *other = memory_printf("/proc/%d/fd/%d", (int)getpid(), fd);
	const char *words[] = {"diff", "-u", "-L", from->label, "-L", to->label, "-", other, NULL};
	const char *behind[] = {"busybox", "diff",    "-u", "-L",  from->label,
				"-L",	   to->label, "-",  other, NULL};
	struct buffer errors;
	struct process process = {
		.arguments = strcmp(program, "diff") == 0 ? words : behind,
		.input = from->text->data,
		.input_size = from->text->size,
		.timeout_ms = DIFF_TIMEOUT_MS,
		.cancel = cancel,
		.output = output,
		.errors = &errors,
	};
	int result;

	buffer_init(&errors, 4096);
	result = process_run(&process, err);
	if (result == 0 && process.exit_code > 1)
		result = error_set(err, ERROR_FAILED, "\"%s\" failed (exit code %d): %s", program,
				   process.exit_code, errors.size ? errors.data : "");
	buffer_release(&errors);
	return result;
}

char *text_diff(const struct text_side *from, const struct text_side *to,
		const volatile int *cancel, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	cleanup_fd int fd = make_file(to->text, err);
	CLEANUP(buffer_release) struct buffer output;
	int status;

	buffer_init(&output, DIFF_MAX);
	if (fd < 0)
		return NULL;
	status = run_diff(from, to, "diff", fd, &output, cancel, &problem);
	if (status < 0 && problem->kind == ERROR_NOT_FOUND) {
		error_free(STEAL_POINTER(problem));
		status = run_diff(from, to, "busybox", fd, &output, cancel, &problem);
	}
	if (status == 0)
		return buffer_steal(&output);
	if (problem->kind == ERROR_NOT_FOUND) {
		error_set(err, ERROR_UNSUPPORTED, "there is no diff on this machine");
		error_hint(err, "install diffutils or busybox");
	} else {
		error_append(err, STEAL_POINTER(problem));
	}
	return NULL;
}
