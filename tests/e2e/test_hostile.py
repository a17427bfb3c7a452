"""
Snapshots from somebody who means harm, pulled and then used with every verb: nothing of them is executed in a
helper, and nothing is written outside their trees.
"""

import io
import os
import subprocess
import tarfile
import time

import pytest

from support import trees
from support.cli import BUILD, DAMAGED, REFUSED, ROOT, USAGE, Sidesnap
from support.sharing import empty, far, near, team
from support.trees import Facts
from support.watch import HelperWatch, assert_confined

ESCAPES = "\x1b]0;evil\x07\x1b[2Jtitle\x9b31m"
TOUCH = "touch /pwned /data/pwned /dev/sidesnap/0/pwned"


def forge(near, repository, tag, files=None, **changes):
    """
    An image like the second snapshot with other files (their content, or what else they are, as members
    of tarfile.TarInfo) and another configuration, at the registry only.
    """
    made = near.engine.create(near.name("forge"), near.second)
    if files:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                if isinstance(content, bytes):
                    member.size = len(content)
                else:
                    for key, value in content.items():
                        setattr(member, key, value)
                tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
        near.engine.call("PUT", f"/containers/{made.id}/archive", {"path": "/"}, data.getvalue())
    config = {**near.engine.image(near.second)["Config"], **changes}
    near.engine.json("POST", "/commit", {"container": made.id, "repo": repository, "tag": tag}, config)
    made.remove()
    near.sidesnap("push", f"{repository}:{tag}")
    near.engine.remove_image(f"{repository}:{tag}")
    return f"{repository}:{tag}"


@pytest.fixture
def victim(near, far, registry, team, login):
    """On the far engine a container with data of its own, made from a good snapshot that was pulled."""
    empty(far)
    far.sidesnap = Sidesnap(far.engine.host, env=login)
    near.sidesnap("push", near.second, "--to", f"{team}:good")
    far.sidesnap("pull", f"{team}:good")
    volume = far.volume(f"victim{len(far.engine.volumes())}")
    container = far.boot("victim", f"{team}:good", mounts=[(volume, "/data")], StopSignal="SIGKILL")
    far.victim_volume = volume
    container.exec("echo mine >/data/mine; rm /data/file")
    yield container
    empty(far)


def assert_nothing_was_executed(far, victim):
    names = os.listdir(far.path(far.victim_volume))
    assert "pwned" not in names, names
    assert victim.exec("ls /pwned", check=False)[0] != 0


def use(far, victim, evil, folder, only=()):
    """
    Every verb that reads a snapshot, or those few, first those that only look. Gives the exit codes; none
    crashes, lets a terminal see escapes, has a helper that is not confined or writes beside where it is told to.
    """
    good = evil.rpartition(":")[0] + ":good"
    outside = os.path.join(folder, "outside")
    os.mkdir(outside)
    trees.write(os.path.join(outside, "canary"), b"alive")
    before = Facts(outside)
    lines = [
        ("ls",), ("ps",), ("tree",), ("show", evil), ("log", evil), ("verify", evil),
        ("diff", evil, victim.name), ("diff", good, evil), ("cat", f"{evil}:/data/more"),
        ("cp", f"{evil}:/data", os.path.join(folder, "data")),
        ("tag", evil, f"{far.name('tagged')}:x"), ("describe", evil, "-m", "mine"), ("push", evil),
        ("reset", victim.name, evil, "--yes"), ("replace", victim.name, evil, "--yes"), ("undo", victim.name, "--yes"),
        ("run", "--name", far.name("ran"), evil), ("prune", "--keep-last", "1", "--yes"),
    ]
    codes = {}
    far.sidesnap("pull", evil)
    with HelperWatch(far.engine) as watch:
        for line in lines:
            if only and line[0] not in only:
                continue
            result = far.sidesnap(*line, "--verbose", code=None)
            assert 0 <= result.code <= 10 and result.code != USAGE, result
            assert not {"\x1b", "\x07", "\x9b"} & set(result.out + result.err), result
            before.assert_equal(Facts(outside), f" after {line}")
            assert set(os.listdir(folder)) <= {"outside", "data"}, line
            codes[line[0]] = result.code
    for inspect in watch.creating():
        # An image's variables are those of its containers; the agent is static and reads none here.
        assert_confined({**inspect, "Config": {**inspect["Config"], "Env": []}})
    return codes


def test_hostile_configuration(near, far, victim, team, scratch):
    """Its own health check, ONBUILD, entrypoint, variables, and labels that would take a terminal over."""
    labels = dict(near.engine.image(near.second)["Config"]["Labels"])
    labels.update({key: ESCAPES for key in ("sidesnap.title", "sidesnap.notes", "sidesnap.source.container",
                                            "sidesnap.consistency", "sidesnap.created")})
    evil = forge(
        near, team, "evil", Labels=labels, OnBuild=[f"RUN {TOUCH}"], Entrypoint=["/bin/sh", "-c", TOUCH],
        Healthcheck={"Test": ["CMD-SHELL", TOUCH], "Interval": 100000000, "Retries": 9},
        Env=["PATH=/data:/bin", "LD_PRELOAD=/data/evil.so", "SIDESNAP_RESTORE=replace"], User="1000",
        Volumes={"/data": {}, "/etc": {}}, WorkingDir="/data",
    )
    codes = use(far, victim, evil, scratch)
    assert not any(code for verb, code in codes.items() if verb not in ("diff", "replace", "run")), codes
    victim = far.container("victim")
    with HelperWatch(far.engine) as watch:
        far.sidesnap("reset", victim.name, evil, "--no-safety", "--yes")
        time.sleep(0.3)
    assert watch.volumes <= {"sidesnap-state"}, "none is made for what its image declares"
    trees.assert_same(near_copy(near), far.path(far.victim_volume))
    assert_nothing_was_executed(far, victim)


def test_hostile_store_is_a_pipe(near, far, victim, team, scratch):
    """Nobody waits at it."""
    evil = forge(near, team, "pipe", {".sidesnap": {"type": tarfile.FIFOTYPE}})
    verbs = ("show", "verify", "diff", "cat", "cp", "describe", "push", "reset", "replace", "run")
    codes = use(far, victim, evil, scratch, verbs)
    for verb in ("verify", "diff", "cat", "cp", "reset", "replace"):
        assert codes[verb] == REFUSED, codes
    assert codes["run"]
    assert_nothing_was_executed(far, victim)


def store_of(near):
    """What the second snapshot has in /.sidesnap, but for the agent."""
    made = near.engine.create(near.name("read"), near.second)
    with made.archive("/.sidesnap") as tar:
        members = [m for m in tar if m.isreg() and not m.name.endswith("/agent")]
        files = {m.name: tar.extractfile(m).read() for m in members}
    made.remove()
    return files


def crafted(near, folder):
    """By number the changes that forge() wants: whole and well sealed, with the catalogs of that unit test."""
    make = ["make", "-C", ROOT, f"O={os.path.abspath(BUILD)}", "unit-programs", "TESTS=test_tree_hostile"]
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    subprocess.run(make, check=True, capture_output=True, env=environment)
    with open(os.path.join(folder, "manifest.json"), "wb") as file:
        file.write(store_of(near)[".sidesnap/manifest.json"])
    made = subprocess.run(
        [os.path.join(BUILD, "unit", "test_tree_hostile"), folder], check=True, capture_output=True, text=True
    )
    packs = {}
    for name in os.listdir(os.path.join(folder, "store", "packs")):
        with open(os.path.join(folder, "store", "packs", name), "rb") as file:
            packs[f".sidesnap/packs/{name}"] = file.read()
    labels = near.engine.image(near.second)["Config"]["Labels"]
    found = {}
    for number, digest in (line.split() for line in made.stdout.splitlines()):
        with open(os.path.join(folder, number, "manifest.json"), "rb") as file:
            files = {**packs, ".sidesnap/manifest.json": file.read()}
        found[int(number)] = {"files": files, "Labels": {**labels, "sidesnap.manifest": digest}}
    assert len(found) >= 10
    return found


def test_catalogs_that_climb(near, far, victim, team, scratch, tmp_path):
    """By "..", through a link of their own, by a name that begins at the root, by a hard link."""
    before = Facts(far.path(far.victim_volume))
    found = crafted(near, str(tmp_path))
    for number in (0, 1, 3, 6):
        evil = forge(near, team, f"climbs{number}", **found[number])
        folder = os.path.join(scratch, str(number))
        os.mkdir(folder)
        verbs = ("verify", "cp", "reset", *(() if number else ("diff", "cat", "replace", "run")))
        codes = use(far, victim, evil, folder, verbs)
        assert all(codes.values()) and {codes[v] for v in ("verify", "cp", "reset")} == {DAMAGED}, codes
        before.assert_equal(Facts(far.path(far.victim_volume)), f" after {number}")
        assert far.container("victim").status() == "running"
    assert_nothing_was_executed(far, far.container("victim"))


def link(target):
    return {"type": tarfile.SYMTYPE, "linkname": target}


def near_copy(near):
    """A volume with what the second snapshot holds, booted from it once."""
    if not hasattr(near, "copy_volume"):
        near.copy_volume = near.volume("second-copy")
        near.boot("second-copy", near.second, mounts=[(near.copy_volume, "/data")]).remove()
    return near.path(near.copy_volume)


def test_hostile_store_is_elsewhere(near, far, victim, team):
    """`/.sidesnap` and what is in it are links or a device without end: nothing of it is followed or read."""
    elsewhere = {
        "store": {".sidesnap": link("/etc")},
        "packs": {".sidesnap/packs": link("/proc/1/root/etc")},
        "manifest": {".sidesnap/manifest.json": link("/proc/self/environ")},
        "device": {".sidesnap": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}},
    }
    before = sorted(os.listdir(far.path(far.victim_volume)))
    for tag, files in elsewhere.items():
        evil = forge(near, team, tag, files)
        far.sidesnap("pull", evil)
        result = far.sidesnap("verify", evil, code=None)
        assert result.code in (DAMAGED, 2, REFUSED), (tag, result)
        result = far.sidesnap("reset", victim.name, evil, "--yes", code=None)
        assert result.code in (DAMAGED, 2, REFUSED), (tag, result)
        assert sorted(os.listdir(far.path(far.victim_volume))) == before, tag
        assert victim.status() == "running"
        far.sidesnap("show", evil, code=None)
    assert_nothing_was_executed(far, victim)


def test_hostile_content(near, far, victim, team):
    """A handful of changed bytes; unit tests of catalogs, packs and manifests try ten thousand of each."""
    files = store_of(near)
    for number, name in enumerate(sorted(files)):
        place = len(files[name]) * (number + 1) // (len(files) + 1)
        changed = bytearray(files[name])
        changed[place] ^= 1 << number % 8
        evil = forge(near, team, f"changed{number}", {name: bytes(changed)})
        far.sidesnap("pull", evil)
        far.sidesnap.fails(DAMAGED, "verify", evil)
        victim.exec("echo mine >/data/mine")
        before = Facts(far.path(far.victim_volume))
        result = far.sidesnap("reset", victim.name, evil, "--yes", code=None)
        assert result.code in (0, DAMAGED) and victim.status() == "running", (name, result)
        if result.code:
            before.assert_equal(Facts(far.path(far.victim_volume)), f" after a reset that failed: {name}")
        else:
            trees.assert_same(near_copy(near), far.path(far.victim_volume))
