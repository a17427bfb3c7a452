"""Every wrong thing people do has a message that names it, a way on, and its own exit code."""

import io
import json
import os
import tarfile
import time

import pytest

from support import trees
from support.api import wait_for
from support.cli import ENGINE, EXISTS, NO_SPACE, NOT_FOUND, REFUSED, UNSUPPORTED, USAGE, Sidesnap
from support.images import Images, archive
from support.relay import start_relay


@pytest.fixture
def db(box):
    return box.sleeper()


@pytest.mark.parametrize(
    "reference",
    ["UPPER", "a:b:c", "-x", "a b", "a:" + "t" * 129, "a//b", ":tag", "a@sha256:" + "0" * 64, "a:\u00e4", "..", "a:"],
)
def test_invalid_references(box, sidesnap, db, reference):
    before = box.engine.state()
    sidesnap.fails(USAGE, "create", db.name, f"--tag={reference}")
    assert box.engine.state() == before


def test_replace_by_a_snapshot_of_another_service(box, sidesnap, db):
    other = box.run("web", "busybox", ["sleep", "1000"], [(box.volume("pages", trees.make_small), "/pages")])
    tag = box.tag()
    sidesnap.create(other.name, tag)
    refused = sidesnap.fails(REFUSED, "replace", db.name, tag, says=[other.name, db.name, "--yes"])
    assert "volumes" in refused.err and db.status() == "running"
    sidesnap("replace", db.name, tag, "--yes")
    assert box.container("db").exec("ls -d /pages/file /data/file") == "/data/file\n/pages/file\n"


@pytest.mark.parametrize("options", [["--stopped", "--live"], ["--dry-run", "--force", "--fly"]])
def test_options_that_contradict(box, sidesnap, db, options):
    sidesnap.fails(USAGE, "create", db.name, *options)
    assert db.status() == "running" and not db.state()["Paused"]


def test_empty_target(sidesnap, db):
    assert sidesnap("create", "", code=None).code in (USAGE, NOT_FOUND)


VERBS_ON_SNAPSHOTS = ["show", "verify", "rm", "run", "replace"]


@pytest.mark.parametrize("verb", VERBS_ON_SNAPSHOTS)
@pytest.mark.parametrize("reference", ["a b", "a/-", "%2e"])
def test_reference_that_cannot_be_one(sidesnap, db, verb, reference):
    target = [db.name] if verb == "replace" else []
    sidesnap.fails(USAGE, verb, *target, reference, says=["no image reference", "NAME:TAG"])


def call(sidesnap, verb, reference, target, code, **more):
    words = [verb, target, reference] if verb == "replace" else [verb, reference]
    if verb == "replace":
        words.append("--yes")
    return sidesnap.fails(code, *words, **more)


@pytest.mark.parametrize("verb", VERBS_ON_SNAPSHOTS)
def test_unknown_snapshot(sidesnap, db, verb):
    call(sidesnap, verb, "no-such-snapshot:1", db.name, NOT_FOUND, says="no-such-snapshot")
    assert db.status() == "running"


@pytest.mark.parametrize("verb", VERBS_ON_SNAPSHOTS)
def test_image_that_is_no_snapshot(box, sidesnap, db, verb):
    call(sidesnap, verb, box.images("seeded"), db.name, USAGE, says="snapshot")
    assert db.status() == "running"
    assert box.engine.has_image(box.images("seeded")), "rm removed an image that is none of ours"


def relabelled(box, reference, **labels):
    """The same image with other labels."""
    made = box.engine.create(box.name("relabel"), reference, ["x"])
    tag = box.tag("relabelled")
    repository, _, name = tag.partition(":")
    config = box.engine.image(reference)["Config"]
    config["Labels"] = {**config["Labels"], **labels}
    box.engine.json("POST", "/commit", {"container": made.id, "repo": repository, "tag": name}, config)
    made.remove()
    return tag


@pytest.mark.parametrize("verb", ["show", "verify", "run", "replace"])
def test_newer_format(box, sidesnap, db, verb):
    tag = box.tag()
    sidesnap.create(db.name, tag)
    newer = relabelled(box, tag, **{"sidesnap.format": "99"})
    call(sidesnap, verb, newer, db.name, UNSUPPORTED, says=["99", "newer"])
    assert db.status() == "running"


def test_newer_format_in_the_manifest_stops_the_boot(box, sidesnap, db):
    """The label may be lost on the way; the manifest says it too, and its seal holds that."""
    tag = box.tag()
    sidesnap.create(db.name, tag)
    made = box.create("newer", tag, ["sleep", "1000"])
    manifest = made.archive("/.sidesnap/manifest.json").extractfile("manifest.json").read()
    assert b'"format":1' in manifest.replace(b" ", b"")
    newer = manifest.replace(b'"format":1', b'"format":3').replace(b'"format": 1', b'"format": 3')
    put(box, made, "/.sidesnap", "manifest.json", newer)
    made.start()
    assert made.wait() != 0
    assert made.logs().strip()


def put(box, container, directory, name, content, mode=0o644):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), mode
        tar.addfile(member, io.BytesIO(content))
    box.engine.call(
        "PUT", f"/containers/{container.id}/archive", {"path": directory}, data.getvalue(),
        {"Content-Type": "application/x-tar"},
    )


def test_snapshot_for_another_architecture(box, sidesnap, scratch, db):
    """Its image says arm64: our agent cannot run there, and nothing is made or stopped."""
    path = os.path.join(scratch, "arm.tar")
    tag = box.tag("arm")
    archive(path, tag, Images(box.engine).makers["busybox"]()[0], {"Cmd": ["sh"]})
    with tarfile.open(path) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar}
    manifest = json.loads(files["manifest.json"])
    config = json.loads(files.pop(manifest[0]["Config"]))
    config["architecture"] = "arm64"
    files["config.json"] = json.dumps(config).encode()
    manifest[0]["Config"] = "config.json"
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with open(path, "rb") as file:
        box.engine.load(file)
    container = box.create("arm", tag, ["sleep", "1"])
    result = sidesnap.fails(UNSUPPORTED, "create", container.name, "-t", box.tag("x"), says="arm64")
    assert not box.helpers(), result


def test_too_little_room_by_reserve(box, sidesnap, db):
    """--min-free above what there is: refused before anything is frozen."""
    tag = box.tag()
    result = sidesnap.fails(NO_SPACE, "create", db.name, "-t", tag, "--min-free", "900T", says="--min-free")
    assert not box.engine.has_image(tag) and not box.helpers(), result
    assert not db.state()["Paused"]


def test_sizes_are_understood(box, sidesnap, db):
    for size in ("0", "1", "100M", "1MiB", "1k", "1g"):
        sidesnap.create(db.name, box.tag(), "--min-free", size)
    sidesnap.fails(NO_SPACE, "create", db.name, "--dry-run", "--min-free", "900T", says="--min-free")
    sidesnap("create", db.name, "--dry-run", "--min-free", "1M")


def test_a_title_is_a_line_in_a_list(box, sidesnap, db):
    sidesnap.fails(USAGE, "create", db.name, "-t", box.tag(), "-m", "x" * 1001, says=["1001", "1000"])
    tag = box.tag()
    sidesnap.create(db.name, tag, "-m", "x" * 1000)
    assert box.engine.image(tag)["Config"]["Labels"]["sidesnap.title"] == "x" * 1000


@pytest.mark.parametrize("words", [["cre\nate"], ["create", "a\nb"], ["create", "--x\ny"], ["create", "a", "--min-free=1\nx"]])
def test_control_characters_are_not_printed(sidesnap, words):
    result = sidesnap.fails(USAGE, *words, says="\\x0a")
    assert "\x1b" not in sidesnap(*[w.replace("\n", "\x1b[31m") for w in words], code=USAGE).err, result


@pytest.fixture
def small(small_engine):
    """(engine, images) of the engine whose disk is small."""
    return small_engine, Images(small_engine)


def test_disk_full_in_the_helper(small):
    """The create ends before the disk does; the target never meets a full disk and is never left frozen."""
    engine, images = small
    engine.volume("full-data")
    container = engine.run(
        "full-db", images("busybox"), ["sh", "-c", "while :; do date >>/data/alive || echo FAILED; sleep 0.05; done"],
        {"Binds": ["full-data:/data"]},
    )
    free = os.statvfs(engine.volume_path("full-data"))
    room = free.f_bavail * free.f_frsize
    trees.write(trees.join(engine.volume_path("full-data"), "big"), trees.noise(int(room * 0.6)))
    sidesnap = Sidesnap(engine.host)
    before = engine.tags()
    try:
        for options in (("--min-free", "20M"), ("--min-free", "0")):
            result = sidesnap.fails(NO_SPACE, "create", container.name, "-t", "full:1", *options)
            assert "room" in result.err or "space" in result.err, result
            assert engine.tags() == before
            assert not engine.containers(label="sidesnap.role=helper")
            state = container.state()
            assert state["Running"] and not state["Paused"]
            free = os.statvfs(engine.volume_path("full-data"))
            assert free.f_bavail * free.f_frsize > room * 0.3, "what was written has been removed"
        assert "FAILED" not in container.logs()
    finally:
        engine.remove_container(container.id)
        engine.call("DELETE", "/volumes/full-data")


def test_no_reserve_left_is_seen_before_the_freeze(small):
    """With the default reserve of 1 GiB a disk of 300 MB is refused at once."""
    engine, images = small
    container = engine.run("small-db", images("busybox"), ["sleep", "1000"])
    try:
        result = Sidesnap(engine.host).fails(NO_SPACE, "create", container.name, says="--min-free")
        assert not engine.containers(label="sidesnap.role=helper"), result
    finally:
        engine.remove_container(container.id)


def test_existing_reference(box, sidesnap, db):
    result = sidesnap.fails(EXISTS, "create", db.name, "-t", box.images("seeded"), says="--force")
    assert result.err


def test_error_names_the_engines_own_words(box, sidesnap, db):
    """What the engine answers is never swallowed."""
    tag = box.tag()
    sidesnap.create(db.name, tag)
    result = sidesnap("run", tag, "--name", db.name, code=None)
    assert result.code == EXISTS and db.name in result.err, result


def test_engine_that_goes_away(box, scratch):
    """The connection ends in the middle: an error, not a wait for ever."""
    path = os.path.join(scratch, "relay.sock")
    relay = start_relay(("unix", path), ("unix", box.engine.path))
    box.cleanups.callback(relay.kill)
    volume = box.volume("data", trees.make_small)
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    sidesnap = Sidesnap("unix://" + path)
    process = sidesnap.at("helper/started", "sleep:2").start("create", container.name, "-t", box.tag())
    time.sleep(1)
    relay.kill()
    relay.wait()
    out, err = process.communicate(timeout=60)
    wait_for(lambda: not container.state()["Paused"], "the thaw")
    wait_for(lambda: not any(h["State"] == "running" for h in box.helpers()), "the helper ends", 40)
    box.sidesnap("doctor")
    assert not box.helpers()
    assert process.returncode == ENGINE, (process.returncode, out, err)
