"""
prune: which snapshots go and which never do, what a death or a change of mind in the middle leaves, and
what room is freed, as the engine's own figures say.
"""

import os
import re
import signal
import time

import pytest

from conftest import Box
from support import trees
from support.api import wait_for
from support.cli import CANCELLED, NO_SPACE, NOT_FOUND, REFUSED, USAGE, Terminal, interrupt
from support.images import ROOT, Images
from test_chain import own_files, restored
from test_history import forge

MIB = 1 << 20


class Line:
    """A container with a volume, and snapshots of it."""

    def __init__(self, box, word="db"):
        self.box = box
        self.volume = box.volume(word, lambda path: trees.write(trees.join(path, "file"), b"0\n"))
        mounts = [(self.volume, "/data")]
        self.container = box.run(word, "busybox", ["sleep", "1000"], mounts, StopSignal="SIGKILL")
        self.name = self.container.name
        self.tags, self.results = [], []

    def create(self, count=1):
        for _ in range(count):
            self.tags.append(self.box.tag())
            self.container.exec(f"echo {len(self.tags)} >/data/file")
            self.results.append(self.box.sidesnap.create(self.name, self.tags[-1]))
        return self.tags[-1]

    def here(self):
        return [tag for tag in self.tags if self.box.engine.has_image(tag)]


@pytest.fixture
def line(box):
    return Line(box)


def reasons(result):
    """By the first name, else by the id."""
    snapshots = [s for lineage in result["lineages"] for s in lineage["snapshots"]]
    return {(s["references"] or [s["id"]])[0]: s["reasons"] for s in snapshots}


def test_without_a_rule_nothing_is_done(box, sidesnap, line):
    line.create(2)
    sidesnap.fails(USAGE, "prune", line.name, "--yes", says=("no rule", "--keep-last"))
    sidesnap.fails(USAGE, "prune", "--keep-last", "0", "--force", "--yes", says="no rule")
    sidesnap.fails(USAGE, "prune", "--keep-within", "6m", "--yes", says="weeks")
    sidesnap.fails(USAGE, "prune", "--keep-last", "many", "--yes")
    sidesnap.fails(NOT_FOUND, "prune", "nobody-has-this-name", "--keep-last", "1", "--yes")
    assert len(line.here()) == 2


def test_plan_question_and_removal(box, sidesnap, line):
    line.create(4)
    stranger = Line(box, "other")
    stranger.create(3)
    plan = sidesnap.json("prune", line.name, "--keep-last", "2", "--dry-run")
    assert plan["dry_run"] and plan["removed"] == line.tags[:2]
    assert reasons(plan) == dict(zip(line.tags, ([], [], ["last"], ["last", "in-use"])))
    assert plan["removed_snapshots"] == 2 and plan["kept_snapshots"] == 2
    assert plan["bytes"] == sum(r["stored_bytes"] for r in line.results[:2])
    assert plan["frees_bytes"] == 0, "their layers are below those that stay, and next to nothing is in them"
    shown = sidesnap("prune", line.name, "--keep-last", "2", "--dry-run").out
    assert re.search(rf"^remove +{line.tags[0]} ", shown, re.M), shown
    assert re.search(rf"^keep: last, in-use +{line.tags[3]} ", shown, re.M), shown
    assert "would remove 2 snapshots and free about 0 B" in shown
    refused = sidesnap.fails(REFUSED, "prune", line.name, "--keep-last", "2", says=("not confirmed", "--yes"))
    assert line.tags[0] in refused.err, "the plan is shown"
    assert len(line.here()) == 4

    terminal = Terminal(sidesnap, "prune", line.name, "--keep-last", "2")
    while b"[y/N]" not in terminal.read():
        assert terminal.process.poll() is None, terminal.output
    terminal.type(b"n\n")
    assert terminal.wait() == REFUSED and len(line.here()) == 4
    terminal.close()

    done = sidesnap("prune", line.name, "--keep-last", "2", "--yes")
    assert sorted(done.out.split()) == line.tags[:2]
    assert line.here() == line.tags[2:] and len(stranger.here()) == 3
    for tag in line.here():
        sidesnap("verify", tag)
    again = sidesnap.json("prune", line.name, "--keep-last", "2", "--yes")
    assert again["removed"] == [] and again["deleted_images"] == again["freed_bytes"] == 0
    assert "nothing to remove, 2 kept" in sidesnap("prune", line.name, "--keep-last", "2", "--yes").err
    result = sidesnap.json("prune", "--keep-last", "1", "--yes")
    assert sorted(result["removed"]) == sorted([line.tags[2], *stranger.tags[:2]])
    assert len(result["lineages"]) == 2 and not result["dry_run"] and result["skipped"] == []
    assert result["rewritten"] == [], "there is nothing to gain"


def test_never_removed(box, sidesnap, line):
    """Pinned; what a container was made from; what a container's data came from; safety snapshots."""
    line.create(6)
    pinned, booted, current, gone, back, newest = line.tags
    sidesnap("pin", pinned)
    copy = box.create("copy", booted)
    other = box.boot("moved", newest)
    sidesnap("reset", other.name, current)
    sidesnap("reset", line.name, back)
    found = reasons(sidesnap.json("prune", line.name, "--keep-tag", "none", "--yes", "--force"))
    assert found[pinned] == ["pinned"] and found[booted] == ["in-use"] and found[current] == ["in-use"]
    assert found[back] == ["in-use"] and found[newest] == ["in-use"] and found[gone] == []
    assert [r for r in found.values() if r == ["safety"]] == [["safety"]] * 2
    assert line.here() == [pinned, booted, current, back, newest]
    copy.remove()
    other.remove()
    assert sidesnap.json("prune", line.name, "--keep-tag", "none", "--yes")["removed_snapshots"] == 3
    assert line.here() == [pinned, back]
    for tag in line.here():
        sidesnap("verify", tag)


def test_last_of_a_lineage(box, sidesnap, line):
    line.create(3)
    line.container.remove()
    plan = sidesnap.json("prune", line.name, "--keep-tag", "none", "--dry-run")
    assert reasons(plan)[line.tags[2]] == ["only"]
    sidesnap("prune", line.name, "--keep-tag", "none", "--yes")
    assert line.here() == line.tags[2:]
    assert sidesnap.json("prune", line.name, "--keep-tag", "none", "--yes", "--force")["deleted_images"] == 1
    assert line.here() == []


def test_rules_by_time_and_name(box, sidesnap):
    """Labels are all that counts; of those that say nothing none is touched."""
    days = {}
    for day in range(1, 11):
        time_of_day = f"2026-01-{day:02}T12:00:00Z"
        days[day] = forge(box, f"day{day}", id=f"{day:032x}", lineage="L", created=time_of_day, stored="1000")
    odd = [
        forge(box, "odd1", id="f" * 32, lineage="L", created="\x1b[31mnever"),
        forge(box, "odd2", lineage="", created="2026-01-01T00:00:00Z"),
        forge(box, "odd3", id="e" * 32, created="2026-01-01T00:00:00Z"),
    ]
    rules = ("--keep-daily", "2", "--keep-weekly", "3", "--keep-tag", "*day2:*")
    found = reasons(sidesnap.json("prune", *rules, "--dry-run"))
    # Mondays are the 5th and the 12th.
    expected = {10: ["daily", "weekly"], 9: ["daily"], 4: ["weekly"], 2: ["tag"]}
    assert {day: found[tag] for day, tag in days.items()} == {day: expected.get(day, []) for day in days}
    assert found[odd[0]] == ["undated"] and found[odd[1]][-1] == "unknown" and found[odd[2]][-1] == "unknown"
    assert "\x1b" not in sidesnap("prune", "--keep-last", "1", "--dry-run").out
    done = sidesnap.json("prune", "--keep-within", "3d", "--yes")
    assert sorted(done["removed"]) == sorted(days[day] for day in range(1, 7)) and done["bytes"] == 6000
    assert all(box.engine.has_image(tag) for tag in odd)


def test_all_names_of_a_snapshot(box, sidesnap, line):
    """One name that a rule wants keeps it with all of them; without one all go."""
    line.create(3)
    extra = [box.tag("extra"), box.tag("extra")]
    sidesnap("tag", line.tags[0], extra[0])
    sidesnap("tag", line.tags[1], extra[1])
    sidesnap("prune", "--keep-tag", extra[1], "--yes")
    assert line.here() == line.tags[1:]
    assert not box.engine.has_image(extra[0]) and box.engine.has_image(extra[1])


def test_what_changes_during_the_question(box, sidesnap, line):
    line.create(4)
    terminal = Terminal(sidesnap, "prune", line.name, "--keep-last", "1")
    while b"[y/N]" not in terminal.read():
        assert terminal.process.poll() is None, terminal.output
    sidesnap("pin", line.tags[0])
    box.create("copy", line.tags[1])
    terminal.type(b"y\n")
    assert terminal.wait() == 0, terminal.output
    assert terminal.output.count(b"stays") == 2, terminal.output
    terminal.close()
    assert line.here() == [line.tags[0], line.tags[1], line.tags[3]]


def test_killed_in_the_middle(box, sidesnap, line):
    line.create(5)
    assert sidesnap.at("prune/removed")("prune", "--keep-last", "1", "--yes", code=None).code == -9
    assert len(line.here()) == 4
    for tag in line.here():
        sidesnap("verify", tag)
    assert sidesnap.json("doctor")["problems"] == []
    sidesnap("prune", "--keep-last", "1", "--yes")
    assert line.here() == line.tags[4:]
    sidesnap("verify", line.tags[4])


def test_doctor_notes_what_docker_would_prune(box, sidesnap, line, scratch):
    def notes(config=None):
        path = f"{scratch}/config.json"
        if config is not None:
            trees.write(path, config)
        result = sidesnap("doctor", "--json", env={"DOCKER_CONFIG": scratch})
        return result.json()["notes"]

    assert notes() == [], "there is no snapshot"
    line.create()
    missing = notes()
    assert len(missing) == 1 and '"label!=sidesnap.role"' in missing[0] and scratch in missing[0]
    assert notes(b'{"auths": {}, "pruneFilters": ["label!=other"]}') == missing
    assert len(notes(b'{"pruneFilters": ["label!=sidesnap.role=snapshot"]}')) == 1, "sets would go"
    assert notes(b'{"pruneFilters": ["label!=other", "label!=sidesnap.role"]}') == []
    assert notes(b"not JSON") == [], "whoever reads it will say so"
    shown = sidesnap("doctor", env={"DOCKER_CONFIG": f"{scratch}/nothing"}).out
    assert shown.startswith("nothing to repair\nnote: ") and "pruneFilters" in shown


# ---- room ----


class Chain(Line):
    """Each snapshot needs 4 MiB that no other one does, and 2 MiB that all of them do."""

    def __init__(self, box, count):
        super().__init__(box)
        self.empty = layers_size(box.engine)
        trees.write(trees.join(box.path(self.volume), "cold"), trees.noise(2 * MIB, 99))
        self.copies, self.own = [], []
        for _ in range(count):
            self.step()

    def step(self):
        box, number = self.box, len(self.tags) + 1
        trees.write(trees.join(box.path(self.volume), "big"), trees.noise(4 * MIB, number))
        self.container.exec(
            f"rm -f /opt/of{number - 1}; mkdir -p /opt; echo {number} | tee /opt/of{number} >/etc/all"
            + {1: "; rm -rf /home; echo file >/home", 2: "; rm /home; mkdir /home"}.get(number, "")
        )
        copy = box.volume(f"copy{number}")
        self.create()
        assert os.system(f"cp -a {box.path(self.volume)}/. {box.path(copy)}") == 0
        self.copies.append(copy)
        self.own.append(own_files(box.engine, self.container))

    def prune(self, *indexes, sidesnap=None, code=0, options=("--yes", "--json")):
        keep = [word for index in indexes for word in ("--keep-tag", self.tags[index])]
        return (sidesnap or self.box.sidesnap)("prune", self.name, *keep, *options, code=code)

    def check(self, *indexes):
        """They are whole, hold what they held, and are all that there is."""
        box = self.box
        assert self.here() == [self.tags[index] for index in indexes]
        for index in indexes:
            tag = self.tags[index]
            box.sidesnap("verify", tag)
            assert box.engine.image(tag)["Config"]["Labels"]["sidesnap.id"] == self.results[index]["id"]
            back = restored(box, tag, f"back{index}-{next(box.tag_number)}")
            trees.assert_same(box.path(self.copies[index]), box.path(back))
            image = box.create(f"image{index}-{next(box.tag_number)}", tag)
            trees.only_difference(f"own files of {index}", self.own[index], own_files(box.engine, image))
            image.remove()

    def check_room(self, count):
        """2 MiB for all, 4 for each, and one agent; 1.5 for catalogs and what else there is."""
        used = (layers_size(self.box.engine) - self.empty) / MIB
        assert used < 2 + 4 * count + 2.5, used
        untagged = [i for i, tags in self.box.engine.images().items() if not tags]
        assert untagged == [] and not self.box.helpers()


def layers_size(engine):
    return engine.json("GET", "/system/df")["LayersSize"]


def test_room_is_freed(box, sidesnap):
    chain = Chain(box, 6)
    before = layers_size(box.engine)
    images = {tag: box.engine.image(tag)["Id"] for tag in chain.tags}
    plan = chain.prune(1, 4, 5, options=("--dry-run", "--json", "--yes")).json()
    frees = [s["frees_bytes"] for lineage in plan["lineages"] for s in lineage["snapshots"]]
    # The gaps are below the second and the fifth one: of the first one 2 MiB are needed.
    assert frees[0] == frees[2] == frees[3] == frees[5] == 0 and sum(frees) == plan["frees_bytes"]
    assert 3.8 < frees[1] / MIB < 4.2 and 7.8 < frees[4] / MIB < 8.2, frees
    result = chain.prune(1, 4, 5).json()
    assert result["removed_snapshots"] == 3 and result["kept_snapshots"] == 3
    freed = before - layers_size(box.engine)
    assert freed > 11 * MIB and abs(result["freed_bytes"] - freed) < MIB / 100, (result, freed)
    assert abs(plan["frees_bytes"] - freed) < MIB, (plan, freed)
    chain.check_room(3)
    for row, index in zip(result["rewritten"], (1, 4, 5), strict=True):
        tag = chain.tags[index]
        assert row["reference"] == tag and row["id"] == chain.results[index]["id"]
        assert row["image"] == box.engine.image(tag)["Id"] and row["previous"] == images[tag]
        assert row["stored_bytes"] < (7 if index == 1 else 5) * MIB, row
    chain.check(1, 4, 5)
    layers = [len(box.engine.image(chain.tags[index])["RootFS"]["Layers"]) for index in (1, 4, 5)]
    assert layers == [layers[0], layers[0] + 1, layers[0] + 2], "each stands on the one before"
    assert chain.prune(1, 4, 5).json()["rewritten"] == []
    # What comes after goes on as before: nothing is read again, and a reset finds its way.
    time.sleep(0.2)
    new = sidesnap.create(chain.name, box.tag())
    assert new["new_bytes"] < 100000 and new["parent"] == chain.results[5]["id"], new
    sidesnap("reset", chain.name, chain.tags[4], "--no-safety")
    trees.assert_same(box.path(chain.copies[4]), box.path(chain.volume))


def test_room_of_the_last_ones(box, sidesnap):
    """Those at the end of a chain take their layers with them, by prune or by rm."""
    chain = Chain(box, 4)
    chain.container.remove()
    before = layers_size(box.engine)
    plan = chain.prune(0, 1, options=("--dry-run", "--json")).json()
    frees = [s["frees_bytes"] for lineage in plan["lineages"] for s in lineage["snapshots"]]
    assert frees[:2] == [0, 0] and all(3.9 < size / MIB < 4.2 for size in frees[2:]), frees
    shown = chain.prune(0, 1, options=("--dry-run",)).out
    assert re.search(rf"^remove +{chain.tags[3]} .* 4\.\d MiB +4\.\d MiB ", shown, re.M), shown
    assert re.search(r"^would remove 2 snapshots and free about 8\.\d MiB$", shown, re.M), shown
    done = chain.prune(0, 1, options=("--yes",))
    assert re.search(r"2 snapshots removed, 2 kept, 0 of those written anew; about 8\.\d MiB freed", done.err), done
    freed = before - layers_size(box.engine)
    assert freed == plan["frees_bytes"], plan
    removed = sidesnap("rm", "--json", chain.tags[0], chain.tags[1]).json()
    assert removed["freed_bytes"] == before - freed - layers_size(box.engine) > 10 * MIB


def test_room_where_there_is_little(small_engine):
    """People prune when a disk is full: the plan needs no room, and the reserve can be lowered."""
    box = Box(small_engine, Images(small_engine))
    try:
        line = Line(box)
        for number in range(3):
            trees.write(trees.join(box.path(line.volume), "big"), trees.noise(4 * MIB, number))
            line.tags.append(box.tag())
            line.results.append(box.sidesnap("create", line.name, "-t", line.tags[-1], "--min-free", "0"))
        keep = ("--keep-tag", line.tags[1], "--keep-last", "1")
        plan = box.sidesnap.json("prune", line.name, *keep, "--dry-run")
        assert 3.8 < plan["frees_bytes"] / MIB < 4.2, plan
        failed = box.sidesnap("prune", line.name, *keep, "--yes", "--json", code=NO_SPACE)
        assert "--min-free" in failed.err and line.here() == line.tags[1:]
        before = layers_size(small_engine)
        done = box.sidesnap.json("prune", line.name, *keep, "--yes", "--min-free", "10M")
        assert done["freed_bytes"] == before - layers_size(small_engine) > 3 * MIB
        for tag in line.here():
            box.sidesnap("verify", tag)
    finally:
        box.close()


def test_room_that_is_not_freed(box, sidesnap):
    """By choice, or because a container was made from one of them."""
    chain = Chain(box, 3)
    before = layers_size(box.engine)
    assert chain.prune(1, 2, options=("--yes", "--json", "--no-rewrite")).json()["rewritten"] == []
    copy = box.create("copy", chain.tags[2])
    assert chain.prune(1, 2, options=("--dry-run", "--json", "--yes")).json()["frees_bytes"] == 0
    result = chain.prune(1, 2, options=("--yes",))
    assert "stay as long" in result.err and chain.tags[2] in result.err, result
    assert abs(layers_size(box.engine) - before) < MIB
    copy.remove()
    assert chain.prune(1, 2, options=()).out == ""
    assert abs(layers_size(box.engine) - before) < MIB, "nobody was asked"
    assert len(chain.prune(1, 2).json()["rewritten"]) == 2
    chain.check(1, 2)
    chain.check_room(2)


def points():
    """Read from the source, so that a new one is tested without being listed here."""
    found = set()
    for name in ("history/prune_rewrite.c", "history/retag.c", "create/consolidate.c"):
        with open(os.path.join(ROOT, "pkg/snapshot", name)) as file:
            found |= set(re.findall(r'failpoint(?:_error)?\("([a-z/_-]+)"', file.read()))
    return sorted(found)


@pytest.mark.parametrize("point", points())
def test_killed_while_room_is_freed(box, sidesnap, point):
    """Every snapshot is whole at once; the next prune ends with the same room, and without leftovers."""
    chain = Chain(box, 3)
    assert chain.prune(1, 2, sidesnap=sidesnap.at(point), code=None).code == -9, f"{point} is not on the way"
    chain.check(1, 2)
    wait_for(lambda: not any(h["State"] == "running" for h in box.helpers()), "helpers end by themselves", 30)
    assert sidesnap.json("doctor")["problems"] == []
    assert not box.helpers()
    chain.prune(1, 2)
    chain.check(1, 2)
    chain.check_room(2)
    assert sidesnap.json("doctor")["actions"] == []


def test_interrupted_while_room_is_freed(box, sidesnap):
    chain = Chain(box, 3)
    process = sidesnap.at("consolidate/ready", "sleep:30").start(
        "prune", chain.name, "--keep-tag", chain.tags[1], "--keep-tag", chain.tags[2], "--yes"
    )
    wait_for(lambda: len([h for h in box.helpers() if h["State"] == "running"]) == 2, "the helpers")
    time.sleep(0.5)
    code, out, err = interrupt(process, signal.SIGINT, 60)
    assert code == CANCELLED and "snapshots removed: 1" in err, (out, err)
    assert not box.helpers()
    chain.check(1, 2)


def test_agent_fails_while_room_is_freed(box, sidesnap):
    chain = Chain(box, 3)
    failing = sidesnap.at("consolidate/tree", "error")
    failed = chain.prune(1, 2, sidesnap=failing, code=None, options=("--yes",))
    assert failed.code not in (0, -9) and "snapshots removed: 1" in failed.err, failed
    assert not box.helpers() and [i for i, tags in box.engine.images().items() if not tags] == []
    chain.check(1, 2)
