"""Creates: the first, one with nothing changed, and ones with a row in every 100th page updated."""

import os

import baselines
from bed import Case, Memory


class First(Case):
    """No snapshot of this source is there that could be its parent, and no archive in borg's repository."""

    name = "first"
    minutes = 3

    def prepare(self):
        self.db = self.bed.database(self.options.scale)
        self.what = f"first create, PGDATA of pgbench scale {self.db.scale}"

    def round(self, number):
        tar, archive = baselines.tar_zstd(self.bed, self.db.path)
        commit = baselines.commit(self.bed, self.db.image, archive)
        self.note("tar_s", tar)
        self.note("commit_s", commit)
        self.note("tar_commit_s", tar + commit)
        self.note("tar_bytes", os.path.getsize(archive))
        with Memory(self.bed) as memory:
            seconds, result = self.bed.create(self.db.name, "bench:1", memory)
        self.note_memory(memory)
        self.note_create("create", seconds, result)
        if number == 0:
            facts = self.bed.command("verify", "bench:1")[1]
            self.facts.update({"chunks": facts["chunks"], "data_bytes": self.db.bytes})
        self.bed.remove_images("bench:1")
        borg = baselines.Borg(self.bed)
        self.note("borg_s", borg.create(self.db.path))
        self.note("borg_bytes", borg.bytes())

    def figures(self):
        self.compare(self.what, "create_s", "tar | zstd -1 -T0, and the engine's commit of that", "tar_commit_s", at_most=1.2)
        self.compare(self.what, "create_s", "borg create", "borg_s", faster=1.3)
        self.compare("layer of the first create", "create_layer_bytes", "tar | zstd -1", "tar_bytes", unit="bytes")
        self.memory(f"memory of the first create, scale {self.db.scale}")


class Unchanged(Case):
    name = "unchanged"
    rounds = 7
    minutes = 2

    def prepare(self):
        self.db = self.bed.database(self.options.scale)
        self.borg = baselines.Borg(self.bed)
        self.borg.create(self.db.path)
        self.bed.create(self.db.name, "bench:first")
        # What the first one read under the freeze is read once more by the next, which does not count.
        self.bed.create(self.db.name, "bench:second")

    def round(self, number):
        self.note("cycle_s", baselines.helper_cycle(self.bed, self.db.image))
        with Memory(self.bed) as memory:
            seconds, result = self.bed.create(self.db.name, f"bench:{number}", memory)
        self.note_memory(memory)
        self.note_create("create", seconds, result)
        self.note("borg_s", self.borg.create(self.db.path))

    def figures(self):
        self.compare("create, nothing changed", "create_s", "bare helper: create, start, wait, commit, rm", "cycle_s", at_most=1.7)
        self.compare("create, nothing changed", "create_s", "borg create", "borg_s", at_most=1)
        self.limit("layer, nothing changed", "create_layer_bytes", 64 << 10, "bytes", "64 KiB")


class Updated(Case):
    name = "updated"
    minutes = 4

    def __init__(self, bed, options):
        super().__init__(bed, options)
        self.scale = options.scale

    def prepare(self):
        self.db = self.bed.database(self.scale)
        self.what = f"create, a row in every 100th page updated, scale {self.scale}"
        self.index = f"{self.bed.scratch}/index"
        self.borg, self.restic = baselines.Borg(self.bed), baselines.Restic(self.bed)
        self.borg.create(self.db.path)
        self.restic.backup(self.db.path)
        self.bed.create(self.db.name, "bench:first")
        self.bed.create(self.db.name, "bench:second")
        self.changed()
        self.sizes = self.borg.bytes(), self.restic.bytes()

    def changed(self):
        """Bytes of the blocks of 8 KiB that changed since the last call, all through one zstd -1."""
        return int(self.bed.files("changed", self.db.path, self.index, "| zstd -q -1 | wc -c"))

    def round(self, number):
        self.db.update_some()
        with Memory(self.bed) as memory:
            seconds, result = self.bed.create(self.db.name, f"bench:{number}", memory)
        self.note_memory(memory)
        self.note_create("create", seconds, result)
        self.note("changed_bytes", self.changed())
        self.note("tar_s", baselines.tar_zstd(self.bed, self.db.path)[0])
        self.note("borg_s", self.borg.create(self.db.path))
        self.note("restic_s", self.restic.backup(self.db.path))
        sizes = self.borg.bytes(), self.restic.bytes()
        self.note("borg_bytes", sizes[0] - self.sizes[0])
        self.note("restic_bytes", sizes[1] - self.sizes[1])
        self.sizes = sizes

    def finish(self):
        self.facts["chunks"] = self.bed.command("verify", "bench:first")[1]["chunks"]
        self.facts["data_bytes"] = self.db.bytes

    def aims(self):
        return {"tar": 2, "borg": 2, "restic": 2.5}

    def figures(self):
        aims = self.aims()
        self.compare(self.what, "create_s", "tar | zstd -1 -T0", "tar_s", faster=aims.get("tar"))
        self.compare(self.what, "create_s", "borg create", "borg_s", faster=aims.get("borg"))
        self.compare(self.what, "create_s", "restic backup", "restic_s", faster=aims.get("restic"))
        what = f"bytes added by it, scale {self.scale}"
        self.compare(what, "create_layer_bytes", "the changed 8 KiB blocks alone, zstd -1", "changed_bytes", at_most=1.5, unit="bytes")
        self.compare(what, "create_layer_bytes", "borg create", "borg_bytes", unit="bytes")
        self.compare(what, "create_layer_bytes", "restic backup", "restic_bytes", unit="bytes")
        self.memory(f"memory of a create with 1% of the pages updated, scale {self.scale}")


class UpdatedLarge(Updated):
    """The same at a scale where the data is several times as much."""

    name = "updated-large"
    rounds = 3
    minutes = 6

    def __init__(self, bed, options):
        super().__init__(bed, options)
        self.scale = options.large_scale

    def finish(self):
        super().finish()
        self.bed.forget_database(self.scale)

    def aims(self):
        return {"tar": 4}
