"""A container put back to its snapshot in place, after 1% of its pages changed, against a full restore."""

from bed import Absent, Case, Memory, timed

COPY = "bench-copy"


def total(result, member):
    """Of all trees, wherever the verb's JSON has it."""
    if member in result:
        return result[member]
    return sum(tree[member] for tree in result["restored"])


class Reset(Case):
    name = "reset"
    minutes = 5

    def prepare(self):
        if not self.bed.has_verb("reset"):
            raise Absent("this build has no verb reset")
        self.db = self.bed.database(self.options.scale)
        result = self.bed.create(self.db.name, "bench:1")[1]
        self.full_bytes = result["bytes"]
        self.facts["chunks"] = self.bed.command("verify", "bench:1")[1]["chunks"]
        self.boot()

    def boot(self):
        self.copy = self.db.start(COPY, "bench:1", COPY)
        self.db.until_first_query(self.copy)

    def full(self):
        self.copy.stop(60)
        self.copy.remove()
        self.bed.remove_volume(COPY)
        self.boot()

    def reset(self, *options, memory=None):
        result = self.bed.command("reset", COPY, "bench:1", "--yes", *options, memory=memory)[1]
        self.db.until_first_query(self.copy)
        return result

    def change(self):
        self.db.update_some(self.copy)
        self.copy.exec(["psql", "-XqU", "postgres", "-c", "checkpoint"], timeout=600)
        self.bed.settle()

    def round(self, number):
        before = self.rows()
        self.change()
        with Memory(self.bed) as memory:
            seconds, result = timed(self.reset, "--no-safety", memory=memory)
        self.note_memory(memory, "reset")
        self.note("reset_s", seconds)
        self.note("written_bytes", total(result, "written_bytes"))
        self.note("read_bytes", total(result, "read_bytes"))
        assert self.rows() == before, "the reset did not bring the rows back"
        self.change()
        seconds, result = timed(self.reset)
        self.note("safe_reset_s", seconds)
        self.note("safe_written_bytes", total(result, "written_bytes"))
        assert self.rows() == before, "the reset did not bring the rows back"
        self.change()
        self.bed.settle()
        self.note("full_s", timed(self.full)[0])
        self.note("full_bytes", self.full_bytes)

    def rows(self):
        return self.db.query("select sum(abalance), count(*) from pgbench_accounts", self.copy)

    def figures(self):
        full = "stop, remove, restore into an empty volume, start"
        what = "reset after 1% of the pages changed, until the first query"
        self.compare(f"{what}, --no-safety", "reset_s", full, "full_s", faster=5)
        self.compare(f"{what}, with the safety snapshot", "safe_reset_s", full, "full_s", faster=5)
        self.compare("bytes written by it", "written_bytes", full, "full_bytes", faster=30, unit="bytes")
        self.memory("memory of the reset", "reset")
