"""
Fixtures: an engine of our own where possible, the product's command on it, and a box for each test
that removes whatever was made and insists that the product left nothing behind.
"""

import contextlib
import itertools
import os
import re
import subprocess
import tempfile

import pytest

from support import trees
from support.api import Engine, EngineError, wait_for
from support.cli import Sidesnap, binary
from support.images import PREFIX, Images
from support.private_engine import NotPossible, PrivateEngine, newer_engine
from support.registry import PASSWORD, USER, Proxy, Registry, docker_config

counter = itertools.count(1)
SESSION = f"sst{os.getpid() % 10000}"


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: minutes rather than seconds")


@pytest.fixture(scope="session", autouse=True)
def programs():
    """Everything that is tested has been built; a missing program is a failure, never a skip."""
    assert os.path.exists(binary("sidesnap-agent")), f"{binary('sidesnap-agent')} is missing: run make"


@pytest.fixture(scope="session")
def private_engine():
    """The engine's process, or None where the machine's own engine is used."""
    wanted = os.environ.get("SIDESNAP_TEST_HOST")
    if wanted:
        yield None
        return
    try:
        private = PrivateEngine()
    except NotPossible as reason:
        print(f"no private engine ({reason}); using the machine's own")
        yield None
        return
    default_bridge = os.path.exists("/sys/class/net/docker0")
    yield private
    private.stop()
    assert os.path.exists("/sys/class/net/docker0") or not default_bridge, "the machine's engine lost its bridge"


@pytest.fixture(scope="session")
def engine(private_engine):
    if private_engine:
        found = private_engine.engine
    else:
        host = os.environ.get("SIDESNAP_TEST_HOST") or os.environ.get("DOCKER_HOST")
        found = Engine(host or "unix:///var/run/docker.sock")
        assert found.ping(), "no engine to test on: install docker.io, or run as root with dockerd"
    before = inventory(found)
    yield found
    if not found.exclusive:
        for tag in [t for t in found.tags() if t.startswith(PREFIX) and t.endswith(f":{os.getpid()}")]:
            found.remove_image(tag)
    left = inventory(found)
    assert left == before, f"tests left something behind: {left} instead of {before}"


def inventory(engine):
    """What must be the same after a session as before; on a shared engine only what is ours."""

    def ours(names):
        return sorted(n for n in names if engine.exclusive or SESSION in n)

    def is_ours(image):
        """One without a name is told by what it was made of."""
        source = (engine.image(image)["Config"].get("Labels") or {}).get("sidesnap.source.container", "")
        return engine.exclusive or source.startswith(SESSION)

    return {
        "containers": ours(c["Names"][0] for c in engine.containers()),
        "volumes": ours(engine.volumes()),
        "images": ours(",".join(t) for t in engine.images().values() if t and not any(PREFIX in x for x in t)),
        "dangling": sorted(i for i, t in engine.images().items() if not t and is_ours(i)),
        "networks": ours(engine.networks().values()),
    }


@pytest.fixture(scope="session")
def images(engine):
    return Images(engine)


class Box:
    """What one test makes. Volumes and images that the product makes are found by comparison."""

    def __init__(self, engine, images):
        self.engine = engine
        self.images = images
        self.host = engine.host
        self.sidesnap = Sidesnap(engine.host)
        self.number = next(counter)
        self.tag_number = itertools.count(1)
        self.helpers_may_stay = False
        self.before = self.seen()
        self.cleanups = contextlib.ExitStack()

    def seen(self):
        return {
            "containers": {c["Id"] for c in self.engine.containers()},
            "volumes": set(self.engine.volumes()),
            "networks": set(self.engine.networks()),
            "tags": set(self.engine.tags()),
        }

    def name(self, word):
        return f"{SESSION}-{self.number}-{word}"

    def tag(self, word="snap"):
        return f"{SESSION}-{self.number}-{word}{next(self.tag_number)}:test"

    def volume(self, word, fill=None, **body):
        """A named volume; fill(path) makes its content on the host's side."""
        name = self.name(word)
        self.engine.volume(name, **body)
        if fill:
            fill(self.path(name))
        return name

    def path(self, volume):
        """Where the volume is on this machine; a test that needs it cannot run on a far engine."""
        path = self.engine.volume_path(volume)
        if not os.access(path, os.R_OK | os.W_OK):
            pytest.skip(f"{path} cannot be looked at from here: needs root and a local engine")
        return path

    def run(self, word, image, command=None, mounts=(), host=None, **config):
        """A started container; mounts are (volume or path, path in it[, "ro"])."""
        container = self.create(word, image, command, mounts, host, **config)
        container.start()
        return container

    def sleeper(self, fill=trees.make_small, host=None, **config):
        """A busybox that sleeps, called "db", with what fill makes in its volume at /data."""
        volume = self.volume("data", fill)
        container = self.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")], host, **config)
        container.volume = volume
        return container

    def create(self, word, image, command=None, mounts=(), host=None, **config):
        host = dict(host or {})
        if mounts:
            host["Binds"] = [":".join(m) for m in mounts]
        host.setdefault("LogConfig", {"Type": "json-file"})
        config.setdefault("StopTimeout", 1)  # a shell as process 1 ignores TERM
        if ":" not in image:
            image = self.images(image)
        return self.engine.create(self.name(word), image, command, host, **config)

    def container(self, word):
        return self.engine.container(self.name(word) if not word.startswith(SESSION) else word)

    def boot(self, word, reference, command=None, mounts=(), host=None, wait=True, **config):
        """Plain `docker run` of a snapshot; back when the service has taken over from boot."""
        container = self.create(word, reference, command, mounts, host, **config)
        container.start()
        if wait:
            booted(container)
        return container

    def helpers(self):
        """The helpers of our containers; on a shared engine others have theirs too."""
        return [c for c in self.engine.containers(label="sidesnap.role=helper") if self.is_mine(c)]

    def safeties(self):
        """The references of our containers' safety snapshots."""
        found = []
        for identity, tags in self.engine.images().items():
            labels = self.engine.image(identity)["Config"].get("Labels") or {}
            mine = labels.get("sidesnap.source.container", "").startswith(self.name(""))
            if mine and labels.get("sidesnap.kind") == "safety":
                found += tags
        return found

    def paused(self):
        return [c["Names"][0] for c in self.engine.containers(status="paused")]

    def close(self):
        """Remove everything; the product's leftovers are failures."""
        problems = []
        if not self.helpers_may_stay:
            helpers = [c["Names"][0] for c in self.helpers()]
            if helpers:
                problems.append(f"helpers left behind: {helpers}")
            untagged = [
                i
                for i, tags in self.engine.images().items()
                if not tags and self.is_snapshot(i)
            ]
            if untagged:
                problems.append(f"snapshots without a tag left behind: {untagged}")
            problems += self.orphans()
        self.cleanups.close()
        for container in self.engine.containers():
            names = [n.lstrip("/") for n in container["Names"]]
            # Whatever was booted from a snapshot of ours has its labels, also without a name of ours.
            names.append((container.get("Labels") or {}).get("sidesnap.source.container", ""))
            mine = any(n.startswith(SESSION) for n in names)
            if self.engine.exclusive or mine or self.is_helper(container):
                self.engine.remove_container(container["Id"])
        for identity, tags in self.engine.images().items():
            ours = self.engine.exclusive and not any(t.startswith(PREFIX) for t in tags)
            for tag in tags:
                if not tag.startswith(PREFIX) and (ours or SESSION in tag):
                    self.engine.remove_image(tag)
            if not tags and (self.engine.exclusive or self.is_snapshot(identity)):
                self.engine.remove_image(identity)
        for volume in set(self.engine.volumes()) - self.before["volumes"]:
            if not self.engine.exclusive and not volume.startswith(SESSION):
                continue  # somebody else's; our anonymous ones went with their containers
            try:
                self.engine.call("DELETE", f"/volumes/{volume}", {"force": "1"})
            except EngineError as error:
                problems.append(f"volume {volume} cannot be removed: {error}")
        for network, name in self.engine.networks().items():
            if network in self.before["networks"] or not (self.engine.exclusive or name.startswith(SESSION)):
                continue
            self.engine.call("DELETE", f"/networks/{network}")
        assert not problems, "; ".join(problems)

    def orphans(self):
        """Anonymous volumes that no container has; on a shared engine nobody can tell whose they are."""
        if not self.engine.exclusive:
            return []
        used = {m.get("Name") for c in self.engine.containers() for m in c.get("Mounts") or []}
        left = {v for v in self.engine.volumes() if re.fullmatch("[0-9a-f]{64}", v)} - used - self.before["volumes"]
        return [f"anonymous volumes left behind: {sorted(left)}"] if left else []

    def is_mine(self, helper):
        """On a shared engine other people's helpers are none of our business."""
        target = (helper.get("Labels") or {}).get("sidesnap.target", "")
        known = {c["Id"]: c["Names"][0].lstrip("/") for c in self.engine.containers()}
        return self.engine.exclusive or known.get(target, "").startswith(SESSION)

    def is_snapshot(self, identity):
        try:
            labels = self.engine.image(identity)["Config"].get("Labels") or {}
        except EngineError:
            return False
        mine = self.engine.exclusive or labels.get("sidesnap.source.container", "").startswith(SESSION)
        return "sidesnap.role" in labels and mine

    def is_helper(self, container):
        role = (container.get("Labels") or {}).get("sidesnap.role")
        return role == "helper" and self.is_mine(container)


def booted(container, timeout=60):
    """Wait until boot has handed over; AssertionError with the log when the container ends instead."""
    seen = []

    def over():
        try:
            state = container.state()
            assert state["Running"], f"{container.name} ended ({state['ExitCode']}): {container.logs()}"
            # None of one that is about to end.
            rows = container.engine.json("GET", f"/containers/{container.id}/top")["Processes"] or []
        except EngineError:
            return False
        # Before us there is the runtime's own process; an init keeps our path on its command line for ever.
        commands = [" ".join(row) for row in rows]
        early = ("runc init", "runc:[", "crun init", "crun:[", "/proc/self/exe init", "[exe]")
        busy = any(
            ".sidesnap" in c and "init -- " not in c or any(word in c for word in early) for c in commands
        )
        # Twice, since ps can meet a process between two programs, with the name of neither.
        seen.append(bool(rows) and not busy)
        return seen[-2:] == [True, True]

    wait_for(over, f"{container.name} boots", timeout)
    return container


@pytest.fixture
def box(engine, images):
    made = Box(engine, images)
    yield made
    made.close()


@pytest.fixture
def sidesnap(box):
    return box.sidesnap


@pytest.fixture
def poisoned(box, sidesnap):
    """A running container, its volume, and a snapshot of it with which it does not come up."""
    script = "[ ! -e /data/poison ] || exit 9; sleep 1000"
    volume = box.volume("data")
    container = box.run("db", "busybox", ["sh", "-c", script], [(volume, "/data")])
    trees.write(trees.join(box.path(volume), "poison"), b"x")
    tag = box.tag()
    sidesnap.create(container.name, tag)
    os.unlink(box.path(volume) + "/poison")
    trees.write(trees.join(box.path(volume), "good"), b"good\n")
    return container, volume, tag


@pytest.fixture
def scratch(tmp_path_factory):
    """A directory on a real file system (tmpfs has no user xattrs on older kernels)."""
    path = f"/var/tmp/{SESSION}-{next(counter)}"
    os.mkdir(path)
    yield path
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


def left_out(reason):
    """Skips only what somebody has asked to be left out; else it is a failure."""
    if os.environ.get("SIDESNAP_TEST_NEWER_ENGINE") == "no" or os.environ.get("SIDESNAP_TEST_HOST"):
        pytest.skip(reason)
    pytest.fail(f"{reason}; SIDESNAP_TEST_NEWER_ENGINE=no leaves the tests out that need two engines")


@pytest.fixture(scope="session")
def newer():
    """A private engine that has nothing, of Debian's testing, with the containerd image store."""
    if os.environ.get("SIDESNAP_TEST_NEWER_ENGINE") == "no":
        pytest.skip("left out by SIDESNAP_TEST_NEWER_ENGINE=no")
    try:
        private = PrivateEngine(tree=newer_engine())
    except NotPossible as reason:
        left_out(f"there is no newer engine: {reason}")
    info = private.engine.info()
    assert "containerd" in str(info["DriverStatus"]), info
    print(f"the newer engine is Docker {info['ServerVersion']}")
    yield private
    private.stop()


@pytest.fixture(scope="session")
def small_engine():
    """A private engine on a disk of 300 MB."""
    try:
        private = PrivateEngine(disk_bytes=300 << 20)
    except NotPossible as reason:
        pytest.skip(f"needs a private engine: {reason}")
    yield private.engine
    private.stop()


# ---- a registry ----


@pytest.fixture(scope="module")
def registry(private_engine):
    """On the bridge of the tests' engine, so that it must be trusted before it is used."""
    if not private_engine:
        left_out("needs a private engine, whose machine this is")
    found = Registry(f"10.{213 + private_engine.number}.0.1")
    found.be_trusted()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def proxy(registry):
    found = Proxy(registry)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def login(registry, proxy):
    """The environment of somebody who is logged in at both."""
    with tempfile.TemporaryDirectory() as directory:
        known = (USER, PASSWORD)
        yield {"DOCKER_CONFIG": docker_config(directory, **{registry.host: known, proxy.host: known})}
