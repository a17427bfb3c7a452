"""
As cheap as what changed: the pre-copy while the target runs, unchanged files taken from the parent's
catalog, and what must be read all the same.
"""

import io
import os
import subprocess
import tarfile
import time

import pytest

from support import trees
from support.api import wait_for
from support.cli import await_stop, go_on

MIB = 1 << 20

# Programs in the target that change files in ways that are easy to miss. $1 is the volume.
CHANGER = """
i=0
while :; do
  i=$((i+1))
  echo "line $i of the changer, same size always" | cut -c1-24 >$1/same-size
  echo $i >$1/renamed.new; mv $1/renamed.new $1/renamed
  echo $i >$1/hidden; touch -d @1000000000 $1/hidden
  echo $i >>$1/grows
  if [ $((i%50)) = 0 ]; then : >$1/grows; fi
  rm -rf $1/kind; if [ $((i%2)) = 0 ]; then mkdir $1/kind; else echo $i >$1/kind; fi
  rm -f $1/link; ln $1/grows $1/link
  chmod $((600+i%7)) $1/same-size
done
"""


def fill(size):
    def write(path):
        for number in range(8):
            trees.write(trees.join(path, f"cold{number}"), trees.noise(size // 8, number))

    return write


def layer(box, tag):
    return box.engine.history(tag)[0]["Size"]


def restored(box, tag, word):
    """The snapshot's volume, restored by a boot; the path of it on the host."""
    volume = box.volume(word)
    container = box.create(word, tag, ["true"], [(volume, "/data")])
    container.start()
    container.wait()
    container.remove()
    return volume


def test_unchanged_costs_nothing(box, sidesnap):
    volume = box.volume("data", fill(40 * MIB))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    time.sleep(0.2)
    first, second = box.tag(), box.tag()
    one = sidesnap.create(container.name, first)
    assert one["new_bytes"] >= 40 * MIB
    assert one["hot_bytes"] < MIB, "nothing changed under the pre-copy, yet it was read frozen"
    two = sidesnap.create(container.name, second)
    assert two["new_bytes"] < MIB and two["hot_bytes"] < MIB, two
    assert two["trees"][0]["hash"] == one["trees"][0]["hash"]
    assert layer(box, second) <= 64 << 10, "a layer of what was not changed"
    assert sidesnap.json("verify", second)


def test_only_what_changed_is_stored_and_everything_is_restored(box, sidesnap):
    volume = box.volume("data", fill(40 * MIB))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    time.sleep(0.2)
    sidesnap.create(container.name, box.tag())
    path = box.path(volume)
    with open(os.path.join(path, "cold3"), "r+b") as file:
        file.seek(123456)
        file.write(b"changed")
    os.utime(os.path.join(path, "cold3"), (1, 1))
    os.rename(os.path.join(path, "cold4"), os.path.join(path, "moved"))
    os.unlink(os.path.join(path, "cold5"))
    os.link(os.path.join(path, "cold6"), os.path.join(path, "linked"))
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    assert 0 < result["new_bytes"] < MIB, result
    trees.assert_same(path, box.path(restored(box, tag, "copy")))


def test_a_busy_changer_is_captured_as_it_was_frozen(box):
    """The frozen state is kept by cp while the create sleeps in its freeze, and compared by programs that are not ours."""
    volume = box.volume("data", fill(8 * MIB))
    container = box.run("db", "busybox", ["sh", "-c", CHANGER, "sh", "/data"], [(volume, "/data")])
    wait_for(lambda: os.path.exists(box.path(volume) + "/link"), "the changer")
    for number in range(5):
        frozen = box.volume(f"frozen{number}")
        tag = box.tag()
        process = box.sidesnap.at("freeze/paused", "stop").start("create", container.name, "-t", tag, "--json")
        assert await_stop(process)
        subprocess.run(["cp", "-a", box.path(volume) + "/.", box.path(frozen)], check=True)
        assert container.state()["Paused"], "the copy took longer than the freeze"
        go_on(process)
        trees.assert_same(box.path(frozen), box.path(restored(box, tag, f"copy{number}")))


def write_mapped(box, container, volume, leave_out):
    """
    The counters at both ends of a page are stored to for ever, and no time changes after the first
    store: True when the snapshot has them as they were when it was frozen.
    """
    tag = box.tag()
    sidesnap = box.sidesnap.at("freeze/paused", "stop" + (",tree/write-back=error" if leave_out else ""))
    process = sidesnap.start("create", container.name, "-t", tag)
    assert await_stop(process)
    with open(box.path(volume) + "/page", "rb") as file:
        wanted = file.read()
    assert container.state()["Paused"]
    go_on(process)
    copy = restored(box, tag, "copy")
    with open(box.path(copy) + "/page", "rb") as file:
        got = file.read()
    box.engine.call("DELETE", f"/volumes/{copy}")
    return got == wanted


@pytest.mark.parametrize("leave_out", [False, True])
def test_stores_through_a_mapping_during_the_pre_copy(box, leave_out):
    """Right with the write-back; wrong at least once without it, or this test could not fail."""
    volume = box.volume("data", fill(MIB))
    container = box.run("db", "service", ["service", "mapped", "/data/page"], [(volume, "/data")])
    wait_for(lambda: os.path.exists(box.path(volume) + "/page"), "the writer")
    time.sleep(0.3)
    if leave_out:
        # On a busy machine the kernel may have written the page back by itself.
        missed = any(not write_mapped(box, container, volume, leave_out) for _ in range(16))
        assert missed, "without the write-back nothing was missed"
    else:
        assert all(write_mapped(box, container, volume, leave_out) for _ in range(4))


def test_hot_and_frozen_files_are_trusted_again_later(box, sidesnap):
    """What was written just before a create is read again by the next one, and then no more."""
    volume = box.volume("data", fill(8 * MIB))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    box.sidesnap.create(container.name, box.tag())
    hashes = {sidesnap.create(container.name, box.tag())["trees"][0]["hash"] for _ in range(3)}
    assert len(hashes) == 1
    result = sidesnap.create(container.name, box.tag())
    assert result["hot_bytes"] < MIB


def test_a_stopped_target_leans_on_its_parent(box, sidesnap):
    volume = box.volume("data", fill(40 * MIB))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    container.kill()
    container.wait()
    time.sleep(0.2)
    one = sidesnap.create(container.name, box.tag())
    two = sidesnap.create(container.name, box.tag())
    assert one["consistency"] == two["consistency"] == "stopped"
    assert two["new_bytes"] < MIB and two["hot_bytes"] == 0
    assert two["trees"][0]["hash"] == one["trees"][0]["hash"]


def test_a_volume_made_again_under_the_same_name(box, sidesnap):
    """Same name, sizes and times, other contents: nothing of the parent may be believed."""
    volume = box.volume("data")
    path = os.path.join(box.path(volume), "file")
    trees.write(path, trees.noise(MIB, 1), times=(10**18, 10**18))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    time.sleep(0.2)
    sidesnap.create(container.name, box.tag())
    os.unlink(path)
    trees.write(path, trees.noise(MIB, 2), times=(10**18, 10**18))
    tag = box.tag()
    sidesnap.create(container.name, tag)
    trees.assert_same(box.path(volume), box.path(restored(box, tag, "copy")))


def test_a_volume_excluded_once_costs_the_next_create_nothing(box, sidesnap):
    """The base is the newest snapshot that has the volume, not the newest of all."""
    big, small = box.volume("big", fill(24 * MIB)), box.volume("small", fill(MIB))
    container = box.run("db", "busybox", ["sleep", "1000"], [(big, "/big"), (small, "/small")])
    time.sleep(0.2)
    sidesnap.create(container.name, box.tag())
    without = sidesnap.create(container.name, box.tag(), "--exclude", "/big")
    tag = box.tag()
    result = sidesnap.create(container.name, tag)
    assert result["new_bytes"] < MIB and result["parent"] == without["id"], result
    assert sidesnap.json("verify", tag)
    # And one without it builds on the one without it: what is excluded is in none of its layers.
    again = box.tag()
    result = sidesnap.create(container.name, again, "--exclude", "/big")
    assert result["new_bytes"] < MIB, result
    assert box.engine.image(again)["Size"] < 24 * MIB + box.engine.image(box.images("busybox"))["Size"]


class Disk:
    """A volume on a disk of its own, whose inodes can be given any times while nobody uses it."""

    def __init__(self, box, scratch):
        image = os.path.join(scratch, "disk")
        with open(image, "wb") as file:
            file.truncate(32 * MIB)
        trees.run("mkfs.ext4", "-q", "-I", "256", image)
        self.device = trees.run("losetup", "-f", "--show", image).decode().strip()
        box.cleanups.callback(trees.run, "losetup", "-d", self.device)
        self.volume = box.volume(
            "disk", Driver="local", DriverOpts={"type": "ext4", "device": self.device, "o": "noatime"}
        )

    def set_times(self, name, when):
        """mtime and ctime, as only a clock that is set can."""
        for field in ("mtime", "ctime"):
            trees.run("debugfs", "-w", "-R", f"set_inode_field /{name} {field} @{when}", self.device)
            trees.run("debugfs", "-w", "-R", f"set_inode_field /{name} {field}_extra 0", self.device)


def test_a_clock_that_was_set_back_and_comes_by_again(box, sidesnap, scratch):
    """
    Two files are rewritten in place, and get the very times that they had, which nobody can do but a
    clock. One had its times from before the clock was set back: it is not believed. The other's times
    were past and done: that it is believed shows that the first one would be.
    """
    disk = Disk(box, scratch)
    now = int(time.time())
    container = box.create("db", "busybox", ["sleep", "1000"], [(disk.volume, "/data")])
    for generation in ("old", "new"):
        script = f"echo {generation} >/data/ahead; echo {generation} >/data/past"
        writer = box.create("writer", "busybox", ["sh", "-c", script], [(disk.volume, "/data")])
        writer.start()
        assert writer.wait() == 0
        writer.remove()
        disk.set_times("ahead", now + 3600)
        disk.set_times("past", now - 3600)
        container.start()
        tag = box.tag()
        sidesnap.create(container.name, tag)
        container.kill()
        container.wait()
    found = box.path(restored(box, tag, "copy"))
    with open(os.path.join(found, "past")) as past, open(os.path.join(found, "ahead")) as ahead:
        assert (past.read(), ahead.read()) == ("old\n", "new\n")


def test_nothing_of_the_pre_copy_is_in_the_layer(box, sidesnap):
    """Its records are in a file without a name."""
    volume = box.volume("data", fill(MIB))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    tag = box.tag()
    sidesnap.create(container.name, tag)
    shown = box.create("look", tag, ["true"])
    data = box.engine.call("GET", f"/containers/{shown.id}/archive", {"path": "/.sidesnap"})
    names = tarfile.open(fileobj=io.BytesIO(data)).getnames()
    allowed = (".sidesnap", ".sidesnap/agent", ".sidesnap/manifest.json", ".sidesnap/packs", ".sidesnap/catalog")
    assert all(n in allowed or n.startswith(".sidesnap/packs/") for n in names), names
