/* Networks. */
#include "engine/client.h"

struct json *network_inspect(struct engine *engine, const char *network, struct error **err)
{
	cleanup_free char *escaped = engine_escape(network);

	return engine_get(engine, engine_path(engine, "/networks/%s", escaped), err);
}

int network_connect(struct engine *engine, const char *network, const char *container,
		    const struct json *endpoint, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *body = json_new_object();
	cleanup_free char *escaped = engine_escape(network);

	json_set_string(body, "Container", container);
	if (endpoint)
		json_set(body, "EndpointConfig", json_copy(endpoint));
	return engine_call(engine, "POST", engine_path(engine, "/networks/%s/connect", escaped),
			   body, NULL, err);
}

int network_disconnect(struct engine *engine, const char *network, const char *container,
		       bool force, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *body = json_new_object();
	cleanup_free char *escaped = engine_escape(network);

	json_set_string(body, "Container", container);
	json_set_bool(body, "Force", force);
	return engine_call(engine, "POST", engine_path(engine, "/networks/%s/disconnect", escaped),
			   body, NULL, err);
}
