/*
 * A scripted engine for the tests of pkg/engine: a thread that accepts on a
 * unix socket, answers /_ping itself and gives every other request to a
 * handler of the test, one connection after the other.
 */
#ifndef TEST_ENGINE_SERVER_H
#define TEST_ENGINE_SERVER_H

#include "test_support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "engine/engine.h"

#define SERVER_CONNECTIONS 64

struct server;

/* Answer ${request} (its header) on ${fd}. False: close the connection. */
typedef bool server_handler(struct server *server, int fd, const char *request);

struct server {
	char directory[64];
	char path[96];
	char url[112];
	int listener;
	pthread_t thread;
	server_handler *handler;
	const char *ping_header; /* of the answer to /_ping */
	volatile int stop;
	volatile int connections; /* accepted */
	volatile int requests;	  /* besides /_ping */
	int step;		  /* for the handler */
	volatile size_t sent;	  /* for the handler */
	pthread_mutex_t lock;
	int fds[SERVER_CONNECTIONS]; /* open ones, to be ended when the test is over; -1: closed */
};

static inline bool server_send(int fd, const void *data, size_t size)
{
	const char *bytes = data;

	while (size) {
		ssize_t count = send(fd, bytes, size, MSG_NOSIGNAL);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return false;
		bytes += count;
		size -= (size_t)count;
	}
	return true;
}

static inline bool server_text(int fd, const char *text)
{
	return server_send(fd, text, strlen(text));
}

static inline bool server_answer(int fd, const char *status, const char *body)
{
	char header[256];

	snprintf(header, sizeof(header),
		 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		 status, strlen(body));
	return server_text(fd, header) && server_text(fd, body);
}

/* Bytes up to and with ${end}, NUL-terminated. False at the end of the stream. */
static inline bool server_read_until(int fd, char *text, size_t size, const char *end)
{
	size_t have = 0;

	while (have + 1 < size) {
		if (recv(fd, text + have, 1, 0) != 1)
			return false;
		text[++have] = '\0';
		if (have >= strlen(end) && strcmp(text + have - strlen(end), end) == 0)
			return true;
	}
	return false;
}

/* The whole body by the header's word; returns its size, content goes to ${body} if not NULL. */
static inline size_t server_body(int fd, const char *request, struct buffer *body)
{
	const char *length = strcasestr(request, "\r\nContent-Length: ");
	size_t total = 0;
	char block[65536];

	if (strcasestr(request, "\r\nTransfer-Encoding: chunked")) {
		for (;;) {
			char line[64] = "";
			size_t left;

			if (!server_read_until(fd, line, sizeof(line), "\r\n"))
				return total;
			left = strtoul(line, NULL, 16);
			if (!left) {
				server_read_until(fd, line, sizeof(line), "\r\n");
				return total;
			}
			total += left;
			while (left) {
				ssize_t count = recv(
					fd, block, left < sizeof(block) ? left : sizeof(block), 0);

				if (count <= 0)
					return total;
				if (body)
					buffer_append(body, block, (size_t)count);
				left -= (size_t)count;
			}
			server_read_until(fd, line, sizeof(line), "\r\n");
		}
	}
	if (!length)
		return 0;
	for (size_t left = strtoul(length + 18, NULL, 10); left;) {
		ssize_t count = recv(fd, block, left < sizeof(block) ? left : sizeof(block), 0);

		if (count <= 0)
			break;
		if (body)
			buffer_append(body, block, (size_t)count);
		total += (size_t)count;
		left -= (size_t)count;
	}
	return total;
}

static inline void server_connection(struct server *server, int fd)
{
	char request[8192];
	bool keep = true;

	while (keep && server_read_until(fd, request, sizeof(request), "\r\n\r\n")) {
		if (strstr(request, " /_ping ")) {
			char answer[512];

			snprintf(answer, sizeof(answer),
				 "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nOK",
				 server->ping_header);
			keep = server_text(fd, answer);
			continue;
		}
		server->requests++;
		keep = server->handler(server, fd, request);
	}
}

/* One thread for each connection, so that a kept one does not keep others out. */
struct server_client {
	struct server *server;
	int number;
};

static inline void *server_client_run(void *context)
{
	struct server_client client = *(struct server_client *)context;
	int fd = client.server->fds[client.number];

	free(context);
	server_connection(client.server, fd);
	pthread_mutex_lock(&client.server->lock);
	close(fd);
	client.server->fds[client.number] = -1;
	pthread_mutex_unlock(&client.server->lock);
	return NULL;
}

static inline void *server_run(void *context)
{
	struct server *server = context;
	pthread_t clients[SERVER_CONNECTIONS];

	while (!server->stop && server->connections < SERVER_CONNECTIONS) {
		struct pollfd item = {server->listener, POLLIN, 0};
		struct server_client *client;
		int fd;

		if (poll(&item, 1, 20) <= 0)
			continue;
		fd = accept(server->listener, NULL, NULL);
		if (fd < 0)
			continue;
		client = malloc(sizeof(*client));
		client->server = server;
		client->number = server->connections;
		server->fds[client->number] = fd;
		pthread_create(&clients[client->number], NULL, server_client_run, client);
		server->connections++;
	}
	for (int i = 0; i < server->connections; i++) {
		pthread_mutex_lock(&server->lock);
		if (server->fds[i] >= 0)
			shutdown(server->fds[i], SHUT_RDWR);
		pthread_mutex_unlock(&server->lock);
		pthread_join(clients[i], NULL);
	}
	return NULL;
}

static inline void server_start(struct server *server, server_handler *handler)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memset(server, 0, sizeof(*server));
	server->handler = handler;
	pthread_mutex_init(&server->lock, NULL);
	server->ping_header = "Api-Version: 1.41\r\n";
	snprintf(server->directory, sizeof(server->directory), "/tmp/test-engine-XXXXXX");
	assert_non_null(mkdtemp(server->directory));
	snprintf(server->path, sizeof(server->path), "%s/socket", server->directory);
	snprintf(server->url, sizeof(server->url), "unix://%s", server->path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->path);
	server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(server->listener >= 0);
	assert_int_equal(0, bind(server->listener, (struct sockaddr *)&address, sizeof(address)));
	assert_int_equal(0, listen(server->listener, 64));
	assert_int_equal(0, pthread_create(&server->thread, NULL, server_run, server));
}

static inline void server_stop(struct server *server)
{
	server->stop = 1;
	pthread_join(server->thread, NULL);
	close(server->listener);
	pthread_mutex_destroy(&server->lock);
	unlink(server->path);
	rmdir(server->directory);
}

/* An engine object that talks to the server. */
static inline struct engine *server_engine(struct server *server)
{
	struct error *error = NULL;
	struct engine *engine = engine_open(server->url, &error);

	if (!engine)
		print_error("engine_open: %s\n", error->message);
	assert_non_null(engine);
	return engine;
}

#define assert_error(error, expected_kind, part)                                                   \
	do {                                                                                       \
		assert_non_null(error);                                                            \
		if ((error)->kind != (expected_kind) || !strstr((error)->message, part))           \
			print_error("got %d: %s\n", (error)->kind, (error)->message);              \
		assert_int_equal((error)->kind, expected_kind);                                    \
		assert_non_null(strstr((error)->message, part));                                   \
		error_free(error);                                                                 \
		(error) = NULL;                                                                    \
	} while (0)

#endif
