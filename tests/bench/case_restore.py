"""Into an empty volume until the first query is answered, with a warm page cache and an empty one."""

import os
import time

import baselines
from bed import DATA, Case, Memory, shell, timed

COPY = "bench-copy"


class Restore(Case):
    name = "restore"
    minutes = 6

    def prepare(self):
        self.db = self.bed.database(self.options.scale)
        self.facts["data_bytes"] = self.db.bytes
        self.bed.create(self.db.name, "bench:1")
        self.facts["chunks"] = self.bed.command("verify", "bench:1")[1]["chunks"]
        self.layer = self.bed.engine.image("bench:1")["GraphDriver"]["Data"]["UpperDir"]
        # The same state as in the snapshot, so that both recover alike.
        self.frozen = self.bed.room("frozen")
        self.db.container.pause()
        try:
            shell(f"cp -a {self.db.path}/. {self.frozen}")
        finally:
            self.db.container.unpause()
        self.borg = baselines.Borg(self.bed)
        self.borg.create(self.frozen)
        self.make_dumps()

    def make_dumps(self):
        """pg_basebackup's copy and pg_dump's file, by a container in the server's network."""
        self.dumps = self.bed.room("dumps")
        owner = os.stat(self.db.path)
        os.chown(self.dumps, owner.st_uid, owner.st_gid)
        script = (
            "set -e; export PGHOST=127.0.0.1 PGUSER=postgres; "
            "pg_basebackup -c fast -X stream -D /dumps/base; pg_dump -Fc -f /dumps/dump postgres"
        )
        container = self.bed.engine.run(
            "bench-dump",
            self.db.image,
            [script],
            {"Binds": [f"{self.dumps}:/dumps"], "NetworkMode": f"container:{self.db.container.id}"},
            Entrypoint=["sh", "-c"],
            User="postgres",
        )
        assert container.wait(900) == 0, container.logs()[-2000:]
        container.remove()

    def fill(self, how):
        """A fresh volume, filled by how(path), and a plain start of the image."""
        self.bed.engine.volume(COPY)
        how(self.bed.engine.volume_path(COPY))
        return self.start(self.db.image)

    def start(self, image):
        container = self.db.start(COPY, image, COPY)
        self.db.until_first_query(container)
        return container

    def load(self):
        """An empty cluster, then the dump."""
        container = self.bed.engine.run(
            COPY,
            self.db.image,
            ["postgres", "-c", "autovacuum=off"],
            {"Binds": [f"{COPY}:{DATA}", f"{self.dumps}:/dumps:ro"]},
            Env=["POSTGRES_HOST_AUTH_METHOD=trust"],
        )
        while self.db.query("select 1", container) is None:
            assert container.state()["Running"], container.logs()[-2000:]
            time.sleep(0.02)
        restore = ["pg_restore", "-j2", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "/dumps/dump"]
        container.exec(restore, timeout=900)
        self.db.until_first_query(container)
        return container

    def measure(self, name, source, what, *arguments):
        for cache in ("warm", "cold"):
            if cache == "warm":
                shell(f"find {source} -type f -exec cat {{}} + >/dev/null")
                self.bed.settle()
            else:
                self.bed.drop_caches()
            seconds, container = timed(what, *arguments)
            self.note(f"{name}_{cache}_s", seconds)
            container.remove()
            self.bed.remove_volume(COPY)

    def round(self, number):
        base, dump = f"{self.dumps}/base", f"{self.dumps}/dump"
        self.measure("copy", self.frozen, self.fill, lambda path: shell(f"cp -a {self.frozen}/. {path}"))
        with Memory(self.bed, name=COPY) as memory:
            self.measure("restore", self.layer, self.start, "bench:1")
        self.note_memory(memory, "restore")
        self.measure("borg", self.borg.path, self.fill, self.borg.extract)
        self.measure("base", base, self.fill, lambda path: shell(f"cp -a {base}/. {path}"))
        self.measure("dump", dump, self.load)

    def figures(self):
        for cache, words in (("warm", "page cache warm"), ("cold", "page cache dropped")):
            what, ours = f"restore until the first query, {words}", f"restore_{cache}_s"
            self.compare(what, ours, "cp -a and plain start", f"copy_{cache}_s", faster=1.5)
            self.compare(what, ours, "pg_basebackup's copy: cp -a and plain start", f"base_{cache}_s", faster=1)
            self.compare(what, ours, "empty cluster and pg_restore -j2", f"dump_{cache}_s", faster=3)
            self.compare(what, ours, "borg extract and plain start", f"borg_{cache}_s")
        self.memory("memory of the restore", "restore")
