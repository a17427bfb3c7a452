/*
 * One static page: no script, no style or picture from elsewhere, and everything that comes from the
 * stack escaped, for it may be the work of whoever attacks it.
 */
#include <string.h>

#include "base/memory.h"
#include "bundle/collect.h"

#define PAGE_MAX (64u << 20)
#define EVENTS_SHOWN 500

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" "
	"content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	"<title>sidesnap support bundle</title>\n<style>\n"
	"body { font-family: sans-serif; margin: 2em; max-width: 75em; }\n"
	"table { border-collapse: collapse; margin: 1em 0; }\n"
	"th, td { border: 1px solid #bbb; padding: 0.2em 0.6em; text-align: left; "
	"vertical-align: top; }\n"
	".bad { color: #a00; font-weight: bold; }\n"
	"</style>\n</head>\n<body>\n<h1>Support bundle</h1>\n";

static void put(struct buffer *page, const char *text)
{
	for (; text && *text; text++) {
		unsigned char c = (unsigned char)*text;

		switch (c) {
		case '&':
			buffer_append_string(page, "&amp;");
			break;
		case '<':
			buffer_append_string(page, "&lt;");
			break;
		case '>':
			buffer_append_string(page, "&gt;");
			break;
		case '"':
			buffer_append_string(page, "&quot;");
			break;
		case '\'':
			buffer_append_string(page, "&#39;");
			break;
		default:
			if (c < ' ' || c == 0x7f)
				buffer_append_string(page, " ");
			else
				buffer_append(page, text, 1);
		}
	}
}

/* Path bytes that a link can hold; the rest by their numbers. */
static void put_link(struct buffer *page, const char *path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789/._-";

	buffer_append_string(page, "<a href=\"./");
	for (const char *c = path; *c; c++)
		if (strchr(plain, *c))
			buffer_append(page, c, 1);
		else
			buffer_printf(page, "%%%02X", (unsigned)(unsigned char)*c);
	buffer_append_string(page, "\">");
	put(page, path);
	buffer_append_string(page, "</a>");
}

static void cell(struct buffer *page, const char *text)
{
	buffer_append_string(page, "<td>");
	put(page, text);
	buffer_append_string(page, "</td>");
}

static void number_cell(struct buffer *page, const struct json *object, const char *key)
{
	if (json_is_number(json_get(object, key)))
		buffer_printf(page, "<td>%lld</td>", (long long)json_int(object, key));
	else
		buffer_append_string(page, "<td></td>");
}

static void titles(struct buffer *page, const char *title, const char *const *columns)
{
	buffer_printf(page, "<h2>%s</h2>\n<table>\n<tr>", title);
	for (; *columns; columns++)
		buffer_printf(page, "<th>%s</th>", *columns);
	buffer_append_string(page, "</tr>\n");
}

static void put_summary(struct buffer *page, const struct json *index)
{
	const struct json *engine = json_get(index, "engine");
	const char *project = json_string_or(index, "project", "");

	buffer_append_string(page, "<p>");
	if (*project) {
		buffer_append_string(page, "Project <b>");
		put(page, project);
		buffer_append_string(page, "</b>, ");
	}
	buffer_append_string(page, "made ");
	put(page, json_string(index, "created"));
	buffer_append_string(page, " on engine ");
	put(page, json_string(engine, "name"));
	buffer_append_string(page, " (");
	put(page, json_string(engine, "version"));
	buffer_append_string(page, ", ");
	put(page, json_string(engine, "system"));
	buffer_append_string(page, ", kernel ");
	put(page, json_string(engine, "kernel"));
	buffer_printf(page, ", %lld processors, %lld MiB of memory).</p>\n",
		      (long long)json_int(engine, "processors"),
		      (long long)(json_int(engine, "memory") >> 20));
	buffer_printf(page,
		      "<p>Secrets were hidden in %lld places: <a "
		      "href=\"./redactions.json\">redactions.json</a>. Checksums: <a "
		      "href=\"./manifest.json\">manifest.json</a>.</p>\n",
		      (long long)json_int(index, "hidden"));
}

static void put_data(struct buffer *page, const struct json *index)
{
	static const char *const columns[] = {"Service", "File", "Bytes", NULL};

	if (!json_count(json_get(index, "data")))
		return;
	titles(page, "Databases", columns);
	json_for_each(entry, json_get(index, "data")) {
		buffer_append_string(page, "<tr>");
		cell(page, json_string(entry, "service"));
		buffer_append_string(page, "<td>");
		put_link(page, json_string_or(entry, "file", ""));
		buffer_append_string(page, "</td>");
		number_cell(page, entry, "bytes");
		buffer_append_string(page, "</tr>\n");
	}
	buffer_append_string(page,
			     "</table>\n<p class=\"bad\">These hold the data as it is: nothing "
			     "in them is hidden.</p>\n");
}

static void put_failures(struct buffer *page, const struct json *index)
{
	static const char *const columns[] = {"What", "Service", "Reason", NULL};

	if (json_count(json_get(index, "failed"))) {
		titles(page, "What could not be collected", columns);
		json_for_each(entry, json_get(index, "failed")) {
			buffer_append_string(page, "<tr>");
			cell(page, json_string(entry, "collector"));
			cell(page, json_string(entry, "service"));
			cell(page, json_string(entry, "reason"));
			buffer_append_string(page, "</tr>\n");
		}
		buffer_append_string(page, "</table>\n");
	}
	if (json_count(json_get(index, "notes"))) {
		buffer_append_string(page, "<h2>Notes</h2>\n<ul>\n");
		json_for_each(note, json_get(index, "notes")) {
			buffer_append_string(page, "<li>");
			put(page, json_string(note, NULL));
			buffer_append_string(page, "</li>\n");
		}
		buffer_append_string(page, "</ul>\n");
	}
}

static void put_services(struct buffer *page, const struct json *index)
{
	static const char *const columns[] = {
		"Service",	 "Image",	  "State", "Health", "Started",	 "Restarts", "Exit",
		"Out of memory", "Clock off (s)", "Date",  "Driver", "Revision", NULL};

	titles(page, "Services", columns);
	json_for_each(fact, json_get(index, "services")) {
		buffer_append_string(page, "<tr>");
		cell(page, json_key(fact));
		cell(page, json_string(fact, "image"));
		cell(page, json_string(fact, "state"));
		cell(page, json_string(fact, "health"));
		cell(page, json_string(fact, "started"));
		number_cell(page, fact, "restarts");
		number_cell(page, fact, "exit_code");
		cell(page, json_bool(fact, "oom_killed") ? "yes" : "");
		number_cell(page, fact, "skew_seconds");
		cell(page, json_string(fact, "date"));
		cell(page, json_string(fact, "driver"));
		cell(page, json_string(fact, "revision"));
		buffer_append_string(page, "</tr>\n");
	}
	buffer_append_string(page, "</table>\n");
}

/* What a health check does every few seconds is no news. */
static bool is_news(const struct json *event)
{
	return !text_has_prefix(json_string_or(event, "Action", ""), "exec_");
}

static void put_event(struct buffer *page, const struct json *event)
{
	const struct json *attributes = json_path(event, "Actor", "Attributes");
	cleanup_free char *time =
		clock_format((struct timespec){.tv_sec = json_int(event, "time")});
	const char *exit_code = json_string(attributes, "exitCode");

	buffer_append_string(page, "<tr>");
	cell(page, time);
	cell(page, json_string(event, "Type"));
	cell(page, json_string_or(attributes, "name",
				  json_string_or(json_get(event, "Actor"), "ID", "")));
	buffer_append_string(page, strcmp(json_string_or(event, "Action", ""), "oom") == 0
					   ? "<td class=\"bad\">"
					   : "<td>");
	put(page, json_string(event, "Action"));
	buffer_append_string(page, exit_code ? " with " : "");
	put(page, exit_code);
	buffer_append_string(page, "</td></tr>\n");
}

static void put_events(struct buffer *page, const struct json *index)
{
	static const char *const columns[] = {"Time", "Of", "Name", "What", NULL};
	size_t news = 0, skip;

	json_for_each(event, json_get(index, "events"))
		news += is_news(event);
	skip = news > EVENTS_SHOWN ? news - EVENTS_SHOWN : 0;
	titles(page, "Timeline", columns);
	json_for_each(event, json_get(index, "events")) {
		if (!is_news(event))
			continue;
		if (skip)
			skip--;
		else
			put_event(page, event);
	}
	buffer_append_string(page, "</table>\n");
}

static void put_files(struct buffer *page, const struct json *index)
{
	static const char *const columns[] = {"File", "Bytes", NULL};

	titles(page, "Files", columns);
	json_for_each(file, json_get(index, "files")) {
		buffer_append_string(page, "<tr><td>");
		put_link(page, json_string_or(file, "path", ""));
		buffer_append_string(page, "</td>");
		number_cell(page, file, "bytes");
		buffer_append_string(page, "</tr>\n");
	}
	buffer_append_string(page, "</table>\n");
}

char *index_html(const struct json *index)
{
	struct buffer page;

	buffer_init(&page, PAGE_MAX);
	buffer_append_string(&page, head);
	put_summary(&page, index);
	put_data(&page, index);
	put_failures(&page, index);
	put_services(&page, index);
	put_events(&page, index);
	put_files(&page, index);
	buffer_append_string(&page, "</body>\n</html>\n");
	return buffer_steal(&page);
}
