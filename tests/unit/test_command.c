/* The verb table, what is made from it, and the options of docker run. */
#include "test_support.h"

/* What they print with is private to them; the others come from the command's archive. */
#include "../../cmd/sidesnap/completion.c"
#include "../../cmd/sidesnap/man.c"
#include "../../cmd/sidesnap/present.h"
#include "../../cmd/sidesnap/run_body.h"
#include "../../cmd/sidesnap/run_mounts.h"
#include "../../cmd/sidesnap/verb.h"

#include "base/io.h"

static void check_options(const struct option *options, const struct option *others)
{
	for (const struct option *option = options; option && option->name; option++) {
		assert_non_null(option->help);
		/* A flag has no value, all else says what it is. */
		assert_int_equal(option->type == OPTION_FLAG, option->value == NULL);
		assert_int_equal(option->completion == COMPLETE_WORDS, option->words != NULL);
		for (const struct option *other = options; other != option; other++) {
			assert_string_not_equal(other->name, option->name);
			assert_true(!option->letter || other->letter != option->letter);
		}
		for (const struct option *other = others; other && other->name; other++)
			assert_string_not_equal(other->name, option->name);
	}
}

static void the_table_is_sound(void **state)
{
	(void)state;
	check_options(global_options, NULL);
	for (const struct verb *verb = verbs; verb->name; verb++) {
		assert_non_null(verb->summary);
		assert_non_null(verb->run);
		assert_ptr_equal(verb_find(verb->name), verb);
		check_options(verb->options, global_options);
		/* -p is the project everywhere but in run. */
		for (const struct option *o = verb->options; o && o->name; o++)
			assert_true(o->letter != 'p' || !strcmp(verb->name, "run"));
	}
	assert_non_null(verb_find("reset"));
}

/* What ${print} writes to stdout; to be freed. */
static char *captured(void (*print)(void))
{
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);
	char *text;
	long size;

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	print();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	text = memory_zalloc((size_t)size + 1);
	rewind(file);
	assert_int_equal(fread(text, 1, (size_t)size, file), size);
	fclose(file);
	return text;
}

static void the_reference_is_what_the_table_says(void **state)
{
	static const char begin[] = "<!-- begin: sidesnap man --markdown -->\n",
			  end[] = "<!-- end -->\n";
	cleanup_free char *made = captured(markdown), *text = file_text("docs/reference.md");
	const char *start = strstr(text, begin), *stop = start ? strstr(start, end) : NULL;

	(void)state;
	assert_non_null(stop);
	start += strlen(begin);
	if ((size_t)(stop - start) != strlen(made) || memcmp(start, made, strlen(made)) != 0)
		fail_msg("docs/reference.md is behind the verb table: run docs/update BUILD");
}

static void completions_know_every_option(void **state)
{
	void (*const prints[])(void) = {print_bash, print_zsh, print_fish};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		cleanup_free char *script = captured(prints[i]);

		for (const struct verb *verb = verbs; verb->name; verb++) {
			if (verb->hidden)
				continue;
			assert_non_null(strstr(script, verb->name));
			for (const struct option *o = verb->options; o && o->name; o++)
				assert_non_null(strstr(script, o->name));
		}
	}
}

static void pages_have_no_stray_requests(void **state)
{
	(void)state;
	for (const struct verb *verb = verbs; verb->name; verb++) {
		cleanup_free char *text = NULL;
		size_t size = 0;
		FILE *file = open_memstream(&text, &size);
		char *rest, *line;

		roff_verb(file, verb);
		fclose(file);
		rest = text;
		while ((line = strsep(&rest, "\n"))) {
			assert_true(line[0] != '\'');
			if (line[0] == '.')
				assert_non_null(strstr(
					".TH .SH .TP .PP .B  .BR ",
					(char[]){line[0], line[1], line[2] ? line[2] : ' ', 0}));
		}
	}
}

/* The body that "sidesnap run REF ${line}" makes, printed; NULL and *err when it is refused. */
static char *body_of(const char *line, struct error **err)
{
	char *text = memory_strdup(line), *words[32], *rest = text, *word;
	struct options_grammar grammar = verb_grammar(verb_find("run"));
	struct options options;
	struct json *body = NULL;
	char *printed = NULL;
	int count = 0;

	words[count++] = (char *)(uintptr_t) "ref";
	while ((word = strsep(&rest, " ")))
		words[count++] = word;
	options_init(&options);
	if (options_parse(&options, &grammar, count, words, NULL, err) == 0)
		body = run_body(&options, err);
	if (body)
		printed = json_print(body, false);
	json_free(body);
	options_release(&options);
	free(text);
	return printed;
}

static void docker_options_become_a_body(void **state)
{
	static const char *const cases[][2] = {
		{"-p 15432:5432",
		 "\"PortBindings\":{\"5432/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"15432\"}]}"},
		{"-p 15432:5432", "\"ExposedPorts\":{\"5432/tcp\":{}}"},
		{"-p 53/udp", "\"53/udp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]"},
		{"-p 127.0.0.1::80", "\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]"},
		{"-p [::1]:8080:80", "\"80/tcp\":[{\"HostIp\":\"::1\",\"HostPort\":\"8080\"}]"},
		{"-p 8000-8001:90-91", "\"91/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8001\"}]"},
		{"-p 8000-8010:80", "\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8000-8010\"}]"},
		{"-p 1:80 -p 2:80",
		 "\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"1\"},{\"HostIp\":\"\",\"HostPort\":\"2\"}]"},
		{"-v data:/d -v /srv:/s:ro -v /x", "\"Binds\":[\"data:/d\",\"/srv:/s:ro\"]"},
		{"-v /x", "\"Volumes\":{\"/x\":{}}"},
		{"--mount type=bind,src=/a,dst=/b,readonly",
		 "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"ReadOnly\":true}]"},
		{"--mount source=v,target=/b,volume-nocopy=false",
		 "{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/b\",\"VolumeOptions\":{\"NoCopy\":false}}"},
		{"--mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777",
		 "\"TmpfsOptions\":{\"SizeBytes\":1048576,\"Mode\":1023}"},
		{"--tmpfs /run:size=1m", "\"Tmpfs\":{\"/run\":\"size=1m\"}"},
		{"-e A=1 -e B=x=y", "\"Env\":[\"A=1\",\"B=x=y\"]"},
		{"--network n --ip 10.0.0.2 --network-alias db",
		 "\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{\"IPAMConfig\":{\"IPv4Address\":\"10.0.0.2\"},\"Aliases\":[\"db\"]}}}"},
		{"--network host", "\"NetworkMode\":\"host\""},
		{"--hostname h -u 1:2 -w /w",
		 "\"Hostname\":\"h\",\"User\":\"1:2\",\"WorkingDir\":\"/w\""},
		{"--init --read-only --privileged",
		 "\"Init\":true,\"ReadonlyRootfs\":true,\"Privileged\":true"},
		{"--restart on-failure:3",
		 "\"RestartPolicy\":{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}"},
		{"--memory 1.5g --shm-size 64m", "\"Memory\":1610612736,\"ShmSize\":67108864"},
		{"--cpus 1.5", "\"NanoCpus\":1500000000"},
		{"--cpus .25", "\"NanoCpus\":250000000"},
		{"--ulimit nofile=1024:2048 --ulimit core=-1",
		 "\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":1024,\"Hard\":2048},{\"Name\":\"core\",\"Soft\":-1,\"Hard\":-1}]"},
		{"-l a=b -l c", "\"Labels\":{\"a\":\"b\",\"c\":\"\"}"},
		{"--add-host x:::1", "\"ExtraHosts\":[\"x:::1\"]"},
		{"--cap-add NET_ADMIN --cap-drop ALL",
		 "\"CapAdd\":[\"NET_ADMIN\"],\"CapDrop\":[\"ALL\"]"},
		{"--security-opt no-new-privileges", "\"SecurityOpt\":[\"no-new-privileges\"]"},
		{"--entrypoint /bin/x",
		 "\"Entrypoint\":[\"/.sidesnap/agent\",\"boot\",\"--\",\"/bin/x\"]"},
		{"-e A=1 -- -c x", "\"Cmd\":[\"-c\",\"x\"]"},
		{"postgres -c shared_buffers=1GB",
		 "\"Cmd\":[\"postgres\",\"-c\",\"shared_buffers=1GB\"]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup_error struct error *err = NULL;
		cleanup_free char *body = body_of(cases[i][0], &err);

		if (!body)
			fail_msg("%s: %s", cases[i][0], err->message);
		if (!strstr(body, cases[i][1]))
			fail_msg("%s made %s", cases[i][0], body);
	}
}

static void wrong_docker_options_are_refused(void **state)
{
	static const char *const lines[] = {
		"-p x:1",
		"-p 1:0",
		"-p 70000:1",
		"-p 1:2/icmp",
		"-p 1-3:1-2",
		"-p :",
		"-p 5-4",
		"-v ./x:/d",
		"-v x:d",
		"-v :/d",
		"-v ~/x:/d",
		"--mount type=nfs,target=/x",
		"--mount type=bind,src=a,dst=/b",
		"--mount type=volume,src=v",
		"--mount target=/x,readonly=maybe",
		"--mount target=/x,wrong=1",
		"--mount type=tmpfs,target=/x,tmpfs-mode=9",
		"--tmpfs run",
		"-e =x",
		"--env-file /nonexistent",
		"--ip 10.0.0.2",
		"--network bridge --ip 10.0.0.2",
		"--restart sometimes",
		"--restart always:3",
		"--memory much",
		"--cpus many",
		"--cpus 0",
		"--cpus 1.x",
		"--ulimit nofile",
		"--ulimit nofile=x",
		"-l =x",
		"--add-host x",
		"--security-opt seccomp=/p.json",
		"-w relative",
		"-it",
		"--gpus all",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		cleanup_error struct error *err = NULL;
		cleanup_free char *body = body_of(lines[i], &err);

		if (body)
			fail_msg("%s made %s", lines[i], body);
		assert_int_equal(err->kind, ERROR_USAGE);
	}
}

static void variables_come_from_files_and_from_here(void **state)
{
	char path[] = "/tmp/test-command-XXXXXX";
	static const char text[] = "# comment\n\n  A=1\r\nFROM_HERE\nNOT_SET_ANYWHERE\n";
	int fd = mkstemp(path);
	cleanup_free char *line = memory_printf("--env-file %s -e A=2", path), *body = NULL;

	(void)state;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	setenv("FROM_HERE", "here", 1);
	body = body_of(line, NULL);
	unlink(path);
	assert_non_null(body);
	assert_non_null(strstr(body, "\"Env\":[\"A=1\",\"FROM_HERE=here\",\"A=2\"]"));
}

static void numbers_of_arguments(void **state)
{
	static const struct {
		const char *verb;
		int count;
		bool accepted;
	} cases[] = {
		{"cancel", 0, false}, {"cancel", 1, true},   {"cancel", 2, false},
		{"ls", 0, true},      {"ls", 1, true},	     {"ls", 2, false},
		{"rm", 0, false},     {"rm", 3, true},	     {"run", 0, false},
		{"run", 4, true},     {"replace", 1, false}, {"doctor", 1, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(options_release) struct options options;
		cleanup_error struct error *err = NULL;
		const struct verb *verb = verb_find(cases[i].verb);

		options_init(&options);
		for (int j = 0; j < cases[i].count; j++)
			string_list_add(&options.arguments, "x");
		assert_int_equal(verb_check_arguments(verb, &options, &err) == 0,
				 cases[i].accepted);
		if (!cases[i].accepted)
			assert_non_null(strstr(err->hint, "usage: sidesnap"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(the_reference_is_what_the_table_says),
		cmocka_unit_test(completions_know_every_option),
		cmocka_unit_test(pages_have_no_stray_requests),
		cmocka_unit_test(docker_options_become_a_body),
		cmocka_unit_test(wrong_docker_options_are_refused),
		cmocka_unit_test(variables_come_from_files_and_from_here),
		cmocka_unit_test(numbers_of_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
