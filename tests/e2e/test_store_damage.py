"""A store on disk, damaged on purpose: every byte counts, and damage is code 1, not a crash."""

import os
import random
import subprocess

import pytest

from support import trees
from test_trees import agent


@pytest.fixture
def store(scratch):
    source, store = os.path.join(scratch, "source"), os.path.join(scratch, "store")
    os.mkdir(source)
    trees.write(trees.join(source, "a"), b"some text")
    trees.write(trees.join(source, "b"), trees.noise(300))
    os.mkdir(os.path.join(source, "d"))
    os.symlink("a", os.path.join(source, "d", "l"))
    agent("pack", source, store)
    agent("check", store)
    return store


def files_of(store):
    found = []
    for folder, _folders, names in os.walk(store):
        found += [os.path.join(folder, name) for name in names]
    return sorted(found)


def flipped_byte(path, place, mask):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ mask]))


@pytest.mark.parametrize("variant", ["", "asan"], ids=["plain", "asan"])
def test_every_flipped_byte_is_found(store, variant):
    missed, crashed = [], []
    for path in files_of(store):
        size = os.path.getsize(path)
        places = range(size) if not variant else random.Random(1).sample(range(size), min(size, 150))
        for place in places:
            mask = 1 << (place % 8)
            flipped_byte(path, place, mask)
            done = agent("check", store, variant=variant, code=None)
            flipped_byte(path, place, mask)
            if done.returncode == 0:
                missed.append((os.path.relpath(path, store), place))
            elif done.returncode < 0 or b"Sanitizer" in done.stderr:
                crashed.append((os.path.relpath(path, store), place, done.returncode, done.stderr[-800:]))
    agent("check", store)
    assert not crashed, crashed[:5]
    assert not missed, f"{len(missed)} flips were not seen: {missed[:20]}"


def test_damage_is_exit_code_one(store):
    path = max(files_of(store), key=os.path.getsize)
    flipped_byte(path, os.path.getsize(path) // 2, 255)
    done = agent("check", store, code=1)
    assert done.stderr.strip()


def test_every_truncation_is_found(store):
    for path in files_of(store):
        with open(path, "rb") as file:
            whole = file.read()
        for size in {0, 1, len(whole) // 2, len(whole) - 1}:
            with open(path, "wb") as file:
                file.write(whole[:size])
            done = agent("check", store, code=None)
            assert done.returncode > 0, (path, size, done)
        with open(path, "wb") as file:
            file.write(whole)
    agent("check", store)


def test_every_missing_file_is_found(store):
    for path in files_of(store):
        os.rename(path, path + ".away")
        done = agent("check", store, code=None)
        os.rename(path + ".away", path)
        assert done.returncode > 0, path


def test_damaged_store_is_not_unpacked_as_if_whole(store, scratch):
    """A flip in a pack ends the unpack with an error; the damaged file is never given out as good."""
    packs = [p for p in files_of(store) if "/packs/" in p]
    assert packs, files_of(store)
    path = packs[0]
    copy = os.path.join(scratch, "copy")
    for place in range(0, os.path.getsize(path), 7):
        flipped_byte(path, place, 4)
        subprocess.run(["rm", "-rf", copy], check=True)
        os.mkdir(copy)
        done = agent("unpack", store, copy, code=None)
        flipped_byte(path, place, 4)
        assert done.returncode >= 0, (place, done)
        if done.returncode == 0:
            trees.assert_same(os.path.join(scratch, "source"), copy)


@pytest.mark.parametrize("variant", ["", "asan"], ids=["plain", "asan"])
def test_garbage_instead_of_a_store(scratch, variant):
    """Random bytes in every place, also sizes that promise gigabytes."""
    generator = random.Random(7)
    for number in range(30):
        store = os.path.join(scratch, f"s{number}")
        os.makedirs(os.path.join(store, "packs"))
        for name in ("manifest.json", "packs/0"):
            trees.write(trees.join(store, name), generator.randbytes(generator.randrange(2000)))
        done = agent("check", store, variant=variant, code=None)
        assert done.returncode > 0 and b"Sanitizer" not in done.stderr, done
