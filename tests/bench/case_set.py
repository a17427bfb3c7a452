"""
Four databases, each written to at a steady rate, captured together: how long all of them stand still, and what
a set costs beside four creates, one after the other.
"""

from bed import Case, Database, timed
from case_freeze import HOT_BYTES_PER_MS, Load, percentile

MEMBERS = 4
SCALE = 10
LIMIT_MS = 100
SECONDS = 30


class Member(Database):
    """One of several of the same scale."""

    def __init__(self, bed, number):
        self.number = number
        super().__init__(bed, SCALE)

    def start(self, name, image, volume):
        return super().start(f"{name}-{self.number}", image, volume)

    @property
    def volume(self):
        return f"bench-set{self.number}"

    @volume.setter
    def volume(self, _):
        pass


class Set(Case):
    name = "set"
    rounds = 10
    minutes = 8

    def prepare(self):
        self.members = [Member(self.bed, number) for number in range(MEMBERS)]
        self.names = [member.container.name for member in self.members]
        self.bed.command("create", *self.names, "-t", "bench:first-set")
        self.facts["data_bytes"] = sum(member.bytes for member in self.members)

    def loads(self):
        return [Load(self.bed, member, SECONDS, f"bench-load{member.number}") for member in self.members]

    def round(self, number):
        self.bed.settle()
        loads = self.loads()
        seconds, result = self.bed.command("create", *self.names, "-t", f"bench:set{number}")
        self.note("set_s", seconds)
        self.note("frozen_ms", result["frozen_ms"])
        self.note("hot_bytes", result["hot_bytes"])
        self.note("over_ms", result["frozen_ms"] - LIMIT_MS - result["hot_bytes"] / HOT_BYTES_PER_MS)
        self.note("each_s", timed(self.one_by_one, number)[0])
        for load in loads:
            load.container.kill()
            load.container.remove()

    def one_by_one(self, number):
        for name in self.names:
            self.bed.command("create", name, "-t", f"bench:{name}-{number}")

    def finish(self):
        for member in self.members:
            member.remove()

    def figures(self):
        hot = self.median("hot_bytes") / (1 << 20)
        worst = percentile(self.samples["over_ms"], 0.99)
        limit = LIMIT_MS + self.median("hot_bytes") / HOT_BYTES_PER_MS
        self.limit("four databases frozen together", "frozen_ms", limit, "ms", f"100 ms and {hot:.1f} MiB of hot data at 4 GB/s")
        self.note("worst_over_ms", worst)
        self.difference("the longest of them, above its limit", "worst_over_ms", "p99 - limit", 0, "ms")
        self.compare("create of a set of four, under load", "set_s", "four creates, one after the other", "each_s")
