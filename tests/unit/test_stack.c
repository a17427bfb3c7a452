/*
 * The order of a stack, from labels as compose 1.29 and v2 write them, from compose files, and from
 * what the engine was told.
 */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "project/compose_file.h"
#include "project/stack.h"

/* ---- fixtures ---- */

static char *id_of(const char *name)
{
	char digits[65];

	for (size_t i = 0; i < 64; i++)
		digits[i] = "0123456789abcdef"[((size_t)name[i % strlen(name)] + i) % 16];
	digits[64] = '\0';
	return memory_strdup(digits);
}

static struct json *container(struct json *list, const char *project, const char *service,
			      const char *number)
{
	struct json *inspect = json_add_object(list), *labels;
	cleanup_free char *name = memory_printf("/%s_%s_%s", project, service, number);
	cleanup_free char *id = id_of(name);

	json_set_string(inspect, "Id", id);
	json_set_string(inspect, "Name", name);
	labels = json_set_object(json_set_object(inspect, "Config"), "Labels");
	json_set_string(labels, "com.docker.compose.config-hash",
			"6e1919c99842c9e3e92922ff02aba5e532806aee86fb72ad585f002581ecd67a");
	json_set_string(labels, "com.docker.compose.container-number", number);
	json_set_string(labels, "com.docker.compose.oneoff", "False");
	json_set_string(labels, "com.docker.compose.project", project);
	json_set_string(labels, "com.docker.compose.service", service);
	json_set_object(inspect, "HostConfig");
	return inspect;
}

static void set_label(struct json *inspect, const char *name, const char *value)
{
	json_set_string(json_walk(inspect, "Config", "Labels", NULL), name, value);
}

static struct json *version_two(struct json *list, const char *service, const char *depends_on)
{
	struct json *inspect = container(list, "shop", service, "1");

	set_label(inspect, "com.docker.compose.version", "2.24.5");
	set_label(inspect, "com.docker.compose.depends_on", depends_on);
	return inspect;
}

static struct json *version_one(struct json *list, const char *service, const char *directory,
				const char *files)
{
	struct json *inspect = container(list, "shop", service, "1");

	set_label(inspect, "com.docker.compose.version", "1.29.2");
	set_label(inspect, "com.docker.compose.project.working_dir", directory);
	set_label(inspect, "com.docker.compose.project.config_files", files);
	return inspect;
}

/* "db cache web>db:healthy,cache:started" */
static char *shown(const struct stack *stack)
{
	struct buffer text;

	buffer_init(&text, 1U << 16);
	for (size_t i = 0; i < stack->count; i++) {
		const struct stack_member *member = &stack->members[i];
		cleanup_free char *name = stack_member_shown(member);

		buffer_printf(&text, "%s%s", i ? " " : "", name);
		for (size_t k = 0; k < member->dependency_count; k++) {
			const struct stack_dependency *on = &member->dependencies[k];
			cleanup_free char *other = stack_member_shown(&stack->members[on->member]);

			buffer_printf(&text, "%s%s:%s", k ? "," : ">", other,
				      stack_condition_name(on->condition) + strlen("service_"));
		}
	}
	return buffer_steal(&text);
}

static void assert_stack(const struct json *list, const char *expected)
{
	struct stack stack;
	cleanup_free char *text = NULL;

	stack_build(&stack, list, NULL);
	text = shown(&stack);
	stack_release(&stack);
	assert_string_equal(text, expected);
}

/* ---- labels ---- */

static void labels_of_version_two(void **state)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();

	(void)state;
	version_two(list, "web",
		    "db:service_healthy:false,cache:service_started:true,"
		    "migrate:service_completed_successfully:false");
	version_two(list, "migrate", "db:service_healthy:false");
	version_two(list, "db", "");
	version_two(list, "cache", "");
	assert_stack(list, "cache db migrate>db:healthy "
			   "web>db:healthy,cache:started,migrate:completed_successfully");
}

static void names_only(void **state)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();

	(void)state;
	version_two(list, "a", "b,c:service_running_or_healthy");
	version_two(list, "b", "c");
	version_two(list, "c", "");
	assert_stack(list, "c b>c:started a>b:started,c:started");
}

static void every_container_of_a_service(void **state)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();
	struct json *second;

	(void)state;
	version_two(list, "web", "api:service_started:false");
	version_two(list, "api", "");
	second = container(list, "shop", "api", "2");
	set_label(second, "com.docker.compose.depends_on", "");
	/* The same service of another project is another. */
	set_label(container(list, "blog", "api", "1"), "com.docker.compose.depends_on", "");
	assert_stack(list, "api api api-2 web>api:started,api-2:started");
}

static void what_is_not_there(void **state)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();
	struct stack stack;

	(void)state;
	version_two(list, "web", "db:service_healthy:false,db:service_started:false");
	stack_build(&stack, list, NULL);
	assert_int_equal(stack.members[0].dependency_count, 0);
	assert_int_equal(stack.members[0].missing.count, 1);
	assert_string_equal(stack.members[0].missing.items[0], "db");
	stack_release(&stack);
}

static void a_circle(void **state)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();
	struct stack stack;
	struct error *error = NULL;

	(void)state;
	version_two(list, "web", "db:service_started:false");
	version_two(list, "db", "log:service_started:false");
	version_two(list, "log", "db:service_started:false");
	stack_build(&stack, list, NULL);
	assert_int_equal(stack.count, 3);
	assert_string_equal(stack.cycle, "db -> log -> db");
	assert_int_equal(stack_check_order(&stack, &error), -1);
	assert_non_null(strstr(error->message, "db -> log -> db"));
	error_free(error);
	stack_release(&stack);
}

static void our_own(void **state)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();
	struct stack stack;

	(void)state;
	version_two(list, "db", "");
	version_two(list, "sidesnap", "db:service_started:false");
	stack_build(&stack, list, json_string(json_next(json_first(list)), "Id"));
	assert_false(stack.members[0].is_own);
	assert_true(stack.members[1].is_own);
	stack_release(&stack);
}

/* ---- settings ---- */

static void what_the_engine_was_told(void **state)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();
	struct json *web = version_one(list, "web", "/nowhere", "docker-compose.yml"), *spy, *back;
	struct json *network;
	struct stack stack;
	cleanup_free char *text = NULL;
	cleanup_free char *mode = NULL;

	(void)state;
	version_one(list, "db", "/nowhere", "docker-compose.yml");
	version_one(list, "cache", "/nowhere", "docker-compose.yml");
	spy = version_one(list, "a-spy", "/nowhere", "docker-compose.yml");
	back = version_one(list, "a-backup", "/nowhere", "docker-compose.yml");
	json_add_string(json_set_array(json_get(web, "HostConfig"), "Links"),
			"/shop_db_1:/shop_web_1/db");
	network = json_set_object(
		json_set_object(json_set_object(web, "NetworkSettings"), "Networks"),
		"shop_default");
	json_add_string(json_set_array(network, "Links"), "shop_cache_1:cache");
	mode = memory_printf("container:%s", json_string(web, "Id"));
	json_set_string(json_get(spy, "HostConfig"), "NetworkMode", mode);
	json_add_string(json_set_array(json_get(back, "HostConfig"), "VolumesFrom"),
			"shop_db_1:ro");
	stack_build(&stack, list, NULL);
	text = shown(&stack);
	assert_string_equal(text, "db a-backup>db:started cache web>db:started,cache:started "
				  "a-spy>web:started");
	assert_int_equal(stack.members[0].source, STACK_SETTINGS);
	/* Once, not for every member. */
	assert_int_equal(stack.notes.count, 1);
	assert_non_null(strstr(stack.notes.items[0], "conditions of depends_on are not known"));
	stack_release(&stack);
}

/* A namespace is needed whatever a label says. */
static void namespaces_beside_the_label(void **state)
{
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();
	struct json *other = version_two(list, "a", "");
	cleanup_free char *mode = NULL;

	(void)state;
	mode = memory_printf("container:%s", json_string(version_two(list, "vpn", ""), "Id"));
	json_set_string(json_get(other, "HostConfig"), "NetworkMode", mode);
	assert_stack(list, "vpn a>vpn:started");
}

/* ---- compose files ---- */

static struct json *dependencies_of(const char *text)
{
	struct error *error = NULL;
	CLEANUP(cleanup_json_free)
	struct json *file = compose_file_parse(text, strlen(text), &error);
	struct json *found = json_new_object();

	if (!file)
		fail_msg("%s", error->message);
	compose_file_dependencies(file, found);
	return found;
}

static void assert_dependencies(const char *text, const char *expected)
{
	CLEANUP(cleanup_json_free) struct json *found = dependencies_of(text);
	cleanup_free char *json = json_print(found, false);

	assert_string_equal(json, expected);
}

static void forms_of_depends_on(void **state)
{
	(void)state;
	assert_dependencies(
		"version: '2.4'\n"
		"services:\n"
		"  web:\n"
		"    image: x\n"
		"    depends_on: [db, cache]\n"
		"  api:\n"
		"    depends_on:\n"
		"      db: {condition: service_healthy}\n"
		"      job:\n"
		"        condition: service_completed_successfully\n"
		"      cache:\n"
		"  db:\n"
		"    image: postgres\n",
		"{\"web\":{\"db\":\"service_started\",\"cache\":\"service_started\"},"
		"\"api\":{\"db\":\"service_healthy\","
		"\"job\":\"service_completed_successfully\",\"cache\":\"service_started\"},"
		"\"db\":{}}");
}

static void other_ways_to_depend(void **state)
{
	(void)state;
	assert_dependencies("services:\n"
			    "  web:\n"
			    "    links: ['db:database', cache]\n"
			    "    volumes_from: ['data:ro', 'container:other:ro']\n"
			    "    pid: host\n"
			    "  spy: {network_mode: 'service:web', ipc: service:db}\n",
			    "{\"web\":{\"db\":\"service_started\",\"cache\":\"service_started\","
			    "\"data\":\"service_started\"},"
			    "\"spy\":{\"web\":\"service_started\",\"db\":\"service_started\"}}");
	/* Version 1 has its services at the top. */
	assert_dependencies("web:\n  image: x\n  links:\n    - db\ndb:\n  image: y\n",
			    "{\"web\":{\"db\":\"service_started\"},\"db\":{}}");
	assert_dependencies("version: '3'\n", "{}");
	assert_dependencies("", "{}");
}

static void anchors_and_merge_keys(void **state)
{
	(void)state;
	assert_dependencies("x-base: &base\n"
			    "  depends_on: &needs {db: {condition: service_healthy}}\n"
			    "  links: [a]\n"
			    "services:\n"
			    "  web:\n"
			    "    <<: *base\n"
			    "    links: [b]\n"
			    "  api:\n"
			    "    <<: [*base]\n"
			    "  job:\n"
			    "    depends_on: *needs\n",
			    "{\"web\":{\"db\":\"service_healthy\",\"b\":\"service_started\"},"
			    "\"api\":{\"db\":\"service_healthy\",\"a\":\"service_started\"},"
			    "\"job\":{\"db\":\"service_healthy\"}}");
}

static void refused_files(void **state)
{
	static const struct {
		const char *text;
		enum error_kind kind;
		const char *says;
	} cases[] = {
		{"services: [\n", ERROR_USAGE, "line 2"},
		{"a: &a [*a]\n", ERROR_USAGE, "nested deeper"},
		{"a: &a {<<: *a}\n", ERROR_USAGE, "nested deeper"},
		{"? [x, y]\n: z\n", ERROR_USAGE, "no text"},
		{"a: *b\n", ERROR_USAGE, "line 1"},
		/* nine levels of nine aliases: a thousand million values */
		{"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
		 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
		 "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
		 "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n"
		 "i: &i [*h,*h,*h,*h,*h,*h,*h,*h,*h]\n",
		 ERROR_UNSUPPORTED, "more than 100000 values"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup_error struct error *error = NULL;

		assert_null(compose_file_parse(cases[i].text, strlen(cases[i].text), &error));
		assert_non_null(error);
		if (error->kind != cases[i].kind || !strstr(error->message, cases[i].says))
			fail_msg("%s: %s", cases[i].text, error->message);
	}
}

static void a_file_that_is_too_large(void **state)
{
	size_t size = (1U << 20) + 1;
	cleanup_free char *text = memory_zalloc(size + 1);
	struct error *error = NULL;

	(void)state;
	memset(text, ' ', size);
	assert_null(compose_file_parse(text, size, &error));
	assert_int_equal(error->kind, ERROR_UNSUPPORTED);
	error_free(error);
}

/* ---- files that labels name ---- */

static void write_text(const char *directory, const char *name, const char *text)
{
	cleanup_free char *path = memory_printf("%s/%s", directory, name);
	cleanup_file FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
}

static void remove_file(const char *directory, const char *name)
{
	cleanup_free char *path = memory_printf("%s/%s", directory, name);

	assert_int_equal(unlink(path), 0);
}

/* As compose 1.29 names them: relative to where it was called, here above the project's folder. */
static void files_of_version_one(void **state)
{
	char directory[] = "/tmp/test-stack.XXXXXX";
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();
	cleanup_free char *folder = NULL;
	struct stack stack;
	cleanup_free char *text = NULL;

	(void)state;
	assert_non_null(mkdtemp(directory));
	folder = memory_printf("%s/deploy", directory);
	assert_int_equal(mkdir(folder, 0700), 0);
	write_text(folder, "compose.yml",
		   "version: '2.4'\nservices:\n  web: {depends_on: [db]}\n  db: {image: x}\n");
	write_text(directory, "more.yml",
		   "version: '2.4'\nservices:\n  web:\n    depends_on:\n"
		   "      db: {condition: service_healthy}\n      cache: {}\n");
	version_one(list, "web", folder, "deploy/compose.yml,more.yml");
	version_one(list, "db", folder, "deploy/compose.yml,more.yml");
	version_one(list, "cache", folder, "deploy/compose.yml,more.yml");
	stack_build(&stack, list, NULL);
	text = shown(&stack);
	assert_string_equal(text, "cache db web>db:healthy,cache:started");
	assert_int_equal(stack.members[2].source, STACK_FILES);
	assert_int_equal(stack.notes.count, 0);
	stack_release(&stack);
	remove_file(folder, "compose.yml");
	remove_file(directory, "more.yml");
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(rmdir(directory), 0);
}

/* A label may name what is no compose file, or no file at all. */
static void files_that_are_none(void **state)
{
	static const char *const names[] = {"/dev/zero", "/proc/self/mem", "/tmp", "/nowhere.yml"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CLEANUP(cleanup_json_free) struct json *list = json_new_array();
		CLEANUP(cleanup_json_free) struct json *found = json_new_object();
		struct json *inspect = version_one(list, "web", "/", names[i]);
		struct error *error = NULL;

		assert_int_equal(
			compose_file_read(json_path(inspect, "Config", "Labels"), found, &error),
			0);
		assert_null(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_of_version_two),
		cmocka_unit_test(names_only),
		cmocka_unit_test(every_container_of_a_service),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(a_circle),
		cmocka_unit_test(our_own),
		cmocka_unit_test(what_the_engine_was_told),
		cmocka_unit_test(namespaces_beside_the_label),
		cmocka_unit_test(forms_of_depends_on),
		cmocka_unit_test(other_ways_to_depend),
		cmocka_unit_test(anchors_and_merge_keys),
		cmocka_unit_test(refused_files),
		cmocka_unit_test(a_file_that_is_too_large),
		cmocka_unit_test(files_of_version_one),
		cmocka_unit_test(files_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
