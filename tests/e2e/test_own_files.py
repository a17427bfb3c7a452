"""The container's own changed files: what is captured of them, and that the image reads right without us."""

import io
import os
import tarfile

import pytest

from conftest import Box
from support import trees
from support.api import Engine
from support.images import Images

CHANGES = r"""
echo changed >/etc/base.conf
chmod 0600 /etc/base.conf
chown 7:8 /etc/base.conf
mkdir -p /opt/app/empty
echo program >/opt/app/run
chmod 4755 /opt/app/run
ln /opt/app/run /opt/app/also
ln -s ../opt/app/run /etc/run-link
rm /etc/old/gone
mkfifo /opt/app/pipe
mknod /opt/app/null c 1 3
printf '' >/opt/app/nothing
touch -d '2001-02-03 04:05:06' /opt/app/run
# A directory replaces a file, a file a directory, a link a directory.
rm -rf /home && echo file >/home
rm -rf /root && ln -s /opt /root
rm /etc/extra.conf && mkdir /etc/extra.conf && echo inner >/etc/extra.conf/inner
dd if=/dev/urandom of=/opt/big bs=65536 count=40 2>/dev/null
chmod 0711 /usr/sbin
"""


@pytest.fixture
def container(box):
    made = box.run("db", "busybox", ["sleep", "1000"])
    made.exec(CHANGES)
    return made


def members(tar):
    """The files of an exported container that tests look at; engine's own mounts left out."""
    found = {}
    for member in tar:
        name = member.name.strip("/")
        top = name.split("/")[0]
        if top in ("proc", "sys", "dev", ".dockerenv", ".sidesnap") or name in (
            "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "etc",
        ):
            continue
        content = tar.extractfile(member).read() if member.isreg() else b""
        found[name] = (
            member.type if not member.islnk() else b"hard link",
            oct(member.mode & 0o7777),
            member.uid,
            member.gid,
            member.linkname,
            int(member.mtime) if not member.isdir() and not member.islnk() else 0,
            member.devmajor,
            member.devminor,
            hash(content),
        )
    return found


def exported(engine, container):
    return members(tarfile.open(fileobj=io.BytesIO(engine.call("GET", f"/containers/{container.id}/export"))))


def test_image_reads_right_without_us(box, sidesnap, container):
    """A container made of the snapshot and never started has the files: no boot is needed for them."""
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    assert result["own"]["files"] >= 6 and result["own"]["deleted"] >= 1
    image = box.create("image", tag)
    left, right = exported(box.engine, container), exported(box.engine, image)
    trees.only_difference("own files", left, right)


def test_booted_container_is_exact_to_the_nanosecond(box, sidesnap, container):
    """Commit cuts mtimes to seconds and drops user.* attributes; boot puts both right."""
    container.exec("echo t >/opt/precise")
    root = container.inspect()["GraphDriver"]["Data"].get("MergedDir")
    if not root or not os.path.isdir(root):
        pytest.skip("the engine's files cannot be seen from here")
    path = os.path.join(root, "opt/precise")
    os.utime(path, ns=(1, 1234567890123456789))
    os.setxattr(path, "user.note", b"kept")
    tag = box.tag()
    sidesnap.create(container.name, tag)
    copy = box.boot("copy", tag)
    path = os.path.join(copy.inspect()["GraphDriver"]["Data"]["MergedDir"], "opt/precise")
    assert os.lstat(path).st_mtime_ns == 1234567890123456789
    assert os.getxattr(path, "user.note") == b"kept"


def test_stopped_target_gives_the_same(box, sidesnap, container):
    container.stop(0)
    tag = box.tag()
    sidesnap.create(container.name, tag)
    image = box.create("image", tag)
    trees.only_difference("own files", exported(box.engine, container), exported(box.engine, image))


def test_removed_and_made_again_directory(box, sidesnap):
    """Overlay marks it opaque: what was in it must not shine through again."""
    container = box.run("db", "busybox", ["sleep", "1000"])
    container.exec("rm -rf /etc/old && mkdir /etc/old && echo new >/etc/old/new")
    tag = box.tag()
    sidesnap.create(container.name, tag)
    assert box.boot("copy", tag).exec("ls /etc/old") == "new\n"


@pytest.fixture
def fuse_box(engine, images):
    path = "/var/run/docker.sock"
    if engine.path == path:
        made = Box(engine, images)
    elif os.path.exists(path):
        made = Box(Engine("unix://" + path), Images(Engine("unix://" + path)))
    else:
        pytest.skip("the machine has no engine of its own")
    if made.engine.info()["Driver"] != "fuse-overlayfs":
        pytest.skip("the machine's own engine does not use fuse-overlayfs")
    yield made
    made.close()
    if engine.path != path:
        for tag in made.images.tags():
            made.engine.remove_image(tag)


def test_same_on_an_engine_with_fuse_overlayfs(fuse_box):
    """There /changes shows no deletions in such a directory at all."""
    container = fuse_box.run("db", "busybox", ["sleep", "1000"])
    container.exec(CHANGES + "rm -rf /etc/old && mkdir /etc/old && echo new >/etc/old/new")
    tag = fuse_box.tag()
    fuse_box.sidesnap.create(container.name, tag)
    image = fuse_box.create("image", tag)
    trees.only_difference("own files", exported(fuse_box.engine, container), exported(fuse_box.engine, image))


def test_mount_points_and_engine_files_are_not_own_files(box, sidesnap, scratch):
    """/changes lists mount points as added."""
    volume = box.volume("data", trees.make_small)
    trees.make_small(scratch)
    container = box.run(
        "db", "busybox", ["sleep", "1000"], [(volume, "/data"), (scratch, "/made/by/mount")],
        host={"Tmpfs": {"/fast": ""}},
    )
    container.exec("echo 10.0.0.1 other >>/etc/hosts; echo x >/fast/x; echo real >/made/real")
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    image = box.create("image", tag)
    files = exported(box.engine, image)
    assert "made/real" in files
    assert not any(n.startswith(("data/", "fast/", "made/by/mount/")) for n in files), files
    assert result["own"]["files"] < 5, result["own"]


def test_unchanged_container_adds_no_own_files(box, sidesnap):
    container = box.run("db", "busybox", ["sleep", "1000"])
    result = sidesnap.create(container.name, box.tag())
    assert result["own"] == {"files": 0, "bytes": 0, "deleted": 0}


def test_only_our_directory_is_added_to_the_image(box, sidesnap):
    """The injected agent lives under a random name, and is gone before the commit."""
    container = box.run("db", "busybox", ["sleep", "1000"])
    tag = box.tag()
    sidesnap.create(container.name, tag)
    image = box.create("image", tag)
    data = box.engine.call("GET", f"/containers/{image.id}/export")
    tops = {m.name.strip("/").split("/")[0] for m in tarfile.open(fileobj=io.BytesIO(data))}
    data = box.engine.call("GET", f"/containers/{container.id}/export")
    before = {m.name.strip("/").split("/")[0] for m in tarfile.open(fileobj=io.BytesIO(data))}
    assert tops - before == {".sidesnap"}, tops - before


def test_second_generation_keeps_own_files(box, sidesnap, container):
    """A container booted from a snapshot has them in its image: /changes is empty, they stay."""
    one, two = box.tag(), box.tag()
    sidesnap.create(container.name, one)
    copy = box.boot("copy", one)
    copy.exec("rm /opt/app/also; echo second >/opt/second")
    sidesnap.create(copy.name, two)
    again = box.boot("again", two)
    assert again.exec("cat /etc/base.conf /opt/second; ls /opt/app") == (
        "changed\nsecond\nempty\nnothing\nnull\npipe\nrun\n"
    )
    assert again.exec("ls -d /etc/old/gone 2>/dev/null || true") == ""


def test_container_that_was_made_again_from_the_old_image(box, sidesnap, container):
    """What compose does: same name, image of before, so the files of the first are not in the second."""
    sidesnap.create(container.name, box.tag())
    name = container.name
    container.remove()
    again = box.run("db", "busybox", ["sleep", "1000"])
    assert again.name == name
    tag = box.tag()
    sidesnap.create(name, tag)
    image = box.create("image", tag)
    trees.only_difference("own files", exported(box.engine, again), exported(box.engine, image))


def test_processes_of_the_host_are_never_read(box, sidesnap):
    """With pid: host, /proc/1/root is the machine's own root."""
    container = box.run("db", "busybox", ["sleep", "1000"], host={"PidMode": "host"})
    container.exec("echo own >/own-file")
    marker = "/var/tmp/sidesnap-host-marker"
    trees.write(marker, b"host")
    try:
        tag = box.tag()
        result = sidesnap("create", container.name, "-t", tag, code=None)
        if result.code == 0:
            image = box.create("image", tag)
            files = exported(box.engine, image)
            assert "own-file" in files and not any("host-marker" in n for n in files)
        else:
            assert "stop" in result.err, result
    finally:
        os.unlink(marker)


def test_hostile_names_in_the_layer(box, sidesnap):
    container = box.run("db", "busybox", ["sleep", "1000"])
    root = container.inspect()["GraphDriver"]["Data"].get("MergedDir")
    if not root or not os.path.isdir(root):
        pytest.skip("the engine's files cannot be seen from here")
    os.mkdir(os.path.join(root, "hostile"))
    names = [b"a\nb", b"\xff\xfe", b"n" * 240, b"'\"\\", b" ", b"--x", "ü".encode()]
    for name in names:
        trees.write(trees.join(root, "hostile", name), b"of " + name)
    tag = box.tag()
    sidesnap.create(container.name, tag)
    copy = box.boot("copy", tag)
    found = copy.inspect()["GraphDriver"]["Data"]["MergedDir"]
    assert sorted(os.listdir(trees.join(found, "hostile"))) == sorted(names)
    for name in names:
        with open(trees.join(found, "hostile", name), "rb") as file:
            assert file.read() == b"of " + name
