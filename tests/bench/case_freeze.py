"""
What clients of a database notice: pgbench --rate=100 with the latency of each transaction from the
instant that it was due, while a create runs, and under what else keeps the files of one instant.
"""

import glob
import json
import math
import time

import baselines
from bed import Case, timed

RATE = 100
IDLE_S = 4  # before every create: what the latency is without it
LIMIT_MS = 60
HOT_BYTES_PER_MS = 4e6


def percentile(values, share):
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Load:
    """A pgbench in a container of its own, so that it is not frozen with the server, for so many seconds."""

    def __init__(self, bed, db, seconds, name="bench-load"):
        self.room = bed.room(name)
        address = db.container.inspect()["NetworkSettings"]["IPAddress"]
        command = (
            f"exec pgbench -n -h {address} -U postgres -c 8 -j 1 --rate={RATE} -T {seconds} --log"
            " --log-prefix=/load/log postgres"
        )
        self.container = bed.engine.run(
            name, db.image, [command], {"Binds": [f"{self.room}:/load"]}, Entrypoint=["sh", "-c"]
        )
        self.seconds = seconds

    def transactions(self):
        """Once it has ended: (when it was due, when it was answered, by the clock; milliseconds between)."""
        code = self.container.wait(self.seconds + 120)
        assert code == 0, self.container.logs()[-2000:]
        found = []
        for path in glob.glob(f"{self.room}/log.*"):
            with open(path) as file:
                for line in file:
                    # client, number, latency in us from when it was due, script, end (s, us), lag
                    words = line.split()
                    end, latency = int(words[4]) + int(words[5]) / 1e6, int(words[2]) / 1e6
                    found.append((end - latency, end, latency * 1000))
        self.container.remove()
        return found


class Freeze(Case):
    name = "freeze"
    minutes = 5

    def prepare(self):
        self.db = self.bed.database(self.options.scale)
        self.bed.create(self.db.name, "bench:first")
        self.expected = {"create": self.bed.create(self.db.name, "bench:second")[0] * 3}
        self.expected["tar"] = baselines.tar_zstd(self.bed, self.db.path)[0] * 2

    def during(self, name, what, *arguments):
        """Transactions of a load in which, after an idle time, this is done; from when to when; its result."""
        while True:
            load = Load(self.bed, self.db, math.ceil(IDLE_S + 1 + self.expected[name] * 1.5 + 1))
            ends = time.time() + load.seconds
            time.sleep(IDLE_S + 1)
            began = time.time()
            seconds, result = timed(what, *arguments)
            ended = time.time()
            transactions = load.transactions()
            self.expected[name] = max(seconds, self.expected[name] * 0.8)
            if ended < ends:
                return transactions, began, ended, result
            self.bed.say("  the load ended before it: again")

    def freezes(self, began, ended):
        """When the engine said that the database was paused, the first one."""
        query = {
            "since": f"{began:.6f}",
            "until": f"{ended:.6f}",
            "filters": {"container": [self.db.container.id], "event": ["pause"]},
        }
        events = self.bed.engine.call("GET", "/events", query).decode().split("\n")
        return min(json.loads(line)["timeNano"] / 1e9 for line in events if line.strip())

    def note_latency(self, name, latencies):
        for share, label in ((0.5, "p50"), (0.99, "p99"), (1, "max")):
            self.note(f"{name}_{label}_ms", percentile(latencies, share))

    def round_create(self, number):
        # Nothing is settled first: a busy server's writes are part of what is measured.
        transactions, began, ended, (_, result) = self.during(
            "create", self.bed.command, "create", self.db.name, "-t", f"bench:{number}"
        )
        frozen_at = self.freezes(began, ended)
        idle = [ms for due, end, ms in transactions if began - IDLE_S < due and end < began]
        before = [ms for due, end, ms in transactions if began <= due and end < frozen_at]
        whole = [ms for due, _, ms in transactions if began <= due < ended]
        self.note_latency("idle", idle)
        self.note_latency("precopy", before)
        self.note_latency("create", whole)
        limit = LIMIT_MS + result["hot_bytes"] / HOT_BYTES_PER_MS
        self.note("frozen_ms", result["frozen_ms"])
        self.note("hot_bytes", result["hot_bytes"])
        self.note("limit_ms", limit)
        self.note("stall_over_ms", percentile(whole, 0.99) - limit)
        self.note("precopy_over_ms", percentile(before, 0.99) - percentile(idle, 0.99))

    def paused_tar(self):
        self.db.container.pause()
        try:
            return baselines.tar_zstd(self.bed, self.db.path)
        finally:
            self.db.container.unpause()

    def round_tar(self):
        transactions, began, ended, _ = self.during("tar", self.paused_tar)
        self.note_latency("tar", [ms for due, _, ms in transactions if began <= due < ended])

    def stopped_tar(self):
        self.db.container.stop(60)
        try:
            baselines.tar_zstd(self.bed, self.db.path)
        finally:
            self.db.container.start()
        self.db.until_first_query()

    def round(self, number):
        self.round_create(number)
        self.round_tar()
        self.note("stop_max_ms", timed(self.stopped_tar)[0] * 1000)

    def figures(self):
        hot = self.median("hot_bytes") / (1 << 20)
        limit = f"60 ms and {hot:.1f} MiB of hot data at 4 GB/s"
        self.limit("frozen, under pgbench --rate=100", "frozen_ms", self.median("limit_ms"), "ms", limit)
        self.difference("client's p99 during create, above that limit", "stall_over_ms", "p99 - limit", 40, "ms")
        self.difference("client's p99 before the freeze, above idle", "precopy_over_ms", "p99 - p99 idle", 30, "ms")
        self.compare("client's p99 during create", "create_p99_ms", "tar | zstd of the paused database", "tar_p99_ms", unit="ms")
        self.compare("client's longest wait", "create_max_ms", "tar | zstd of the paused database", "tar_max_ms", unit="ms")
        self.compare("client's longest wait", "create_max_ms", "stop, tar | zstd, start, first query", "stop_max_ms", unit="ms")
