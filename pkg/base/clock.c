/* Time as text: RFC 3339 in UTC, ages and durations for people. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"

struct timespec clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

uint64_t clock_monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool clock_run(char id[CLOCK_RUN_SIZE])
{
	cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : io_read_full(fd, id, CLOCK_RUN_SIZE - 1);

	id[got < 0 ? 0 : got] = '\0';
	return strlen(id) == CLOCK_RUN_SIZE - 1;
}

static char *format_utc(struct timespec time, const char *format)
{
	struct tm parts;
	char text[64];

	if (!gmtime_r(&time.tv_sec, &parts))
		return memory_strdup("?");
	strftime(text, sizeof(text), format, &parts);
	return memory_printf("%s.%03dZ", text, (int)(time.tv_nsec / 1000000));
}

char *clock_format(struct timespec time)
{
	return format_utc(time, "%Y-%m-%dT%H:%M:%S");
}

char *clock_format_tag(struct timespec time)
{
	return format_utc(time, "%Y%m%dT%H%M%S");
}

/* "Z" or "+02:00" and nothing behind it, as seconds east of Greenwich. */
static bool parse_zone(const char *text, long *offset)
{
	unsigned hours, minutes;
	int length = 0;

	*offset = 0;
	if ((text[0] == 'Z' || text[0] == 'z') && !text[1])
		return true;
	if ((text[0] != '+' && text[0] != '-') ||
	    sscanf(text + 1, "%2u:%2u%n", &hours, &minutes, &length) != 2 || length != 5 || text[6])
		return false;
	*offset = (long)(hours * 3600 + minutes * 60) * (text[0] == '+' ? 1 : -1);
	return true;
}

bool clock_parse(const char *string, struct timespec *time)
{
	struct tm parts;
	const char *p = strptime(string, "%Y-%m-%dT%H:%M:%S", memset(&parts, 0, sizeof(parts)));
	long fraction = 0, scale = 100000000, offset;

	if (!p)
		return false;
	if (*p == '.') {
		if (!isdigit((unsigned char)*++p))
			return false;
		for (; isdigit((unsigned char)*p); p++, scale /= 10)
			fraction += (*p - '0') * scale;
	}
	if (!parse_zone(p, &offset))
		return false;
	time->tv_sec = timegm(&parts) - offset;
	time->tv_nsec = fraction;
	return true;
}

char *clock_format_age(int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{31557600, "year"}, {2629800, "month"}, {604800, "week"},
		     {86400, "day"},	 {3600, "hour"},     {60, "minute"}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		int64_t count = seconds / units[i].seconds;

		/* "13 days" says more than "1 week" */
		if (count >= (units[i].seconds == 604800 ? 2 : 1))
			return memory_printf("%lld %s%s ago", (long long)count, units[i].name,
					     count == 1 ? "" : "s");
	}
	return seconds < 5 ? memory_strdup("just now")
			   : memory_printf("%lld seconds ago", (long long)seconds);
}

char *clock_format_duration(uint64_t milliseconds)
{
	uint64_t seconds = milliseconds / 1000;

	if (milliseconds < 1000)
		return memory_printf("%u ms", (unsigned)milliseconds);
	if (seconds < 60)
		return memory_printf("%.1f s", (double)milliseconds / 1000);
	if (seconds < 3600)
		return memory_printf("%u min %u s", (unsigned)(seconds / 60),
				     (unsigned)(seconds % 60));
	return memory_printf("%u h %u min", (unsigned)(seconds / 3600),
			     (unsigned)(seconds / 60 % 60));
}
