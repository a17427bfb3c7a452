"""A hostile tree through volume, image and boot: compared on the engine's own files."""

import os

import pytest

from support import trees


@pytest.mark.parametrize("image,user", [("scratch", None), ("nonroot", None), ("busybox", "12345")])
def test_hostile_volume_comes_back_exactly(box, sidesnap, image, user):
    """As root, as the image's USER and as --user: owners, modes, times, attributes, ACLs, holes, links, devices."""
    volume = box.volume("data", trees.make_hostile)
    command = ["sleep", "1000"] if image == "busybox" else None
    container = box.run("source", image, command, [(volume, "/data")], **({"User": user} if user else {}))
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    assert result["consistency"] == "frozen"
    copy = box.volume("copy")
    box.boot("copy", tag, mounts=[(copy, "/data")], **({"User": user} if user else {}))
    trees.assert_same(box.path(volume), box.path(copy))
    sidesnap("verify", tag)


def test_mount_points_own_metadata(box, sidesnap):
    """Mode, owner, times, ACL of the volume's root itself."""
    volume = box.volume("data")
    path = box.path(volume)
    os.chmod(path, 0o3710)
    os.chown(path, 123, 456)
    trees.run("setfacl", "-m", "u:55:rx", path)
    os.setxattr(path, "user.on-root", b"1")
    os.utime(path, ns=(1, 987654321123456789))
    container = box.run("source", "busybox", ["sleep", "1000"], [(volume, "/data")])
    tag = box.tag()
    sidesnap.create(container.name, tag)
    copy = box.volume("copy")
    box.boot("copy", tag, mounts=[(copy, "/data")])
    trees.assert_same(path, box.path(copy))
    assert os.stat(box.path(copy)).st_mtime_ns == 987654321123456789


def test_mark_is_not_captured(box, sidesnap):
    """Second generation: the mark of the first restore is no content."""
    volume = box.volume("data", trees.make_small)
    container = box.run("source", "busybox", ["sleep", "1000"], [(volume, "/data")])
    one, two = box.tag(), box.tag()
    first = sidesnap.create(container.name, one)
    copy = box.boot("copy", one)
    second = sidesnap.create(copy.name, two)
    assert first["trees"][0]["hash"] == second["trees"][0]["hash"]
    assert first["trees"][0]["entries"] == second["trees"][0]["entries"]


def test_same_content_has_the_same_hash_and_other_content_another(box, sidesnap):
    volume = box.volume("data", trees.make_small)
    container = box.run("source", "busybox", ["sleep", "1000"], [(volume, "/data")])
    first = sidesnap.create(container.name, box.tag())["trees"][0]["hash"]
    assert sidesnap.create(container.name, box.tag())["trees"][0]["hash"] == first
    os.chmod(os.path.join(box.path(volume), "file"), 0o600)
    assert sidesnap.create(container.name, box.tag())["trees"][0]["hash"] != first
