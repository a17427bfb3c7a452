/* Drivers: what a definition may say, which container is which database, where values come from. */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "driver/driver.h"
#include "driver/values.h"

static void refused(const char *text, const char *message)
{
	struct error *error = NULL;
	struct driver *driver = driver_parse("x.json", text, strlen(text), &error);

	assert_null(driver);
	assert_int_equal(error->kind, ERROR_USAGE);
	assert_string_equal(error->message, message);
	error_free(error);
}

static void test_built_in_drivers_parse(void **state)
{
	struct error *error = NULL;
	struct driver **drivers;
	bool has_postgres = false;

	(void)state;
	drivers = driver_all(&error);
	if (!drivers)
		fail_msg("%s", error->message);
	for (size_t i = 0; drivers[i]; i++) {
		has_postgres = has_postgres || strcmp(drivers[i]->name, "postgres") == 0;
		assert_true(i == 0 || strcmp(drivers[i - 1]->name, drivers[i]->name) < 0);
	}
	assert_true(has_postgres);
	driver_all_free(drivers);
}

static void test_mistakes_are_named_with_their_line(void **state)
{
	(void)state;
	refused("{\n\"name\": \"x\",\n}", "x.json: invalid JSON at line 3, column 1");
	refused("{\n\"name\": \"x\",\n\"detect\": {},\n\"data\": [],\n\"dat\": 1}",
		"x.json:5: \"dat\" is no member that a driver may have here");
	refused("{\"name\": \"x\", \"data\": []}", "x.json:1: \"\" lacks the member \"detect\"");
	refused("{\"name\": \"none\",\n\"detect\": {}, \"data\": []}",
		"x.json:1: \"name\" must be lower-case letters, digits and '-', and not \"none\" or "
		"\"labels\"");
	refused("{\"name\": \"x\",\n\"detect\": {\"images\": [\"a\",\n3]}, \"data\": []}",
		"x.json:3: \"detect.images[1]\" must be a string");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [],\n\"refuse\": [{\"when\": {},\n"
		"\"reason\": \"r\"}]}",
		"x.json:2: \"refuse[0].when\" must name an option or a process");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [],\n\"refuse\": [\n{\"when\": {\"options\":"
		"[\"-x\"]}}]}",
		"x.json:3: \"refuse[0]\" lacks the member \"reason\"");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [\n\n\"${dat}\"]}",
		"x.json:3: \"data[0]\" uses a value that \"values\" does not define");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [], \"pages\": {\"files\": [],\n"
		"\"block\": 1000}}",
		"x.json:2: \"pages.block\" must be a power of two from 512 to 262144");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [], \"pages\": {\"files\": [],\n"
		"\"block\": 524288}}",
		"x.json:2: \"pages.block\" must be a power of two from 512 to 262144");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [], \"pages\": {\"files\": [],\n"
		"\"block\": 262144,\n\"page\": 131072}}",
		"x.json:3: \"pages.page\" must be a power of two from 512 to 65536");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [],\n\"pages\": {\"files\": [],"
		"\"block\": 4096, \"page\": 8192}}",
		"x.json:2: \"pages\" has a \"page\" that is larger than its \"block\"");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [], \"ready\": {\"any\": [\n"
		"{\"arguments\": [\"a\"]},\n{\"arguments\": [\"a\"], \"expect\": \"(\"}]}}",
		"x.json:3: \"ready.any[1].expect\" must be an extended regular expression");
}

#define WITH_VALUES                                                                                \
	"{\"name\": \"x\",\"detect\": {}, \"data\": [],\n"                                         \
	"\"values\": {\"p\": {\"secret\": true}, \"u\": {\"default\": \"me\"}},\n"
#define ACCESS "\"access\": {\"ways\": [{}], \"version\": {\"arguments\": [\"v\"]}},\n"
#define COMPARING WITH_VALUES ACCESS "\"compare\": {\"databases\": {\"arguments\": [\"d\"]},\n"

static void accepted(const char *text)
{
	struct error *error = NULL;
	struct driver *driver = driver_parse("x.json", text, strlen(text), &error);

	if (!driver)
		fail_msg("%s", error->message);
	driver_free(driver);
}

static void test_access(void **state)
{
	(void)state;
	accepted(WITH_VALUES
		 "\"access\": {\"environment\": {\"P\": \"${p}\"}, \"ways\": [{\"user\": \"u\", "
		 "\"needs\": [\"p\"], \"arguments\": [\"-u\", \"${u}\"], \"environment\": {\"P\": "
		 "\"\"}, \"values\": {\"u\": \"you\"}}], \"version\": {\"arguments\": [\"v\"], "
		 "\"needs\": [\"u\"], \"input\": [\"${p}\"]}}}");
	accepted(
		"{\"name\": \"x\",\"detect\": {}, \"data\": [], \"access\": {\"ways\": [{}], \"version\": "
		"{\"arguments\": [\"v\"]}, \"scratch\": {\"arguments\": [\"--open=1\"]}}}");
	refused(WITH_VALUES "\"access\": {\"ways\": [{}], \"version\": {\"arguments\": [\"v\"]}, "
			    "\"scratch\": {\"arguments\": \"--open\"}}}",
		"x.json:3: \"access.scratch.arguments\" must be an array");
	refused(WITH_VALUES "\"access\": {\"ways\": [], \"version\": {\"arguments\": [\"v\"]}}}",
		"x.json:3: \"access.ways\" must hold at least one way");
	refused(WITH_VALUES "\"access\": {\"ways\": [{}]}}",
		"x.json:3: \"access\" lacks the member \"version\"");
	refused(WITH_VALUES "\"access\": {\"ways\": [{\"arguments\": [\"${p}\"]}]}}",
		"x.json:3: \"access.ways[0].arguments[0]\" uses a secret: those go into "
		"\"environment\" or \"input\" only");
	refused(WITH_VALUES "\"access\": {\"ways\": [{},\n{\"values\": {\"p\": \"x\"}}]}}",
		"x.json:4: \"access.ways[1].values.p\" must be one of \"values\", and no secret");
	refused(WITH_VALUES "\"dump\": {\"file\": \"a\", \"server\": {\"arguments\": [\"a\"]}}}",
		"x.json:3: \"dump\" needs \"access\": the ways into the database");
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [], \"values\": {\n\"dump\": {}}}",
		"x.json:2: \"values.dump\" is the name of a label that changes the driver");
}

static void test_compare(void **state)
{
	(void)state;
	accepted(COMPARING "\"tables\": {\"arguments\": [\"t\", \"${database}\"]},"
			   "\"rows\": {\"arguments\": [\"r\"], \"input\": [\"${statement}\"]},"
			   "\"schema\": {\"arguments\": [\"s\"], \"heading\": \"^(a)\", \"type\": "
			   "\"${1}\", \"object\": \"${2}\"}}}");
	refused(COMPARING "\"tables\": {\"arguments\": [\"t\"]}}}",
		"x.json:4: \"compare\" lacks the member \"rows\"");
	/* Only "rows" has a statement, and only where it is given. */
	refused(COMPARING "\"tables\": {\"arguments\": [\"v\"],\n\"input\": [\"\", "
			  "\"${statement}\"]}}}",
		"x.json:6: \"compare.tables.input[1]\" uses a value that \"values\" does not "
		"define");
	/* What needs no command, and what is no records yet. */
	accepted(COMPARING
		 "\"tables\": {\"fixed\": [[\"t\", null, [\"a\"]]]},"
		 "\"rows\": {\"arguments\": [\"r\"], \"sorted\": false, \"format\": "
		 "{\"each\": true, \"lines\": [{\"line\": \"^(.*)$\", \"as\": \"base64\", "
		 "\"begins\": true}]}}}}");
	refused(COMPARING "\"tables\": {\"fixed\": [[\"t\"], [1]]},\n"
			  "\"rows\": {\"arguments\": [\"r\"]}}}",
		"x.json:5: \"compare.tables.fixed[1][0]\" must be a text, null, or a list of texts");
	refused(COMPARING "\"tables\": {\"fixed\": []},\n\"rows\": {\"fixed\": []}}}",
		"x.json:6: \"compare.rows\" must be a command");
	refused(COMPARING "\"tables\": {\"fixed\": []}, \"rows\": {\"arguments\": [\"r\"],\n"
			  "\"format\": {\"lines\": [{\"line\": \"x\", \"as\": \"hex\"}]}}}}",
		"x.json:6: \"compare.rows.format.lines[0].as\" must be \"quoted\" or \"base64\"");
	refused(COMPARING "\"ways\": [{}]}}",
		"x.json:5: \"compare.ways\" is no member that a driver may have here");
}

static void test_dump_and_load(void **state)
{
	(void)state;
	accepted(
		WITH_VALUES ACCESS
		"\"dump\": {\"file\": \"dump.sql\", \"environment\": {\"D\": \"${database}\"}, "
		"\"begin\": [{\"arguments\": [\"b\"], \"needs\": [\"u\"]}], \"server\": "
		"{\"arguments\": [\"d\"], \"complete\": \"x\"}, \"database\": {\"arguments\": "
		"[\"d\", \"${database}\"]}, \"end\": [], \"clean\": [], \"contents\": "
		"{\"arguments\": [\"c\"]}, \"database_contents\": {\"arguments\": [\"c\", "
		"\"${database}\"]}, \"starts\": \"^a\", \"complete\": \"b$\", \"holds\": \"c\", "
		"\"empty_size\": 3, \"requires\": [{\"pattern\": \"x\", \"problem\": \"no x\"}], "
		"\"volatile\": \"^--\"},\n"
		"\"load\": {\"how\": \"server\", \"server\": {\"arguments\": [\"l\"]}, "
		"\"errors\": \"^E\", \"ignored\": \"^EX\", \"boot\": {\"arguments\": [\"-n\"], "
		"\"initial\": {\"A\": {\"unless\": [\"A\", \"B\"], \"value\": \"${random}\"}}, "
		"\"values\": {\"p\": \"A\"}, \"file\": \"/x\", \"remove\": [\"/y\"]}},\n"
		"\"script\": {\"arguments\": [\"s\"], \"extension\": \"sql\", \"errors\": \"E\"},\n"
		"\"finish\": {\"steps\": []}}");
	refused(WITH_VALUES ACCESS "\"dump\": {\"server\": {\"arguments\": [\"d\"]}}}",
		"x.json:4: \"dump\" lacks the member \"file\"");
	refused(WITH_VALUES ACCESS "\"dump\": {\"file\": \"a/b\", \"server\": {}}}",
		"x.json:4: \"dump.file\" must be the name of a file, without a folder");
	refused(WITH_VALUES ACCESS
		"\"dump\": {\"file\": \"a\",\n\"server\": {\"arguments\": [\"${database}\"]}}}",
		"x.json:5: \"dump.server.arguments[0]\" uses a value that \"values\" does not "
		"define");
	refused(WITH_VALUES ACCESS "\"dump\": {\"requires\": [\n{\"pattern\": \"(\"}]}}",
		"x.json:5: \"dump.requires[0].pattern\" must be an extended regular expression");
	refused(WITH_VALUES ACCESS "\"load\": {\"how\": \"later\"}}",
		"x.json:4: \"load.how\" must be \"server\", \"before\" or \"file\"");
	refused(WITH_VALUES ACCESS "\"load\": {\"how\": \"before\"}}",
		"x.json:4: \"load\" lacks the member \"server\"");
	refused(WITH_VALUES ACCESS "\"load\": {\"how\": \"file\",\n\"boot\": {}}}",
		"x.json:4: \"load\" is of a file, and lacks the member \"boot.file\"");
	refused(WITH_VALUES ACCESS "\"load\": {\"boot\": {\"values\": {\n\"q\": \"A\"}}}}",
		"x.json:5: \"load.boot.values.q\" must be one of \"values\"");
	refused(WITH_VALUES ACCESS "\"load\": {\"boot\": {\"file\":\n\"${p}\"}}}",
		"x.json:4: \"load.boot.file\" uses a secret: those go into \"environment\" or "
		"\"input\" only");
}

static void test_secrets_stay_out_of_arguments(void **state)
{
	(void)state;
	refused("{\"name\": \"x\",\"detect\": {}, \"data\": [],\n"
		"\"values\": {\"p\": {\"secret\": true}},\n\"ready\": {\"any\": [\n"
		"{\"arguments\": [\"tool\",\n\"--password=${p}\"]}]}}",
		"x.json:5: \"ready.any[0].arguments[1]\" uses a secret: those go into "
		"\"environment\" or \"input\" only");
}

static void detect(const char *inspect, const char *image, struct driver_match *match)
{
	CLEANUP(cleanup_json_free) struct json *container = parsed(inspect);
	CLEANUP(cleanup_json_free) struct json *of = image ? parsed(image) : NULL;
	struct error *error = NULL;

	if (driver_detect(NULL, container, of, match, &error) < 0)
		fail_msg("%s", error->message);
}

static void test_detection_of_a_stopped_postgres(void **state)
{
	struct driver_match match;

	(void)state;
	detect("{\"Config\":{\"Image\":\"registry:5000/library/postgres:15@sha256:00\",\"Env\":"
	       "[\"PGDATA=/db//data/\"],\"Cmd\":[\"postgres\"]}}",
	       NULL, &match);
	assert_non_null(match.driver);
	assert_string_equal(match.driver->name, "postgres");
	assert_string_equal(match.data_directories.items[0], "/db/data");
	assert_string_equal(match.guards.items[0], "/db/data/global/pg_control");
	assert_int_equal(match.page_block, 32768);
	assert_int_equal(match.page_size, 8192);
	assert_true(string_list_has(&match.state_variables, "PGDATA"));
	assert_false(string_list_has(&match.state_variables, "POSTGRES_PASSWORD"));
	assert_false(match.idle);
	driver_match_release(&match);
}

static void test_a_name_that_holds_the_host_name(void **state)
{
	struct driver_match match;

	(void)state;
	detect("{\"Config\":{\"Image\":\"rabbitmq\",\"Hostname\":\"mq1\",\"Cmd\":[\"rabbitmq-server\"]}}",
	       NULL, &match);
	assert_string_equal(match.state_values.items[0], "RABBITMQ_NODENAME=rabbit@mq1");
	assert_string_equal(match.hosts.items[0], "mq1");
	driver_match_release(&match);
	detect("{\"Config\":{\"Image\":\"rabbitmq\",\"Hostname\":\"mq1\",\"Cmd\":[\"rabbitmq-server\"],"
	       "\"Env\":[\"RABBITMQ_NODENAME=hare@old\"]}}",
	       NULL, &match);
	assert_string_equal(match.state_values.items[0], "RABBITMQ_NODENAME=hare@old");
	assert_string_equal(match.hosts.items[0], "old");
	driver_match_release(&match);
}

static void test_data_directory_of_an_option_wins(void **state)
{
	struct driver_match match;

	(void)state;
	detect("{\"Config\":{\"Image\":\"own\",\"Env\":[\"PGDATA=/a\"],\"Entrypoint\":[\"/usr/lib/"
	       "postgresql/15/bin/postgres\"],\"Cmd\":[\"-D\",\"/b\"]}}",
	       NULL, &match);
	assert_non_null(match.driver);
	assert_string_equal(match.data_directories.items[0], "/b");
	driver_match_release(&match);
	detect("{\"Config\":{\"Image\":\"postgres\",\"Env\":[\"PGDATA=/d\"],\"Entrypoint\":["
	       "\"docker-entrypoint.sh\"],\"Cmd\":[\"-c\",\"data_directory=/c\"]}}",
	       NULL, &match);
	assert_string_equal(match.data_directories.items[0], "/c");
	driver_match_release(&match);
}

static void test_clues_count_only_together(void **state)
{
	struct driver_match match;

	(void)state;
	/* A client has the variable, a proxy the port. */
	detect("{\"Config\":{\"Image\":\"app\",\"Env\":[\"PGDATA=/x\"],\"ExposedPorts\":{\"5432/"
	       "tcp\":{}}}}",
	       NULL, &match);
	assert_null(match.driver);
	detect("{\"Config\":{\"Image\":\"own\",\"Env\":[\"PGDATA=/var/lib/postgresql/data\"]},"
	       "\"Mounts\":[{\"Destination\":\"/var/lib/postgresql/data\"}]}",
	       NULL, &match);
	assert_non_null(match.driver);
	driver_match_release(&match);
	/* An image's name is anybody's choice, and wants one more. */
	detect("{\"Config\":{\"Image\":\"sha256:00\"}}",
	       "{\"RepoTags\":[\"docker.io/library/redis:7\"]}", &match);
	assert_null(match.driver);
	detect("{\"Config\":{\"Image\":\"sha256:00\",\"ExposedPorts\":{\"6379/tcp\":{}}}}",
	       "{\"RepoTags\":[\"docker.io/library/redis:7\"]}", &match);
	assert_string_equal(match.driver->name, "redis");
	driver_match_release(&match);
}

static void test_label_decides(void **state)
{
	struct driver_match match;
	CLEANUP(cleanup_json_free)
	struct json *unknown = parsed(
		"{\"Config\":{\"Image\":\"x\",\"Labels\":{\"sidesnap.driver\":\"oracle\"}}}");
	struct error *error = NULL;

	(void)state;
	detect("{\"Config\":{\"Image\":\"postgres\",\"Labels\":{\"sidesnap.driver\":\"none\"}}}",
	       NULL, &match);
	assert_null(match.driver);
	detect("{\"Config\":{\"Image\":\"own\",\"Labels\":{\"sidesnap.driver\":\"postgres\","
	       "\"sidesnap.driver.data\":\"/here\"}}}",
	       NULL, &match);
	assert_string_equal(match.data_directories.items[0], "/here");
	driver_match_release(&match);
	/* A snapshot without a driver has the label, empty. */
	detect("{\"Config\":{\"Image\":\"x\",\"Cmd\":[\"redis-server\"],\"Labels\":{"
	       "\"sidesnap.driver\":\"\"}}}",
	       NULL, &match);
	assert_string_equal(match.driver->name, "redis");
	driver_match_release(&match);
	assert_int_equal(driver_detect(NULL, unknown, NULL, &match, &error), -1);
	assert_int_equal(error->kind, ERROR_NOT_FOUND);
	assert_non_null(strstr(error->hint, "drivers: cassandra, "));
	assert_non_null(strstr(error->hint, ", postgres, "));
	assert_non_null(strstr(error->hint, "; or \"none\""));
	error_free(error);
}

/* A container of Redis with one more label; *match is to be released. */
static int detect_labelled(const char *label, const char *text, struct driver_match *match,
			   struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = parsed("{\"Config\":{\"Image\":\"x\",\"Labels\":{"
				      "\"sidesnap.driver\":\"redis\"}}}");

	json_set_string(json_path(inspect, "Config", "Labels"), label, text);
	return driver_detect(NULL, inspect, NULL, match, err);
}

static char *member_with(const char *member, const char *text)
{
	cleanup_free char *label = memory_printf("sidesnap.driver.%s", member);
	struct driver_match match;
	struct error *error = NULL;
	char *printed;

	if (detect_labelled(label, text, &match, &error) < 0)
		fail_msg("%s", error->message);
	printed = json_get(match.driver->definition, member)
			  ? json_print(json_get(match.driver->definition, member), false)
			  : NULL;
	driver_match_release(&match);
	return printed;
}

static void becomes(const char *member, const char *text, const char *expected)
{
	cleanup_free char *printed = member_with(member, text);

	assert_string_equal(text_or(printed, "(none)"), expected);
}

static void test_labels_change_members(void **state)
{
	(void)state;
	becomes("prepare", "app-flush --all 'two words' \"a\\\"b\" c\\ d ''",
		"{\"steps\":[{\"name\":\"label sidesnap.driver.prepare\",\"any\":[{\"arguments\":["
		"\"app-flush\",\"--all\",\"two words\",\"a\\\"b\",\"c d\",\"\"]}]}]}");
	becomes("finish", "[\"a\", \"b c\"]",
		"{\"steps\":[{\"name\":\"label sidesnap.driver.finish\",\"any\":[{\"arguments\":["
		"\"a\",\"b c\"]}]}]}");
	becomes("prepare", "{\"steps\": []}", "{\"steps\":[]}");
	becomes("prepare", "none", "(none)");
	becomes("ready", "app ping ${port}",
		"{\"any\":[{\"arguments\":[\"app\",\"ping\",\"${port}\"]}]}");
	becomes("client", "app", "{\"arguments\":[\"app\"]}");
	becomes("dump", "app dump",
		"{\"file\":\"dump\",\"server\":{\"arguments\":[\"app\",\"dump\"]}}");
	becomes("load", "app load",
		"{\"how\":\"server\",\"server\":{\"arguments\":[\"app\",\"load\"]}}");
	becomes("script", "app run", "{\"arguments\":[\"app\",\"run\"]}");
}

static void label_refused(const char *member, const char *text, const char *message)
{
	cleanup_free char *label = memory_printf("sidesnap.driver.%s", member);
	struct driver_match match;
	struct error *error = NULL;

	assert_int_equal(detect_labelled(label, text, &match, &error), -1);
	assert_int_equal(error->kind, ERROR_USAGE);
	assert_string_equal(error->message, message);
	error_free(error);
}

static void test_labels_that_are_wrong(void **state)
{
	(void)state;
	label_refused("prepare", "app 'flush",
		      "label sidesnap.driver.prepare: a "
		      "quote has no end");
	label_refused("prepare", "{\"steps\": [\n{\"name\": \"a\",\n\"some\": []}]}",
		      "label sidesnap.driver.prepare:3: "
		      "\"steps[0].some\" is no member that a driver may have here");
	label_refused("ready", "app ${password}",
		      "label sidesnap.driver.ready:1: "
		      "\"any[0].arguments[1]\" uses a secret: those go into \"environment\" or "
		      "\"input\" only");
	label_refused("dump", "{\"server\": {\"arguments\": [\"a\"]}}",
		      "label sidesnap.driver.dump:1: \"\" "
		      "lacks the member \"file\"");
	label_refused("load", "{",
		      "label "
		      "sidesnap.driver.load: invalid JSON at line 1, column 1");
}

/* No driver fits, but the labels say enough: also of a snapshot, which records that name. */
static void test_labels_alone_are_a_driver(void **state)
{
	struct driver_match match;

	(void)state;
	detect("{\"Config\":{\"Image\":\"x\",\"Labels\":{\"sidesnap.driver.dump\":\"app dump\"}}}",
	       NULL, &match);
	assert_string_equal(match.driver->name, "labels");
	assert_non_null(json_path(match.driver->definition, "dump", "server"));
	assert_int_equal(json_count(json_path(match.driver->definition, "access", "ways")), 1);
	driver_match_release(&match);
	detect("{\"Config\":{\"Image\":\"postgres\",\"Labels\":{\"sidesnap.driver\":\"labels\","
	       "\"sidesnap.driver.ready\":\"app ping\"}}}",
	       NULL, &match);
	assert_string_equal(match.driver->name, "labels");
	driver_match_release(&match);
	detect("{\"Config\":{\"Image\":\"x\",\"Labels\":{\"sidesnap.driver\":\"labels\"}}}", NULL,
	       &match);
	assert_null(match.driver);
	detect("{\"Config\":{\"Image\":\"x\",\"Labels\":{\"sidesnap.driver\":\"none\","
	       "\"sidesnap.driver.ready\":\"app ping\"}}}",
	       NULL, &match);
	assert_null(match.driver);
}

static void test_processes_in_top(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *top =
		parsed("{\"Titles\":[\"PID\",\"UID\",\"COMMAND\"],\"Processes\":[[\"1\",\"0\","
		       "\"/usr/lib/bin/postgres -p 6000\"],[\"2\",\"0\",\"postgres: writer\"]]}");
	CLEANUP(cleanup_json_free) struct json *names = parsed("[\"postgres\"]");
	struct string_list processes;

	(void)state;
	process_arguments(top, &processes);
	assert_int_equal(processes.count, 2);
	assert_true(process_name_is(processes.items[0], names));
	assert_true(process_name_is(processes.items[1], names));
	assert_false(process_name_is("postgres-exporter --web", names));
	string_list_release(&processes);
}

static void expect_text(struct values *values, const char *template, const char *expected)
{
	cleanup_free char *text = values_expand(values, template);

	if (!expected)
		assert_null(text);
	else
		assert_string_equal(text, expected);
}

static void test_values(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *definition = parsed(
		"{\"detect\":{\"commands\":[\"server\"],\"processes\":[\"server\"]},\"values\":{"
		"\"port\":{\"options\":[\"-p\",\"port=\"],\"variables\":[\"PORT\"],\"default\":\"1\"},"
		"\"word\":{\"variables\":[\"WORD\"],\"secret\":true},\"no\":{\"variables\":[\"EMPTY\"]},"
		"\"listen\":{\"options\":[\"listen=\"]},\"loop\":{\"default\":\"x\"}}}");
	CLEANUP(cleanup_json_free)
	struct json *inspect = parsed(
		"{\"Config\":{\"Cmd\":[\"client\",\"-p\",\"7\",\"server\",\"-p8\",\"-c\","
		"\"port=9\",\"-clisten=\"],\"Env\":[\"PORT=5\",\"WORD=hush\",\"EMPTY=\"]},"
		"\"NetworkSettings\":{\"Networks\":{\"a\":{\"IPAddress\":\"\"},\"b\":{\"IPAddress\":"
		"\"10.0.0.2\"}}}}");
	struct values values;
	char message[] = "a hush b hushhush";

	(void)state;
	values_from(&values, inspect, NULL, definition);
	expect_text(&values, "${address}:${port}", "10.0.0.2:9");
	expect_text(&values, "<${listen}>", "<>");
	expect_text(&values, "${no}", NULL);
	expect_text(&values, "${word}", "hush");
	values_redact(&values, message);
	assert_string_equal(message, "a *** b ***");
	values_release(&values);
}

/* A guess reads no file, and nobody takes it for the value later. */
static void test_a_guess_takes_the_default(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *definition = parsed(
		"{\"values\":{\"port\":{\"options\":[\"-p\"],\"lines\":[{\"file\":\"/x\",\"line\":1}],"
		"\"default\":\"1\"}}}");
	CLEANUP(cleanup_json_free) struct json *inspect = parsed("{\"Config\":{}}");
	struct values values;

	(void)state;
	values_from(&values, inspect, NULL, definition);
	values.is_guessing = true;
	expect_text(&values, "${port}", "1");
	assert_null(json_get(values.found, "port"));
	values.is_guessing = false;
	expect_text(&values, "${port}", "1");
	assert_non_null(json_get(values.found, "port"));
	values_release(&values);
}

static void test_own_directory_goes_first(void **state)
{
	char directory[] = "/tmp/test_driver.XXXXXX";
	cleanup_free char *path = NULL;
	struct error *error = NULL;
	struct driver *driver;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(directory));
	path = memory_printf("%s/mine.json", directory);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("{\"name\":\"redis\",\"title\":\"mine\",\"detect\":{},\"data\":[],\"release\":{\"steps\":"
	      "[{\"name\":\"thaw\",\"any\":[{\"arguments\":[\"x\"]}]}]}}",
	      file);
	fclose(file);
	setenv("SIDESNAP_DRIVERS", directory, 1);
	driver = driver_find("redis", &error);
	assert_non_null(driver);
	assert_string_equal(json_string(driver->definition, "title"), "mine");
	{
		struct driver_match match = {.driver = driver};
		CLEANUP(cleanup_json_free) struct json *release = driver_release_json(&match);

		assert_int_equal(json_count(json_path(release, "release", "steps")), 1);
	}
	driver_free(driver);
	unlink(path);
	rmdir(directory);
	assert_null(driver_find("redis", &error));
	assert_non_null(strstr(error->message, directory));
	error_free(error);
	unsetenv("SIDESNAP_DRIVERS");
}

/* A directory of drivers with one file; SIDESNAP_DRIVERS names it. */
static void make_directory(char *directory, const char *name, const char *text)
{
	cleanup_free char *path = NULL;
	FILE *file;

	assert_non_null(mkdtemp(directory));
	path = memory_printf("%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	setenv("SIDESNAP_DRIVERS", directory, 1);
}

static void remove_directory(const char *directory, const char *name)
{
	cleanup_free char *path = memory_printf("%s/%s", directory, name);

	unlink(path);
	rmdir(directory);
	unsetenv("SIDESNAP_DRIVERS");
}

static int detect_one(const char *config, struct driver_match *match, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *inspect = parsed(config);

	return driver_detect(NULL, inspect, NULL, match, err);
}

/* It is about Redis: a Redis must not be captured as if nobody had said anything; all else may. */
static void check_broken_redis(const char *reason)
{
	struct driver_match match;
	struct error *error = NULL;

	assert_int_equal(detect_one("{\"Config\":{\"Image\":\"x\",\"Cmd\":[\"redis-server\"]}}",
				    &match, &error),
			 -1);
	assert_int_equal(error->kind, ERROR_USAGE);
	if (!strstr(error->message, reason))
		fail_msg("%s", error->message);
	error_free(error);
	error = NULL;
	assert_int_equal(
		detect_one("{\"Config\":{\"Image\":\"x\",\"Cmd\":[\"postgres\"]}}", &match, &error),
		0);
	assert_string_equal(match.driver->name, "postgres");
	assert_null(match.doubt);
	driver_match_release(&match);
	assert_int_equal(detect_one("{\"Config\":{\"Image\":\"x\"}}", &match, &error), 0);
	assert_null(match.driver);
	assert_non_null(strstr(match.doubt, reason));
	driver_match_release(&match);
	assert_null(driver_find("redis", &error));
	assert_non_null(strstr(error->message, reason));
	error_free(error);
}

static void test_a_broken_file_stops_its_own_containers_only(void **state)
{
	char first[] = "/tmp/test_driver.XXXXXX", second[] = "/tmp/test_driver.XXXXXX";

	(void)state;
	make_directory(first, "redis.json", "{\"name\": \"redis\",\n");
	check_broken_redis("/redis.json: invalid JSON at line");
	remove_directory(first, "redis.json");
	make_directory(second, "own.json",
		       "{\"name\": \"redis\",\n\"detect\": {\"commands\": [\"redis-server\"]},\n"
		       "\"data\": [],\n\"prepares\": {}}");
	check_broken_redis("/own.json:4: \"prepares\" is no member that a driver may have here");
	remove_directory(second, "own.json");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_built_in_drivers_parse),
		cmocka_unit_test(test_mistakes_are_named_with_their_line),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_dump_and_load),
		cmocka_unit_test(test_secrets_stay_out_of_arguments),
		cmocka_unit_test(test_detection_of_a_stopped_postgres),
		cmocka_unit_test(test_a_name_that_holds_the_host_name),
		cmocka_unit_test(test_data_directory_of_an_option_wins),
		cmocka_unit_test(test_clues_count_only_together),
		cmocka_unit_test(test_label_decides),
		cmocka_unit_test(test_labels_change_members),
		cmocka_unit_test(test_labels_that_are_wrong),
		cmocka_unit_test(test_labels_alone_are_a_driver),
		cmocka_unit_test(test_processes_in_top),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_a_guess_takes_the_default),
		cmocka_unit_test(test_own_directory_goes_first),
		cmocka_unit_test(test_a_broken_file_stops_its_own_containers_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
