/* A static program has no place of its own for certificates, so those of all systems are tried. */
#include "remote/trust.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"

#define BUNDLE_LIMIT (8U << 20)
#define FILES_MAX 1024

/* Debian, Red Hat, SUSE, Alpine and others, in the order of Go's crypto/x509 (root_linux.go). */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem",
	"/etc/ssl/cert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

static bool append_file(struct buffer *to, const char *path)
{
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, BUNDLE_LIMIT);
	if (io_read_file(AT_FDCWD, path, &text, NULL) < 0 || !text.size)
		return false;
	return buffer_append(to, text.data, text.size) == 0 && buffer_append_string(to, "\n") == 0;
}

/* Names in a folder, sorted. */
static void list_names(const char *directory, struct string_list *names)
{
	DIR *folder = opendir(directory);
	struct dirent *entry;

	while (folder && names->count < FILES_MAX && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			string_list_add(names, entry->d_name);
	if (folder)
		closedir(folder);
	string_list_sort(names);
}

/* NULL ${suffix}: all files. */
static void append_folder(struct buffer *to, const char *directory, const char *suffix)
{
	CLEANUP(string_list_release) struct string_list names;

	string_list_init(&names);
	list_names(directory, &names);
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *path = path_join(directory, names.items[i]);

		if (!suffix || text_has_suffix(path, suffix))
			append_file(to, path);
	}
}

/* NAME.cert is ours where NAME.key is beside it. */
static void find_own(const char *directory, struct trust *trust)
{
	CLEANUP(string_list_release) struct string_list names;

	string_list_init(&names);
	list_names(directory, &names);
	for (size_t i = 0; i < names.count && !trust->certificate; i++) {
		cleanup_free char *path = path_join(directory, names.items[i]), *key = NULL;

		if (!text_has_suffix(path, ".cert"))
			continue;
		key = memory_printf("%.*s.key", (int)(strlen(path) - strlen(".cert")), path);
		if (access(key, R_OK) < 0)
			continue;
		trust->certificate = STEAL_POINTER(path);
		trust->key = STEAL_POINTER(key);
	}
}

static void find_of_host(const char *directory, const char *host, struct buffer *authorities,
			 struct trust *trust)
{
	cleanup_free char *path = path_join(directory, host);

	append_folder(authorities, path, ".crt");
	find_own(path, trust);
}

static void append_system(struct buffer *authorities)
{
	const char *file = text_or(getenv("SSL_CERT_FILE"), NULL);
	const char *directory = text_or(getenv("SSL_CERT_DIR"), NULL);
	bool found = file && append_file(authorities, file);

	if (directory)
		append_folder(authorities, directory, NULL);
	for (size_t i = 0; !file && !found && i < sizeof(bundles) / sizeof(bundles[0]); i++)
		found = append_file(authorities, bundles[i]);
}

void trust_find(const char *host, struct trust *trust)
{
	const char *home = text_or(getenv("HOME"), NULL);
	cleanup_free char *of_user = home ? path_join(home, ".config/docker/certs.d") : NULL;
	struct buffer authorities;

	*trust = (struct trust){0};
	buffer_init(&authorities, 2 * BUNDLE_LIMIT);
	append_system(&authorities);
	/* Not from a name that leads elsewhere; no host has a slash. */
	if (!strchr(host, '/') && host[0] != '.') {
		find_of_host("/etc/docker/certs.d", host, &authorities, trust);
		/* where a rootless docker has them */
		if (of_user)
			find_of_host(of_user, host, &authorities, trust);
	}
	trust->authorities_size = authorities.size;
	trust->authorities = authorities.size ? buffer_steal(&authorities) : NULL;
	buffer_release(&authorities);
}

void trust_release(struct trust *trust)
{
	free(trust->authorities);
	free(trust->certificate);
	free(trust->key);
	*trust = (struct trust){0};
}

bool trust_is_loopback(const char *host)
{
	size_t length = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");
	cleanup_free char *name = memory_strndup(host, length);
	struct in_addr address;

	if (host[0] == '[')
		return !strcmp(name, "[::1");
	return !strcmp(name, "localhost") ||
	       (inet_pton(AF_INET, name, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}
