"""Which mounts are captured, how, and which never: volumes, binds, tmpfs, sockets, nested and doubled."""

import os
import socket

import pytest

from support import trees
from support.cli import REFUSED, USAGE
from support.watch import HelperWatch, PauseWatch, assert_confined

NEVER = USAGE  # no option allows it


def paths_of(result):
    return sorted(sorted(t["paths"]) for t in result["trees"])


def left_out(result):
    return {n["path"]: n for n in result["not_captured"]}


def test_tmpfs_mounts_are_listed_and_do_not_stop_the_create(box, sidesnap):
    """`--volumes-from` fails on a target with `type: tmpfs` mounts; and they hold nothing to keep."""
    volume = box.volume("data", trees.make_small)
    container = box.run(
        "db",
        "busybox",
        ["sleep", "1000"],
        host={
            "Mounts": [
                {"Type": "volume", "Source": volume, "Target": "/data"},
                {"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": {"SizeBytes": 1 << 20}},
            ],
            "Tmpfs": {"/run": "size=1m"},
        },
    )
    container.exec("echo temporary >/scratch/x; echo temporary >/run/x")
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    assert paths_of(result) == [["/data"]]
    assert {"/scratch", "/run"} <= set(left_out(result))
    assert left_out(result)["/scratch"]["type"] == "tmpfs"
    copy = box.boot("copy", tag)
    assert copy.exec("cat /scratch/x /run/x || true") == ""
    assert copy.exec("cat /data/file") == "hello\n"


def test_engine_socket_never_reaches_a_helper(box, sidesnap):
    """Read-only does not stop connect(): whoever has the socket has the machine."""
    volume = box.volume("data", trees.make_small)
    container = box.run(
        "db", "busybox", ["sleep", "1000"], [(volume, "/data"), (box.engine.path, "/var/run/docker.sock")]
    )
    with HelperWatch(box.engine) as watch:
        result = sidesnap.create(container.name, box.tag())
    assert paths_of(result) == [["/data"]]
    assert "/var/run/docker.sock" in left_out(result)
    for inspect in watch.creating():
        assert_confined(inspect)


def test_including_a_socket_is_refused(box, sidesnap):
    container = box.run("db", "busybox", ["sleep", "1000"], [(box.engine.path, "/docker.sock")])
    sidesnap.fails(NEVER, "create", container.name, "--include", "/docker.sock", says="socket")


def test_including_a_directory_with_the_socket_is_refused(box, sidesnap):
    """A path that contains the engine's socket is as good as the socket."""
    container = box.run(
        "db", "busybox", ["sleep", "1000"], [(os.path.dirname(box.engine.path), "/host-run")]
    )
    with HelperWatch(box.engine) as watch:
        sidesnap.fails(NEVER, "create", container.name, "--include", "/host-run", says="socket")
    for inspect in watch.inspects.values():
        assert_confined(inspect)
        assert not any(box.engine.path.startswith(m.get("Source", "?") + "/") for m in inspect["Mounts"])


def test_including_a_device_is_refused(box, sidesnap):
    container = box.run(
        "db", "busybox", ["sleep", "1000"], [("/dev/null", "/the-device")], host={"Privileged": False}
    )
    sidesnap.fails(NEVER, "create", container.name, "--include", "/the-device", says="device")


def test_bind_mounts_are_captured_only_when_asked(box, sidesnap, scratch):
    trees.make_small(scratch)
    container = box.run("db", "busybox", ["sleep", "1000"], [(scratch, "/host")])
    without, given = box.tag(), box.tag()
    result = sidesnap.create(container.name, without)
    assert paths_of(result) == [] and left_out(result)["/host"]["type"] == "bind"
    assert "--include" in left_out(result)["/host"]["reason"] + sidesnap(
        "create", container.name, "--dry-run"
    ).out
    result = sidesnap.create(container.name, given, "--include", "/host")
    assert paths_of(result) == [["/host"]] and result["trees"][0]["kind"] == "bind"
    copy = box.volume("copy")
    box.boot("copy", given, mounts=[(copy, "/host")])
    trees.assert_same(scratch, box.path(copy))


def test_included_single_file_becomes_an_own_file(box, sidesnap, scratch):
    path = os.path.join(scratch, "app.conf")
    trees.write(path, b"configured\n", 0o640)
    container = box.run("db", "busybox", ["sleep", "1000"], [(path, "/etc/app.conf", "ro")])
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    assert "/etc/app.conf" in left_out(result)
    tag = box.tag()
    result = sidesnap.create(container.name, tag, "--include", "/etc/app.conf")
    assert "/etc/app.conf" not in left_out(result)
    assert box.boot("copy", tag).exec("cat /etc/app.conf") == "configured\n"
    image = box.create("image", tag)
    assert image.archive("/etc/app.conf").extractfile("app.conf").read() == b"configured\n"


def test_include_of_a_path_that_is_no_mount(box, sidesnap):
    container = box.run("db", "busybox", ["sleep", "1000"])
    result = sidesnap.fails(3, "create", container.name, "--include", "/nowhere", says="/nowhere")
    assert result


def test_excluded_volume_and_directory(box, sidesnap):
    one, two = box.volume("one", trees.make_small), box.volume("two", trees.make_small)
    container = box.run("db", "busybox", ["sleep", "1000"], [(one, "/one"), (two, "/two")])
    tag = box.tag()
    result = sidesnap.create(container.name, tag, "--exclude", "/one", "--exclude", "/two/dir")
    assert paths_of(result) == [["/two"]]
    assert "/one" in left_out(result)
    copy = box.volume("copy")
    box.boot("copy", tag, mounts=[(copy, "/two")])
    assert not os.path.exists(os.path.join(box.path(copy), "dir"))
    assert os.path.exists(os.path.join(box.path(copy), "file"))


def test_anonymous_volumes_are_captured(box, sidesnap):
    container = box.run("db", "seeded")
    container.exec("echo new >/data/new; rm /data/seed.txt")
    tag = box.tag()
    assert paths_of(sidesnap.create(container.name, tag)) == [["/data"]]
    copy = box.boot("copy", tag)
    assert copy.exec("ls /data").split() == ["inner", "new"]


def test_one_volume_at_two_paths(box, sidesnap):
    """Captured once, both paths in the manifest, restored at each."""
    volume = box.volume("data", lambda p: trees.write(trees.join(p, "f"), trees.noise(1 << 20)))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/a"), (volume, "/b")])
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    assert paths_of(result) == [["/a", "/b"]]
    assert result["bytes"] < 2 << 20
    assert set(box.engine.image(tag)["Config"]["Volumes"]) == {"/a", "/b"}
    one, two = box.volume("copy-a"), box.volume("copy-b")
    box.boot("copy", tag, mounts=[(one, "/a"), (two, "/b")])
    trees.assert_same(box.path(volume), box.path(one))
    trees.assert_same(box.path(volume), box.path(two))
    shared = box.volume("shared")
    box.boot("shared", tag, mounts=[(shared, "/a"), (shared, "/b")])
    trees.assert_same(box.path(volume), box.path(shared))


def test_overlapping_binds(box, sidesnap, scratch):
    """/all holds /all/part, which is mounted a second time elsewhere."""
    trees.make_small(scratch)
    container = box.run(
        "db", "busybox", ["sleep", "1000"], [(scratch, "/all"), (os.path.join(scratch, "dir"), "/part")]
    )
    tag = box.tag()
    result = sidesnap.create(container.name, tag, "--include", "/all", "--include", "/part")
    assert result["bytes"] < 350000, "the overlap was captured twice"
    assert "/all" in str(paths_of(result)) and "/part" in str(paths_of(result))
    copy = box.boot("copy", tag)
    assert copy.exec("md5sum </all/dir/inner") == copy.exec("md5sum </part/inner")
    assert copy.exec("cat /all/file") == "hello\n"


def test_volume_nested_in_another(box, sidesnap):
    """Mounted over each other the inner one would hide a directory of the outer, or be doubled."""
    outer, inner = box.volume("outer", trees.make_small), box.volume("inner")
    trees.write(trees.join(box.path(inner), "deep"), b"inner volume\n")
    os.mkdir(os.path.join(box.path(outer), "nested"))
    container = box.run(
        "db", "busybox", ["sleep", "1000"], [(outer, "/data"), (inner, "/data/nested")]
    )
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    assert paths_of(result) == [["/data"], ["/data/nested"]]
    copies = box.volume("copy-outer"), box.volume("copy-inner")
    copy = box.boot("copy", tag, mounts=[(copies[0], "/data"), (copies[1], "/data/nested")])
    assert copy.exec("ls /data/nested") == "deep\n"
    # The mount point itself lies below the inner volume, where nobody can reach it.
    trees.assert_same(box.path(outer), box.path(copies[0]), skip=["nested"])
    trees.assert_same(box.path(inner), box.path(copies[1]))
    anonymous = box.boot("anonymous", tag)
    assert anonymous.exec("cat /data/nested/deep /data/file") == "inner volume\nhello\n"


def test_other_writers_are_frozen_too_and_readers_are_not(box, sidesnap):
    volume = box.volume("data", trees.make_small)
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    writer = box.run("writer", "busybox", ["sleep", "1000"], [(volume, "/elsewhere")])
    box.run("reader", "busybox", ["sleep", "1000"], [(volume, "/data", "ro")])
    with PauseWatch(box.engine) as watch:
        result = sidesnap.create(container.name, box.tag())
    assert watch.seen == {container.name, writer.name} == set(result["frozen"])
    assert not box.paused()


def test_writer_that_may_not_be_frozen(box, sidesnap):
    """The create fails unless live is asked for, and then the label says live."""
    volume = box.volume("data", trees.make_small)
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    writer = box.run(
        "writer", "busybox", ["sleep", "1000"], [(volume, "/data")], Labels={"sidesnap.freeze": "false"}
    )
    tag = box.tag()
    with PauseWatch(box.engine) as watch:
        sidesnap.fails(REFUSED, "create", container.name, "-t", tag, says=[writer.name, "--live"])
    assert not watch.seen and not box.engine.has_image(tag)
    assert sidesnap.create(container.name, tag, "--live")["consistency"] == "live"


def test_reader_that_may_not_be_frozen_does_not_matter(box, sidesnap):
    volume = box.volume("data", trees.make_small)
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    box.run(
        "reader", "busybox", ["sleep", "1000"], [(volume, "/data", "ro")], Labels={"sidesnap.freeze": "false"}
    )
    assert sidesnap.create(container.name, box.tag())["consistency"] == "frozen"


def test_sockets_in_a_volume_are_listed(box, sidesnap):
    volume = box.volume("data", trees.make_small)
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.join(box.path(volume), "x.sock"))
    result = sidesnap.create(container.name, box.tag())
    server.close()
    assert left_out(result)["/data/x.sock"]["type"] == "socket", result["not_captured"]


def test_image_volumes_of_the_base_make_no_volumes(box, sidesnap):
    """A helper of an image with VOLUME would seed an anonymous volume at every create."""
    container = box.run("db", "seeded")
    with HelperWatch(box.engine) as watch:
        sidesnap.create(container.name, box.tag())
    assert watch.volumes == set()
    assert watch.creating()


def test_target_without_volumes(box, sidesnap):
    container = box.run("db", "busybox", ["sleep", "1000"])
    container.exec("echo own >/own")
    tag = box.tag()
    assert paths_of(sidesnap.create(container.name, tag)) == []
    assert box.boot("copy", tag).exec("cat /own") == "own\n"


@pytest.mark.parametrize("how", ["bind", "volume"])
def test_read_only_mounts(box, sidesnap, how, scratch):
    """A volume that the target mounts read-only is state all the same."""
    volume = box.volume("data", trees.make_small)
    mounts = [(volume, "/data", "ro")] if how == "volume" else [(scratch, "/data", "ro")]
    container = box.run("db", "busybox", ["sleep", "1000"], mounts)
    result = sidesnap.create(container.name, box.tag())
    assert paths_of(result) == ([["/data"]] if how == "volume" else [])
