"""
A logical snapshot against the database's own tools in a pipe, there and back, and against a physical
one of the same database: what people choose between.
"""

import time

from bed import DATA, Case, Memory, shell, timed

COPY = "bench-copy"


class Logical(Case):
    name = "logical"
    rounds = 3
    minutes = 8

    def prepare(self):
        self.db = self.bed.database(self.options.scale)
        self.facts["data_bytes"] = self.db.bytes
        self.room = self.bed.room("dumps")
        self.docker = f"docker -H {self.bed.engine.host}"
        result = self.bed.command("create", self.db.name, "-t", "bench:logical", "--logical")[1]
        self.facts["dump_bytes"] = result["dump"]["bytes"]
        self.facts["chunks"] = self.bed.command("verify", "bench:logical")[1]["chunks"]
        self.bed.remove_images("bench:logical")

    def pipe(self):
        shell(f"{self.docker} exec {self.db.name} pg_dumpall -U postgres | zstd -1 -T0 -q -f -o {self.room}/dump.zst && sync {self.room}/dump.zst")

    def load_by_pipe(self):
        """An empty cluster as its image makes it, then the dump."""
        self.bed.engine.volume(COPY)
        container = self.bed.engine.run(
            COPY,
            self.db.image,
            ["postgres", "-c", "autovacuum=off"],
            {"Binds": [f"{COPY}:{DATA}"]},
            Env=["POSTGRES_HOST_AUTH_METHOD=trust"],
        )
        while self.db.query("select 1", container) is None:
            assert container.state()["Running"], container.logs()[-2000:]
            time.sleep(0.02)
        shell(
            f"zstd -dcq {self.room}/dump.zst | "
            f"{self.docker} exec -i -e PGOPTIONS='-c synchronous_commit=off' {COPY} psql -XqU postgres -f - postgres >/dev/null 2>&1"
        )
        container.exec(["psql", "-XqU", "postgres", "-c", "checkpoint"], timeout=600)
        self.db.until_first_query(container)
        return container

    def boot(self, image):
        container = self.db.start(COPY, image, COPY)
        self.db.until_first_query(container)
        return container

    def empty(self, container):
        container.stop(60)
        container.remove()
        self.bed.remove_volume(COPY)

    def rows(self, container=None):
        return self.db.query("select sum(abalance), count(*) from pgbench_accounts", container)

    def both(self, name, how, *arguments):
        """Timed, and the rows are there."""
        self.bed.settle()
        seconds, container = timed(how, *arguments)
        self.note(name, seconds)
        assert self.rows(container) == self.rows(), f"{name}: other rows"
        self.empty(container)

    def round(self, number):
        self.bed.settle()
        self.note("pipe_s", timed(self.pipe)[0])
        self.note("pipe_bytes", int(shell(f"stat -c %s {self.room}/dump.zst")))
        self.bed.settle()
        with Memory(self.bed) as memory:
            seconds, result = self.bed.command("create", self.db.name, "-t", "bench:logical", "--logical", memory=memory)
        self.note("create_s", seconds)
        self.note("stored_bytes", result["stored_bytes"])
        self.note_memory(memory)
        seconds, result = self.bed.create(self.db.name, "bench:physical")
        self.note("physical_s", seconds)
        self.note("physical_bytes", result["stored_bytes"])
        self.both("load_pipe_s", self.load_by_pipe)
        self.both("load_s", self.boot, "bench:logical")
        self.both("physical_boot_s", self.boot, "bench:physical")
        self.bed.remove_images("bench:physical", "bench:logical")

    def figures(self):
        scale = f"pgbench scale {self.options.scale}"
        self.compare(f"create --logical, {scale}", "create_s", "docker exec pg_dumpall | zstd -1 -T0", "pipe_s", at_most=1.1)
        self.compare(
            "first start of it, until the first query",
            "load_s",
            "an empty server, then zstd -d | docker exec -i psql",
            "load_pipe_s",
            at_most=1.1,
        )
        self.compare("what it stores", "stored_bytes", "zstd -1 of the dump", "pipe_bytes", unit="bytes")
        self.memory("memory of create --logical")
        self.compare("create --logical", "create_s", "create, of the same", "physical_s")
        self.compare("first start of a logical snapshot", "load_s", "of a physical one", "physical_boot_s")
        self.compare("what a logical snapshot stores", "stored_bytes", "a physical one", "physical_bytes", unit="bytes")
