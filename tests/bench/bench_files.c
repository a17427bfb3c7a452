/*
 * Many small files, the least that looking at them costs, and what has changed in a tree: the
 * parts of the benchmarks that must not be slowed down by a script. Not a test.
 *
 *   bench_files make DIRECTORY COUNT     files of 4 KiB, 1000 in a directory: half random, half text
 *   bench_files walk DIRECTORY           statx of everything, one after another; prints how many
 *   bench_files changed DIRECTORY INDEX  the blocks of 8 KiB that INDEX does not know, on standard
 *                                        output; INDEX then knows those that are there now
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE 4096
#define IN_DIRECTORY 1000
#define BLOCK_SIZE 8192

static void die(const char *what, const char *name)
{
	fprintf(stderr, "bench_files: cannot %s \"%s\": %s\n", what, name, strerror(errno));
	exit(1);
}

static void *grow(void *memory, size_t size)
{
	memory = realloc(memory, size);
	if (!memory)
		die("allocate", "memory");
	return memory;
}

/* ---- make --------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fill(char *content, unsigned long number)
{
	uint64_t state = 0x9e3779b97f4a7c15U * (number + 1);
	char line[96];
	size_t at = 0;

	for (; at < FILE_SIZE / 2; at += sizeof(state)) {
		next_random(&state);
		memcpy(content + at, &state, sizeof(state));
	}
	while (at < FILE_SIZE) {
		size_t room = FILE_SIZE - at;
		size_t size = (size_t)snprintf(
			line, sizeof(line), "%lu the quick brown fox jumps over the lazy dog %zu\n",
			number, at);

		memcpy(content + at, line, room < size ? room : size);
		at += room < size ? room : size;
	}
}

static void make_files(const char *top, unsigned long count)
{
	char content[FILE_SIZE], name[64];
	int top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), directory_fd = -1;

	if (top_fd < 0)
		die("open", top);
	for (unsigned long number = 0; number < count; number++) {
		int fd;

		if (number % IN_DIRECTORY == 0) {
			if (directory_fd >= 0)
				close(directory_fd);
			snprintf(name, sizeof(name), "d%06lu", number / IN_DIRECTORY);
			if (mkdirat(top_fd, name, 0755) < 0)
				die("make", name);
			directory_fd = openat(top_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (directory_fd < 0)
				die("open", name);
		}
		fill(content, number);
		snprintf(name, sizeof(name), "f%06lu", number % IN_DIRECTORY);
		fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, content, FILE_SIZE) != FILE_SIZE || close(fd) < 0)
			die("write", name);
	}
	if (directory_fd >= 0)
		close(directory_fd);
	close(top_fd);
}

/* ---- walk --------------------------------------------------------------------------------- */

static unsigned long walk(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	unsigned long count = 0;
	struct dirent *entry;

	if (!directory)
		die("open", name);
	while ((entry = readdir(directory))) {
		struct statx status;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (statx(fd, entry->d_name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status) < 0)
			die("look at", entry->d_name);
		count++;
		if (S_ISDIR(status.stx_mode))
			count += walk(fd, entry->d_name);
	}
	closedir(directory);
	return count;
}

/* ---- changed ------------------------------------------------------------------------------ */

/* One block: where it is, and what it holds. */
struct block {
	uint64_t place, content;
};

struct index {
	struct block *blocks; /* in order of place once read or sorted */
	size_t count, capacity;
};

static uint64_t hash(uint64_t seed, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t value = seed ^ size * 0x9e3779b97f4a7c15U, word;

	for (; size; bytes += sizeof(word), size -= size < sizeof(word) ? size : sizeof(word)) {
		word = 0;
		memcpy(&word, bytes, size < sizeof(word) ? size : sizeof(word));
		value = (value ^ word) * 0xff51afd7ed558ccdU;
		value ^= value >> 32;
	}
	return value;
}

static int by_place(const void *left, const void *right)
{
	uint64_t a = ((const struct block *)left)->place, b = ((const struct block *)right)->place;

	return a < b ? -1 : a > b;
}

static void read_index(struct index *index, const char *path)
{
	FILE *file = fopen(path, "re");
	struct block block;

	if (!file && errno == ENOENT)
		return;
	if (!file)
		die("open", path);
	while (fread(&block, sizeof(block), 1, file) == 1) {
		if (index->count == index->capacity) {
			index->capacity = index->capacity * 2 + 1024;
			index->blocks = grow(index->blocks, index->capacity * sizeof(block));
		}
		index->blocks[index->count++] = block;
	}
	if (ferror(file))
		die("read", path);
	fclose(file);
}

static void write_index(struct index *index, const char *path)
{
	FILE *file = fopen(path, "we");

	qsort(index->blocks, index->count, sizeof(*index->blocks), by_place);
	if (!file ||
	    fwrite(index->blocks, sizeof(*index->blocks), index->count, file) != index->count ||
	    fclose(file) != 0)
		die("write", path);
}

static void compare_file(int parent_fd, const char *name, uint64_t place, const struct index *known,
			 struct index *now)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint8_t data[BLOCK_SIZE];
	ssize_t size;

	if (fd < 0 && errno == ENOENT)
		return; /* a server's temporary file, gone since it was listed */
	if (fd < 0)
		die("open", name);
	for (uint64_t number = 0; (size = read(fd, data, sizeof(data))) > 0; number++) {
		struct block block = {hash(place, &number, sizeof(number)),
				      hash(0, data, (size_t)size)};
		const struct block *found = known->count
						    ? bsearch(&block, known->blocks, known->count,
							      sizeof(block), by_place)
						    : NULL;

		if ((!found || found->content != block.content) &&
		    fwrite(data, 1, (size_t)size, stdout) != (size_t)size)
			die("write", "standard output");
		if (now->count == now->capacity) {
			now->capacity = now->capacity * 2 + 1024;
			now->blocks = grow(now->blocks, now->capacity * sizeof(block));
		}
		now->blocks[now->count++] = block;
	}
	if (size < 0)
		die("read", name);
	close(fd);
}

static void compare(int parent_fd, const char *name, uint64_t place, const struct index *known,
		    struct index *now)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!directory)
		die("open", name);
	while ((entry = readdir(directory))) {
		uint64_t below = hash(place, entry->d_name, strlen(entry->d_name));

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (entry->d_type == DT_DIR)
			compare(fd, entry->d_name, below, known, now);
		else if (entry->d_type == DT_REG)
			compare_file(fd, entry->d_name, below, known, now);
	}
	closedir(directory);
}

static void print_changed(const char *top, const char *path)
{
	struct index known = {0}, now = {0};

	read_index(&known, path);
	compare(AT_FDCWD, top, 1, &known, &now);
	if (fflush(stdout) != 0)
		die("write", "standard output");
	write_index(&now, path);
	free(known.blocks);
	free(now.blocks);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "make") == 0)
		make_files(argv[2], strtoul(argv[3], NULL, 10));
	else if (argc == 3 && strcmp(argv[1], "walk") == 0)
		printf("%lu\n", walk(AT_FDCWD, argv[2]));
	else if (argc == 4 && strcmp(argv[1], "changed") == 0)
		print_changed(argv[2], argv[3]);
	else {
		fprintf(stderr, "usage: bench_files make DIRECTORY COUNT | walk DIRECTORY | "
				"changed DIRECTORY INDEX\n");
		return 2;
	}
	return 0;
}
