"""
diff: two snapshots, or a snapshot and a container as it is now. All look at one set of snapshots and
change nothing; what the container is changed to for a comparison is put back.
"""

import io
import os
import tarfile

import pytest

from conftest import Box
from support import trees
from support.cli import FAILED, NOT_FOUND, USAGE

DIFFERENT = 1

# In the volume /data, then in the container's own files. Times are put back, so that each is one change.
FILL = r"""
mkdir /opt
cd /data
mkdir dir
echo hello >changed
echo hello >mode
echo hello >removed
echo hello >type
echo hello >dir/below
printf 'x\nhello' >dir/with
dd if=/dev/zero bs=1024 count=400 2>/dev/null | tr '\0' 'x' >big
ln -s here link
ln changed zz-other-name
touch -h -d '2001-02-03 04:05:06' . dir changed mode removed type dir/below link big
echo one >/etc/added-before
echo one >/etc/removed-later
echo one >/etc/base.conf
"""
CHANGE = r"""
cd /data
echo world >changed
chmod 0600 mode
chown 7:8 mode
rm removed
rm type && mkdir type
mkdir new && echo new >new/file && ln new/file new/second
printf Y | dd of=big bs=1 seek=204800 conv=notrunc 2>/dev/null
rm link && ln -s there link
touch -h -d '2001-02-03 04:05:06' . dir changed mode big type link
echo two >/etc/added-before
echo two >/etc/base.conf
echo new >/opt/new
touch -d '2001-02-03 04:05:06' /etc/base.conf /opt
rm /etc/removed-later /etc/extra.conf
"""


class Set:
    """first and second: of db before and after CHANGE. second came from first."""

    def __init__(self, box):
        self.box = box
        self.sidesnap = box.sidesnap
        self.volume = box.volume("data")
        self.db = box.run(
            "db", "busybox", ["sleep", "1000"], [(self.volume, "/data")], StopSignal="SIGKILL"
        )
        self.db.exec(FILL)
        self.first, self.second = box.tag(), box.tag()
        self.ids = [self.sidesnap.create(self.db.name, self.first)["id"]]
        self.db.exec(CHANGE)
        self.ids.append(self.sidesnap.create(self.db.name, self.second)["id"])


@pytest.fixture(scope="module")
def made(engine, images):
    box = Box(engine, images)
    yield Set(box)
    box.close()


def by_path(result):
    return {e["path"]: e for e in result["entries"]}


def letters(result):
    return dict(reversed(line.split("  ")[:2]) for line in result.out.splitlines())


EXPECTED = {
    "/data/big": "M",
    "/data/changed": "M",
    "/data/link": "m",
    "/data/mode": "m",
    "/data/new": "A",
    "/data/new/file": "A",
    "/data/new/second": "A",
    "/data/removed": "D",
    "/data/type": "T",
    "/etc/added-before": "M",
    "/etc/base.conf": "M",
    "/etc/removed-later": "D",
    "/etc/extra.conf": "D",
    "/opt/new": "A",
}


def without_directories(found):
    """Directories of the container have other times when something in them was made or removed."""
    return {p: k for p, k in found.items() if p not in ("/", "/etc", "/opt", "/root", "/tmp")}


def test_two_snapshots(made):
    """Every kind of change, in the volume and in own files, told once."""
    result = made.sidesnap("diff", made.first, made.second, code=DIFFERENT)
    assert without_directories(letters(result)) == EXPECTED
    assert f"{made.first} -> {made.second}" in result.err


def test_json_has_every_detail(made):
    result = made.sidesnap.json("diff", made.first, made.second, code=DIFFERENT)
    assert result["from"]["reference"] == made.first and result["from"]["id"] == made.ids[0]
    assert result["to"]["reference"] == made.second and not result["same"]
    tree, own = result["trees"]
    assert (tree["kind"], tree["name"], tree["path"]) == ("volume", made.volume, "/data")
    assert (tree["added"], tree["removed"], tree["changed"], tree["types"]) == (3, 1, 2, 1)
    assert own["kind"] == "own" and own["path"] == "/" and own["state"] == "changed"
    entries = by_path(result)
    mode = entries["/data/mode"]
    assert set(mode["what"]) == {"mode", "owner"}
    assert mode["from"] == {"mode": "0644", "uid": 0, "gid": 0}
    assert mode["to"] == {"mode": "0600", "uid": 7, "gid": 8}
    assert entries["/data/changed"]["what"] == ["content"] and entries["/data/changed"]["changed_bytes"] == 6
    # one byte, told by the chunk that it is in
    assert 1 <= entries["/data/big"]["changed_bytes"] < 300 << 10
    link = entries["/data/link"]
    assert (link["from"]["link"], link["to"]["link"]) == ("here", "there")
    assert entries["/data/new/second"]["hardlink"] == "new/file"
    assert entries["/data/new/file"]["size"] == 4
    kinds = entries["/data/type"]
    assert (kinds["from"]["type"], kinds["to"]["type"]) == ("file", "directory")
    assert entries["/opt/new"]["tree"] == "/" and entries["/data/new"]["tree"] == "/data"
    assert result["changed"] == tree["changed"] + own["changed"]


def test_the_other_way_round(made):
    there = by_path(made.sidesnap.json("diff", made.first, made.second, code=DIFFERENT))
    back = by_path(made.sidesnap.json("diff", made.second, made.first, code=DIFFERENT))
    opposite = {"added": "removed", "removed": "added", "changed": "changed", "type": "type"}
    assert {p: opposite[e["change"]] for p, e in there.items()} == {p: e["change"] for p, e in back.items()}
    assert back["/data/mode"]["from"]["mode"] == "0600"


def test_the_same_is_silent(made):
    result = made.sidesnap("diff", made.first, made.first)
    assert result.out == ""
    same = made.sidesnap.json("diff", made.first, made.ids[0])
    assert same["same"] and same["entries"] == []


def test_paths_only_and_sums_only(made):
    names = made.sidesnap("diff", "--name-only", made.first, made.second, code=DIFFERENT).out.splitlines()
    assert set(EXPECTED) <= set(names)
    stat = made.sidesnap("diff", "--stat", made.first, made.second, code=DIFFERENT).out.splitlines()
    assert [line.split()[:2] for line in stat[1:]] == [["/data", "changed"], ["own", "files"]]
    made.sidesnap.fails(USAGE, "diff", "--stat", "--name-only", made.first)


def test_a_snapshot_alone_is_compared_with_its_parent(made):
    result = made.sidesnap.json("diff", made.second, code=DIFFERENT)
    assert result["from"]["reference"] == made.first
    made.sidesnap.fails(USAGE, "diff", made.first, says="parent")


def test_container_as_it_is_now(made):
    """Against what it came from, and against an older one; nothing of it is frozen, nothing is left."""
    same = made.sidesnap.json("diff", made.db.name)
    assert same["from"]["reference"] == made.second and same["same"], same["entries"]
    assert same["to"] == {"container": made.db.name, "container_id": made.db.id, "state": "live"}
    images = made.box.engine.images()
    made.db.exec(r"echo live >/data/live; echo live >/opt/live; echo live >/etc/base.conf")
    try:
        result = made.sidesnap("diff", made.db.name, code=DIFFERENT)
        assert without_directories(letters(result)) == {
            "/data": "m", "/data/live": "A", "/opt/live": "A", "/etc/base.conf": "M",
        }
        older = by_path(made.sidesnap.json("diff", made.first, made.db.name, code=DIFFERENT))
        assert older["/data/live"]["change"] == "added" and older["/data/removed"]["change"] == "removed"
        back = by_path(made.sidesnap.json("diff", made.db.name, made.first, code=DIFFERENT))
        assert back["/data/live"]["change"] == "removed" and back["/data/removed"]["change"] == "added"
    finally:
        made.db.exec("rm /data/live /opt/live; echo two >/etc/base.conf")
        made.db.exec("touch -d '2001-02-03 04:05:06' /data /opt /etc/base.conf")
    assert made.box.engine.images() == images
    assert not made.box.helpers() and not made.box.paused()


def test_stopped_container(made):
    made.db.exec("echo stopped >/opt/stopped")
    made.db.stop()
    try:
        result = made.sidesnap.json("diff", made.db.name, code=DIFFERENT)
        assert result["to"]["state"] == "stopped"
        assert by_path(result)["/opt/stopped"]["change"] == "added"
        assert "/data/big" not in by_path(result)
    finally:
        made.db.start()
        made.db.exec("rm /opt/stopped; touch -d '2001-02-03 04:05:06' /opt")


def test_what_cannot_be_compared(made):
    stranger = made.box.run("stranger", "busybox", ["sleep", "1000"])
    made.sidesnap.fails(NOT_FOUND, "diff", stranger.name, says=["no snapshot", f"create {stranger.name}"])
    made.sidesnap.fails(USAGE, "diff", stranger.name, made.db.name, says="both containers")
    made.sidesnap.fails(NOT_FOUND, "diff", "nobody-has-this-name")
    stranger.remove()


def test_volume_that_only_one_has(made):
    """It is told as a whole."""
    volume = made.box.volume("more", lambda path: trees.write(trees.join(path, "file"), b"x" * 5000))
    container = made.box.run(
        "more", "busybox", ["sleep", "1000"], [(made.volume, "/data"), (volume, "/more")], StopSignal="SIGKILL"
    )
    tag = made.box.tag()
    made.sidesnap.create(container.name, tag)
    container.remove()
    result = made.sidesnap("diff", made.second, tag, code=DIFFERENT)
    assert [line for line in result.out.splitlines() if "/more" in line] == ["A  /more  (the whole volume, 4.9 KiB)"]
    states = {t["path"]: t["state"] for t in made.sidesnap.json("diff", tag, made.second, code=DIFFERENT)["trees"]}
    assert states["/more"] == "removed" and states["/data"] == "same"


def test_names_that_are_no_text(made):
    """A terminal never sees them as they are; JSON has every byte."""
    path = os.fsencode(made.box.path(made.volume))
    name = b"evil\xff\x1b[31m\n"
    with open(os.path.join(path, name), "w") as file:
        file.write("x")
    try:
        result = made.sidesnap("diff", made.db.name, code=DIFFERENT)
        assert "\x1b" not in result.out and r"/data/evil\xff\x1b[31m\x0a" in result.out
        entries = made.sidesnap.json("diff", made.db.name, code=DIFFERENT)["entries"]
        assert any("path64" in e for e in entries)
    finally:
        os.unlink(os.path.join(path, name))
        made.db.exec("touch -d '2001-02-03 04:05:06' /data")


# ---- --content ----


def content(made, path, *words, code=DIFFERENT):
    return made.sidesnap("diff", made.first, made.second, "--content", path, *words, code=code)


def test_lines_of_a_file(made):
    """In a volume and among own files, added and removed ones too; as diff -u has it."""
    assert content(made, "/data/changed").out == (
        f"--- {made.first}:/data/changed\n+++ {made.second}:/data/changed\n@@ -1 +1 @@\n-hello\n+world\n"
    )
    assert content(made, "/etc/base.conf").out.splitlines()[2:] == ["@@ -1 +1 @@", "-one", "+two"]
    assert content(made, "/data/new/second").out.splitlines()[0] == "--- /dev/null"
    assert content(made, "/data/removed").out.splitlines()[1] == "+++ /dev/null"
    assert content(made, "/data/mode", code=0).out == ""
    # a name of a file that has another first name
    assert "-hello" in content(made, "/data/zz-other-name").out
    result = content(made, "/data/changed", "--json").json()
    assert result["kind"] == "text" and not result["same"] and "+world" in result["diff"]
    assert (result["from"]["size"], result["to"]["size"]) == (6, 6)


def test_content_of_a_container_as_it_is(made):
    made.db.exec("echo live >/etc/base.conf; echo live >>/data/changed")
    try:
        own = made.sidesnap("diff", made.db.name, "--content", "/etc/base.conf", code=DIFFERENT).out
        assert own.splitlines()[3:] == ["-two", "+live"] and f"+++ {made.db.name}:/etc/base.conf" in own
        volume = made.sidesnap("diff", made.db.name, "--content", "/data/changed", code=DIFFERENT).out
        assert volume.splitlines()[3:] == [" world", "+live"]
    finally:
        made.db.exec("echo two >/etc/base.conf; echo world >/data/changed")
        made.db.exec("touch -d '2001-02-03 04:05:06' /data/changed /etc/base.conf")


def test_ranges_of_a_binary_file(made):
    path = os.path.join(made.box.path(made.volume), "binary")
    noise = bytearray(trees.noise(3 << 20))
    with open(path, "wb") as file:
        file.write(noise)
    one, other = made.box.tag(), made.box.tag()
    made.sidesnap.create(made.db.name, one)
    noise[70000] ^= 1
    noise[2000000:2000100] = bytes(b ^ 255 for b in noise[2000000:2000100])
    with open(path, "wb") as file:
        file.write(noise + b"more")
    try:
        made.sidesnap.create(made.db.name, other)
        made.db.exec("cp /data/binary /opt/binary")
        result = made.sidesnap("diff", one, other, "--content", "/data/binary", code=DIFFERENT)
        assert result.out.splitlines() == ["70000+1", "2000000+100", f"{3 << 20}+4"]
        assert "3 ranges" in result.err
        found = made.sidesnap.json("diff", one, other, "--content", "/data/binary", code=DIFFERENT)
        assert found["kind"] == "binary" and found["changed_bytes"] == 105 and found["ranges"][0] == [70000, 1]
        alone = made.sidesnap("diff", one, made.db.name, "--content", "/opt/binary", code=DIFFERENT)
        assert alone.out == "binary; only the second has it\n"
    finally:
        made.db.exec("rm /data/binary /opt/binary; touch -d '2001-02-03 04:05:06' /data /opt")
        made.sidesnap("rm", one, other)


def test_content_of_what_is_no_file(made):
    made.sidesnap.fails(USAGE, "diff", made.first, made.second, "--content", "/data/dir", says="directory")
    made.sidesnap.fails(NOT_FOUND, "diff", made.first, made.second, "--content", "/data/none", says="neither")
    made.sidesnap.fails(USAGE, "diff", made.first, "--content", "data", says="absolute")


@pytest.mark.parametrize("point", ["diff/captured", "diff/started", "diff/found"])
def test_killed(made, point):
    """Nothing is left that doctor does not take away, and the container never noticed."""
    made.db.exec("echo killed >/data/killed")
    try:
        made.sidesnap.at(point)("diff", made.db.name, code=None)
        assert made.db.state()["Running"] and not made.db.state()["Paused"]
        made.sidesnap("doctor")
        assert not made.box.helpers()
    finally:
        made.db.exec("rm /data/killed; touch -d '2001-02-03 04:05:06' /data")
    assert made.sidesnap.json("diff", made.db.name)["same"]


def test_damage_is_no_difference(made):
    """Exit code 1 says that two things differ, and nothing else."""
    engine, tag = made.box.engine, made.box.tag("damaged")
    container = made.box.create("damaged", made.second)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"{}"))
    engine.call("PUT", f"/containers/{container.id}/archive", {"path": "/.sidesnap"}, data.getvalue())
    repository, _, version = tag.partition(":")
    config = engine.image(made.second)["Config"]
    engine.json("POST", "/commit", {"container": container.id, "repo": repository, "tag": version}, config)
    container.remove()
    made.sidesnap.fails(FAILED, "diff", made.first, tag, says="the newer one")
    error = made.sidesnap("diff", made.first, tag, "--json", code=FAILED).json()["error"]
    assert error["kind"] == "damaged"
