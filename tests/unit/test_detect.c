/* Which database a container holds, by what the engine says of it: forks, custom images, clients. */
#include "test_engine_server.h"

#include "base/memory.h"
#include "base/text.h"
#include "driver/driver.h"

/* What the engine answers: the processes of /top (NULL: it does not run), and paths that are there. */
static const char *processes, *const *files;
static volatile int looked;

/* What a command that is run in it prints; NULL: none is run. */
static const char *said;
static volatile int asked;

static bool has_file(const char *request)
{
	const char *path = strstr(request, "path=");
	cleanup_free char *escaped = memory_strndup(path + 5, strcspn(path + 5, " &"));

	for (const char *const *file = files; file && *file; file++) {
		cleanup_free char *wanted = engine_escape(*file);

		if (strcasecmp(wanted, escaped) == 0)
			return true;
	}
	return false;
}

/* The three requests of an exec that ends with 0. */
static bool answer_exec(int fd, const char *request)
{
	char frame[8] = {1};

	assert_non_null(said);
	server_body(fd, request, NULL);
	if (strstr(request, "POST /v1.41/containers/c/exec ")) {
		asked++;
		return server_answer(fd, "201 Created", "{\"Id\":\"e1\"}");
	}
	if (strstr(request, "GET /v1.41/exec/e1/json "))
		return server_answer(fd, "200 OK", "{\"Running\":false,\"ExitCode\":0}");
	assert_non_null(strstr(request, "POST /v1.41/exec/e1/start "));
	server_text(fd, "HTTP/1.1 101 UPGRADED\r\nContent-Type: "
			"application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n"
			"Upgrade: tcp\r\n\r\n");
	frame[7] = (char)strlen(said);
	server_send(fd, frame, sizeof(frame));
	server_text(fd, said);
	return false;
}

static bool answer(struct server *server, int fd, const char *request)
{
	(void)server;
	if (strstr(request, "/exec"))
		return answer_exec(fd, request);
	if (strstr(request, "/containers/c/top")) {
		cleanup_free char *body = memory_printf(
			"{\"Titles\":[\"PID\",\"UID\",\"CMD\"],\"Processes\":[%s]}", processes);

		assert_non_null(processes);
		return server_answer(fd, "200 OK", body);
	}
	assert_non_null(strstr(request, "HEAD /v1.41/containers/c/archive?path="));
	/* Never of one that runs. */
	assert_null(processes);
	looked++;
	if (!has_file(request))
		return server_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	return server_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
			       "X-Docker-Container-Path-Stat: eyJuYW1lIjoieCJ9\r\n\r\n");
}

static void check(const char *config, const char *expected, bool idle)
{
	cleanup_free char *text = memory_printf("{\"Id\":\"c\",\"State\":{\"Running\":%s},%s}",
						processes ? "true" : "false", config);
	CLEANUP(cleanup_json_free) struct json *inspect = parsed(text);
	struct driver_match match;
	struct error *error = NULL;
	struct server server;
	struct engine *engine;

	looked = asked = 0;
	server_start(&server, answer);
	engine = server_engine(&server);
	if (driver_detect(engine, inspect, NULL, &match, &error) < 0)
		fail_msg("%s", error->message);
	engine_free(engine);
	server_stop(&server);
	assert_string_equal(match.driver ? match.driver->name : "", expected);
	if (match.driver)
		assert_int_equal(match.idle, idle);
	driver_match_release(&match);
}

static void runs(const char *line)
{
	files = NULL;
	said = NULL;
	processes = line;
}

static void has(const char *const *list)
{
	files = list;
	processes = NULL;
}

static void test_what_runs_says_it(void **state)
{
	(void)state;
	runs("[\"1\",\"0\",\"/opt/own/bin/postgres -D /x\"]");
	check("\"Config\":{\"Image\":\"company/base\"}", "postgres", false);
	/* A fork of another name, by its process. */
	runs("[\"1\",\"0\",\"valkey-server *:6379\"]");
	check("\"Config\":{\"Image\":\"company/cache\"}", "redis", false);
	/* Behind an init and a script; no shell in sight. */
	runs("[\"1\",\"0\",\"/sbin/tini -- /start\"],[\"2\",\"0\",\"postgres: writer\"]");
	check("\"Config\":{\"Image\":\"x\",\"Entrypoint\":[\"/sbin/tini\",\"--\",\"/start\"]}",
	      "postgres", false);
}

static void test_a_client_is_no_server(void **state)
{
	(void)state;
	runs("[\"1\",\"0\",\"python3 app.py\"]");
	check("\"Config\":{\"Image\":\"app\",\"Env\":[\"PGDATA=/var/lib/postgresql/data\"],"
	      "\"ExposedPorts\":{\"5432/tcp\":{}}},\"Mounts\":[{\"Destination\":"
	      "\"/var/lib/postgresql/data\"}]",
	      "", false);
	runs("[\"1\",\"0\",\"psql -h db\"],[\"7\",\"0\",\"pg_dump -h db\"]");
	check("\"Config\":{\"Image\":\"company/tools\",\"Env\":[\"PGDATA=/x\"]}", "", false);
	runs("[\"1\",\"0\",\"postgres-exporter --web\"]");
	check("\"Config\":{\"Image\":\"exporter\",\"Cmd\":[\"postgres-exporter\"]}", "", false);
}

/* The image of a database that runs something else: the files may be one's, and nothing is asked of it. */
static void test_the_image_alone(void **state)
{
	(void)state;
	runs("[\"1\",\"0\",\"sleep 1000\"]");
	check("\"Config\":{\"Image\":\"postgres:17\",\"Cmd\":[\"sleep\",\"1000\"]}", "", false);
	check("\"Config\":{\"Image\":\"postgres:17\",\"Cmd\":[\"sleep\",\"1000\"],\"Env\":["
	      "\"PGDATA=/var/lib/postgresql/data\"]}",
	      "postgres", true);
	/* A proxy of that name. */
	runs("[\"1\",\"0\",\"haproxy\"]");
	check("\"Config\":{\"Image\":\"company/postgres\",\"Cmd\":[\"haproxy\"]}", "", false);
}

static void test_a_stopped_one_is_looked_into(void **state)
{
	static const char *const data[] = {"/srv/db/PG_VERSION", NULL};
	static const char *const program[] = {"/opt/pg/bin/postgres", NULL};
	static const char *const client[] = {"/usr/bin/psql", NULL};

	(void)state;
	has(data);
	check("\"Config\":{\"Image\":\"own\",\"Env\":[\"PGDATA=/srv/db\"],\"Cmd\":[\"/start\"]}",
	      "postgres", false);
	assert_int_equal(looked, 1);
	has(program);
	check("\"Config\":{\"Image\":\"own\",\"Env\":[\"PATH=/bin:/opt/pg/bin\",\"PGDATA=/srv/db\"],"
	      "\"Cmd\":[\"/start\"]}",
	      "postgres", false);
	has(client);
	check("\"Config\":{\"Image\":\"own\",\"Env\":[\"PATH=/usr/bin\",\"PGDATA=/srv/db\"]}", "",
	      false);
	assert_true(looked > 0);
	/* Nothing points at a database: not one request. */
	check("\"Config\":{\"Image\":\"own\",\"Cmd\":[\"/start\"]}", "", false);
	assert_int_equal(looked, 0);
	/* It is known already. */
	check("\"Config\":{\"Image\":\"own\",\"Cmd\":[\"postgres\"]}", "postgres", false);
	assert_int_equal(looked, 0);
}

static void write_driver(const char *path)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs("{\"name\":\"search\",\"detect\":{\"arguments\":[\"org.search.Main\",\"-Dsearch.*\"],"
	      "\"ports\":[\"9200/tcp\"]},\"data\":[]}",
	      file);
	fclose(file);
}

/* Every server in Java is "java": a word of its command line says which. */
static void test_a_word_of_the_command_line(void **state)
{
	char directory[] = "/tmp/test_detect.XXXXXX";
	cleanup_free char *path = NULL;

	(void)state;
	assert_non_null(mkdtemp(directory));
	path = memory_printf("%s/search.json", directory);
	write_driver(path);
	setenv("SIDESNAP_DRIVERS", directory, 1);
	runs("[\"1\",\"0\",\"/usr/bin/java -Xmx1g -cp /x org.search.Main\"]");
	check("\"Config\":{\"Image\":\"own\"}", "search", false);
	runs("[\"1\",\"0\",\"/usr/bin/java -Dsearch.home=here Other\"]");
	check("\"Config\":{\"Image\":\"own\"}", "search", false);
	runs("[\"1\",\"0\",\"/usr/bin/java org.search.MainTest\"]");
	check("\"Config\":{\"Image\":\"own\"}", "", false);
	unsetenv("SIDESNAP_DRIVERS");
	unlink(path);
	rmdir(directory);
}

#define ROOT_PASSWORD "\"Env\":[\"MYSQL_ROOT_PASSWORD=x\"],\"ExposedPorts\":{\"3306/tcp\":{}}"

/* Both servers run as mysqld: whose it is tells what the image says, the program, or the data. */
static void test_mysqld_of_mariadb(void **state)
{
	static const char *const mariadb[] = {"/srv/aria_log_control", NULL};
	static const char *const mysql[] = {"/srv/mysql.ibd", NULL};

	(void)state;
	runs("[\"1\",\"0\",\"mysqld --datadir=/srv\"]");
	said = "mysqld  Ver 10.5.23-MariaDB-1:10.5.23 for debian-linux-gnu on x86_64\n";
	check("\"Config\":{\"Image\":\"own\"," ROOT_PASSWORD "}", "mariadb", false);
	assert_int_equal(asked, 1);
	said = "/usr/sbin/mysqld  Ver 8.4.7 for Linux on x86_64 (MySQL Community Server - GPL)\n";
	check("\"Config\":{\"Image\":\"own\"," ROOT_PASSWORD "}", "mysql", false);
	check("\"Config\":{\"Image\":\"mariadb\"," ROOT_PASSWORD "}", "mysql", false);
	/* Told by the image, or by a name of its own: nothing is run. */
	runs("[\"1\",\"0\",\"mysqld\"]");
	check("\"Config\":{\"Image\":\"own/mysql\",\"Cmd\":[\"mysqld\"],\"Env\":["
	      "\"MYSQL_ROOT_PASSWORD=x\",\"MARIADB_VERSION=1:10.5.23\"]}",
	      "mariadb", false);
	runs("[\"1\",\"0\",\"mariadbd\"]");
	check("\"Config\":{\"Image\":\"own\"," ROOT_PASSWORD "}", "mariadb", false);
	/* A client's container. */
	runs("[\"1\",\"0\",\"sleep 100\"]");
	check("\"Config\":{\"Image\":\"mysql\",\"Cmd\":[\"sleep\",\"100\"]}", "", false);
	has(mariadb);
	check("\"Config\":{\"Image\":\"own\",\"Cmd\":[\"mysqld\",\"--datadir=/srv\"]," ROOT_PASSWORD
	      "}",
	      "mariadb", false);
	has(mysql);
	check("\"Config\":{\"Image\":\"own\",\"Cmd\":[\"mysqld\",\"--datadir=/srv\"]," ROOT_PASSWORD
	      "}",
	      "mysql", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_runs_says_it),
		cmocka_unit_test(test_a_client_is_no_server),
		cmocka_unit_test(test_the_image_alone),
		cmocka_unit_test(test_a_stopped_one_is_looked_into),
		cmocka_unit_test(test_a_word_of_the_command_line),
		cmocka_unit_test(test_mysqld_of_mariadb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
