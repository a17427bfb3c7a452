/*
 * The distribution API spoken with a server of few words on 127.0.0.1: what is asked, what is believed,
 * and that no answer, however damaged, is more than an error.
 */
#include "test_support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"
#include "remote/challenge.h"
#include "remote/distribution.h"
#include "remote/trust.h"

#define MUTATIONS 1500

/* ---- headers ---- */

static void expect_challenge(const char *header, enum challenge_kind kind, const char *realm,
			     const char *service)
{
	struct challenge challenge = {0};

	challenge_take(&challenge, header);
	assert_int_equal(challenge.kind, kind);
	if (realm)
		assert_string_equal(challenge.realm, realm);
	if (service)
		assert_string_equal(challenge.service, service);
	challenge_release(&challenge);
}

static void test_challenges(void **state)
{
	(void)state;
	expect_challenge("Basic realm=\"x\"", CHALLENGE_BASIC, NULL, NULL);
	expect_challenge("bearer realm=\"https://a/t?x=1\",service=\"r\",scope=\"a:b:c,d\"",
			 CHALLENGE_BEARER, "https://a/t?x=1", "r");
	expect_challenge("Basic realm=\"x\", Bearer realm = \"https://a\" , service=b",
			 CHALLENGE_BEARER, "https://a", "b");
	expect_challenge("Bearer realm=\"https://a\", Basic realm=\"x\"", CHALLENGE_BEARER,
			 "https://a", NULL);
	expect_challenge("Bearer realm=\"a\\\"b\\\\c\"", CHALLENGE_BEARER, "a\"b\\c", NULL);
	expect_challenge("Bearer service=\"x\"", CHALLENGE_NONE, NULL, NULL);
	expect_challenge("Negotiate, Digest a=b", CHALLENGE_NONE, NULL, NULL);
	expect_challenge("Bearer realm=\"never ends", CHALLENGE_BEARER, "never ends", NULL);
	expect_challenge(", ,=\"\" Basic", CHALLENGE_NONE, NULL, NULL);
	expect_challenge("", CHALLENGE_NONE, NULL, NULL);
}

static void expect_link(const char *header, const char *expected)
{
	cleanup_free char *link = challenge_next_link(header);

	if (expected)
		assert_string_equal(link, expected);
	else
		assert_null(link);
}

static void test_links(void **state)
{
	(void)state;
	expect_link("</v2/x/tags/list?n=1&last=a>; rel=\"next\"", "/v2/x/tags/list?n=1&last=a");
	expect_link("<a>; rel=prev, <b>; title=\"x,y\"; rel=next", "b");
	expect_link("<a>; rel=prev", NULL);
	expect_link("<a", NULL);
	expect_link("a; rel=next", NULL);
	expect_link("<a>;;;rel", NULL);
}

/* Neither ends nor reads beyond; sanitizers see the rest. */
static void test_headers_of_any_kind(void **state)
{
	static const char alphabet[] = "aB \t,;=\"\\<>/?bearer realm=rel=next";
	uint64_t random = 4242;

	(void)state;
	for (size_t i = 0; i < 50000; i++) {
		struct challenge challenge = {0};
		char text[48];
		size_t size = i % sizeof(text);

		for (size_t j = 0; j < size; j++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			text[j] = alphabet[(random >> 33) % (sizeof(alphabet) - 1)];
		}
		text[size] = '\0';
		challenge_take(&challenge, text);
		challenge_release(&challenge);
		free(challenge_next_link(text));
	}
}

static void test_hosts(void **state)
{
	(void)state;
	assert_true(trust_is_loopback("localhost") && trust_is_loopback("localhost:5000"));
	assert_true(trust_is_loopback("127.0.0.1:5000") && trust_is_loopback("127.8.9.1"));
	assert_true(trust_is_loopback("[::1]:5000"));
	assert_false(trust_is_loopback("128.0.0.1") || trust_is_loopback("127.0.0.1.example"));
	assert_false(trust_is_loopback("localhost.example") || trust_is_loopback("[::2]"));
}

static void test_digests(void **state)
{
	char digest[DIGEST_SIZE];

	(void)state;
	/* FIPS 180-2, "abc" */
	digest_of("abc", 3, digest);
	assert_string_equal(digest,
			    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f2"
			    "0015ad");
	assert_true(digest_is_valid(digest));
	digest[20] = 'A';
	assert_false(digest_is_valid(digest) || digest_is_valid("sha256:") ||
		     digest_is_valid(NULL));
	assert_false(digest_is_valid("sha512:00"));
}

/* ---- a server ---- */

struct server {
	int listener;
	char host[32];
	pthread_t thread;
	volatile int stop;
	volatile int requests;
	/* The answer to a path, with its header; to be freed. */
	char *(*answer)(struct server *server, const char *request, size_t *size);
	uint64_t random;
	const char *config;
	char manifest[1024];
	char config_digest[DIGEST_SIZE], manifest_digest[DIGEST_SIZE];
};

static char *with_header(const char *status, const char *more, const char *body, size_t *size)
{
	char *text =
		memory_printf("HTTP/1.1 %s\r\n%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
			      status, more, strlen(body), body);

	*size = strlen(text);
	return text;
}

/* One request a connection. TLS is hung up on. */
static void serve(struct server *server, int fd)
{
	char request[4096];
	size_t have = 0;

	while (have < sizeof(request) - 1) {
		ssize_t count = recv(fd, request + have, sizeof(request) - 1 - have, 0);
		char *text, *end;
		size_t size;

		if (count <= 0 || request[0] == 0x16)
			return;
		have += (size_t)count;
		request[have] = '\0';
		end = strstr(request, "\r\n\r\n");
		if (!end)
			continue;
		server->requests++;
		text = server->answer(server, request, &size);
		send(fd, text, size, MSG_NOSIGNAL);
		free(text);
		return;
	}
}

static void *run(void *argument)
{
	struct server *server = argument;

	while (!server->stop) {
		struct pollfd wait = {.fd = server->listener, .events = POLLIN};
		int fd = poll(&wait, 1, 50) > 0 ? accept(server->listener, NULL, NULL) : -1;

		if (fd < 0)
			continue;
		serve(server, fd);
		close(fd);
	}
	return NULL;
}

static void server_start(struct server *server,
			 char *(*answer)(struct server *, const char *, size_t *))
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	memset(server, 0, sizeof(*server));
	server->answer = answer;
	server->config = "{\"architecture\":\"amd64\",\"config\":{\"Labels\":{\"a\":\"b\"}}}";
	digest_of(server->config, strlen(server->config), server->config_digest);
	snprintf(
		server->manifest, sizeof(server->manifest),
		"{\"schemaVersion\":2,\"mediaType\":\"application/"
		"vnd.docker.distribution.manifest.v2+json\",\"config\":{\"mediaType\":\"application/"
		"vnd.docker.container.image.v1+json\",\"size\":%zu,\"digest\":\"%s\"},\"layers\":[{"
		"\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar.gzip\",\"size\":100,"
		"\"digest\":\"%s\"}]}",
		strlen(server->config), server->config_digest, server->config_digest);
	digest_of(server->manifest, strlen(server->manifest), server->manifest_digest);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server->listener, 64), 0);
	getsockname(server->listener, (struct sockaddr *)&address, &size);
	snprintf(server->host, sizeof(server->host), "127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
}

static void server_stop(struct server *server)
{
	server->stop = 1;
	pthread_join(server->thread, NULL);
	close(server->listener);
}

static struct client *client_of(const struct server *server)
{
	struct client_options options = {
		.host = server->host,
		.repository = "team/db",
		.first_pause_ms = 1,
		.stall_s = 5,
	};
	struct error *error = NULL;
	struct client *client = client_new(&options, &error);

	assert_non_null(client);
	return client;
}

/* ---- what is believed ---- */

static char *answer_well(struct server *server, const char *request, size_t *size)
{
	if (text_has_prefix(request, "GET /v2/team/db/tags/list?n=1000 "))
		return with_header("200 OK",
				   "Link: </v2/team/db/tags/list?last=b>; rel=\"next\"\r\n",
				   "{\"tags\":[\"a\",\"-no-tag\",7,\"b\"]}", size);
	if (text_has_prefix(request, "GET /v2/team/db/tags/list?last=b "))
		return with_header("200 OK",
				   "Link: <http://other.example/v2/x/tags/list>; rel=\"next\"\r\n",
				   "{\"tags\":[\"c\"]}", size);
	if (text_has_prefix(request, "GET /v2/team/db/manifests/lies "))
		return with_header(
			"200 OK",
			"Docker-Content-Digest: sha256:"
			"0000000000000000000000000000000000000000000000000000000000000000"
			"\r\n",
			server->manifest, size);
	if (text_has_prefix(request, "GET /v2/team/db/manifests/index ")) {
		cleanup_free char *index = memory_printf(
			"{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{"
			"\"digest\":\"%s\",\"platform\":{\"os\":\"unknown\",\"architecture\":"
			"\"unknown\"}},{\"digest\":\"%s\",\"platform\":{\"os\":\"linux\","
			"\"architecture\":\"amd64\"}}]}",
			server->config_digest, server->manifest_digest);

		return with_header("200 OK", "", index, size);
	}
	if (text_has_prefix(request, "GET /v2/team/db/manifests/chart "))
		return with_header(
			"200 OK", "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n",
			"{\"config\":{\"mediaType\":\"application/vnd.cncf.helm.config.v1+json\"}}",
			size);
	if (text_has_prefix(request, "GET /v2/team/db/manifests/none "))
		return with_header("404 Not Found", "",
				   "{\"errors\":[{\"message\":\"manifest unknown\\nx\"}]}", size);
	if (text_has_prefix(request, "GET /v2/team/db/manifests/"))
		return with_header("200 OK", "", server->manifest, size);
	if (text_has_prefix(request, "GET /v2/team/db/blobs/"))
		return with_header("200 OK", "", server->config, size);
	return with_header("500 Error", "", "", size);
}

static void test_what_is_believed(void **state)
{
	struct remote_image images[7] = {{.reference = "a"},	 {.reference = "b"},
					 {.reference = "lies"},	 {.reference = "index"},
					 {.reference = "chart"}, {.reference = "none"}};
	struct server server;
	struct string_list tags;
	struct error *error = NULL;
	struct client *client;

	(void)state;
	server_start(&server, answer_well);
	images[6].reference = server.config_digest; /* gets another manifest */
	client = client_of(&server);
	string_list_init(&tags);
	must(distribution_tags(client, &tags, &error), &error);
	assert_int_equal(tags.count, 3);
	assert_string_equal(tags.items[2], "c");
	must(distribution_images(client, "amd64", images, 7, &error), &error);
	for (size_t i = 0; i < 4; i++) {
		if (i == 2)
			continue;
		assert_null(images[i].problem);
		assert_non_null(images[i].config);
		assert_string_equal(images[i].digest, server.manifest_digest);
		assert_int_equal(images[i].size, 100);
	}
	assert_int_equal(images[2].problem->kind, ERROR_DAMAGED);
	assert_true(!images[4].config && !images[4].problem);
	assert_int_equal(images[5].problem->kind, ERROR_NOT_FOUND);
	assert_non_null(strstr(images[5].problem->message, "manifest unknown"));
	assert_null(strchr(images[5].problem->message, '\n'));
	assert_int_equal(images[6].problem->kind, ERROR_DAMAGED);
	assert_true(client_received(client) > 1000);
	for (size_t i = 0; i < 7; i++)
		remote_image_release(&images[i]);
	string_list_release(&tags);
	client_free(client);
	server_stop(&server);
}

/* A registry that knows no parts of blobs sends all; only what is wanted is kept. */
static void test_parts(void **state)
{
	struct server server;
	struct remote_layer layer = {.size = 100};
	struct remote_part parts[3] = {
		{&layer, 0, 5, NULL, 0}, {&layer, 10, 6, NULL, 0}, {&layer, 10, 5000, NULL, 0}};
	struct error *error = NULL;
	struct client *client;
	size_t whole;

	(void)state;
	server_start(&server, answer_well);
	client = client_of(&server);
	memcpy(layer.digest, server.config_digest, DIGEST_SIZE);
	whole = strlen(server.config);
	must(distribution_read(client, parts, 3, &error), &error);
	assert_int_equal(parts[0].size, 5);
	assert_memory_equal(parts[0].data, server.config, 5);
	assert_int_equal(parts[1].size, 6);
	assert_memory_equal(parts[1].data, server.config + 10, 6);
	assert_int_equal(parts[2].size, whole - 10);
	for (size_t i = 0; i < 3; i++)
		free(parts[i].data);
	client_free(client);
	server_stop(&server);
}

/* ---- damaged answers ---- */

static uint64_t next_random(struct server *server)
{
	server->random ^= server->random << 13;
	server->random ^= server->random >> 7;
	server->random ^= server->random << 17;
	return server->random;
}

static char *answer_badly(struct server *server, const char *request, size_t *size)
{
	char *text = answer_well(server, request, size);

	for (uint64_t n = next_random(server) % 5; n-- > 0;)
		text[next_random(server) % *size] = (char)next_random(server);
	if (next_random(server) % 8 == 0)
		*size = next_random(server) % *size;
	return text;
}

static void test_damaged_answers(void **state)
{
	struct server server;
	struct error *error = NULL;

	(void)state;
	server_start(&server, answer_badly);
	server.random = 99;
	for (size_t i = 0; i < MUTATIONS / 3; i++) {
		struct remote_image images[2] = {{.reference = i % 2 ? "a" : "index"},
						 {.reference = server.manifest_digest}};
		struct client *client = client_of(&server);
		struct string_list tags;

		string_list_init(&tags);
		if (distribution_tags(client, &tags, &error) < 0)
			assert_non_null(error);
		error_free(STEAL_POINTER(error));
		must(distribution_images(client, "amd64", images, 2, &error), &error);
		/* what is asked for by its digest is that, or nothing */
		assert_true(images[1].problem || images[1].config);
		for (size_t j = 0; j < 2; j++) {
			if (images[j].config && !images[j].problem &&
			    !strcmp(images[j].config_digest, server.config_digest))
				assert_string_equal(
					json_string(json_path(images[j].config, "config", "Labels"),
						    "a"),
					"b");
			remote_image_release(&images[j]);
		}
		string_list_release(&tags);
		client_free(client);
	}
	server_stop(&server);
}

/* The first request gets no answer for longer than is waited. */
static char *answer_late(struct server *server, const char *request, size_t *size)
{
	if (server->requests == 1)
		sleep(3);
	return answer_well(server, request, size);
}

static void test_a_stall_is_ended(void **state)
{
	struct remote_image image = {.reference = "a"};
	struct client_options options = {
		.repository = "team/db", .first_pause_ms = 1, .stall_s = 1};
	struct server server;
	struct error *error = NULL;
	struct client *client;

	(void)state;
	server_start(&server, answer_late);
	options.host = server.host;
	client = client_new(&options, &error);
	must(distribution_images(client, "amd64", &image, 1, &error), &error);
	assert_true(!image.problem && image.config);
	assert_true(server.requests > 2);
	remote_image_release(&image);
	client_free(client);
	server_stop(&server);
}

/* ---- what never ends ---- */

static char *answer_with_pages(struct server *server, const char *request, size_t *size)
{
	cleanup_free char *link = memory_printf(
		"Link: </v2/team/db/tags/list?last=%d>; rel=\"next\"\r\n", server->requests);

	(void)request;
	return with_header("200 OK", link, "{\"tags\":[\"a\"]}", size);
}

static void test_pages_are_bounded(void **state)
{
	struct server server;
	struct string_list tags;
	struct error *error = NULL;
	struct client *client;

	(void)state;
	server_start(&server, answer_with_pages);
	client = client_of(&server);
	string_list_init(&tags);
	must_fail(distribution_tags(client, &tags, &error), &error, ERROR_UNSUPPORTED);
	assert_int_equal(server.requests, 1000);
	string_list_release(&tags);
	client_free(client);
	server_stop(&server);
}

static char *answer_on_and_on(struct server *server, const char *request, size_t *size)
{
	cleanup_free char *body = memory_zalloc((5 << 20) + 1);

	(void)server;
	(void)request;
	memset(body, ' ', 5 << 20);
	return with_header("200 OK", "", body, size);
}

static void test_answers_are_bounded(void **state)
{
	struct remote_image image = {.reference = "a"};
	struct server server;
	struct error *error = NULL;
	struct client *client;

	(void)state;
	server_start(&server, answer_on_and_on);
	client = client_of(&server);
	must(distribution_images(client, "amd64", &image, 1, &error), &error);
	assert_int_equal(image.problem->kind, ERROR_DAMAGED);
	assert_int_equal(server.requests, 1);
	remote_image_release(&image);
	client_free(client);
	server_stop(&server);
}

static char *answer_elsewhere(struct server *server, const char *request, size_t *size)
{
	cleanup_free char *where = memory_printf("Location: http://%s/v2/\r\n", server->host);

	(void)request;
	return with_header("307 Elsewhere", where, "", size);
}

static void test_redirections_are_bounded(void **state)
{
	struct remote_image image = {.reference = "a"};
	struct server server;
	struct error *error = NULL;
	struct client *client;

	(void)state;
	server_start(&server, answer_elsewhere);
	client = client_of(&server);
	must(distribution_images(client, "amd64", &image, 1, &error), &error);
	assert_int_equal(image.problem->kind, ERROR_ENGINE);
	assert_int_equal(server.requests, 6);
	remote_image_release(&image);
	client_free(client);
	server_stop(&server);
}

/* ---- tries ---- */

static char *answer_never(struct server *server, const char *request, size_t *size)
{
	(void)server;
	(void)request;
	return with_header("503 Busy", "", "", size);
}

static void test_tries_are_bounded(void **state)
{
	struct remote_image image = {.reference = "a"};
	struct server server;
	struct error *error = NULL;
	struct client *client;

	(void)state;
	server_start(&server, answer_never);
	client = client_of(&server);
	must(distribution_images(client, "amd64", &image, 1, &error), &error);
	assert_int_equal(image.problem->kind, ERROR_ENGINE);
	assert_int_equal(image.problem->http_status, 503);
	assert_int_equal(server.requests, 4);
	remote_image_release(&image);
	client_free(client);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_challenges),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_headers_of_any_kind),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_what_is_believed),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_damaged_answers),
		cmocka_unit_test(test_tries_are_bounded),
		cmocka_unit_test(test_a_stall_is_ended),
		cmocka_unit_test(test_pages_are_bounded),
		cmocka_unit_test(test_answers_are_bounded),
		cmocka_unit_test(test_redirections_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
