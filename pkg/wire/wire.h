/*
 * The protocol between the command and the agent in a helper container, over
 * the helper's stdin and stdout. A frame is: u32 length of payload (little-endian),
 * u8 type, payload. Control payloads are JSON objects. The first frame of either
 * side is WIRE_HELLO with the protocol's version; a mismatch ends the talk.
 *
 *   command                         agent
 *   HELLO, JOB  ------------------>
 *               <------------------ HELLO, READY | FAILED
 *   per operation, see jobs in wire.h's end
 *   BYE         ------------------> exits 0 (so does the end of stdin, with 3)
 *
 * The agent writes nothing else to stdout; stderr is for a last cry only.
 */
#ifndef SIDESNAP_WIRE_WIRE_H
#define SIDESNAP_WIRE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

#define WIRE_VERSION 1
#define WIRE_PAYLOAD_MAX (4U << 20)

enum wire_type {
	WIRE_HELLO = 1,	   /* {"version":1,"agent":"<sidesnap version>"} */
	WIRE_JOB = 2,	   /* command: the job, below */
	WIRE_READY = 3,	   /* agent: opened and checked everything; {"..."} per job */
	WIRE_GO = 4,	   /* command: the freeze is on (or not wanted): read now */
	WIRE_PROGRESS = 5, /* agent: {"phase","files","bytes","total_bytes"}; may be dropped */
	WIRE_CAPTURED = 6, /* agent: the last byte of the target was read; thaw now */
	WIRE_DONE = 7,	   /* agent: the result; for capture with the manifest's hash */
	WIRE_FAILED = 8,   /* agent: {"kind":2,"message":"..","hint":".."}; it exits 2 */
	WIRE_BYE = 9,	   /* command: end */
	WIRE_ENTRY = 10,   /* command: one own file or seed member (own/seed streams), JSON */
	WIRE_DATA = 11,	   /* command: raw bytes of the last ENTRY */
	WIRE_END = 12,	   /* command: end of a stream of ENTRY/DATA; {"stream":"own"} */
	WIRE_AGAIN = 13,   /* command, before GO: one more pass of the pre-copy; READY {} answers */
};

/* wire_encode(buffer, type, payload, size): Append one frame. -1: over a cap. */
int wire_encode(struct buffer *buffer, enum wire_type type, const void *payload, size_t size);

/* wire_encode_json(buffer, type, json): The same with a printed object (NULL: empty payload). */
int wire_encode_json(struct buffer *buffer, enum wire_type type, const struct json *json);

/* Incremental decoder: bytes in, frames out. */
struct wire_decoder {
	struct buffer pending;
	size_t taken; /* bytes of it that were given out as frames */
};

struct wire_frame {
	enum wire_type type;
	const char *payload; /* borrowed until the next call on the decoder */
	size_t size;
};

void wire_decoder_init(struct wire_decoder *decoder);
void wire_decoder_release(struct wire_decoder *decoder);

/*
 * wire_decoder_feed(decoder, data, size, err):
 * Bytes as they arrived, at most WIRE_PAYLOAD_MAX at once; take all frames out with
 * wire_decoder_next() before feeding more.
 */
int wire_decoder_feed(struct wire_decoder *decoder, const void *data, size_t size,
		      struct error **err);

/* wire_decoder_next(decoder, frame, err): 1 a frame, 0 more bytes are needed, -1 garbage. */
int wire_decoder_next(struct wire_decoder *decoder, struct wire_frame *frame, struct error **err);

/* wire_frame_json(frame, err): Its payload, an object, parsed; empty is {}. To be freed. */
struct json *wire_frame_json(const struct wire_frame *frame, struct error **err);

/* wire_error_json(error), wire_error_from(json, err): An error across the wire; the latter returns -1. */
struct json *wire_error_json(const struct error *error);
int wire_error_from(const struct json *json, struct error **err);

/*
 * Clarifications:
 * - WIRE_DATA may follow its ENTRY any number of times; there are none for size 0. Paths of
 *   ENTRY are relative, "" (or ".") is the root itself. A seed stream must be complete before GO.
 * - Every job may have "failpoint":"name=action,..." (base/failpoint.h; only builds for tests act).
 * - READY of capture has "own_paths":[...] (relative, objects with "path64" where not UTF-8) when
 *   own.source is "stream": the job's changes and what the parent's catalog knows of own files. Send
 *   ENTRY for each ("deleted":true where the target has none); one that is not mentioned is kept as the
 *   parent has it. With "process" this needs nobody's help.
 * - Times are strings "SECONDS.NANOSECONDS" with nine digits behind the dot.
 * - "workers":0 means one a core. "min_free" is checked before each write against statvfs("/").
 * - The agent removes its injected copy before DONE (it becomes /.sidesnap/agent when that differs,
 *   with its extended attributes). Inject it always with permitted-only file capabilities: packs are
 *   readable by root alone, so a boot as another user needs them even where USER is root (--user).
 * - GO of capture carries {"changes":[...],"created":"..."}: /changes as it is under the freeze, which
 *   replaces the job's, and the instant of the state for the manifest.
 * - An ENTRY of a seed stream may have "hash" (64 digits, BLAKE3 of the content); no DATA follows then.
 * - "min_free" may be absent: the larger of 1 GiB and 5 % of the file system.
 * - SIGTERM to the agent is "sidesnap cancel": it sends FAILED with kind 130 and exits 143 (also as PID 1).
 * - boot reads from the manifest's "extra": "stop_signal":"SIGINT" (or a number),
 *   "omitted_variables":["NAME",...].
 * - Exit codes of a helper: 0 after BYE, 2 after FAILED, 3 when its owner is gone.
 *
 * Jobs ("operation" selects; unknown members are refused, so that an old agent never
 * ignores what a newer command relies on):
 *
 * capture: {
 *   "operation":"capture", "id","parent","lineage","created", "architecture":"amd64",
 *   "compression":1, "workers":0, "min_free":BYTES, "agent_path":"/RANDOM/agent" (the injected copy),
 *   "precopy":true|false (passes over the trees before READY, while the target runs; what is read
 *   after GO is then recorded as hot, else everything is read after GO and written back first),
 *   "container":"<64 hex id of the target>",
 *   "trees":[{"kind":"volume"|"bind","name","mount":"/dev/sidesnap/0","paths":["/data"],
 *             "pages":["base/[0-9]..."],"page_block":32768,"excluded":["tmp/x"],"allow_overlay":false,
 *             "seed":true|false}],          seed: a stream of ENTRY/DATA "seed:INDEX" follows READY
 *   "own":{"source":"process"|"stream"|"none",
 *          "changes":[["/etc/hosts",0],...],  /changes without mounts: path, kind
 *          "mounts":["/data","/run/x",...]    never descend at or below these
 *          "included":["/run/secret.conf"]},  single files behind binds that become own files
 *   "extra":{...}                           copied into the manifest
 * }
 *   command: HELLO JOB; agent: HELLO READY {"processes":N proven, "free":BYTES, "trees":[{"bytes","files"}]}
 *   command: seed streams (ENTRY/DATA ... END {"stream":"seed","tree":INDEX}), GO {"changes","created"} once frozen (in
 *            parts: all but the last have "more":true; READY likewise with "own_paths"),
 *            then with own.source=stream: ENTRY/DATA ... END {"stream":"own"}
 *   agent:   PROGRESS* ("phase":"pre-copying" before READY, then "reading", ...), CAPTURED {}, DONE {"manifest":"<hash>","trees":[{"hash","entries","bytes"}],
 *            "raw_bytes","new_bytes","stored_bytes","hot_bytes" (read after GO),
 *            "reused_bytes" (of files never read, taken from the parent's catalog),"own":{"files","bytes","deleted"},
 *            "skipped":[{"tree":0,"path":"x.sock"}]}, then stays until BYE.
 *
 * ENTRY of own: {"path":"etc/x","type":"file|directory|symlink|fifo|char|block","mode":420,"uid","gid",
 *   "mtime":"SECONDS.NANOSECONDS","size","link","device":[MAJOR,MINOR],"deleted":true,
 *   "whole":true (a directory of which all follows: what else the parent has in it is gone),
 *   "attributes":{"name":"<base64>"},"hardlink":"etc/y"}; paths relative to the root, base64 in "path64"
 *   where they are not UTF-8 ("link64" likewise). Seed entries are relative to the volume.
 *
 * measure: {"operation":"measure","trees":[...as capture],"container":ID,"own":{...}}
 *   DONE {"trees":[{"files","directories","bytes","allocated_bytes","skipped":[..]}],"own":{"files","bytes"},"free"}
 *
 * restore: {"operation":"restore","trees":[{"index":0 (in the image's manifest),"mount":"/dev/sidesnap/0",
 *           "mark":"<hash of the tree that the volume shall count as>" (optional)}],
 *           "manifest":"<expected hash or empty>","workers":0}
 *   Restores in full, extras removed, sets each volume's mark. PROGRESS*, DONE {"trees":[{"bytes","files","removed"}]}
 *
 * verify: {"operation":"verify","manifest":"<expected hash or empty>"}
 *   Seal, agent, packs byte by byte, catalogs, own files in the layer. PROGRESS*, DONE {"packs","chunks","bytes",
 *   "entries"}, or FAILED with kind 1.
 */

#endif
