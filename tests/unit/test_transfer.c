/* What docker says while it transfers, and what it answers when it fails. */
#include "test_engine_server.h"

#include "base/memory.h"
#include "snapshot/share/transfer.h"

static void take_all(struct transfer_state *state, const char *const *lines)
{
	for (; *lines; lines++) {
		CLEANUP(cleanup_json_free)
		struct json *message = json_parse(*lines, strlen(*lines), NULL);

		assert_non_null(message);
		transfer_state_take(state, message);
	}
}

static void expect_report(const char *const *lines, const char *expected)
{
	struct transfer_state state = {0};
	CLEANUP(cleanup_json_free) struct json *report = NULL;
	cleanup_free char *text = NULL;

	take_all(&state, lines);
	report = transfer_state_report(&state);
	text = json_print(report, false);
	assert_string_equal(text, expected);
	transfer_state_release(&state);
}

static void test_docker_push(void **state)
{
	static const char *const lines[] = {
		"{\"status\":\"The push refers to repository [a.example/db]\"}",
		"{\"status\":\"Preparing\",\"progressDetail\":{},\"id\":\"aa\"}",
		"{\"status\":\"Preparing\",\"progressDetail\":{},\"id\":\"bb\"}",
		"{\"status\":\"Preparing\",\"progressDetail\":{},\"id\":\"cc\"}",
		"{\"status\":\"Waiting\",\"progressDetail\":{},\"id\":\"cc\"}",
		"{\"status\":\"Layer already exists\",\"progressDetail\":{},\"id\":\"aa\"}",
		"{\"status\":\"Pushing\",\"progressDetail\":{\"current\":512,\"total\":2048},\"id\":\"bb\"}",
		"{\"status\":\"Mounted from team/other\",\"progressDetail\":{},\"id\":\"cc\"}",
		"{\"status\":\"Pushing\",\"progressDetail\":{\"current\":1024,\"total\":2048},\"id\":\"bb\"}",
		"{\"status\":\"Pushed\",\"progressDetail\":{},\"id\":\"bb\"}",
		"{\"status\":\"Pushed\",\"progressDetail\":{},\"id\":\"bb\"}",
		"{\"status\":\"x: digest: sha256:12 size: 5\"}",
		"{\"progressDetail\":{},\"aux\":{\"Tag\":\"x\",\"Digest\":\"sha256:12\",\"Size\":5}}",
		NULL};

	(void)state;
	expect_report(
		lines,
		"{\"digest\":\"sha256:12\",\"layers\":{\"moved\":1,\"there\":2},\"bytes\":2048}");
}

static void test_docker_pull(void **state)
{
	static const char *const lines[] = {
		"{\"status\":\"Pulling from team/db\",\"id\":\"x\"}",
		"{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"aa\"}",
		"{\"status\":\"Already exists\",\"progressDetail\":{},\"id\":\"bb\"}",
		"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":90},\"id\":\"aa\"}",
		"{\"status\":\"Verifying Checksum\",\"progressDetail\":{},\"id\":\"aa\"}",
		"{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"aa\"}",
		"{\"status\":\"Extracting\",\"progressDetail\":{\"current\":7,\"total\":7},\"id\":\"aa\"}",
		"{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"aa\"}",
		"{\"status\":\"Digest: sha256:34\"}",
		"{\"status\":\"Status: Downloaded newer image for a.example/team/db:x\"}",
		NULL};

	(void)state;
	expect_report(
		lines,
		"{\"digest\":\"sha256:34\",\"layers\":{\"moved\":1,\"there\":1},\"bytes\":90}");
}

/* Nothing is concluded from what is not known, and nothing grows without bound. */
static void test_odd_messages(void **state)
{
	static const char *const lines[] = {
		"{}",
		"[]",
		"{\"status\":7,\"id\":{}}",
		"{\"status\":\"Pushing\",\"id\":\"\"}",
		"{\"status\":\"Pushing\"}",
		"{\"status\":\"Pushing\",\"id\":\"aa\",\"progressDetail\":{\"current\":-5,\"total\":\"x\"}}",
		"{\"status\":\"Writing manifest to image destination\",\"id\":\"zz\"}",
		"{\"stream\":\"Copying blob\\n\"}",
		NULL};
	struct transfer_state many = {0};

	(void)state;
	expect_report(lines, "{\"digest\":\"\",\"layers\":{\"moved\":0,\"there\":0},\"bytes\":0}");
	for (int i = 0; i < 3000; i++) {
		cleanup_free char *line = memory_printf("{\"status\":\"Pushed\",\"id\":\"%d\"}", i);

		take_all(&many, (const char *const[]){line, NULL});
	}
	assert_int_equal(many.count, 1000);
	transfer_state_release(&many);
}

/* ---- failures ---- */

#define TENTH "0123456789012345678901234567890123456789012345678901234567890123456789"
#define LONG TENTH TENTH TENTH TENTH TENTH TENTH TENTH TENTH TENTH TENTH

static const char *answer_status, *answer_body, *wanted_request;
static int made, removed;

static bool give_answer(struct server *server, int fd, const char *request)
{
	(void)server;
	if (strstr(request, "POST /v1.41/images/create?fromSrc=- ")) {
		made++;
		server_answer(fd, "200 OK", "{\"status\":\"sha256:ab\"}\r\n");
		return false; /* its body was not read */
	}
	if (strstr(request, "DELETE /v1.41/images/sha256:ab?")) {
		removed++;
		return server_answer(fd, "200 OK", "[]");
	}
	assert_non_null(strstr(request, wanted_request));
	assert_non_null(strstr(request, "\r\nX-Registry-Auth: e30=\r\n"));
	return server_answer(fd, answer_status, answer_body);
}

static void test_failures(void **state)
{
	static const struct {
		const char *status, *body;
		enum error_kind kind;
		bool transient;
		const char *says;
	} cases[] = {
		{"200 OK",
		 "{\"status\":\"x\"}\r\n{\"errorDetail\":{\"message\":\"unauthorized: authentication required\"},\"error\":\"y\"}\r\n",
		 ERROR_REFUSED, false, "authentication required"},
		{"200 OK", "{\"error\":\"error from registry: denied\\nask somebody\\n\"}",
		 ERROR_REFUSED, false, "denied ask somebody"},
		{"200 OK",
		 "{\"error\":\"Put \\\"https://a/v2/b?_state=" LONG
		 "\\\": read: connection reset by peer\"}",
		 ERROR_ENGINE, true, "https://a/v2/b\": read: connection reset"},
		{"200 OK", "{\"error\":\"what?\"}", ERROR_FAILED, false, "what"},
		{"200 OK", "{\"error\":\"denied: requested access to the resource is denied\"}",
		 ERROR_REFUSED, false, "denied"},
		{"200 OK",
		 "{\"error\":\"received unexpected HTTP status: 503 Service Unavailable\"}",
		 ERROR_ENGINE, true, "503"},
		{"200 OK", "{\"error\":\"Patch \\\"https://a/v2/b/blobs/uploads/c\\\": EOF\"}\n",
		 ERROR_ENGINE, true, "EOF"},
		{"200 OK",
		 "{\"error\":\"filesystem layer verification failed for digest sha256:12\"}",
		 ERROR_DAMAGED, false, "verification"},
		{"200 OK",
		 "{\"error\":\"failed commit on ref \\\"layer-sha256:1\\\": unexpected commit digest sha256:2, expected sha256:1\"}",
		 ERROR_DAMAGED, false, "expected"},
		{"200 OK", "{\"error\":\"write /var/x: no space left on device\"}", ERROR_NO_SPACE,
		 false, "space"},
		{"200 OK", "{\"error\":\"something else\"}", ERROR_FAILED, false, "something else"},
		{"200 OK", "{\"status\":\"x\"}\nno JSON\n", ERROR_ENGINE, false, "damaged"},
		{"404 Not Found",
		 "{\"message\":\"manifest for a/b:c not found: manifest unknown: manifest unknown\"}",
		 ERROR_NOT_FOUND, false, "manifest unknown"},
		{"404 Not Found",
		 "{\"message\":\"pull access denied for a/b, repository does not exist\"}",
		 ERROR_NOT_FOUND, false, "access denied"},
		{"500 Oops",
		 "{\"message\":\"Get \\\"https://a/v2/\\\": dial tcp: connect: connection refused\"}",
		 ERROR_ENGINE, true, "refused"},
		{"500 Oops",
		 "{\"message\":\"Get \\\"https://a/v2/\\\": x509: certificate signed by unknown authority\"}",
		 ERROR_FAILED, false, "x509"},
		{"500 Oops",
		 "{\"errorDetail\":{\"message\":\"writing blob: unauthorized\"},\"error\":\"writing blob: unauthorized\"}",
		 ERROR_REFUSED, false, "engine refused (500: writing blob: unauthorized)"},
		{"500 Oops",
		 "{\"message\":\"Download config.json digest sha256:1 does not match expected sha256:2\"}",
		 ERROR_DAMAGED, false, "does not match"},
		{"500 Oops",
		 "{\"message\":\"unauthorized: access to the requested resource is not authorized\"}",
		 ERROR_REFUSED, false, "unauthorized"},
	};
	struct server server;
	struct engine *engine;

	(void)state;
	server_start(&server, give_answer);
	engine = server_engine(&server);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct image_transfer transfer = {
			.repository = "a.example:5000/team/db", .tag = "x", .auth = "e30="};
		struct error *error = NULL;

		answer_status = cases[i].status;
		answer_body = cases[i].body;
		wanted_request = "POST /v1.41/images/a.example:5000/team/db/push?tag=x ";
		assert_int_equal(image_push(engine, &transfer, &error), -1);
		assert_int_equal(transfer.is_transient, cases[i].transient);
		assert_error(error, cases[i].kind, cases[i].says);
		wanted_request =
			"POST /v1.41/images/create?fromImage=a.example%3A5000%2Fteam%2Fdb&tag=x ";
		made = removed = 0;
		assert_int_equal(image_pull(engine, &transfer, &error), -1);
		assert_error(error, cases[i].kind, cases[i].says);
		/* What a containerd store has got of it is forgotten. */
		assert_int_equal(made, strstr(cases[i].body, "commit") != NULL);
		assert_int_equal(removed, made);
	}
	answer_status = "200 OK";
	answer_body = "{\"status\":\"fine\"}";
	assert_int_equal(image_pull(engine,
				    &(struct image_transfer){.repository = "a.example:5000/team/db",
							     .tag = "x",
							     .auth = "e30="},
				    NULL),
			 0);
	engine_free(engine);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_docker_push),
		cmocka_unit_test(test_docker_pull),
		cmocka_unit_test(test_odd_messages),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
