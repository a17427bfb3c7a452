/*
 * What doctor believes: the journal of a replace, whose process it was, and where a
 * snapshot's trees may go.
 */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/helper/owner.h"
#include "snapshot/restore/journal.h"
#include "snapshot/restore/restore_plan.h"

#define ID "0123456789012345678901234567890123456789012345678901234567890123"

static struct json *make_journal(const char *containers)
{
	cleanup_free char *text = memory_printf(
		"{\"version\":1,\"operation\":\"replace\",\"places\":[],\"image\":\"sha256:0\",\"snapshot\":\"s:1\",\"safety\":\"f:1\","
		"\"containers\":[%s]}",
		containers);

	return parsed(text);
}

static void test_journal_comes_back(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = parsed(
		"{\"Id\":\"" ID "\",\"Name\":\"/db\",\"State\":{\"Running\":true},\"HostConfig\":{"
		"\"RestartPolicy\":{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}}}");
	CLEANUP(cleanup_json_free) struct json *journal = make_journal(""), *back = NULL;
	struct json *target = journal_container(ROLE_TARGET, inspect, "sha256:0");
	struct error *error = NULL;
	cleanup_free char *text = NULL, *name = NULL;

	(void)state;
	json_add(json_get(journal, "containers"), target);
	text = journal_encode(journal);
	assert_null(strpbrk(text, "\"\\{} +/"));
	back = journal_decode(text, &error);
	assert_non_null(back);
	assert_true(json_equal(journal, back));
	assert_string_equal(json_string(journal_target(back), "name"), "db");
	assert_true(json_bool(journal_target(back), "running"));
	assert_int_equal(json_int(json_get(journal_target(back), "restart"), "MaximumRetryCount"),
			 3);
	name = journal_suffixed(journal_target(back), SUFFIX_OLD);
	assert_string_equal(name, "db.sidesnap-replaced");
}

#define CONTAINER(role, id, name)                                                                  \
	"{\"role\":\"" role "\",\"id\":\"" id "\",\"name\":\"" name                                \
	"\",\"image\":\"i\",\"restart\":{},\"running\":false}"

static void refused(const char *containers)
{
	CLEANUP(cleanup_json_free) struct json *journal = make_journal(containers);
	cleanup_free char *text = journal_encode(journal);
	struct error *error = NULL;

	assert_null(journal_decode(text, &error));
	assert_int_equal(error->kind, ERROR_DAMAGED);
	error_free(error);
}

/* Doctor must not treat what it does not know as what it does. */
static void other_operation(void)
{
	CLEANUP(cleanup_json_free)
	struct json *journal = make_journal(CONTAINER("target", ID, "db"));
	cleanup_free char *text = journal_encode(journal), *changed = NULL;
	CLEANUP(cleanup_json_free) struct json *known = journal_decode(text, NULL);
	struct error *error = NULL;

	assert_non_null(known);
	assert_string_equal(journal_suffix(known), SUFFIX_OLD);
	json_set_string(journal, "operation", "reset");
	assert_true(journal_is_reset(journal));
	assert_string_equal(journal_suffix(journal), SUFFIX_RESTORING);
	json_set_string(journal, "operation", "move");
	changed = journal_encode(journal);
	assert_null(journal_decode(changed, &error));
	error_free(error);
}

static void test_journals_that_make_no_sense(void **state)
{
	struct error *error = NULL;

	(void)state;
	refused("");
	refused(CONTAINER("user", ID, "db"));
	refused(CONTAINER("target", "db", "db"));
	refused(CONTAINER("target", ID, ""));
	refused(CONTAINER("target", ID, "a/b"));
	refused(CONTAINER("target", ID, "db") "," CONTAINER("target", ID, "db"));
	refused(CONTAINER("target", ID, "db") "," CONTAINER("other", ID, "db"));
	other_operation();
	assert_null(journal_decode("", &error));
	error_free(error);
	error = NULL;
	assert_null(journal_decode("bm90IGpzb24=", &error));
	error_free(error);
}

static enum owner_state state_of(const struct json *owner)
{
	struct session session = {0};
	cleanup_free char *text = json_print(owner, false);
	cleanup_free char *label = text_base64(text, strlen(text), true);

	return owner_state(&session, label);
}

static void test_owner_of_a_helper(void **state)
{
	CLEANUP(cleanup_json_free) struct json *self = owner_describe(NULL), *other = NULL;
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(state_of(self), OWNER_ALIVE);
	/* The same number, but another process. */
	other = json_copy(self);
	json_set_string(other, "start", "1");
	assert_int_equal(state_of(other), OWNER_DEAD);
	child = fork();
	if (child == 0)
		_exit(0);
	assert_true(child > 0);
	json_set_int(other, "pid", child);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(state_of(other), OWNER_DEAD);
	json_set_string(other, "boot", "another machine");
	assert_int_equal(state_of(other), OWNER_UNKNOWN);
	assert_int_equal(state_of(NULL), OWNER_UNKNOWN);
}

/* An image's inspect whose label names these trees. */
static struct json *snapshot_with(const char *trees)
{
	struct json *snapshot = parsed("{\"Config\":{\"Labels\":{}}}");

	json_set_string(json_path(snapshot, "Config", "Labels"), "sidesnap.trees", trees);
	return snapshot;
}

static const char container[] =
	"{\"Mounts\":[{\"Type\":\"volume\",\"Name\":\"v\",\"Destination\":\"/data\",\"RW\":true},"
	"{\"Type\":\"volume\",\"Name\":\"v\",\"Destination\":\"/again\",\"RW\":true},"
	"{\"Type\":\"volume\",\"Name\":\"w\",\"Destination\":\"/other\",\"RW\":true},"
	"{\"Type\":\"volume\",\"Name\":\"r\",\"Destination\":\"/fixed\",\"RW\":false},"
	"{\"Type\":\"bind\",\"Source\":\"/srv\",\"Destination\":\"/srv\",\"RW\":true}]}";

static void test_trees_go_where_their_path_is(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *snapshot = snapshot_with(
		"[{\"paths\":[\"/gone\"]},{\"paths\":[\"/elsewhere\",\"/srv\"]},{\"paths\":[\"/data/"
		"\"]},{\"paths\":[\"/fixed\"]}]");
	CLEANUP(cleanup_json_free) struct json *inspect = parsed(container);
	struct restore_plan plan;
	const struct json *tree;

	(void)state;
	assert_int_equal(restore_plan_make(snapshot, inspect, NULL, false, &plan, NULL), 0);
	assert_int_equal(json_count(plan.mounts), 3);
	tree = json_first(json_get(plan.job, "trees"));
	assert_int_equal(json_int(tree, "index"), 1);
	assert_string_equal(json_string(tree, "mount"), "/dev/sidesnap/0");
	assert_string_equal(json_string(json_first(plan.mounts), "Source"), "/srv");
	tree = json_next(tree);
	assert_int_equal(json_int(tree, "index"), 2);
	assert_string_equal(json_string(json_next(json_first(plan.mounts)), "Source"), "v");
	assert_int_equal(plan.notes.count, 4);
	assert_string_equal(
		plan.notes.items[1],
		"/fixed is mounted read-only in this container, and restored all the same");
	restore_plan_release(&plan);
}

static void test_way_back_is_no_longer_than_the_way_there(void **state)
{
	static const char hash[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	cleanup_free char *text = memory_printf("[{\"paths\":[\"/srv\"],\"hash\":\"%s\"}]", hash);
	CLEANUP(cleanup_json_free)
	struct json *safety = snapshot_with("[{\"paths\":[\"/data\"]},{\"paths\":[\"/srv\"]}]");
	CLEANUP(cleanup_json_free) struct json *image = snapshot_with(text);
	CLEANUP(cleanup_json_free) struct json *inspect = parsed(container);
	CLEANUP(cleanup_json_free) struct json *only = parsed("[{\"path\":\"/srv\"}]");
	struct restore_plan plan;
	const struct json *tree;

	(void)state;
	assert_int_equal(restore_plan_make(safety, inspect, only, true, &plan, NULL), 0);
	assert_int_equal(json_count(plan.mounts), 1);
	tree = json_first(json_get(plan.job, "trees"));
	assert_int_equal(json_int(tree, "index"), 1);
	assert_null(json_get(tree, "mark"));
	restore_plan_set_marks(&plan, image);
	assert_string_equal(json_string(tree, "mark"), hash);
	restore_plan_release(&plan);
}

/* Each guard goes to the deepest tree that holds it; those of no tree are nobody's. */
static void test_guards_are_in_their_trees(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *snapshot =
		snapshot_with("[{\"paths\":[\"/data\"]},{\"paths\":[\"/data/in\"]}]");
	CLEANUP(cleanup_json_free)
	struct json *inspect = parsed(
		"{\"Mounts\":[{\"Type\":\"volume\",\"Name\":\"v\",\"Destination\":\"/data\",\"RW\":"
		"true},{\"Type\":\"volume\",\"Name\":\"w\",\"Destination\":\"/data/in\",\"RW\":true}]}");
	CLEANUP(cleanup_json_free)
	struct json *guards =
		parsed("[\"/data/x/control\",\"/data/in//y\",\"/database\",\"/data\"]");
	CLEANUP(cleanup_json_free) struct json *outer = parsed("[\"x/control\"]");
	CLEANUP(cleanup_json_free) struct json *inner = parsed("[\"y\"]");
	struct restore_plan plan;
	const struct json *tree;

	(void)state;
	assert_int_equal(restore_plan_make(snapshot, inspect, NULL, true, &plan, NULL), 0);
	restore_plan_set_guards(&plan, guards);
	tree = json_first(json_get(plan.job, "trees"));
	assert_true(json_equal(json_get(tree, "guards"), outer));
	assert_true(json_equal(json_get(json_next(tree), "guards"), inner));
	restore_plan_release(&plan);
}

static void test_two_trees_never_meet_in_one_volume(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *snapshot = snapshot_with("[{\"paths\":[\"/data\"]},{\"paths\":[\"/again\"]}]");
	CLEANUP(cleanup_json_free) struct json *inspect = parsed(container);
	struct restore_plan plan;
	struct error *error = NULL;

	(void)state;
	assert_int_equal(restore_plan_make(snapshot, inspect, NULL, false, &plan, &error), -1);
	assert_int_equal(error->kind, ERROR_REFUSED);
	error_free(error);
	restore_plan_release(&plan);
}

static void test_damaged_labels(void **state)
{
	static const char *const texts[] = {"{}", "[", "[{}]", "[{\"paths\":[]}]", "[3]"};
	CLEANUP(cleanup_json_free) struct json *inspect = parsed(container);

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CLEANUP(cleanup_json_free) struct json *snapshot = snapshot_with(texts[i]);
		struct restore_plan plan;
		struct error *error = NULL;

		assert_int_equal(restore_plan_make(snapshot, inspect, NULL, false, &plan, &error),
				 -1);
		assert_int_equal(error->kind, ERROR_DAMAGED);
		error_free(error);
		restore_plan_release(&plan);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal_comes_back),
		cmocka_unit_test(test_journals_that_make_no_sense),
		cmocka_unit_test(test_owner_of_a_helper),
		cmocka_unit_test(test_trees_go_where_their_path_is),
		cmocka_unit_test(test_way_back_is_no_longer_than_the_way_there),
		cmocka_unit_test(test_guards_are_in_their_trees),
		cmocka_unit_test(test_two_trees_never_meet_in_one_volume),
		cmocka_unit_test(test_damaged_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
