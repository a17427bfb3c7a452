"""
What the product is compared with. Every function gives the seconds that it took.

tar: `tar | zstd -1 -T0` into a file of the same disk. borg: without encryption, its own defaults
(lz4) else. restic: a repository of version 2, compression and all else as by default. Both keep
their caches warm, as in daily use. None of them knows when the database's files belong together.
"""

import os
import shutil

from bed import shell, timed


def tar_zstd(bed, source):
    """A volume that is written to meanwhile makes tar end with 1; the archive is there."""
    archive = f"{bed.scratch}/tar.zst"
    bed.settle()
    seconds, _ = timed(
        shell, f"{{ tar -C {source} -cf - . || [ $? = 1 ]; }} | zstd -q -f -1 -T0 -o {archive}"
    )
    return seconds, archive


def tar_plain(bed, source):
    archive = f"{bed.scratch}/plain.tar"
    bed.settle()
    seconds, _ = timed(shell, f"tar -C {source} -cf {archive} .")
    os.unlink(archive)
    return seconds


def commit(bed, image, archive):
    """The engine's commit of a layer that holds this file."""
    holder = bed.engine.create("bench-holder", image, ["true"])
    upper = holder.inspect()["GraphDriver"]["Data"]["UpperDir"]
    shutil.copy(archive, os.path.join(upper, "archive"))
    bed.settle()
    seconds, made = timed(
        bed.engine.json,
        "POST",
        "/commit",
        {"container": holder.id, "repo": "bench", "tag": "commit", "pause": "0"},
    )
    holder.remove()
    bed.engine.remove_image(made["Id"])
    return seconds


def helper_cycle(bed, image):
    """The least that any helper container costs: create, start, wait, commit, remove."""

    def whole():
        helper = bed.engine.create("bench-cycle", image, ["true"], {"NetworkMode": "none"}, Entrypoint=[])
        helper.start()
        bed.engine.call("POST", f"/containers/{helper.id}/wait")
        query = {"container": helper.id, "repo": "bench", "tag": "cycle", "pause": "0"}
        made = bed.engine.json("POST", "/commit", query)
        helper.remove()
        return made

    bed.settle()
    seconds, made = timed(whole)
    bed.engine.remove_image(made["Id"])
    return seconds


class Repository:
    """The sizes of one before and after, whatever program writes it."""

    def __init__(self, bed, name):
        self.bed, self.path, self.number = bed, bed.room(name), 0

    def bytes(self):
        return int(shell(f"du -sb {self.path}").split()[0])


class Borg(Repository):
    def __init__(self, bed):
        super().__init__(bed, "borg")
        self.environment = {
            **os.environ,
            "BORG_BASE_DIR": bed.room("borg-home"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        self.borg(f"init -e none {self.path}")

    def borg(self, arguments, cwd=None):
        # 1: a warning, of a file that changed while it was read
        shell(f"borg {arguments}", env=self.environment, cwd=cwd, accept=(0, 1))

    def create(self, source):
        self.number += 1
        self.bed.settle()
        return timed(self.borg, f"create {self.path}::{self.number} .", source)[0]

    def extract(self, target):
        self.borg(f"extract {self.path}::{self.number}", target)


class Restic(Repository):
    def __init__(self, bed):
        super().__init__(bed, "restic")
        self.environment = {
            **os.environ,
            "RESTIC_REPOSITORY": self.path,
            "RESTIC_PASSWORD": "bench",
            "RESTIC_CACHE_DIR": bed.room("restic-home"),
        }
        self.restic("init -q --repository-version 2")

    def restic(self, arguments):
        # 3: a file could not be read, being gone
        shell(f"restic {arguments}", env=self.environment, accept=(0, 3))

    def backup(self, source):
        self.bed.settle()
        return timed(self.restic, f"backup -q {source}")[0]
