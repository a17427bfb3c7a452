/* The other direction of what job.c parses. */
#include "entry.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/memory.h"
#include "base/text.h"

struct json *entry_json(const struct catalog_entry *entry)
{
	cleanup_free char *time =
		memory_printf("%lld.%09ld", (long long)entry->mtime.tv_sec, entry->mtime.tv_nsec);
	struct json *json = json_new_object(), *list;

	json_set_bytes(json, "path", entry->path);
	json_set_string(json, "type", catalog_type_name(entry->mode));
	json_set_int(json, "mode", entry->mode & 07777);
	json_set_int(json, "uid", entry->uid);
	json_set_int(json, "gid", entry->gid);
	json_set_string(json, "mtime", time);
	if (entry->hardlink)
		json_set_bytes(json, "hardlink", entry->hardlink);
	else if (S_ISREG(entry->mode))
		json_set_int(json, "size", (int64_t)entry->size);
	else if (S_ISLNK(entry->mode))
		json_set_bytes(json, "link", text_or(entry->link, ""));
	if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode)) {
		list = json_set_array(json, "device");
		json_add(list, json_new_int(major(entry->device)));
		json_add(list, json_new_int(minor(entry->device)));
	}
	if (!entry->hardlink && entry->attribute_count) {
		list = json_set_object(json, "attributes");
		for (size_t i = 0; i < entry->attribute_count; i++) {
			const struct attribute *attribute = &entry->attributes[i];
			cleanup_free char *value =
				text_base64(attribute->value, attribute->size, false);

			json_set_string(list, attribute->name, value);
		}
	}
	return json;
}
