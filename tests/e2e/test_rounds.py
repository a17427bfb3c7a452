"""
Rounds of random changes: a writer in the target never stops, each round takes a snapshot, restores it
elsewhere and compares that with what was there while the target was frozen, by programs that are not
ours. tests/README.md says how to run many.
"""

import os
import random
import signal
import time

import pytest

from conftest import booted
from support import trees
from support.api import wait_for
from support.cli import await_stop, go_on

ROUNDS = int(os.environ.get("SIDESNAP_TEST_ROUNDS", "6"))
SEED = int(os.environ.get("SIDESNAP_TEST_SEED", str(int(time.time()))))


class Frozen:
    """What the volume and the container's own directory held while the target was frozen."""

    def __init__(self, box, container, volume, word):
        self.facts = trees.Facts(box.path(volume), holes_matter=False)
        self.copy = box.volume(word)
        trees.run("cp", "-a", "--sparse=always", box.path(volume) + "/.", box.path(self.copy))
        own = own_path(container)
        self.own = own and own_facts(own)
        self.blocks = blocks_below(box.path(volume))
        assert container.state()["Paused"], "thawed while it was looked at"


def own_path(container):
    """Where the directory that the target changes in its own layer is seen from here."""
    state = container.state()
    return f"/proc/{state['Pid']}/root/srv/own" if state["Pid"] else None


def own_facts(path):
    """
    In a container's own layer only regular files keep their hard links, and nodes neither the fractions
    of their times nor attributes: docs/guide.md.
    """
    facts = trees.Facts(path, holes_matter=False)
    facts.acls = None  # among the attributes too
    for name, entry in facts.entries.items():
        if entry[0][:1] in b"pcl":
            kind, mode, user, group, changed, _ = entry[0].split()
            entry[0] = b" ".join((kind, mode, user, group, changed if kind == b"l" else b""))
            entry.pop()
    nodes = {escaped(n) for n, e in facts.entries.items() if e[0][:1] in b"pc"}
    facts.attributes = {n: v for n, v in facts.attributes.items() if n not in nodes}
    return facts


def escaped(name):
    """As getfattr writes it."""
    return b"".join(b"\\%03o" % c if c in b"\n\r\\" else bytes((c,)) for c in name)


def blocks_below(root):
    return sum(
        os.lstat(os.path.join(folder, name)).st_blocks
        for folder, _, names in os.walk(os.fsencode(root))
        for name in names
    )


def create_and_look(box, container, volume, tag, word):
    """A create that stops itself once it has frozen the target: what was frozen."""
    process = box.sidesnap.at("freeze/paused", "stop").start("create", container.name, "-t", tag, "--json")
    try:
        assert await_stop(process), process.communicate()
        frozen = Frozen(box, container, volume, word)
        process.send_signal(signal.SIGCONT)
        assert not await_stop(process), "frozen twice: it was thawed by somebody"
        go_on(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return frozen


def assert_restored(box, frozen, path, own=None):
    frozen.facts.assert_equal(trees.Facts(path, holes_matter=False))
    trees.assert_rsync_agrees(box.path(frozen.copy), path, (), "--checksum")
    # Small holes may be filled, since a file system's own blocks count as a file's; not large ones.
    assert blocks_below(path) <= frozen.blocks * 1.25 + 2048, "holes were filled"
    if own:
        frozen.own.assert_equal(own_facts(own), " of own files")


@pytest.fixture
def churned(box):
    """A target with a writer in its volume and one in its own layer."""
    print(f"SIDESNAP_TEST_SEED={SEED} SIDESNAP_TEST_ROUNDS={ROUNDS}")
    volume = box.volume("data")
    script = f"mkdir /srv/own; service churn /srv/own {SEED + 1} & exec service churn /data {SEED}"
    container = box.run(
        "db", "service", ["sh", "-c", script], [(volume, "/data")], Healthcheck={"Test": ["NONE"]}
    )
    wait_for(lambda: os.path.exists(box.path(volume) + "/mapped-0"), "the writer")
    return container, volume


def test_random_rounds(box, churned):
    """Each snapshot leans on the one before; what is restored is what was frozen, to the last bit."""
    container, volume = churned
    for number in range(ROUNDS):
        tag = box.tag("round")
        frozen = create_and_look(box, container, volume, tag, f"frozen{number}")
        restored = box.volume(f"copy{number}")
        copy = booted(box.boot(f"copy{number}", tag, ["sleep", "1000"], [(restored, "/data")]))
        try:
            assert_restored(box, frozen, box.path(restored), own_path(copy))
        except AssertionError as error:
            raise AssertionError(f"round {number}, seed {SEED}: {error}") from error
        copy.remove()
        for name in (restored, frozen.copy):
            box.engine.call("DELETE", f"/volumes/{name}")
        time.sleep(random.Random(SEED + number).random() * 0.5)


def spoil_state(box, choice):
    """What is known of the volumes is worth nothing at times: it may be gone, cut, damaged or of yesterday."""
    name = "sidesnap-state"
    if name not in box.engine.volumes() or choice == "as it is":
        return
    if choice == "deleted":
        box.engine.call("DELETE", f"/volumes/{name}")
        return
    for folder, _, names in os.walk(box.path(name)):
        for one in names:
            with open(os.path.join(folder, one), "r+b") as file:
                size = os.fstat(file.fileno()).st_size
                if choice == "cut":
                    file.truncate(size // 2)
                elif size:
                    file.seek(size // 2)
                    byte = file.read(1)
                    file.seek(size // 2)
                    file.write(bytes((byte[0] ^ 1,)))


def test_resets_to_random_earlier_snapshots(box, churned):
    """
    Of a chain of snapshots any may come back, in place, whatever was written since and whatever became
    of the state volume, with and without a safety snapshot; and snapshots of what came back are right.
    """
    container, volume = churned
    chance = random.Random(SEED)
    known = []
    for number in range(ROUNDS):
        tag = box.tag("round")
        known.append((tag, create_and_look(box, container, volume, tag, f"frozen{number}")))
        for again in range(1 + number % 2):
            reference, frozen = chance.choice(known)
            choice = chance.choice(["as it is", "as it is", "deleted", "cut", "damaged"])
            options = ["--no-safety"] if chance.random() < 0.5 else []
            told = f"round {number}.{again}, seed {SEED}, {reference}, state {choice}, {options}"
            spoil_state(box, choice)
            box.sidesnap("reset", container.name, reference, "--yes", "--no-start", *options)
            try:
                assert_restored(box, frozen, box.path(volume))
            except AssertionError as error:
                raise AssertionError(f"{told}: {error}") from error
            # Mostly it goes on writing; now and then the same is done to what was just restored.
            if again or chance.random() < 0.7:
                container.start()
                time.sleep(chance.random() * 0.5)
        if container.status() != "running":
            container.start()
