/*
 * The only program of an image without shell and libc, and a tool for the tests:
 *   service wait              print "ready", then the name of each signal; TERM ends it with 7
 *   service arguments ...     print every argument in quotes, one a line, and the process id
 *   service identity          print uid, gid, groups, capabilities, no_new_privs
 *   service read PATH         copy a file to stdout
 *   service write PATH TEXT   write a file
 *   service churn PATH SEED   change what is below PATH at random, for ever
 *   service mapped PATH       store a counter into a shared mapping for ever, the first store at once
 */
#define _GNU_SOURCE
#include "churn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile sig_atomic_t last;

static void on_signal(int number)
{
	last = number;
}

static int wait_for_signals(void)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t all, none;

	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], on_signal);
	printf("ready as %d\n", (int)getpid());
	fflush(stdout);
	for (;;) {
		sigsuspend(&none);
		printf("signal %d\n", (int)last);
		fflush(stdout);
		if (last == SIGTERM)
			return 7;
	}
}

static int copy(const char *path)
{
	char data[65536];
	ssize_t got;
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		perror(path);
		return 1;
	}
	while ((got = read(fd, data, sizeof(data))) > 0)
		fwrite(data, 1, (size_t)got, stdout);
	close(fd);
	return got < 0;
}

static int store(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		perror(path);
		return 1;
	}
	close(fd);
	return 0;
}

static int mapped(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);
	volatile uint64_t *counter;

	if (fd < 0 || ftruncate(fd, 4096) != 0)
		return 1;
	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counter == MAP_FAILED)
		return 1;
	for (;;) {
		*counter += 1;
		counter[511] = *counter;
	}
}

static int identity(void)
{
	char line[256];
	FILE *file = fopen("/proc/self/status", "r");

	if (file == NULL)
		return 1;
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "Uid", 3) == 0 || strncmp(line, "Gid", 3) == 0 ||
		    strncmp(line, "Cap", 3) == 0 || strncmp(line, "Groups", 6) == 0 ||
		    strncmp(line, "NoNew", 5) == 0)
			fputs(line, stdout);
	fclose(file);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "wait";

	if (strcmp(verb, "arguments") == 0) {
		printf("pid %d\n", (int)getpid());
		for (int i = 0; i < argc; i++)
			printf("\"%s\"\n", argv[i]);
		return 0;
	}
	if (strcmp(verb, "identity") == 0)
		return identity();
	if (strcmp(verb, "read") == 0 && argc == 3)
		return copy(argv[2]);
	if (strcmp(verb, "write") == 0 && argc == 4)
		return store(argv[2], argv[3]);
	if (strcmp(verb, "mapped") == 0 && argc == 3)
		return mapped(argv[2]);
	if (strcmp(verb, "churn") == 0 && argc == 4)
		return churn(argv[2], argv[3]);
	return wait_for_signals();
}
