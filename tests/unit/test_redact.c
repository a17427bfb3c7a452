/* What is hidden from a bundle, and what is left for people to read. */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/redact.h"
#include "bundle/judge.h"
#include "bundle/redactor.h"

/* One that nothing but its being known gives away. */
#define SECRET "korrekt pferd/batterie&heftklammer"

static struct secrets *known(const char *value)
{
	struct secrets *secrets = secrets_new();

	secrets_add(secrets, value, strlen(value));
	return secrets;
}

static void assert_redacted(const struct secrets *secrets, enum redact_kind kind, const char *text,
			    const char *expected)
{
	char *made = redact_text(secrets, kind, text, strlen(text));

	assert_string_equal(expected, made);
	free(made);
}

static void assert_hides(const struct secrets *secrets, enum redact_kind kind, const char *text,
			 const char *secret)
{
	char *made = redact_text(secrets, kind, text, strlen(text));

	if (strstr(made, secret) || !strstr(made, "[hidden:"))
		fail_msg("\"%s\" became \"%s\"", text, made);
	free(made);
}

static void assert_untouched(enum redact_kind kind, const char *text)
{
	assert_redacted(NULL, kind, text, text);
}

/* ---- known values ---- */

static void test_list_is_blotted_out(void **state)
{
	struct string_list list;
	char text[] = "user abc, password hunter2, hunter2abc.";

	(void)state;
	string_list_init(&list);
	string_list_add(&list, "abc");
	string_list_add(&list, "hunter2");
	redact(&list, text);
	assert_string_equal("user ***, password ***, ***.", text);
	string_list_release(&list);
}

static void test_known_in_base64_at_every_place(void **state)
{
	struct secrets *secrets = known(SECRET);

	(void)state;
	for (size_t before = 0; before < 7; before++) {
		for (int url = 0; url < 2; url++) {
			char *plain = memory_printf("%.*s%sxyz", (int)before, "abcdefg", SECRET);
			char *encoded = text_base64(plain, strlen(plain), url);
			char *text = memory_printf("got %s back", encoded);

			assert_redacted(secrets, REDACT_LOG, text, "got [hidden:known] back");
			free(plain);
			free(encoded);
			free(text);
		}
	}
	secrets_free(secrets);
}

static void test_known_behind_escapes(void **state)
{
	static const char *const forms[] = {
		SECRET,
		"korrekt%20pferd%2Fbatterie%26heftklammer",
		"korrekt%20pferd%2fbatterie%26heftklammer",
		"korrekt+pferd%2Fbatterie%26heftklammer",
		"korrekt%20pferd/batterie%26heftklammer",
		"%6borrekt pferd/batterie&heftklammer",
		"korrekt pferd\\/batterie\\u0026heftklammer",
		"korrekt pferd/batterie&amp;heftklammer",
		"6b6f7272656b742070666572642f6261747465726965266865"
		"66746b6c616d6d6572",
	};
	struct secrets *secrets = known(SECRET);

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		char *text = memory_printf("a %s b", forms[i]);

		assert_redacted(secrets, REDACT_LOG, text, "a [hidden:known] b");
		free(text);
	}
	secrets_free(secrets);
}

static void test_known_with_quotes_and_dollars(void **state)
{
	struct secrets *secrets = known("it's $5 \"x\"");

	(void)state;
	assert_redacted(secrets, REDACT_LOG, "a 'it''s $5 \"x\"' b", "a '[hidden:known]' b");
	assert_redacted(secrets, REDACT_LOG, "a it's $$5 \"x\" b", "a [hidden:known] b");
	assert_redacted(secrets, REDACT_LOG, "{\"a\":\"it's $5 \\\"x\\\"\"}",
			"{\"a\":\"[hidden:known]\"}");
	secrets_free(secrets);
}

static void test_short_values_are_words(void **state)
{
	struct secrets *secrets = known("app");

	(void)state;
	assert_redacted(secrets, REDACT_LOG, "app of the application: \"app\"",
			"[hidden:known] of the application: \"[hidden:known]\"");
	assert_false(secrets_add(secrets, "no", 2));
	assert_false(secrets_add(secrets, "true", 4));
	secrets_free(secrets);
}

static void test_lines_of_a_known_file(void **state)
{
	struct secrets *secrets = known("first line here\n}\nsecond line there\n");

	(void)state;
	assert_redacted(secrets, REDACT_LOG, "x second line there } y\nfirst line here",
			"x [hidden:known] } y\n[hidden:known]");
	secrets_free(secrets);
}

static int collect(void *context, const void *data, size_t size, struct error **err)
{
	(void)err;
	return buffer_append(context, data, size);
}

/* In pieces of every size: a secret lies across each of their borders once. */
static void test_pieces(void **state)
{
	static const char text[] = "begin " SECRET " middle\n" SECRET "\npassword=aBc " SECRET;
	static const char expected[] =
		"begin [hidden:known] middle\n[hidden:known]\npassword=[hidden:name] [hidden:known]";
	struct secrets *secrets = known(SECRET);

	(void)state;
	for (size_t piece = 1; piece < sizeof(text); piece++) {
		struct buffer made;
		struct text_redactor *redactor =
			text_redactor_new(secrets, REDACT_LOG, collect, &made);
		struct error *error = NULL;

		buffer_init(&made, 4096);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
			size_t rest = sizeof(text) - 1 - at;

			must(text_redactor_feed(redactor, text + at, rest < piece ? rest : piece,
						&error),
			     &error);
		}
		must(text_redactor_finish(redactor, &error), &error);
		assert_string_equal(expected, made.data);
		buffer_release(&made);
		text_redactor_free(redactor);
	}
	secrets_free(secrets);
}

/* ---- names ---- */

static void test_names(void **state)
{
	static const char *const secret[] = {
		"password",	 "DB_PASSWORD", "PGPASSWORD", "userPassword",
		"api-key",	 "apikey",	"SENTRY_DSN", "spring.datasource.password",
		"client_secret", "authToken",	"AUTH",	      "key",
		"privateKeyPem", "dbpass",	"MYSQL_PWD",  "requirepass",
		"salt",		 "_authToken",	"X-Api-Key"};
	static const char *const plain[] = {"monkey",
					    "keyspace",
					    "author",
					    "compass",
					    "bypass",
					    "passive",
					    "POSTGRES_HOST_AUTH_METHOD",
					    "password_encryption",
					    "tokyo",
					    "designed"};

	(void)state;
	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		if (!judge_name(secret[i], strlen(secret[i])))
			fail_msg("%s names a secret", secret[i]);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (judge_name(plain[i], strlen(plain[i])))
			fail_msg("%s names no secret", plain[i]);
}

static void test_values_behind_names(void **state)
{
	static const char *const texts[] = {
		"login with password=hunter2",
		"login with password: hunter2",
		"{\"user\":\"bob\",\"password\":\"hunter2\",\"x\":1}",
		"{'password': 'hunter2'}",
		"{\\\"password\\\":\\\"hunter2\\\"}",
		"--password hunter2",
		"--db-password=hunter2 -v",
		"ALTER ROLE app PASSWORD 'hunter2'",
		"CREATE USER a IDENTIFIED BY 'hunter2'",
		"<password>hunter2</password>",
		"<add key=\"password\" value=\"hunter2\"/>",
		"Authorization: Basic hunter2",
		"authorization: Bearer hunter2",
		"password => hunter2",
		"\033[1mpassword\033[0m=\033[31mhunter2\033[0m",
		"GET /x?api_key=hunter2&y=1",
		"secret \"hunter2\"",
		"password hunter2",
		"db_password = \"hun\\\"ter2 hunter2\"",
		"password='hunter2",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_hides(NULL, REDACT_LOG, texts[i], "hunter2");
		assert_hides(NULL, REDACT_CONFIG, texts[i], "hunter2");
		assert_hides(NULL, REDACT_VALUE, texts[i], "hunter2");
	}
	assert_redacted(NULL, REDACT_LOG, "{\"user\":\"bob\",\"password\":\"a b\",\"x\":1}",
			"{\"user\":\"bob\",\"password\":\"[hidden:name]\",\"x\":1}");
}

static void test_settings(void **state)
{
	(void)state;
	assert_redacted(NULL, REDACT_CONFIG, "requirepass hunter2 and more\nport 6379\n",
			"requirepass [hidden:name]\nport 6379\n");
	assert_redacted(NULL, REDACT_CONFIG, "db:\n  password: my own pass\n  host: db\n",
			"db:\n  password: [hidden:name]\n  host: db\n");
	assert_redacted(NULL, REDACT_CONFIG, "password: |\n  one\n  two\nhost: db\n",
			"password: [hidden:name]\n  [hidden:name]\n  [hidden:name]\nhost: db\n");
	assert_redacted(NULL, REDACT_CONFIG, "secrets:\n- one\n- two\nhost: db\n",
			"secrets:\n[hidden:name]\n[hidden:name]\nhost: db\n");
	assert_redacted(NULL, REDACT_CONFIG, "password = \"one\ntwo\" # end\nhost = db\n",
			"password = \"[hidden:name]\n[hidden:name]\" # end\nhost = db\n");
	assert_untouched(REDACT_CONFIG, "POSTGRES_PASSWORD_FILE=/run/secrets/db\n");
	assert_untouched(REDACT_CONFIG, "password: ${DB_PASSWORD}\ntoken: \"\"\nauth: true\n");
}

static void test_sentences_stay(void **state)
{
	(void)state;
	assert_untouched(REDACT_LOG, "FATAL:  password authentication failed for user \"bob\"");
	assert_untouched(REDACT_LOG, "duplicate key value violates unique constraint \"a_pkey\"");
	assert_untouched(REDACT_LOG,
			 "2026-01-31T13:15:00.123Z listening on 0.0.0.0:5432, pid=17, "
			 "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
	assert_untouched(REDACT_LOG, "at com.example.ConnectionPoolManager2Impl.run(Pool.java:17)");
	assert_untouched(REDACT_LOG, "GET http://web:8080/x?mail=bob@example.com 200");
}

/* ---- addresses, keys, tokens ---- */

static void test_urls(void **state)
{
	(void)state;
	assert_redacted(NULL, REDACT_LOG, "open postgres://app:hunter2@db:5432/shop?x=1",
			"open postgres://app:[hidden:url]@db:5432/shop?x=1");
	assert_redacted(NULL, REDACT_LOG, "amqp://app:hun/t@er2@mq/ x",
			"amqp://app:[hidden:url]@mq/ x");
	assert_redacted(NULL, REDACT_LOG, "https://hunter2@git/x", "https://[hidden:url]@git/x");
	assert_redacted(NULL, REDACT_LOG, "root:hunter2@tcp(db:3306)/shop",
			"root:[hidden:url]@tcp(db:3306)/shop");
	assert_redacted(NULL, REDACT_LOG, "a,redis://:hunter2@r1,redis://:hunter3@r2",
			"a,redis://:[hidden:url]@r1,redis://:[hidden:url]@r2");
}

static void test_private_keys(void **state)
{
	(void)state;
	assert_redacted(
		NULL, REDACT_LOG,
		"a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nb",
		"a\n[hidden:key]\n[hidden:key]\n[hidden:key]\n[hidden:key]\nb");
	assert_redacted(NULL, REDACT_LOG,
			"x -----BEGIN PRIVATE KEY-----\\nMII\\n-----END PRIVATE KEY-----\\n y",
			"x [hidden:key]\\n y");
	/* without an end: nothing of the rest */
	assert_redacted(NULL, REDACT_CONFIG, "-----BEGIN PRIVATE KEY-----\nMII\nx",
			"[hidden:key]\n[hidden:key]\n[hidden:key]");
	assert_untouched(REDACT_LOG, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----");
}

static void test_tokens(void **state)
{
	(void)state;
	assert_redacted(NULL, REDACT_LOG, "using AKIAIOSFODNN7EXAMPLE now",
			"using [hidden:token] now");
	assert_redacted(NULL, REDACT_LOG, "got x9Kd83hQz71LmPw0sVbN5t.", "got [hidden:token].");
	assert_redacted(NULL, REDACT_VALUE, "0123456789abcdef0123456789abcdef", "[hidden:token]");
	assert_untouched(REDACT_LOG, "trace 0123456789abcdef0123456789abcdef");
}

/* ---- what cannot be judged ---- */

static void test_no_text_is_hidden(void **state)
{
	char *made = redact_text(NULL, REDACT_CONFIG, "a\0b\nc", 5);
	size_t size = 300u << 10;
	char *long_line = memory_alloc(size + 1);

	(void)state;
	assert_string_equal("[hidden:binary]\nc", made);
	free(made);
	memset(long_line, 'a', size);
	memcpy(long_line + size - 3, "\nb\n", 4);
	assert_redacted(NULL, REDACT_LOG, long_line, "[hidden:long]\nb\n");
	free(long_line);
}

/* Made to take long, or deep: a quarter of a megabyte of names, and of quotes. */
static void test_hostile_lines(void **state)
{
	static const char *const parts[] = {"key=",   "key='a''", "a://b:c/",
					    "key=\"", "'a''",	  "{\"key\":"};

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t part = strlen(parts[i]), count = (200u << 10) / part;
		char *line = memory_alloc(count * part + 9);
		uint64_t began = clock_monotonic_ms();

		memcpy(line, "key='a''", 9);
		for (size_t n = 0; n < count; n++)
			memcpy(line + 8 + n * part, parts[i], part + 1);
		for (enum redact_kind kind = REDACT_LOG; kind <= REDACT_VALUE; kind++)
			free(redact_text(NULL, kind, line, strlen(line)));
		if (clock_monotonic_ms() - began > 20000)
			fail_msg("%s takes too long", parts[i]);
		free(line);
	}
}

/* ---- JSON ---- */

static void assert_json(const struct secrets *secrets, const char *text, const char *expected)
{
	struct json *json = parsed(text), *made = redact_json(secrets, json);
	char *printed = json_print(made, false);

	assert_string_equal(expected, printed);
	free(printed);
	json_free(made);
	json_free(json);
}

static void test_inspect(void **state)
{
	(void)state;
	assert_json(NULL, "{\"Env\":[\"PATH=/bin\",\"DB_PASSWORD=a b=c\",\"URL=redis://:x@r\"]}",
		    "{\"Env\":[\"PATH=/bin\",\"DB_PASSWORD=[hidden:name]\","
		    "\"URL=redis://:[hidden:url]@r\"]}");
	assert_json(NULL, "{\"Cmd\":[\"redis-cli\",\"-a\",\"x y\",\"--port\",\"1\"]}",
		    "{\"Cmd\":[\"redis-cli\",\"-a\",\"[hidden:argument]\",\"--port\",\"1\"]}");
	assert_json(NULL, "{\"Cmd\":[\"sh\",\"-c\",\"mysql -phunter2 -u root; curl -u a:b x\"]}",
		    "{\"Cmd\":[\"sh\",\"-c\",\"mysql -p[hidden:argument] -u root; curl -u "
		    "a:[hidden:argument] x\"]}");
	assert_json(NULL, "{\"Cmd\":[\"sh\",\"-c\",\"x --token=a --mode b --key c d\"]}",
		    "{\"Cmd\":[\"sh\",\"-c\",\"x --token=[hidden:name] --mode b --key "
		    "[hidden:argument] d\"]}");
	assert_json(
		NULL,
		"{\"Labels\":{\"a.token\":\"x\",\"b\":\"c\"},\"auths\":{\"h\":{\"auth\":\"x\"}}}",
		"{\"Labels\":{\"a.token\":\"[hidden:name]\",\"b\":\"c\"},"
		"\"auths\":{\"h\":{\"auth\":\"[hidden:name]\"}}}");
	assert_json(NULL, "[{\"name\":\"API_KEY\",\"value\":\"x\"},{\"pin\":1234,\"n\":1}]",
		    "[{\"name\":\"API_KEY\",\"value\":\"[hidden:name]\"},"
		    "{\"pin\":\"[hidden:name]\",\"n\":1}]");
}

static void test_what_is_hidden_becomes_known(void **state)
{
	struct secrets *secrets = secrets_new();
	struct json *json = parsed(
		"{\"Env\":[\"DB_PASSWORD=pferd und wagen\",\"U=http://a:sonne%21@b\",\"MODE=fast\","
		"\"S={\\\"auth\\\":{\\\"user\\\":\\\"a\\\",\\\"password\\\":\\\"abendrot\\\"}}\"],"
		"\"Cmd\":[\"x\",\"--token\",\"mondschein\"]}");

	(void)state;
	redact_learn(secrets, json);
	assert_redacted(
		secrets, REDACT_LOG, "with pferd und wagen, sonne%21, sonne!, mondschein, fast",
		"with [hidden:known], [hidden:known], [hidden:known], [hidden:known], fast");
	json_free(json);
	secrets_free(secrets);
}

static void test_marks_are_read_back(void **state)
{
	size_t length = 0;

	(void)state;
	assert_int_equal(RULE_URL, redact_rule_of_mark("[hidden:url]x", 13, &length));
	assert_int_equal(12, length);
	assert_int_equal(RULE_NONE, redact_rule_of_mark("[hidden:u]", 10, &length));
	assert_int_equal(RULE_NONE, redact_rule_of_mark("[hidden:url", 11, &length));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_is_blotted_out),
		cmocka_unit_test(test_known_in_base64_at_every_place),
		cmocka_unit_test(test_known_behind_escapes),
		cmocka_unit_test(test_known_with_quotes_and_dollars),
		cmocka_unit_test(test_short_values_are_words),
		cmocka_unit_test(test_lines_of_a_known_file),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_values_behind_names),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_sentences_stay),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_private_keys),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_no_text_is_hidden),
		cmocka_unit_test(test_hostile_lines),
		cmocka_unit_test(test_inspect),
		cmocka_unit_test(test_what_is_hidden_becomes_known),
		cmocka_unit_test(test_marks_are_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
