/*
 * What a snapshot runs: the boot prefix, and command words that must not travel.
 */
#include "test_support.h"

#include <string.h>

#include "snapshot/helper/command.h"

static void words_that_are_secrets(void **state)
{
	(void)state;
	assert_true(command_word_is_secret("--requirepass", "hunter2"));
	assert_true(command_word_is_secret("", "--password=hunter2"));
	assert_true(command_word_is_secret("", "MYSQL_ROOT_PASSWORD=hunter2"));
	assert_true(command_word_is_secret("-c", "postgres://app:hunter2@db/app"));
	assert_true(command_word_is_secret("--api-key", "0123456789abcdef"));
	assert_true(command_word_is_secret("", "--auth-token=abc"));
}

static void words_that_are_none(void **state)
{
	(void)state;
	assert_false(command_word_is_secret("--appendonly", "yes"));
	assert_false(command_word_is_secret("-c", "password_encryption=scram-sha-256"));
	assert_false(command_word_is_secret("--password-file", "/run/secrets/db"));
	assert_false(command_word_is_secret("", "--password-file=/run/secrets/db"));
	assert_false(command_word_is_secret("", "--password=/run/secrets/db"));
	assert_false(command_word_is_secret("--password", "$PASSWORD"));
	assert_false(command_word_is_secret("--token", "--verbose"));
	assert_false(command_word_is_secret("", "https://example.org/a:b@c"));
	assert_false(command_word_is_secret("", "postgres://app@db/app"));
	assert_false(command_word_is_secret("", "password"));
}

static void secrets_inside_of_a_shell_s_line(void **state)
{
	static const char *const secret[] = {"exec redis-server --requirepass hunter2",
					     "PASSWORD=hunter2 ./run",
					     "mysqladmin ping --password='hunter2'",
					     "psql postgres://app:hunter2@db/app || exit 1"};
	static const char *const none[] = {"exec redis-server --requirepass $PASSWORD",
					   "redis-server --requirepass \"$PASSWORD\"",
					   "export PASSWORD=\"$(cat /run/secrets/db)\"; exec run",
					   "mysqladmin ping -p\"$MYSQL_ROOT_PASSWORD\"",
					   "echo password: none"};

	(void)state;
	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
		cleanup_free char *name = command_find_secret("-c", secret[i]);

		assert_non_null(name);
		assert_null(strstr(name, "hunter2"));
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_null(command_find_secret("-c", none[i]));
}

static struct json *parse(const char *text)
{
	struct json *json = json_parse(text, strlen(text), NULL);

	assert_non_null(json);
	return json;
}

static void boot_is_put_in_front_once(void **state)
{
	static const char *const cases[][2] = {
		{"{\"Entrypoint\":[\"run.sh\",\"-x\"]}",
		 "[\"/.sidesnap/agent\",\"boot\",\"--\",\"run.sh\",\"-x\"]"},
		{"{\"Entrypoint\":[\"/.sidesnap/agent\",\"boot\",\"--\",\"run.sh\"]}",
		 "[\"/.sidesnap/agent\",\"boot\",\"--\",\"run.sh\"]"},
		{"{\"Entrypoint\":null}", "[\"/.sidesnap/agent\",\"boot\",\"--\"]"},
		{"{}", "[\"/.sidesnap/agent\",\"boot\",\"--\"]"},
		/* no prefix of ours, only alike */
		{"{\"Entrypoint\":[\"/.sidesnap/agent\",\"boot\"]}",
		 "[\"/.sidesnap/agent\",\"boot\",\"--\",\"/.sidesnap/agent\",\"boot\"]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(cleanup_json_free) struct json *config = parse(cases[i][0]);
		CLEANUP(cleanup_json_free) struct json *words = command_entrypoint(config);
		cleanup_free char *text = json_print(words, false);

		assert_string_equal(text, cases[i][1]);
	}
}

static void variables_are_state_asked_for_or_omitted(void **state)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect =
		parse("{\"Config\":{\"Env\":[\"PATH=/bin\",\"PGDATA=/x\",\"PASSWORD=p\","
		      "\"TZ=Mars\",\"LANG=de\"]}}");
	CLEANUP(cleanup_json_free)
	struct json *image =
		parse("{\"Config\":{\"Env\":[\"PATH=/bin\",\"PGDATA=/y\",\"LANG=C\"]}}");
	struct target target = {.inspect = inspect};
	struct create_options options = {0};
	struct driver_match driver = {0};
	struct string_list kept = {0}, omitted = {0};
	cleanup_free char *kept_text = NULL;
	cleanup_free char *omitted_text = NULL;

	(void)state;
	string_list_add(&driver.state_variables, "PGDATA");
	string_list_add(&driver.state_values, "LANG=state");
	string_list_add(&driver.state_values, "NODE=a@b");
	string_list_add(&options.with_environment, "TZ");
	command_environment(&target, image, &options, &driver, &kept, &omitted);
	kept_text = string_list_join(&kept, " ");
	omitted_text = string_list_join(&omitted, " ");
	assert_string_equal(kept_text, "LANG=state NODE=a@b PATH=/bin PGDATA=/x TZ=Mars");
	assert_string_equal(omitted_text, "PASSWORD");
	string_list_release(&kept);
	string_list_release(&omitted);
	string_list_release(&driver.state_variables);
	string_list_release(&driver.state_values);
	string_list_release(&options.with_environment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_are_secrets),
		cmocka_unit_test(words_that_are_none),
		cmocka_unit_test(secrets_inside_of_a_shell_s_line),
		cmocka_unit_test(boot_is_put_in_front_once),
		cmocka_unit_test(variables_are_state_asked_for_or_omitted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
