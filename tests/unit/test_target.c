/*
 * Which container a word means; and which one we run in.
 */
#include "test_support.h"

#include <string.h>

#include "base/cleanup.h"
#include "snapshot/images.h"
#include "snapshot/target.h"

#define HEX60 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"

static const char listing[] =
	"[{\"Id\":\"aaaa" HEX60 "\",\"Names\":[\"/shop_db_1\"],\"Labels\":{"
	"\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":\"db\","
	"\"com.docker.compose.oneoff\":\"False\"}},"
	"{\"Id\":\"bbbb" HEX60 "\",\"Names\":[\"/blog_db_1\"],\"Labels\":{"
	"\"com.docker.compose.project\":\"blog\",\"com.docker.compose.service\":\"db\"}},"
	"{\"Id\":\"bbcc" HEX60 "\",\"Names\":[\"/blog_db_run_1\"],\"Labels\":{"
	"\"com.docker.compose.project\":\"blog\",\"com.docker.compose.service\":\"db\","
	"\"com.docker.compose.oneoff\":\"True\"}},"
	"{\"Id\":\"cafe" HEX60 "\",\"Names\":[\"/web/alias\",\"/web\"],\"Labels\":{}},"
	"{\"Id\":\"cccc" HEX60 "\",\"Names\":[\"/shop_cafe_1\"],\"Labels\":{"
	"\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":\"cafe\"}},"
	"{\"Id\":\"dddd" HEX60 "\",\"Names\":[\"/blog_web_1\"],\"Labels\":{"
	"\"com.docker.compose.project\":\"blog\",\"com.docker.compose.service\":\"web\"}},"
	"{\"Id\":\"eee1" HEX60 "\",\"Names\":[\"/shop_api_1\"],\"Labels\":{"
	"\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":\"api\"}},"
	"{\"Id\":\"eee2" HEX60 "\",\"Names\":[\"/shop_api_2\"],\"Labels\":{"
	"\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":\"api\"}},"
	"{\"Id\":\"ffff" HEX60 "\",\"Names\":null,\"Labels\":null}]";

static void words_that_mean_one(void **state)
{
	static const struct {
		const char *word, *project;
		bool explicit_project;
		const char *id;
	} cases[] = {
		{"shop_db_1", NULL, false, "aaaa"},
		{"/shop_db_1", NULL, false, "aaaa"},
		{"aaaa" HEX60, NULL, false, "aaaa"},
		{"db", "shop", false, "aaaa"},
		{"db", "blog", true, "bbbb"},  /* the one-off container is no instance */
		{"cafe", NULL, false, "cccc"}, /* a service wins over an id's beginning */
		{"cafe0", NULL, false, "cafe"},
		{"cafe", "blog", false, "cafe"}, /* no such service there: the id's beginning */
		{"web", "shop", false, "cafe"},
		{"web", NULL, false, "cafe"},  /* a name is exact */
		{"web", "blog", true, "dddd"}, /* -p asks for its service */
		{"bbbb", NULL, false, "bbbb"},
		{"ffff", NULL, false, "ffff"},
	};
	CLEANUP(cleanup_json_free) struct json *list = json_parse(listing, strlen(listing), NULL);

	(void)state;
	assert_non_null(list);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup_error struct error *err = NULL;
		const struct json *entry = target_choose(list, cases[i].word, cases[i].project,
							 cases[i].explicit_project, &err);

		if (!entry)
			fail_msg("%s: %s", cases[i].word, err->message);
		assert_memory_equal(json_string(entry, "Id"), cases[i].id, 4);
	}
}

static void words_that_are_refused(void **state)
{
	static const struct {
		const char *word, *project;
		enum error_kind kind;
		const char *message, *hint;
	} cases[] = {
		{"db", NULL, ERROR_USAGE, "\"shop_db_1\" (project shop), \"blog_db_1\"", "-p"},
		{"api", "shop", ERROR_USAGE, "\"shop_api_1\" (project shop), \"shop_api_2\"",
		 "name"},
		{"web", "blog", ERROR_USAGE, "and so is a service", "name"},
		{"eee1" HEX60 "0", NULL, ERROR_NOT_FOUND, "no container", "ps"},
		{"eee", NULL, ERROR_NOT_FOUND, "no container", "ps"},
		{"bb", NULL, ERROR_NOT_FOUND, "no container", ""},
		{"shop_db_2", NULL, ERROR_NOT_FOUND, "shop_db_2", "did you mean shop_db_1"},
		{"wbe", NULL, ERROR_NOT_FOUND, "wbe", "did you mean web"},
		{"blog", NULL, ERROR_NOT_FOUND, "blog", "blog_db_1"},
		{"api", "blog", ERROR_NOT_FOUND, "no service of that name in project blog",
		 "shop_api_1"},
		{"nothing-like-it", NULL, ERROR_NOT_FOUND, "nothing-like-it", "sidesnap ps --all"},
	};
	CLEANUP(cleanup_json_free) struct json *list = json_parse(listing, strlen(listing), NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup_error struct error *err = NULL;

		assert_null(target_choose(list, cases[i].word, cases[i].project, false, &err));
		assert_int_equal(err->kind, cases[i].kind);
		if (!strstr(err->message, cases[i].message) || !strstr(err->hint, cases[i].hint))
			fail_msg("%s: %s (%s)", cases[i].word, err->message, err->hint);
	}
}

static void our_own_container(void **state)
{
	static const char *const cases[][2] = {
		{"36 35 98:0 / / rw - overlay overlay rw\n"
		 "701 650 254:1 /var/lib/docker/containers/abcd" HEX60
		 "/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw\n",
		 "abcd" HEX60},
		{"701 650 0:43 /containers/storage/overlay-containers/abcd" HEX60
		 "/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw",
		 "abcd" HEX60},
		/* a volume of another container, a path that is no id, an empty text */
		{"701 650 254:1 /var/lib/docker/containers/abcd" HEX60 "/x /data rw - ext4 x rw\n",
		 NULL},
		{"701 650 254:1 /etc/hostname /etc/hostname rw - ext4 x rw\n", NULL},
		{"701 650 254:1 /c/abcd" HEX60 "f/hostname /etc/hostname rw - ext4 x rw\n", NULL},
		{"701 650\n\n", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		cleanup_free char *id = NULL;

		assert_true(strlen(cases[i][0]) < sizeof(text));
		memcpy(text, cases[i][0], strlen(cases[i][0]) + 1);
		id = session_parse_mountinfo(text);
		if (cases[i][1])
			assert_string_equal(id, cases[i][1]);
		else
			assert_null(id);
	}
}

static void snapshots_of_a_container(void **state)
{
	static const char text[] =
		"{\"sidesnap.source.id\":\"aaaa\",\"sidesnap.source.container\":\"shop_db_1\","
		"\"sidesnap.source.project\":\"shop\",\"sidesnap.source.service\":\"db\","
		"\"sidesnap.lineage\":\"77\",\"sidesnap.bytes\":\"12\",\"sidesnap.stored\":\"x\"}";
	static const struct {
		struct image_source source;
		bool is_of;
	} cases[] = {
		{{.id = "aaaa"}, true},
		{{.id = "bbbb", .name = "shop_db_1", .project = "shop", .service = "db"}, true},
		{{.id = "bbbb", .name = "other", .project = "blog", .service = "db"}, false},
		{{.id = "bbbb", .name = "other", .lineage = "77"}, true},
		/* another container that took the name over, without compose */
		{{.id = "bbbb", .name = "shop_db_1"}, false},
		{{.id = "", .name = "", .project = "", .service = "", .lineage = ""}, false},
		{{0}, false},
	};
	CLEANUP(cleanup_json_free) struct json *labels = json_parse(text, strlen(text), NULL);
	CLEANUP(cleanup_json_free) struct json *tags = json_new_array(), *entry = NULL;

	(void)state;
	json_add_string(tags, "<none>:<none>");
	json_add_string(tags, "a:b");
	entry = images_entry(labels, tags, "sha256:1");
	assert_int_equal(json_count(json_get(entry, "references")), 1);
	assert_int_equal(json_int(entry, "bytes"), 12);
	assert_true(json_is_null(json_get(entry, "stored")));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(images_is_of(entry, &cases[i].source), cases[i].is_of);
}

/* An engine says of a short name what it takes it for: docker nothing, podman a host. */
static void tags_that_a_name_means(void **state)
{
	static const char *const cases[][3] = {
		{"demo:before", "demo:before", "demo:before"},
		{"demo:before", "demo:after", NULL},
		{"localhost/demo:before", "demo:before", "localhost/demo:before"},
		{"docker.io/library/demo:before", "demo:before", "docker.io/library/demo:before"},
		{"docker.io/team/demo:before", "team/demo:before", "docker.io/team/demo:before"},
		{"demo:before", "docker.io/library/demo:before", "demo:before"},
		{"team/demo:before", "docker.io/team/demo:before", "team/demo:before"},
		{"demo:latest", "docker.io/library/demo", "demo:latest"},
		{"registry.example/demo:before", "demo:before", NULL},
		{"demo:before", "localhost/demo:before", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(cleanup_json_free) struct json *inspect = json_new_object();
		const char *found;

		json_add_string(json_set_array(inspect, "RepoTags"), "other:tag");
		json_add_string(json_get(inspect, "RepoTags"), cases[i][0]);
		found = images_tag_named(inspect, cases[i][1]);
		assert_string_equal(found ? found : "none", cases[i][2] ? cases[i][2] : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_mean_one),
		cmocka_unit_test(words_that_are_refused),
		cmocka_unit_test(our_own_container),
		cmocka_unit_test(snapshots_of_a_container),
		cmocka_unit_test(tags_that_a_name_means),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
