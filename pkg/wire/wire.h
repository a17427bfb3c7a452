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

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

#define WIRE_VERSION 1
#define WIRE_PAYLOAD_MAX (4U << 20)

/* Sent by "sidesnap cancel"; no image has it as its stop signal. */
#define WIRE_CANCEL_SIGNAL SIGUSR1
#define WIRE_CANCEL_SIGNAL_NAME "SIGUSR1"

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
	WIRE_ENTRY =
		10, /* command: one own file or seed member (own/seed streams), JSON; agent: extract */
	WIRE_DATA = 11,	 /* raw bytes of the last ENTRY */
	WIRE_END = 12,	 /* end of a stream of ENTRY/DATA; {"stream":"own"} */
	WIRE_AGAIN = 13, /* command, before GO: one more pass of the pre-copy; READY {} answers */
	WIRE_FOUND = 14, /* agent: some of what it finds, as it finds it */
	WIRE_DUMP =
		15, /* command, before GO: a database's dump follows as DATA and PACKED; END {"stream":"dump","bytes"} */
	WIRE_PACKED =
		16, /* some DATA of a dump, packed (store/transit.h); "bytes" counts what it holds */
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
 *   replaces the job's (only where READY said "changes":true: else the agent finds what has changed by
 *   itself), and the instant of the state for the manifest.
 * - An ENTRY of a seed stream may have "hash" (64 digits, BLAKE3 of the content); no DATA follows then.
 * - "min_free" may be absent: the larger of 1 GiB and 5 % of the file system.
 * - WIRE_CANCEL_SIGNAL to the agent is "sidesnap cancel": it sends FAILED with kind 130 and exits 138 (also
 *   as PID 1). SIGTERM, SIGINT and SIGQUIT are the engine's end: FAILED with kind 7, and 128 + the signal.
 * - boot reads from the manifest's "extra": "stop_signal":"SIGINT" (or a number),
 *   "omitted_variables":["NAME",...], "hosts":["NAME",...] (host names that must lead to the container itself).
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
 *             "pages":["base/[0-9]..."],"page_block":32768,"page_size":8192,"excluded":["tmp/x"],"direct_io":false,"allow_overlay":false,
 *             "seed":true|false,            a stream of ENTRY/DATA "seed:INDEX" follows READY
 *             "parent_seed":true|false}],   the parent has a tree at that path, whose seed is still right
 *   "own":{"source":"process"|"stream"|"none",
 *          "changes":[["/etc/hosts",0],...],  /changes without mounts: path, kind
 *          "mounts":["/data","/run/x",...]    never descend at or below these
 *          "included":["/run/secret.conf"]},  single files behind binds that become own files
 *   "dump":{"file":"dump.sql","name":DRIVER,"paths":["/var/lib/x"],"seed","parent_seed"},   (optional) a tree
 *          of its own, which comes as a stream; as for a tree whose INDEX is behind the last one's
 *   "extra":{...}                           copied into the manifest
 * }
 *   command: HELLO JOB; agent: HELLO READY {"processes":N proven, "free":BYTES, "changes":true|false, "trees":[{"bytes","files"}]}
 *   command: seed streams (ENTRY/DATA ... END {"stream":"seed","tree":INDEX}), with "dump" DUMP, DATA*, END {"stream":
 *            "dump","bytes"} (the sum of all that was sent: what is cut off is no dump), GO {"changes","created"} once frozen (in
 *            parts: all but the last have "more":true; READY likewise with "own_paths"),
 *            then with own.source=stream: ENTRY/DATA ... END {"stream":"own"}
 *   agent:   PROGRESS* ("phase":"pre-copying" before READY, then "reading", ...), CAPTURED {}, DONE {"manifest":"<hash>","trees":[{"hash","entries","bytes"}],
 *            "raw_bytes","new_bytes","stored_bytes","hot_bytes" (read after GO), "trees" with the dump behind the job's,
 *            "reused_bytes" (of files never read, taken from the parent's catalog),"own":{"files","bytes","deleted"},
 *            "skipped":[{"tree":0,"path":"x.sock"}]}, then stays until BYE.
 *
 * ENTRY of own: {"path":"etc/x","type":"file|directory|symlink|fifo|char|block","mode":420,"uid","gid",
 *   "mtime":"SECONDS.NANOSECONDS","size","link","device":[MAJOR,MINOR],"deleted":true,
 *   "whole":true (a directory of which all follows: what else the parent has in it is gone),
 *   "attributes":{"name":"<base64>"},"hardlink":"etc/y"}; paths relative to the root, base64 in "path64"
 *   where they are not UTF-8 ("link64" likewise). Seed entries are relative to the volume.
 *
 * measure: {"operation":"measure","trees":[...as capture],"container":ID,"own":{...},"min_free"}
 *   DONE {"trees":[{"files","directories","bytes","allocated_bytes","skipped":[..]}],"own":{"files","bytes"},"free"}
 *
 * consolidate: {"operation":"consolidate","source":"<64 hex id of a helper that idles, made from the snapshot, whose
 *           processes this one sees>","manifest":"<expected hash or empty>","agent_path","thorough":true|false
 *           (the helper's image is another than the snapshot was made on: compare every path),
 *           "compression":1,"workers":0,"min_free":BYTES,"own":{"mounts":["/RANDOM"]},   the idle one's agent
 *           "least_gain":BYTES}   (optional) to be declined where the packs that are left behind have less that is
 *                               not needed, or less than a tenth of what is: DONE {"declined":true,"gain_bytes","needed_bytes"}
 *   Makes the helper's layer the same snapshot, on the image that the helper is made from: own files, the trees in new
 *   packs, agent and manifest. READY when the source is found and checked. PROGRESS*, DONE {"manifest":"<hash>",
 *   "trees":[{"hash","entries","bytes"}],"raw_bytes","new_bytes","stored_bytes","own":{"files","bytes","deleted"}},
 *   then stays until BYE.
 *
 * diff: {"operation":"diff","from":{"source","manifest"},"to":{"source","manifest"}}   source: the 64 hex id of a helper
 *           that this one sees (PidMode), empty: this helper; manifest: expected hash or empty
 *   What differs, tree by tree: those of "to" in the order of its manifest, then those that only "from" has. Trees are
 *   the same when they have a path in common. READY when both are opened and checked. For each tree
 *     FOUND {"tree":{"kind","name","path","from":{"entries","bytes"}|absent,"to":likewise}},
 *     FOUND {"entries":[...]}*   in path order; none where only one side has the tree
 *     FOUND {"totals":{"added","removed","changed","metadata","types","added_bytes","removed_bytes","changed_bytes"}}
 *   then DONE {"records" (compared, on both sides),"skipped" (of these, by their chunks alone),"read_bytes"}.
 *   With "content":"/ABSOLUTE" only the file there is compared: FOUND {"content":{"kind":"text"|"binary","from":{"path",
 *   "size"}|absent,"to":likewise}}; of text the file of "from" as in extract, END, that of "to", END; of what is binary or
 *   large FOUND {"ranges":[[OFFSET,LENGTH],...]}* (at most 100000), FOUND {"changed_bytes","count"}, END; DONE.
 *   An entry: {"path" (relative),"change":"added"|"removed"|"changed"|"type","type" (as in ENTRY; the newer one),
 *   "what":[...],"changed_bytes","attributes":[NAME] (that differ),"from":{...},"to":{...}}: see docs/reference.md, "diff".
 *
 * extract: {"operation":"extract","manifest":"<expected hash or empty>","path":"/ABSOLUTE","follow":true|false (a link
 *           at the end),"agent_path"}
 *   The file or folder as a container of the snapshot would see it, volumes over the image. READY {"path" (without
 *   links on the way),"type","size"}; then GO is waited for, and the members come as ENTRY, FOUND {"hole":BYTES} (zeros)
 *   and DATA, in that direction: paths relative to it, "" is it itself, folders before what is in them, a hard link
 *   behind the name that it names. PROGRESS*, END {}, DONE {"files","bytes"}.
 *
 * restore: {"operation":"restore","manifest":"<expected hash or empty>","workers":0,
 *           "wait":true|false   true: READY once all is opened and checked, then GO is waited for before the first
 *                               change, so that the helper may start while the target still runs
 *           "delta":true|false  true: change only what differs; false: make every file anew
 *           "state":"/dev/sidesnap/state"  (optional) the volume of states, writable: volumes/, containers/
 *           "boot_state":"/RANDOM"         (optional) a directory of states that a boot left, read only
 *           "record":{"container":"<64 hex>","snapshot","reference","operation","at"}  (optional) removed from
 *                               containers/<id>.json before the first change, written there after the last
 *                               GO {"at":"..."} sets its "at": by then there may be a safety snapshot, which is older
 *           "trees":[{"index":0 (in the image's manifest),"mount":"/dev/sidesnap/0",
 *                     "mark":"<hash of the tree that the volume shall count as>" (optional),
 *                     "volume":{"name","created"} (optional: whose state it is),
 *                     "guards":["global/pg_control"] (optional: gone before all else changes, written last)}]}
 *   Extras are removed, each volume's mark is set. Every step is taken for all trees before the next one.
 *   READY, [GO], PROGRESS*, DONE {"trees":[{"bytes","files","removed","written_bytes","read_bytes",
 *   "kept_files" (right without having been opened),"state":"used|absent|foreign|none"}]}
 *
 * verify: {"operation":"verify","manifest":"<expected hash or empty>"}
 *   Seal, agent, packs byte by byte, catalogs, own files in the layer. PROGRESS*, DONE {"packs","chunks","bytes",
 *   "entries"}, or FAILED with kind 1.
 */

#endif
