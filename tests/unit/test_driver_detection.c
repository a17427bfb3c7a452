/* Which driver fits which container, from inspects and answers of /top as engines give them. */
#include "test_support.h"

#include <string.h>

#include "base/memory.h"
#include "driver/driver.h"
#include "test_engine_server.h"

/* What the scripted engine says of the processes of any container. */
static const char *top_answer;

static bool answer_top(struct server *server, int fd, const char *request)
{
	(void)server;
	assert_non_null(strstr(request, "/top"));
	return server_answer(fd, "200 OK", top_answer);
}

/* A running container of this configuration with one process, as `ps -ef` shows it. */
static void detect_running(const char *config, const char *command_line, struct driver_match *match)
{
	struct server server;
	struct error *error = NULL;
	cleanup_free char *text = memory_printf(
		"{\"Id\":\"c0ffee\",\"State\":{\"Running\":true},\"Config\":%s}", config);
	cleanup_free char *top = memory_printf(
		"{\"Titles\":[\"UID\",\"PID\",\"PPID\",\"C\",\"STIME\",\"TTY\",\"TIME\",\"CMD\"],"
		"\"Processes\":[[\"999\",\"7\",\"1\",\"0\",\"10:00\",\"?\",\"00:00:01\",\"%s\"]]}",
		command_line);
	CLEANUP(cleanup_json_free) struct json *inspect = parsed(text);

	top_answer = top;
	server_start(&server, answer_top);
	{
		CLEANUP(cleanup_engine_free)
		struct engine *engine = engine_open(server.url, &error);

		if (!engine || driver_detect(engine, inspect, NULL, match, &error) < 0)
			fail_msg("%s", error->message);
	}
	server_stop(&server);
}

static void expect_driver(const char *config, const char *command_line, const char *name)
{
	struct driver_match match;

	detect_running(config, command_line, &match);
	if (!name) {
		assert_null(match.driver);
	} else {
		if (!match.driver)
			fail_msg("no driver for %s", command_line);
		assert_string_equal(match.driver->name, name);
		assert_false(match.idle);
	}
	driver_match_release(&match);
}

static void expect_data(const char *config, const char *command_line, const char *directory)
{
	struct driver_match match;

	detect_running(config, command_line, &match);
	assert_non_null(match.driver);
	assert_string_equal(match.data_directories.items[0], directory);
	driver_match_release(&match);
}

static void expect_refusal(const char *config, const char *command_line, const char *reason)
{
	struct driver_match match;
	struct error *error = NULL;

	detect_running(config, command_line, &match);
	assert_non_null(match.driver);
	if (!reason) {
		assert_int_equal(driver_check_refusal(&match, "db", &error), 0);
	} else {
		assert_int_equal(driver_check_refusal(&match, "db", &error), -1);
		assert_int_equal(error->kind, ERROR_REFUSED);
		assert_non_null(strstr(error->message, reason));
		assert_non_null(strstr(error->hint, "sidesnap.driver=none"));
		error_free(error);
	}
	driver_match_release(&match);
}

#define OWN "{\"Image\":\"own\",\"Cmd\":[\"run\"]}"

static void test_mongodb(void **state)
{
	(void)state;
	expect_driver(OWN, "mongod --auth --bind_ip_all", "mongodb");
	expect_driver(OWN, "/usr/bin/mongod --dbpath /srv", "mongodb");
	expect_data(OWN, "/usr/bin/mongod --dbpath /srv", "/srv");
	expect_data("{\"Image\":\"mongo:8\",\"Cmd\":[\"--dbpath=/srv/db\"]}",
		    "mongod --dbpath=/srv/db", "/srv/db");
	expect_data(OWN, "mongod", "/data/db");
	/* An exporter has the variables of its server, and no data. */
	expect_driver(
		"{\"Image\":\"own\",\"Env\":[\"MONGODB_ROOT_USER=x\"],\"ExposedPorts\":{\"27017/tcp\":{}}}",
		"mongodb_exporter --mongodb.uri=x", NULL);
}

static void test_a_sharded_cluster_is_refused(void **state)
{
	(void)state;
	expect_refusal(OWN, "mongod --replSet rs0", NULL);
	expect_refusal(OWN, "mongos --configdb cfg/a:27019", "mongos holds no data");
	expect_refusal(OWN, "mongod --shardsvr --replSet s1", "member of a sharded cluster");
	expect_refusal("{\"Image\":\"mongo\",\"Cmd\":[\"mongod\",\"--configsvr\"]}",
		       "mongod --configsvr", "member of a sharded cluster");
	expect_refusal("{\"Image\":\"mongo\",\"Cmd\":[\"--shardsvr\",\"--port\",\"27018\"]}",
		       "mongod", "member of a sharded cluster");
}

/* As ps shows them: the launcher of Elasticsearch 8 is a java process, too, and no server. */
static void test_servers_in_java(void **state)
{
	(void)state;
	expect_driver(OWN,
		      "/usr/share/elasticsearch/jdk/bin/java -Xms4m -Xmx64m -XX:+UseSerialGC "
		      "-Dcli.name=server -Dcli.script=/usr/share/elasticsearch/bin/elasticsearch "
		      "-cp /usr/share/elasticsearch/lib/* "
		      "org.elasticsearch.launcher.CliToolLauncher",
		      NULL);
	expect_driver(OWN,
		      "/usr/share/elasticsearch/jdk/bin/java -Des.networkaddress.cache.ttl=60 "
		      "-Des.distribution.type=docker --module-path /usr/share/elasticsearch/lib -m "
		      "org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch",
		      "elasticsearch");
	expect_data(OWN,
		    "/usr/bin/java -cp /usr/share/elasticsearch/lib/* "
		    "org.elasticsearch.bootstrap.Elasticsearch -Epath.data=/srv/es",
		    "/srv/es");
	expect_driver(OWN,
		      "/usr/share/opensearch/jdk/bin/java -Xshare:auto -cp "
		      "/usr/share/opensearch/lib/* org.opensearch.bootstrap.OpenSearch "
		      "-Ediscovery.type=single-node",
		      "opensearch");
	expect_driver(
		OWN,
		"/opt/java/openjdk/bin/java -cp /var/lib/neo4j/plugins/*:/var/lib/neo4j/lib/* "
		"org.neo4j.server.CommunityEntryPoint --home-dir=/var/lib/neo4j",
		"neo4j");
	expect_driver(OWN,
		      "/opt/java/openjdk/bin/java -ea -da:net.openhft... -cp /opt/cassandra/conf "
		      "org.apache.cassandra.service.CassandraDaemon",
		      "cassandra");
	/* A tool that talks to it. */
	expect_driver(OWN,
		      "java -cp /opt/cassandra/lib/* org.apache.cassandra.tools.NodeTool status",
		      NULL);
	expect_driver(OWN, "java -jar app.jar", NULL);
}

static void test_other_servers(void **state)
{
	(void)state;
	expect_driver(OWN,
		      "/usr/bin/clickhouse-server --config-file=/etc/clickhouse-server/config.xml",
		      "clickhouse");
	expect_data(OWN, "clickhouse-server --config-file=x -- --path=/srv/ch/", "/srv/ch");
	expect_driver(OWN, "clickhouse-client --host db", NULL);
	expect_driver(OWN, "/opt/mssql/bin/sqlservr", "mssql");
	expect_data(OWN, "/opt/mssql/bin/sqlservr", "/var/opt/mssql");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mongodb),
		cmocka_unit_test(test_a_sharded_cluster_is_refused),
		cmocka_unit_test(test_servers_in_java),
		cmocka_unit_test(test_other_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
