/*
 * sidesnap verify: the agent reads everything, in a helper made from the snapshot;
 * nothing of the snapshot itself is executed.
 */
#include <string.h>

#include "snapshot/helper/helper.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

static struct json *verify_job(const struct json *inspect)
{
	struct json *job = json_new_object();

	json_set_string(job, "operation", "verify");
	json_set_string(job, "manifest", snapshot_label(inspect, LABEL_MANIFEST));
	return job;
}

int snapshot_verify(struct session *session, const char *reference, struct json **result,
		    struct error **err)
{
	static const char *const numbers[] = {"packs", "chunks", "entries", "bytes"};
	CLEANUP(cleanup_json_free) struct json *inspect = NULL, *job = NULL, *done = NULL;
	CLEANUP(cleanup_helper_free) struct helper *helper = NULL;
	struct helper_specification specification = {.purpose = "verify"};

	inspect = snapshot_inspect(session, reference, err);
	if (!inspect)
		return -1;
	specification.image = json_string(inspect, "Id");
	progress_phase(session->progress, "verifying %s", reference);
	job = verify_job(inspect);
	helper = helper_create(session, &specification, err);
	if (!helper || helper_start(helper, job, NULL, err) < 0 ||
	    helper_wait(helper, WIRE_DONE, &done, err) < 0)
		return error_prefix(err, "cannot verify \"%s\"", reference);
	if (helper_close(helper, err) < 0)
		return -1;
	*result = json_new_object();
	json_set_string(*result, "reference", reference);
	json_set_bool(*result, "ok", true);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_set_int(*result, numbers[i], json_int(done, numbers[i]));
	return 0;
}
