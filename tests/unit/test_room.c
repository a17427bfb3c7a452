/*
 * What is freed when images go that share layers, from no more than what an engine says: the size of
 * each with all its layers.
 */
#include "test_support.h"

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/history/room.h"

/*
 * ${images}: "LAYERS SIZE [OWN]", separated by "; "; each letter of LAYERS is one. Snapshots have a 's' in
 * front of their layers, after a '+' it has come since, after a '-' it has gone.
 */
static struct room *room_of(const char *images)
{
	CLEANUP(string_list_release) struct string_list list;
	struct room *room = room_new();

	string_list_init(&list);
	string_list_split(&list, images, ';');
	for (size_t i = 0; i < list.count; i++) {
		const char *text = list.items[i] + strspn(list.items[i], " ");
		const char *layers = text + strspn(text, "+-s");
		CLEANUP(cleanup_json_free) struct json *array = json_new_array();
		cleanup_free char *id = memory_strndup(layers, strcspn(layers, " "));
		struct room_image image = {.id = id,
					   .layers = array,
					   .is_snapshot = layers > text && layers[-1] == 's'};
		char *end;

		for (const char *letter = id; *letter; letter++)
			json_add_string(array, (const char[]){*letter, '\0'});
		image.size = strtoull(layers + strlen(id), &end, 10);
		image.own = strtoull(end, NULL, 10);
		room_add(room, &image, *text != '+');
		if (*text == '-')
			room_remove(room, id);
	}
	return room;
}

static void check(const char *images, int64_t expected)
{
	CLEANUP(cleanup_room_free) struct room *room = room_of(images);
	int64_t freed = room_freed(room);

	if (freed != expected)
		fail_msg("%s: %lld instead of %lld", images, (long long)freed, (long long)expected);
}

static void test_a_chain(void **state)
{
	(void)state;
	check("", 0);
	check("b 100; sbx 110 10; sbxy 115 5", 0);
	/* The last one takes its own, the one in the middle nothing, all of them all but the image below. */
	check("b 100; sbx 110 10; -sbxy 115 5", 5);
	check("b 100; -sbx 110 10; sbxy 115 5", 0);
	check("b 100; -sbx 110 10; -sbxy 115 5", 15);
	check("-sbx 110 10; -sbxy 115 5", 115);
	/* In any order. */
	check("-sbxy 115 5; b 100; -sbx 110 10", 15);
	/* Layers of one that was removed earlier go with what still had them. */
	check("b 100; -sbwx 130 10", 30);
}

static void test_written_anew(void **state)
{
	(void)state;
	check("b 100; -sbx 110 10; -sbxy 115 5; +sbz 112 12", 3);
	check("b 100; -sbx 110 10; +sbz 120 20", -10);
}

static void test_branches(void **state)
{
	(void)state;
	/* w is below both: with one of them only its own goes, with both all. */
	check("b 100; -sbwx 130 10; sbwy 125 5", 10);
	check("b 100; sbwx 130 10; -sbwy 125 5", 5);
	check("b 100; -sbwx 130 10; -sbwy 125 5", 35);
	/* Without their labels as much as can be is taken as shared. */
	check("b 100; -sbwx 130; sbwy 125", 5);
	check("b 100; sbwx 130; -sbwy 125", 0);
	/* Two that part at two places. */
	check("b 100; -sbvwx 160 10; sbvwy 155 5; sbvz 121 1", 10);
	check("b 100; -sbvwx 160 10; -sbvwy 155 5; sbvz 121 1", 45);
}

static void test_images_of_others(void **state)
{
	(void)state;
	check("-b 100; -c 50; s 0; +d 500", 0);
	/* One that was built on a snapshot holds it. */
	check("b 100; -sbx 110 10; bxi 180", 0);
	/* Two images of the same snapshot have the same layers. */
	check("b 100; -sbx 110 10; sbx 110 10", 0);
	/* Labels may say anything. */
	check("b 100; -sbx 110 9000; sby 120 9000", 10);
	check("b 100; -sbx 90 10", 0);
}

static void test_by_image(void **state)
{
	CLEANUP(cleanup_room_free)
	struct room *room = room_of("b 100; sbw 130; -sbwx 140 10; -sbwxy 145 5; -sbz 101 1");

	(void)state;
	assert_int_equal(room_freed_by(room, "bwx"), 0);
	assert_int_equal(room_freed(room), 16);
	assert_int_equal(room_freed_by(room, "bw"), 0);
	assert_int_equal(room_freed_by(room, "bwx"), 10);
	assert_int_equal(room_freed_by(room, "bwxy"), 5);
	assert_int_equal(room_freed_by(room, "bz"), 1);
	assert_int_equal(room_freed_by(room, "none"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chain),	 cmocka_unit_test(test_written_anew),
		cmocka_unit_test(test_branches), cmocka_unit_test(test_images_of_others),
		cmocka_unit_test(test_by_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
