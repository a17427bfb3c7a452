"""A snapshot image with one byte changed: verify finds it, and no service is started on it."""

import io
import random
import tarfile

import pytest

from support import trees
from support.cli import DAMAGED


@pytest.fixture(scope="module")
def places():
    return random.Random(20260131)


class Snapshot:
    """A snapshot, and copies of it with single files changed."""

    def __init__(self, box, sidesnap):
        self.box = box
        volume = box.volume("data", trees.make_small)
        self.container = box.run("db", "service", ["sh", "-c", "echo own >/own; exec sleep 1000"], [(volume, "/data")])
        self.tag = box.tag()
        sidesnap.create(self.container.name, self.tag)
        made = box.create("files", self.tag)
        self.files = {}
        tar = made.archive("/.sidesnap")
        for member in tar:
            if member.isreg():
                self.files[member.name.split("/", 1)[1]] = tar.extractfile(member).read()
        made.remove()

    def changed(self, name, content):
        """The tag of an image like the snapshot, with this content of /.sidesnap/NAME."""
        made = self.box.create("change", self.tag)
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
        engine = self.box.engine
        engine.call("PUT", f"/containers/{made.id}/archive", {"path": "/.sidesnap"}, data.getvalue())
        tag = self.box.tag("damaged")
        repository, _, version = tag.partition(":")
        config = engine.image(self.tag)["Config"]
        engine.json("POST", "/commit", {"container": made.id, "repo": repository, "tag": version}, config)
        made.remove()
        return tag


@pytest.fixture
def snapshot(box, sidesnap):
    return Snapshot(box, sidesnap)


def flipped(content, place, bit):
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def test_there_is_what_the_format_says(snapshot, sidesnap):
    names = set(snapshot.files)
    assert {"agent", "manifest.json"} <= names and any(n.startswith("packs/") for n in names), names
    result = sidesnap.json("verify", snapshot.tag)
    assert result["ok"] is True and result["packs"] >= 1 and result["entries"] >= 6 and result["chunks"] >= 1


def test_flipped_bytes_are_found_and_stop_the_boot(box, snapshot, sidesnap, places):
    """
    Bytes of the manifest and of every pack (catalog chunks are in packs too). The whole space is gone
    through by test_store_damage on a store on disk; here a sample goes the whole way.
    """
    tried = 0
    for name, content in sorted(snapshot.files.items()):
        if name == "agent":
            continue
        count = 4
        for place in sorted(places.sample(range(len(content)), min(count, len(content)))):
            damaged = snapshot.changed(name, flipped(content, place, place % 8))
            result = sidesnap("verify", damaged, code=None)
            assert result.code == DAMAGED, (name, place, result)
            assert result.err.strip(), result
            copy = box.create("copy", damaged, ["sh", "-c", "echo SERVICE STARTED"])
            copy.start()
            assert copy.wait() != 0, (name, place, copy.logs())
            assert "SERVICE STARTED" not in copy.logs(), (name, place)
            copy.remove()
            tried += 1
    assert tried >= 8


def test_changed_agent_is_found(snapshot, sidesnap):
    content = snapshot.files["agent"]
    damaged = snapshot.changed("agent", flipped(content, len(content) // 2, 0))
    sidesnap.fails(DAMAGED, "verify", damaged, says="agent")


def test_truncated_pack_is_found(box, snapshot, sidesnap):
    name = next(n for n in snapshot.files if n.startswith("packs/"))
    damaged = snapshot.changed(name, snapshot.files[name][:-1])
    sidesnap.fails(DAMAGED, "verify", damaged)
    copy = box.create("copy", damaged, ["sh", "-c", "echo SERVICE STARTED"])
    copy.start()
    assert copy.wait() != 0 and "SERVICE STARTED" not in copy.logs()


def test_changed_own_file_is_found(box, snapshot, sidesnap):
    """Own files lie in the layer; their hashes are in the catalog."""
    made = box.create("change", snapshot.tag)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("own")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    box.engine.call("PUT", f"/containers/{made.id}/archive", {"path": "/"}, data.getvalue())
    tag = box.tag("damaged")
    repository, _, version = tag.partition(":")
    box.engine.json(
        "POST", "/commit", {"container": made.id, "repo": repository, "tag": version},
        box.engine.image(snapshot.tag)["Config"],
    )
    sidesnap.fails(DAMAGED, "verify", tag, says="own")


def test_verify_runs_nothing_of_the_image(box, snapshot, sidesnap):
    """A pulled snapshot is untrusted: its own agent is not what verifies it."""
    evil = snapshot.changed("agent", b"#!/bin/sh\necho ok; exit 0\n")
    sidesnap.fails(DAMAGED, "verify", evil)


def test_verify_does_not_touch_the_engine(box, snapshot, sidesnap):
    before = box.engine.state()
    sidesnap("verify", snapshot.tag)
    assert box.engine.state() == before


def test_damage_leaves_the_volume_unfinished_not_wrong(box, snapshot, sidesnap):
    """A boot that was stopped by damage does not mark the volume as restored."""
    name = max((n for n in snapshot.files if n.startswith("packs/")), key=lambda n: len(snapshot.files[n]))
    content = snapshot.files[name]
    damaged = snapshot.changed(name, flipped(content, len(content) // 3, 3))
    volume = box.volume("copy")
    copy = box.create("copy", damaged, ["true"], [(volume, "/data")])
    copy.start()
    assert copy.wait() != 0
    box.boot("good", snapshot.tag, ["sleep", "1000"], [(volume, "/data")])
    trees.assert_same(box.path(box.name("data")), box.path(volume))
