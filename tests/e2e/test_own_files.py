"""The container's own changed files: what is captured of them, and that the image reads right without us."""

import io
import json
import os
import tarfile
import time

import pytest

from conftest import Box
from support import trees
from support.api import Engine, wait_for
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


def create_with_changes_after_the_precopy(box, container, script):
    """A create; the script runs in the target when the pre-copy is over and the freeze not on yet."""
    tag = box.tag()
    process = box.sidesnap.at("create/precopied", "sleep:6").start("create", container.name, "-t", tag, "--json")
    wait_for(lambda: any(h["State"] == "running" for h in box.helpers()), "the helper", 60)
    time.sleep(1.5)
    container.exec(script)
    assert not container.state()["Paused"], "the changes came too late to prove anything"
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    return tag, json.loads(out)


def test_what_changes_after_the_precopy_is_captured(box, sidesnap):
    """Copied up, made, removed, replaced by another type: found without a list of changes."""
    container = box.run("db", "busybox", ["sleep", "1000"])
    container.exec("mkdir /mine && echo one >/mine/stays && echo two >/mine/goes")
    tag, _result = create_with_changes_after_the_precopy(
        box, container, CHANGES + "rm /mine/goes; echo three >/mine/comes; chmod 0600 /mine/stays"
    )
    image = box.create("image", tag)
    trees.only_difference("own files", exported(box.engine, container), exported(box.engine, image))
    # And once more, over the snapshot: back to what it was, as far as a shell can.
    tag, _result = create_with_changes_after_the_precopy(
        box, container, "rm -rf /opt/app /etc/extra.conf /home /root; mkdir /home /root; echo new >/etc/old/new; mv /mine /yours"
    )
    image = box.create("again", tag)
    trees.only_difference("own files", exported(box.engine, container), exported(box.engine, image))


def test_stores_to_a_mapped_own_file(box):
    """No time tells of the stores after the first: the snapshot has them as they were when it was frozen."""
    container = box.run("db", "service", ["service", "mapped", "/page"])
    root = container.inspect()["GraphDriver"]["Data"].get("MergedDir")
    if not root or not os.path.isdir(root):
        pytest.skip("the engine's files cannot be seen from here")
    wait_for(lambda: os.path.exists(root + "/page"), "the writer")
    time.sleep(0.3)
    for _ in range(3):
        tag = box.tag()
        process = box.sidesnap.at("freeze/paused", "sleep:1").start("create", container.name, "-t", tag)
        wait_for(lambda: container.state()["Paused"], "the freeze", 60)
        with open(root + "/page", "rb") as file:
            wanted = file.read()
        assert container.state()["Paused"]
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out, err)
        image = box.create("image", tag)
        assert image.archive("/page").extractfile("page").read() == wanted
        image.remove()


def test_twenty_thousand_own_files_are_read_once(box, sidesnap):
    container = box.run("db", "busybox", ["sleep", "1000"])
    container.exec(
        "mkdir /many; for d in $(seq 100); do mkdir /many/$d; cd /many/$d;"
        " for f in $(seq 200); do echo $d.$f >$f; done; done",
        timeout=120,
    )
    time.sleep(0.2)
    first, second = box.tag(), box.tag()
    one = sidesnap.create(container.name, first)
    assert one["own"]["files"] == 20000 and one["hot_bytes"] == 0, one
    container.exec("rm -r /many/7; echo changed >/many/8/8; rm /many/9/9; mkdir /many/9/9; echo in >/many/9/9/in")
    time.sleep(0.2)
    two = sidesnap.create(container.name, second)
    assert two["own"]["files"] == 20000 - 200 and two["hot_bytes"] < 100, two
    assert box.engine.history(second)[0]["Size"] < 1 << 20, "the second layer has the unchanged files again"
    image = box.create("image", second)
    trees.only_difference("own files", exported(box.engine, container), exported(box.engine, image))


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


def test_links_to_names_without_ascii(box, sidesnap):
    """Of a stopped container: such a target is in the engine's archive in another place than others are."""
    container = box.run("db", "busybox", ["sleep", "1000"])
    links = [("first", b"\xff\xfe"), ("second", "данные".encode()), ("third", b"plain")]
    for name, target in links:
        octal = "".join(f"\\{byte:03o}" for byte in target)
        container.exec(f"mkdir -p /opt && ln -s \"$(printf '{octal}')\" /opt/{name}")
    container.stop()
    tag = box.tag()
    sidesnap.create(container.name, tag)
    copy = box.boot("copy", tag)
    found = dict(links)
    for name in found:
        assert os.readlink(f"/proc/{copy.state()['Pid']}/root/opt/{name}".encode()) == found[name]


def test_image_that_was_built_on_a_snapshot_is_no_base(box, sidesnap, container, tmp_path):
    """It has the snapshot's labels, and files that the container never had; the snapshot is in no list any more."""
    tag, built, second = box.tag(), box.tag("built"), box.tag("second")
    sidesnap.create(container.name, tag)
    (tmp_path / "Dockerfile").write_text(
        f"FROM {tag}\nUSER 0\nENTRYPOINT []\nRUN echo built >/etc/built && rm -r /opt/app\nCMD [\"true\"]\n"
    )
    box.engine.build(str(tmp_path), built)
    box.engine.remove_image(tag)
    sidesnap.create(container.name, second)
    layers = [box.engine.image(name)["RootFS"]["Layers"] for name in (built, second)]
    assert layers[0][-1] not in layers[1]
    image = box.create("image", second)
    found = exported(box.engine, image)
    image.remove()
    assert "etc/built" not in found and "opt/app/run" in found
