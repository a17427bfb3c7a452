"""cat and cp: files and folders out of a snapshot, as a container of it would see them, without a boot."""

import io
import os
import subprocess
import tarfile

import pytest

from conftest import Box
from support.cli import EXISTS, NOT_FOUND, USAGE, Terminal

# /data and, within it, /data/inner are volumes; the rest are own files.
FILL = r"""
mkdir -p /opt/app/sub
echo own >/opt/app/file
chmod 4755 /opt/app/file
ln -s /data/target /opt/app/into-volume
ln -s ../../app /opt/app/sub/around
mkdir -p /data/dir/sub /data/inner/deep
echo target >/data/target
echo first >/data/a-first
ln /data/a-first /data/dir/second
ln /data/dir/second /data/dir/third
echo below >/data/dir/sub/below
ln /data/dir/sub/below /data/dir/sub/again
ln -s ../opt/app/file /data/out
ln -s / /data/root
ln -s loop /data/loop
ln -s nowhere /data/dir/dangling
mkfifo /data/dir/pipe
echo deep >/data/inner/deep/file
printf 'evil \033[31m\ntext\n' >/data/evil
dd if=/dev/zero of=/data/sparse bs=1 count=0 seek=20000000 2>/dev/null
echo end >>/data/sparse
chown -R 7:8 /data/dir
chmod 0750 /data/dir/sub
touch -d '2001-02-03 04:05:06' /data/dir/sub/below /data/dir/sub /data/dir
"""


class Set:
    def __init__(self, box):
        self.box, self.sidesnap = box, box.sidesnap
        volumes = [(box.volume("data"), "/data"), (box.volume("inner"), "/data/inner")]
        self.db = box.run("db", "busybox", ["sleep", "1000"], volumes, StopSignal="SIGKILL")
        self.db.exec(FILL)
        self.tag = box.tag()
        self.sidesnap.create(self.db.name, self.tag)

    def cat(self, path):
        done = subprocess.run(
            self.sidesnap.command("cat", f"{self.tag}:{path}"),
            env=self.sidesnap.environment(), capture_output=True, timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def copy(self, path, destination, *options):
        return self.sidesnap.json("cp", f"{self.tag}:{path}", destination, *options)


@pytest.fixture(scope="module")
def made(engine, images):
    box = Box(engine, images)
    yield Set(box)
    box.close()


def listing(top):
    """Everything below a folder: path -> (type and mode, size or target, content)."""
    found = {}
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            content = ""
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, top)] = (oct(status.st_mode), content)
    return found


# ---- cat ----


@pytest.mark.parametrize(
    "path, content",
    [
        ("/data/target", b"target\n"),
        ("/opt/app/file", b"own\n"),
        ("/opt/app/into-volume", b"target\n"),
        ("/data/out", b"own\n"),
        ("/data/dir/third", b"first\n"),
        ("/data/root/data/root/opt/app/sub/around/file", b"own\n"),
        ("/data/inner/../dir/./sub//below", b"below\n"),
        ("/../data/inner/deep/file", b"deep\n"),
        ("/data/evil", b"evil \x1b[31m\ntext\n"),
        ("/data/sparse", bytes(20000000) + b"end\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_cat(made, path, content):
    assert made.cat(path) == content


def test_terminal_sees_it_escaped(made):
    terminal = Terminal(made.sidesnap, "cat", f"{made.tag}:/data/evil")
    terminal.process.wait(60)
    output = terminal.read(0.5)
    assert b"evil \\x1b[31m\r\ntext" in output


@pytest.mark.parametrize(
    "code, path, says",
    [
        (NOT_FOUND, "/data/nothing", "no \"/data/nothing\""),
        (NOT_FOUND, "/data/target/below", "no"),
        (NOT_FOUND, "/data/loop", "symbolic links"),
        (NOT_FOUND, "/data/dir/dangling", "nowhere"),
        (NOT_FOUND, "/etc/hosts", "no part of the snapshot"),
        (NOT_FOUND, "/proc/self/environ", "no part of the snapshot"),
        (USAGE, "/data/dir", "directory"),
        (USAGE, "/data/dir/pipe", "fifo"),
    ],
)
def test_what_cannot_be_printed(made, code, path, says):
    made.sidesnap.fails(code, "cat", f"{made.tag}:{path}", says=says)
    assert not made.box.helpers()


def test_words_that_are_no_place(made):
    for word in (made.tag, ":/etc/passwd", f"{made.tag}:etc/passwd"):
        made.sidesnap.fails(USAGE, "cat", word, says="REF:PATH")
    made.sidesnap.fails(NOT_FOUND, "cat", "no-such-snapshot:1:/etc/passwd")


# ---- cp ----


def test_copy_of_a_folder(made, scratch):
    result = made.copy("/data/dir", scratch)
    assert result["type"] == "directory" and result["files"] == 8 and not result["skipped"]
    copy = listing(os.path.join(scratch, "dir"))
    assert set(copy) == {"second", "third", "sub", "sub/below", "sub/again", "dangling", "pipe"}
    assert copy["second"] == (oct(0o100644), b"first\n") and copy["dangling"][1] == "nowhere"
    assert copy["sub"][0] == oct(0o40750)

    def inode(path):
        return os.lstat(os.path.join(scratch, "dir", path)).st_ino

    assert inode("second") == inode("third") and inode("sub/below") == inode("sub/again")
    for path in ("dir", "dir/sub", "dir/sub/below"):
        assert os.lstat(os.path.join(scratch, path)).st_mtime == 981173106, path
    assert os.lstat(os.path.join(scratch, "dir", "second")).st_uid == os.geteuid()


def test_with_everything_kept(made, scratch):
    made.copy("/opt/app/file", os.path.join(scratch, "plain"))
    made.copy("/opt/app/file", os.path.join(scratch, "kept"), "-a")
    assert os.stat(os.path.join(scratch, "plain")).st_mode & 0o7777 == 0o755
    assert os.stat(os.path.join(scratch, "kept")).st_mode & 0o7777 == 0o4755
    made.copy("/data/dir", scratch, "--archive")
    assert os.lstat(os.path.join(scratch, "dir/sub/below")).st_uid == 7


def test_with_the_volumes_below(made, scratch):
    """From the image into one volume, and from that into the next."""
    made.copy("/data/.", scratch)
    assert listing(scratch)["inner/deep/file"][1] == b"deep\n"
    sparse = os.stat(os.path.join(scratch, "sparse"))
    assert sparse.st_size == 20000004 and sparse.st_blocks * 512 < 1 << 20
    whole = os.path.join(scratch, "whole")
    made.copy("/", whole)
    found = listing(whole)
    assert found["opt/app/file"][1] == b"own\n" and found["data/inner/deep/file"][1] == b"deep\n"
    assert not [p for p in found if p.startswith((".sidesnap", "proc/", ".dockerenv"))]
    top = {p for p in found if "/" not in p}
    assert not [p for p in top if len(p) == 32], f"our own folder was copied: {top}"


def test_where_it_goes(made, scratch):
    """As docker cp: into a folder that is there, or under the name that is given."""
    made.copy("/data/target", os.path.join(scratch, "named"))
    made.copy("/data/target", scratch)
    made.copy("/data/dir", os.path.join(scratch, "other"))
    assert sorted(os.listdir(scratch)) == ["named", "other", "target"]
    with open(os.path.join(scratch, "named"), "w") as file:
        file.write("something else, and longer")
    made.copy("/opt/app/file", os.path.join(scratch, "named"))
    assert listing(scratch)["named"][1] == b"own\n"
    made.sidesnap.fails(EXISTS, "cp", f"{made.tag}:/data/dir", os.path.join(scratch, "named"))
    made.sidesnap.fails(NOT_FOUND, "cp", f"{made.tag}:/data/target", os.path.join(scratch, "absent/"))
    made.sidesnap("cp", f"{made.tag}:/data/target", os.path.join(scratch, "a/b"), code=2)
    made.sidesnap("cp", f"{made.tag}:/data/target/.", scratch, code=NOT_FOUND)


def test_links_are_copied_unless_followed(made, scratch):
    made.copy("/opt/app/into-volume", scratch)
    assert os.readlink(os.path.join(scratch, "into-volume")) == "/data/target"
    made.copy("/opt/app/into-volume", os.path.join(scratch, "followed"), "-L")
    assert listing(scratch)["followed"][1] == b"target\n"


def test_no_link_of_the_destination_is_followed(made, scratch):
    """One that somebody has put there neither redirects a folder nor a file."""
    outside, inside = os.path.join(scratch, "outside"), os.path.join(scratch, "inside")
    os.makedirs(os.path.join(inside, "dir"))
    os.mkdir(outside)
    with open(os.path.join(outside, "precious"), "w") as file:
        file.write("untouched")
    os.symlink(os.path.join(outside, "precious"), os.path.join(inside, "dir", "second"))
    made.copy("/data/dir", inside)
    assert listing(outside) == {"precious": (oct(0o100644), b"untouched")}
    assert not os.path.islink(os.path.join(inside, "dir", "second"))
    os.rename(os.path.join(inside, "dir", "sub"), os.path.join(outside, "sub"))
    os.symlink(os.path.join(outside, "sub"), os.path.join(inside, "dir", "sub"))
    before = listing(outside)
    made.sidesnap("cp", f"{made.tag}:/data/dir", inside, code=2)
    assert listing(outside) == before


def test_archive(made):
    """To standard output, with everything that there is."""
    done = subprocess.run(
        made.sidesnap.command("cp", f"{made.tag}:/data/dir", "-"),
        env=made.sidesnap.environment(), capture_output=True, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    tar = tarfile.open(fileobj=io.BytesIO(done.stdout))
    members = {m.name: m for m in tar}
    assert members["dir"].isdir() and members["dir"].uid == 7 and members["dir/pipe"].isfifo()
    assert members["dir/dangling"].linkname == "nowhere"
    assert tar.extractfile("dir/sub/below").read() == b"below\n"
    linked = {members["dir/second"].linkname, members["dir/third"].linkname}
    assert linked & {"dir/second", "dir/third"} and members["dir/sub/below"].mtime == 981173106
    # GNU tar takes it too
    out = subprocess.run(["tar", "-tf", "-"], input=done.stdout, capture_output=True, timeout=60)
    assert out.returncode == 0 and b"dir/sub/again" in out.stdout, out.stderr
    terminal = Terminal(made.sidesnap, "cp", f"{made.tag}:/data/dir", "-")
    assert terminal.process.wait(60) == USAGE


@pytest.mark.parametrize("point", ["extract/started", "extract/sent"])
def test_killed(made, scratch, point):
    """What was there before is there still, and no helper stays."""
    path = os.path.join(scratch, "target")
    with open(path, "w") as file:
        file.write("before")
    made.sidesnap.at(point)("cp", f"{made.tag}:/data/target", scratch, code=None)
    with open(path) as file:
        assert file.read() == "before"
    made.sidesnap("doctor")
    assert not made.box.helpers()
