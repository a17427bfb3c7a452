"""Very many small files: first create, again with nothing changed, restore."""

import baselines
from bed import Case, Memory, shell, timed
from support.api import wait_for

COPY, RESTORED, SOURCE = "bench-copy", "bench-restored", "bench-files"


class Files(Case):
    """Of 4 KiB each, 1000 in a directory, the first half of each random and the rest text."""

    name = "files"
    rounds = 3
    minutes = 9
    least_rounds = 1

    def prepare(self):
        count = self.options.files
        self.image = self.bed.images("busybox")
        self.bed.engine.volume(SOURCE)
        self.path = self.bed.engine.volume_path(SOURCE)
        self.bed.say(f"  making {count} files")
        self.bed.drop_caches()
        self.bed.files("make", self.path, str(count))
        self.container = self.start(SOURCE, self.image, SOURCE)
        self.facts["data_bytes"] = count * 4096

    def start(self, name, image, volume):
        """Until its command runs."""
        command = ["sh", "-c", "echo up; exec sleep 100000"]
        container = self.bed.engine.run(name, image, command, {"Binds": [f"{volume}:/data"]})
        wait_for(lambda: "up" in container.output(), "the service", 600, 0.02)
        return container

    def create(self, name, tag):
        with Memory(self.bed) as memory:
            seconds, result = self.bed.create(SOURCE, tag, memory)
        self.note_memory(memory, name)
        self.note_create(name, seconds, result)

    def copy(self):
        self.bed.engine.volume(COPY)
        shell(f"cp -a {self.path}/. {self.bed.engine.volume_path(COPY)}")
        return self.start(COPY, self.image, COPY)

    def forget_deleted(self):
        """
        ext4 steps around inodes that were deleted in the last minutes, as long as their blocks are
        in the page cache: whoever makes files next would pay for what was removed (six times as
        slow was seen). Without the cache it cannot; then all is made warm again.
        """
        self.bed.drop_caches()
        shell(f"tar -C {self.path} -cf - . | cat >/dev/null")

    def round(self, number):
        self.forget_deleted()
        self.note("tar_s", baselines.tar_plain(self.bed, self.path))
        self.create("create", "bench:1")
        self.note("tar_zstd_s", baselines.tar_zstd(self.bed, self.path)[0])
        self.note("walk_s", timed(self.bed.files, "walk", self.path)[0])
        self.create("again", "bench:2")
        if number == 0:
            self.facts["chunks"] = self.bed.command("verify", "bench:2")[1]["chunks"]
        self.bed.settle()
        seconds, copy = timed(self.copy)
        self.note("copy_s", seconds)
        self.bed.settle()
        with Memory(self.bed, name=RESTORED) as memory:
            seconds, restored = timed(self.start, RESTORED, "bench:1", RESTORED)
        self.note_memory(memory, "restore")
        self.note("restore_s", seconds)
        for container in (copy, restored):
            container.remove()
            self.bed.remove_volume(container.name)
        self.bed.remove_images("bench:2", "bench:1")

    def figures(self):
        what = f"{self.options.files:,} files of 4 KiB"
        self.compare(f"{what}: first create", "create_s", "tar into a file", "tar_s", at_most=1)
        self.compare(f"{what}: first create", "create_s", "tar | zstd -1 -T0", "tar_zstd_s")
        self.compare(f"{what}: create, nothing changed", "again_s", "statx of every file", "walk_s", at_most=3)
        self.limit(f"{what}: layer, nothing changed", "again_layer_bytes", 64 << 10, "bytes", "64 KiB")
        self.compare(f"{what}: restore", "restore_s", "cp -a and plain start", "copy_s", at_most=1)
        self.memory(f"{what}: memory of the first create", "create")
        self.memory(f"{what}: memory of the create, nothing changed", "again")
        self.memory(f"{what}: memory of the restore", "restore")
