"""
The agent alone, without an engine: a directory into a store and out again. The comparison is made by
rsync, find, getfattr, getfacl and the kernel, never by our own code.
"""

import os
import subprocess

import pytest

from support import trees
from support.cli import binary

VARIANTS = ["", "asan", "ubsan"]


def agent(*arguments, variant="", code=0, env=None):
    program = binary("sidesnap-agent", variant)
    if variant and not os.path.exists(program):
        pytest.skip(f"{program} is not built (make asan)")
    done = subprocess.run(
        [program, *arguments], capture_output=True, env={**os.environ, **(env or {})}, timeout=300
    )
    if code is not None:
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr[-4000:])
    return done


def pack_and_unpack(scratch, fill, variant=""):
    source, store, copy = (os.path.join(scratch, n) for n in ("source", "store", "copy"))
    os.mkdir(source)
    fill(source)
    agent("pack", source, store, variant=variant)
    agent("check", store, variant=variant)
    os.mkdir(copy)
    agent("unpack", store, copy, variant=variant)
    return source, store, copy


@pytest.mark.parametrize("variant", VARIANTS, ids=["plain", "asan", "ubsan"])
def test_hostile_tree_comes_back_exactly(scratch, variant):
    source, store, copy = pack_and_unpack(scratch, trees.make_hostile, variant)
    trees.assert_same(source, copy)
    assert not os.path.lexists(os.path.join(copy, "a.sock")), "a socket cannot be captured"


def test_empty_tree(scratch):
    source, store, copy = pack_and_unpack(scratch, lambda path: os.chmod(path, 0o1711))
    trees.assert_same(source, copy)


def test_unpacking_twice_changes_nothing(scratch):
    source, store, copy = pack_and_unpack(scratch, trees.make_small)
    refused = agent("unpack", store, copy, code=None)
    assert refused.returncode == 5 and b"not empty" in refused.stderr
    agent("unpack", store, copy, "--replace")
    trees.assert_same(source, copy)


def test_content_that_is_there_twice_is_stored_once(scratch):
    """Deduplication: also where the second copy is shifted by some bytes."""

    def fill(path):
        trees.write(trees.join(path, "one"), trees.noise(20 << 20))
        trees.write(trees.join(path, "two"), trees.noise(20 << 20))
        trees.write(trees.join(path, "shifted"), b"x" + trees.noise(20 << 20))

    source, store, copy = pack_and_unpack(scratch, fill)
    trees.assert_same(source, copy)
    used = int(trees.run("du", "-sb", store).split()[0])
    assert used < 22 << 20, f"60 MiB of which 20 are different took {used} bytes"


def test_text_is_compressed(scratch):
    def fill(path):
        trees.write(trees.join(path, "log"), b"one line of a log, again and again\n" * 500000)

    _source, store, _copy = pack_and_unpack(scratch, fill)
    assert int(trees.run("du", "-sb", store).split()[0]) < 1 << 20


def test_restore_over_other_content_leaves_only_the_tree(scratch):
    """What was there before is replaced, whatever its type; nothing is followed out of the root."""
    source, store, copy = pack_and_unpack(scratch, trees.make_small)
    outside = os.path.join(scratch, "outside")
    os.mkdir(outside)
    trees.write(trees.join(outside, "precious"), b"untouched")
    other = os.path.join(scratch, "other")
    os.mkdir(other)
    os.symlink(outside, os.path.join(other, "dir"))
    os.mkdir(os.path.join(other, "file"))
    trees.write(trees.join(other, "file", "x"), b"in the way")
    os.symlink(os.path.join(outside, "precious"), os.path.join(other, "linked"))
    trees.write(trees.join(other, "symlink"), b"a file where a link belongs")
    agent("unpack", store, other, "--replace")
    with open(os.path.join(outside, "precious"), "rb") as file:
        assert file.read() == b"untouched"
    assert os.listdir(outside) == ["precious"]
    trees.assert_same(source, other)


@pytest.mark.parametrize("moment", ["0.02", "0.1", "0.3"])
def test_interrupted_unpack_converges(scratch, moment):
    """Killed anywhere, run again, the same as never killed."""
    source, store, copy = (os.path.join(scratch, n) for n in ("source", "store", "copy"))
    os.mkdir(source)
    trees.make_hostile(source)
    agent("pack", source, store)
    os.mkdir(copy)
    process = subprocess.Popen([binary("sidesnap-agent"), "unpack", store, copy])
    try:
        process.wait(float(moment))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    agent("unpack", store, copy, "--replace")
    trees.assert_same(source, copy)


def test_overlay_whiteouts_are_refused(scratch):
    """Storage of an overlay carries trusted.* attributes that an agent without SYS_ADMIN cannot read."""
    source = os.path.join(scratch, "source")
    os.mkdir(source)
    os.mknod(os.path.join(source, "whiteout"), 0o020000, os.makedev(0, 0))
    done = agent("pack", source, os.path.join(scratch, "store"), code=None)
    assert done.returncode >= 2
    assert b"overlay" in done.stderr


def test_missing_directory_is_an_error_with_its_name(scratch):
    done = agent("pack", os.path.join(scratch, "nowhere"), os.path.join(scratch, "store"), code=None)
    assert done.returncode >= 2
    assert b"nowhere" in done.stderr


def test_tree_that_changes_while_it_is_read(scratch):
    """A live capture is no error, and what it gives is whole files of some moment."""
    source, store, copy = (os.path.join(scratch, n) for n in ("source", "store", "copy"))
    os.mkdir(source)
    trees.make_hostile(source)
    script = (
        f"cd '{source}'; while :; do for i in 1 2 3 4 5 6 7 8; do echo $i >new$i; mkdir -p moving/$i;"
        " echo grow >>growing; done; rm -rf new* moving; done"
    )
    writer = subprocess.Popen(["/bin/sh", "-c", script], stderr=subprocess.DEVNULL)
    try:
        agent("pack", source, store)
    finally:
        writer.kill()
        writer.wait()
    agent("check", store)
    os.mkdir(copy)
    agent("unpack", store, copy)
    passing = [n for n in ("growing", "moving", *[f"new{i}" for i in range(1, 9)])]
    for name in passing:
        for root in (source, copy):
            subprocess.run(["rm", "-rf", os.path.join(root, name)], check=True)
    os.utime(source, ns=(5, 5))
    os.utime(copy, ns=(5, 5))
    trees.assert_same(source, copy)
