"""
What the cases stand on: a private engine with overlay2, room beside its data for archives and
repositories, a PostgreSQL with pgbench's tables, and the product's command.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

from support.api import EngineError, wait_for  # noqa: E402
from support.cli import Sidesnap  # noqa: E402
from support.images import Images  # noqa: E402
from support.private_engine import PrivateEngine  # noqa: E402
from support.watch import Watch  # noqa: E402

DATA = "/var/lib/postgresql/data"
MIB = 1 << 20
OPPOSITE = {"faster": "slower", "less": "more"}


class Absent(Exception):
    """What is to be measured is not there; the results say so."""


def timed(function, *arguments, **more):
    """(seconds, result)"""
    began = time.monotonic()
    result = function(*arguments, **more)
    return time.monotonic() - began, result


def shell(script, timeout=900, cwd=None, env=None, accept=(0,)):
    """
    A pipeline of bash, with pipefail; its stdout. Whatever ends the wait ends all of its processes.
    accept: exit codes that are no failure.
    """
    process = subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=env,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode not in accept:
        raise RuntimeError(f"exit code {process.returncode}: {script}\n{err[-2000:]}")
    return out


class Memory(Watch):
    """
    Peaks of private memory (RssAnon, looked at 100 times a second) while a command runs: of the
    command, and of the agent in the container that the filters find: a helper, or, as long as it
    has not become the service, the boot of a container.
    """

    def __init__(self, bed, **filters):
        super().__init__(bed.engine)
        self.filters = filters or {"label": "sidesnap.role=helper"}
        self.agent = self.command = 0
        self.process = None

    def watch(self):
        agent, wait = None, 0
        while not self.ending.wait(0.01):
            if self.process:
                self.command = max(self.command, self.anonymous(self.process))
            if agent is None:
                wait -= 1
                if wait <= 0:
                    agent, wait = self.find_agent(), 5
            elif self.is_agent(agent):
                self.agent = max(self.agent, self.anonymous(agent))
            else:
                agent = None

    def find_agent(self):
        try:
            for found in self.engine.containers(status="running", **self.filters):
                process = self.engine.json("GET", f"/containers/{found['Id']}/json")["State"]["Pid"]
                if process and self.is_agent(process):
                    return process
        except (OSError, EngineError):
            pass
        return None

    @staticmethod
    def is_agent(process):
        try:
            return os.readlink(f"/proc/{process}/exe").replace(" (deleted)", "").endswith("/agent")
        except OSError:
            return False

    @staticmethod
    def anonymous(process):
        try:
            with open(f"/proc/{process}/status") as file:
                for line in file:
                    if line.startswith("RssAnon:"):
                        return int(line.split()[1]) << 10
        except (OSError, ValueError):
            pass
        return 0


class Bed:
    """program: the compiled bench_files. say(text): what is going on."""

    def __init__(self, private, program, say):
        self.private, self.engine, self.program, self.say = private, private.engine, program, say
        self.sidesnap = Sidesnap(self.engine.host)
        self.images = Images(self.engine)
        self.databases = {}
        # On the engine's own file system, and removed with it.
        self.scratch = f"{private.state}/data/bench"
        os.makedirs(self.scratch)

    def room(self, name):
        """A fresh directory; whatever had this name is gone."""
        path = f"{self.scratch}/{name}"
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    @staticmethod
    def settle():
        """What was done before is not paid for by what is timed next."""
        os.sync()

    def drop_caches(self):
        """The page cache of the whole machine."""
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")

    def database(self, scale):
        if scale not in self.databases:
            self.databases[scale] = Database(self, scale)
        return self.databases[scale]

    def forget_database(self, scale):
        if scale in self.databases:
            self.databases.pop(scale).remove()

    # -- the product

    def command(self, *arguments, memory=None, timeout=900, code=0):
        """(seconds, its JSON)"""
        began = time.monotonic()
        process = self.sidesnap.start(*arguments, "--json", "--quiet")
        if memory:
            memory.process = process.pid
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.terminate()
            process.communicate()
            raise
        seconds = time.monotonic() - began
        if memory:
            memory.process = None
        if process.returncode != code:
            raise RuntimeError(f"sidesnap {' '.join(arguments)}: {out.decode()}{err.decode()}")
        return seconds, json.loads(out)

    def create(self, target, reference, memory=None):
        """As command(); "layer_bytes" is what the engine says of the new layer."""
        self.settle()
        seconds, result = self.command("create", target, "-t", reference, memory=memory)
        result["layer_bytes"] = self.engine.history(reference)[0]["Size"]
        return seconds, result

    def has_verb(self, verb):
        return self.sidesnap(verb, "--help", code=None).code == 0

    def remove_images(self, *references):
        """Newest first."""
        for reference in references:
            self.engine.remove_image(reference)

    def remove_volume(self, name):
        self.engine.call("DELETE", f"/volumes/{name}", {"force": "1"}, timeout=600)

    def files(self, *arguments, timeout=900):
        return shell(" ".join([self.program, *arguments]), timeout)

    def remove_everything(self):
        """What a case left: of an engine that is ours alone that is all but the databases and images."""
        kept = {database.container.id for database in self.databases.values()}
        kept_volumes = {database.volume for database in self.databases.values()}
        for container in self.engine.containers():
            if container["Id"] not in kept:
                self.engine.remove_container(container["Id"])
        for volume in self.engine.volumes():
            if volume not in kept_volumes:
                self.remove_volume(volume)
        for tag in self.engine.tags():
            if not tag.startswith("sidesnap-test/"):
                self.engine.remove_image(tag)
        for name in os.listdir(self.scratch):
            path = f"{self.scratch}/{name}"
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


class Database:
    """
    A PostgreSQL with pgbench's tables of a scale. Autovacuum is off, so that nothing changes
    between two measurements but what a case changes.
    """

    def __init__(self, bed, scale):
        self.bed, self.scale = bed, scale
        self.image = bed.images("postgres")
        self.name, self.volume = f"bench-db{scale}", f"bench-data{scale}"
        self.updates = 0
        bed.say(f"pgbench -i -s {scale}")
        bed.engine.volume(self.volume)
        self.path = bed.engine.volume_path(self.volume)
        self.container = self.start(self.name, self.image, self.volume)
        wait_for(lambda: self.query("select 1") is not None, "the server", 120, 0.2)
        self.container.exec(["pgbench", "-U", "postgres", "-i", "-q", "-s", str(scale), "postgres"], timeout=1800)
        self.container.exec(["psql", "-XqU", "postgres", "-c", "vacuum analyze", "-c", "checkpoint"], timeout=900)
        self.bytes = int(shell(f"du -sb {self.path}").split()[0])

    def start(self, name, image, volume):
        """image: PostgreSQL's, or a snapshot. A volume that is not there is made by the engine."""
        return self.bed.engine.run(
            name,
            image,
            ["postgres", "-c", "autovacuum=off"],
            {"Binds": [f"{volume}:{DATA}"]},
            Env=["POSTGRES_HOST_AUTH_METHOD=trust"],
        )

    def query(self, text, container=None):
        """The answer, over TCP; None when there is none."""
        code, out, _ = (container or self.container).exec(
            ["psql", "-XqAt", "-h", "127.0.0.1", "-U", "postgres", "-c", text], check=False
        )
        return out.strip() if code == 0 else None

    def until_first_query(self, container=None):
        container = container or self.container

        def answers():
            if self.query("select count(*) from pgbench_branches", container) is not None:
                return True
            assert container.state()["Running"], container.logs()[-2000:]
            return False

        wait_for(answers, "the first query", 600, 0.02)

    def update_some(self, container=None):
        """One row in every 100th heap page of the accounts, 61 rows each: other pages at every call."""
        row = self.updates % 100 * 61 + 1
        self.updates += 1
        rows = f"array(select generate_series({row}, {self.scale * 100000}, 6100))"
        text = f"update pgbench_accounts set abalance = abalance + 1 where aid = any({rows})"
        (container or self.container).exec(["psql", "-XqU", "postgres", "-c", text], timeout=600)

    def remove(self):
        self.container.remove()
        self.bed.remove_volume(self.volume)


class Case:
    """
    One row or more of the table. prepare(), round(number) as often as wanted, figures(); what is
    left is removed by the bed. note() keeps samples; a figure is made of their medians.
    """

    name = ""
    rounds = 5
    minutes = 4  # no further round begins after these, once there are three
    least_rounds = 3

    def __init__(self, bed, options):
        self.bed, self.options = bed, options
        self.samples, self.facts, self.lines = {}, {}, []

    def note(self, name, value):
        self.samples.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self.samples[name])

    def prepare(self):
        pass

    def round(self, number):
        raise NotImplementedError

    def finish(self):
        pass

    def compare(self, what, ours, with_, theirs, at_most=None, faster=None, unit="s"):
        """
        A figure against a baseline. at_most: ours may be so many times theirs; faster: theirs must
        be so many times ours.
        """
        line = self.add(what, unit, ours, with_, self.median(theirs))
        line["ratio"] = line["ours"] / line["theirs"]
        if at_most:
            self.judge(line, f"at most {at_most:g}x", line["theirs"] * at_most)
        elif faster:
            word = "less" if unit == "bytes" else "faster"
            self.judge(line, f"{faster:g}x {word}" if faster != 1 else f"not {OPPOSITE[word]}", line["theirs"] / faster)

    def limit(self, what, ours, limit, unit, why):
        """A figure against a limit in the same unit."""
        line = self.add(what, unit, ours, why, limit)
        line["ratio"] = line["ours"] / limit
        self.judge(line, "at most that", limit)

    def difference(self, what, ours, why, allowed, unit):
        """A figure that is a difference, so that a ratio would say nothing."""
        self.judge(self.add(what, unit, ours, why, None), f"at most {allowed:g} {unit}", allowed)

    def add(self, what, unit, ours, with_, theirs):
        line = {"what": what, "unit": unit, "ours": self.median(ours), "with": with_, "theirs": theirs}
        self.lines.append(line)
        return line

    @staticmethod
    def judge(line, aim, allowed):
        line.update({"aim": aim, "allowed": allowed, "met": bool(line["ours"] <= allowed)})

    def note_memory(self, memory, name="create"):
        self.note(f"{name}_agent_bytes", memory.agent)
        self.note(f"{name}_command_bytes", memory.command)
        self.note(f"{name}_memory_bytes", memory.agent + memory.command)

    def note_create(self, name, seconds, result):
        self.note(f"{name}_s", seconds)
        for part in ("layer_bytes", "frozen_ms", "hot_bytes"):
            self.note(f"{name}_{part}", result[part])

    def memory(self, what, name="create"):
        """Agent and command together, against the limit, for as many chunks as facts has."""
        chunks = self.facts["chunks"]
        self.limit(what, f"{name}_memory_bytes", 64 * MIB + 48 * chunks, "bytes", f"64 MiB and 48 bytes for each of {chunks} chunks")
