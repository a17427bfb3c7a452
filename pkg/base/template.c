/* One pass, left to right: a value that looks like a name stays what it is. */
#include "base/template.h"

#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/memory.h"

/* One piece of ${template}: its size there, 0 where a value is absent. */
static size_t expand_piece(const char *template, struct buffer *text, template_find *find,
			   void *context)
{
	cleanup_free char *name = NULL, *value = NULL;
	size_t size = strcspn(template, "$");

	if (size || template[1] != '{') {
		size += size == 0;
		buffer_append(text, template, size);
		return size;
	}
	size = strcspn(template + 2, "}");
	name = memory_strndup(template + 2, size);
	value = find(context, name);
	if (!value)
		return 0;
	buffer_append_string(text, value);
	return 2 + size + (template[2 + size] == '}');
}

char *template_expand(const char *template, size_t limit, template_find *find, void *context)
{
	struct buffer text;

	buffer_init(&text, limit);
	while (*template) {
		size_t size = expand_piece(template, &text, find, context);

		if (!size || text.failed) {
			buffer_release(&text);
			return NULL;
		}
		template += size;
	}
	return buffer_steal(&text);
}
