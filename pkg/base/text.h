/*
 * Small things about strings: lists of them, prefixes, numbers with units,
 * hexadecimal and base64, random names, time as text.
 */
#ifndef SIDESNAP_BASE_TEXT_H
#define SIDESNAP_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct string_list {
	char **items; /* NULL-terminated once anything was added */
	size_t count;
};

/* string_list_init(list): Empty. */
void string_list_init(struct string_list *list);

/* string_list_release(list): Free the strings and the array. */
void string_list_release(struct string_list *list);

/* string_list_add(list, string): Append a copy. Returns the copy. */
char *string_list_add(struct string_list *list, const char *string);

/* string_list_add_all(list, other): Append copies of what ${other} has. */
void string_list_add_all(struct string_list *list, const struct string_list *other);

/* string_list_has(list, string): Whether it is in there. */
bool string_list_has(const struct string_list *list, const char *string);

/* string_list_split(list, string, separator): Append the non-empty parts. */
void string_list_split(struct string_list *list, const char *string, char separator);

/* string_list_sort(list): By bytes. */
void string_list_sort(struct string_list *list);

/* string_list_join(list, separator): One string, to be freed. */
char *string_list_join(const struct string_list *list, const char *separator);

bool text_has_prefix(const char *string, const char *prefix);
bool text_has_suffix(const char *string, const char *suffix);

/* text_or(a, b): ${a}, or ${b} where a is NULL or empty. */
const char *text_or(const char *string, const char *otherwise);

/* text_parse_uint(string, maximum, value): Decimal digits only. */
bool text_parse_uint(const char *string, uint64_t maximum, uint64_t *value);

/*
 * text_parse_size(string, value):
 * "512", "64k", "10M", "2GiB", "1.5g": binary units, case ignored, in bytes.
 */
bool text_parse_size(const char *string, uint64_t *value);

/* text_format_size(bytes): "0 B", "1.4 GiB" in binary units; to be freed. */
char *text_format_size(uint64_t bytes);

/* text_hex(data, size): Lower-case hexadecimal, to be freed. */
char *text_hex(const void *data, size_t size);

/* text_unhex(string, data, size): Exactly 2 * ${size} digits. False: it was not. */
bool text_unhex(const char *string, void *data, size_t size);

/* text_base64(data, size, url): With padding; ${url}: the URL-safe alphabet. To be freed. */
char *text_base64(const void *data, size_t size, bool url);

/*
 * text_unbase64(string, size):
 * Decode either alphabet, padding optional. Returns malloc'ed bytes (NUL behind them)
 * and their number in *size, or NULL when it is not base64.
 */
uint8_t *text_unbase64(const char *string, size_t *size);

/* text_is_utf8(string): Well-formed UTF-8: no overlong forms, no surrogates, at most U+10FFFF. */
bool text_is_utf8(const char *string);

/* text_random_hex(bytes): 2 * ${bytes} random digits (at most 64 bytes), to be freed. */
char *text_random_hex(size_t bytes);

/* text_match(pattern, path): Shell pattern over a path: `*`, `?`, `[...]` do not match '/', `**` does. */
bool text_match(const char *pattern, const char *path);

/* clock_now(): CLOCK_REALTIME. */
struct timespec clock_now(void);

/* clock_monotonic_ms(): Milliseconds that only grow. */
uint64_t clock_monotonic_ms(void);

#define CLOCK_RUN_SIZE 37 /* of the id of a run of the machine, with its NUL */

/*
 * clock_run(id): The id of this run of the machine (the kernel's boot_id, a random UUID), the
 * same in every container of it; false and "" where the kernel does not tell.
 */
bool clock_run(char id[CLOCK_RUN_SIZE]);

/* clock_format(time): RFC 3339 in UTC with milliseconds, "2026-01-31T13:15:00.123Z"; to be freed. */
char *clock_format(struct timespec time);

/* clock_format_tag(time): The same without '-' and ':', "20260131T131500.123Z"; to be freed. */
char *clock_format_tag(struct timespec time);

/* clock_parse(string, time): RFC 3339 with any fraction and zone. */
bool clock_parse(const char *string, struct timespec *time);

/* clock_format_age(seconds): "just now", "5 minutes ago", "3 days ago"; to be freed. */
char *clock_format_age(int64_t seconds);

/* clock_format_duration(milliseconds): "14 ms", "1.3 s", "2 min 5 s"; to be freed. */
char *clock_format_duration(uint64_t milliseconds);

#endif
