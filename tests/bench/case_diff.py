"""Two snapshots of very many small files, of which a few have changed."""

import os

from bed import Case, Memory
from support.api import wait_for

SOURCE = "bench-diff"
FEW = 100  # are changed, as many are added, as many are removed


class Diff(Case):
    """Of 4 KiB each, 1000 in a directory; the changes are spread over all of them."""

    name = "diff"
    minutes = 6

    def prepare(self):
        self.count = self.options.files
        image = self.bed.images("busybox")
        self.bed.engine.volume(SOURCE)
        self.path = self.bed.engine.volume_path(SOURCE)
        self.bed.say(f"  making {self.count} files")
        self.bed.files("make", self.path, str(self.count))
        command = ["sh", "-c", "echo up; exec sleep 100000"]
        container = self.bed.engine.run(SOURCE, image, command, {"Binds": [f"{SOURCE}:/data"]})
        wait_for(lambda: "up" in container.output(), "the service", 600, 0.02)
        self.bed.create(SOURCE, "bench:1")
        self.change()
        self.bed.create(SOURCE, "bench:2")
        self.facts["chunks"] = self.bed.command("verify", "bench:2")[1]["chunks"]

    def change(self):
        directories = sorted(os.listdir(self.path))
        for number in range(FEW):
            directory = os.path.join(self.path, directories[number * len(directories) // FEW])
            with open(os.path.join(directory, f"f{number:06}"), "r+b") as file:
                file.write(b"changed")
            os.unlink(os.path.join(directory, f"f{number + FEW:06}"))
            with open(os.path.join(directory, f"g{number:06}"), "wb") as file:
                file.write(b"new")

    def diff(self, name, *words, code=1):
        self.bed.settle()
        with Memory(self.bed) as memory:
            seconds, result = self.bed.command("diff", *words, memory=memory, code=code)
        self.note_memory(memory, name)
        self.note(f"{name}_s", seconds)
        return result

    def round(self, number):
        result = self.diff("diff", "bench:1", "bench:2")
        found = [result[member] for member in ("added", "removed", "changed")]
        assert found == [FEW, FEW, FEW], f"{found} were found"
        self.note("skipped", result["skipped"] / result["records"])
        assert self.diff("live", SOURCE, code=0)["same"]

    def figures(self):
        what = f"{self.count:,} files"
        self.limit(f"{what}: diff of two snapshots, {3 * FEW} differ", "diff_s", 2, "s", "2 s")
        self.memory(f"{what}: memory of that", "diff")
        self.limit(f"{what}: diff of the container, nothing differs", "live_s", 10, "s", "10 s")
