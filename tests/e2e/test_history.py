"""
tree, log, tag, describe, pin: the history that labels tell, and what people write about it. Most look at
one set of snapshots; those that change something make their own.
"""

import os
import re
import subprocess

import pytest

from conftest import Box, booted
from support import trees
from support.cli import BUSY, EXISTS, NOT_FOUND, REFUSED, USAGE, await_stop, binary, go_on
from support.images import ROOT


def run_db(box):
    """KILL as its stop signal: a sleep as process 1 ignores TERM."""
    volume = box.volume("data", lambda path: trees.write(trees.join(path, "file"), b"hello\n"))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")], StopSignal="SIGKILL")
    container.volume = volume
    return container


class Set:
    """
    first: of db; second: of db after it; db is reset to first, which makes a safety snapshot of what was
    second; third: of db then. copy was booted from second, and fourth is of it. other is of something else.
    """

    def __init__(self, box):
        self.box = box
        self.db = run_db(box)
        sidesnap = box.sidesnap
        self.first, self.second, self.third, self.fourth, self.other = (box.tag() for _ in range(5))
        self.results = {}
        self.create(self.db, self.first, "-m", "the beginning")
        self.db.exec("echo second >/data/file")
        self.create(self.db, self.second)
        sidesnap("reset", self.db.name, self.first)
        self.db.exec("echo third >/data/file")
        self.create(self.db, self.third)
        self.copy = box.boot("copy", self.second)
        self.create(self.copy, self.fourth)
        self.stranger = box.run("other", "busybox", ["sleep", "1000"])
        self.create(self.stranger, self.other)

    def create(self, container, tag, *options):
        self.results[tag] = self.box.sidesnap.create(container.name, tag, *options)

    def id(self, tag):
        return self.results[tag]["id"]


@pytest.fixture(scope="module")
def history(engine, images):
    box = Box(engine, images)
    yield Set(box)
    box.close()


def rows(lineage):
    return {r["references"][0] if r["references"] else r["id"]: r for r in lineage["snapshots"]}


# ---- tree ----


def test_tree_says_what_came_from_what(history):
    tree = history.box.sidesnap.json("tree")
    assert [lineage["source"]["container"] for lineage in tree] == [history.stranger.name, history.copy.name]
    found = rows(tree[1])
    assert len(found) == 5
    assert found[history.first]["parent_state"] == "none" and found[history.first]["ancestor"] == ""
    came_from = {history.second: history.first, history.third: history.first, history.fourth: history.second}
    for tag, ancestor in came_from.items():
        assert found[tag]["ancestor"] == found[tag]["parent"] == history.id(ancestor), tag
        assert found[tag]["parent_state"] == "here"
    safety = next(r for r in found.values() if r["kind"] == "safety")
    assert safety["parent"] == history.id(history.second) and safety["operation"] == "reset"
    assert found[history.fourth]["ancestors"] == [history.id(history.second), history.id(history.first)]


def test_tree_says_where_containers_are(history):
    """A reset moves a container to another place; where it was booted from is not where it is."""
    found = rows(history.box.sidesnap.json("tree")[1])
    assert found[history.second]["containers"] == [history.copy.name]
    assert {t: r["current"] for t, r in found.items() if r["current"]} == {
        history.third: [history.db.name],
        history.fourth: [history.copy.name],
    }


def test_tree_is_drawn(history):
    text = history.box.sidesnap("tree").out
    lines = [re.split(r"  +", line) for line in text.splitlines()]
    assert lines[0][:3] == ["SNAPSHOT", "SOURCE", "CREATED"]
    drawn = [line[0] for line in lines[1:]]
    assert drawn[0] == f"* {history.other}" and drawn[1].strip() == ""
    assert drawn[2] == f"* {history.first}"
    assert drawn[3] == f"|-* {history.third}"
    assert drawn[4] == f"* {history.second}"
    assert drawn[5].startswith("|-* localhost/sidesnap/") and "[safety]" in text.splitlines()[6]
    assert drawn[6] == f"* {history.fourth}"
    assert "the beginning" in text and history.db.name in text


def test_tree_of_one_target(history):
    sidesnap = history.box.sidesnap
    assert [len(t["snapshots"]) for t in sidesnap.json("tree", history.copy.name)] == [5]
    assert [len(t["snapshots"]) for t in sidesnap.json("tree", history.stranger.name)] == [1]
    sidesnap.fails(NOT_FOUND, "tree", "nobody-has-this-name")


# ---- log ----


def test_log_of_a_target_begins_where_its_data_is(history):
    sidesnap = history.box.sidesnap
    found = sidesnap.json("log", history.db.name)
    assert [r["references"] for r in found] == [[history.third], [history.first]]
    found = sidesnap.json("log", history.copy.name)
    assert [r["references"] for r in found] == [[history.fourth], [history.second], [history.first]]


def test_log_of_a_snapshot_and_of_nothing(history):
    sidesnap = history.box.sidesnap
    found = sidesnap.json("log", history.second)
    assert [r["references"] for r in found] == [[history.second], [history.first]]
    by_id = sidesnap.json("log", history.id(history.second)[:12])
    assert [r["id"] for r in by_id] == [history.id(history.second), history.id(history.first)]
    assert [r["references"] for r in sidesnap.json("log")] == [[history.other]]
    quiet = sidesnap("log", history.fourth, "-q").out.split()
    assert quiet == [history.fourth, history.second, history.first]
    sidesnap.fails(NOT_FOUND, "log", "nobody-has-this-name")
    text = sidesnap("log", history.second).out
    for word in (history.second, history.first, "the beginning", "added", "frozen", history.db.name):
        assert word in text, (word, text)


def test_show_names_relatives(history):
    shown = history.box.sidesnap.json("show", history.second)
    assert shown["ancestor"] == {"id": history.id(history.first), "references": [history.first]}
    children = [c["references"] for c in shown["children"]]
    assert children[-1] == [history.fourth] and len(children) == 2
    text = history.box.sidesnap("show", history.second).out
    assert re.search(rf"parent +{history.id(history.first)} \({history.first}\)", text), text
    assert re.search(rf"children .*{history.fourth}", text), text


def test_completion_of_names(history):
    offered = history.box.sidesnap("__complete", "names").out.split()
    assert history.db.name in offered and history.first in offered


def test_completion_by_docker(history, scratch):
    """As docker's own completion calls a plugin: what was written so far, then the word that is begun."""
    program = os.path.join(scratch, "docker-sidesnap")
    os.symlink(binary(), program)

    def offered(*words):
        command = [program, "__complete", "sidesnap", *words]
        done = subprocess.run(command, env=history.box.sidesnap.environment(), capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done
        *lines, directive = done.stdout.splitlines()
        return [line.split("\t")[0] for line in lines], directive

    no_files = ":4"
    assert offered("pru") == (["prune"], no_files)
    assert {"create", "help", "rm"} <= set(offered("")[0]) and "man" not in offered("")[0]
    assert offered("--project", "x", "pru") == (["prune"], no_files)
    assert offered("prune", "--keep-l") == (["--keep-last"], no_files)
    assert offered("prune", "--keep-last", "") == ([], no_files)
    assert history.db.name in offered("reset", "")[0] and history.first not in offered("reset", "")[0]
    assert offered("reset", history.db.name, history.first[:-1])[0].count(history.first) == 1
    assert history.first in offered("rm", "x", "-f", "y", "")[0]
    assert offered("show", "x", "") == ([], no_files)
    assert offered("cp", f"{history.first}:/etc", "") == ([], ":0"), "files"
    assert offered("completion", "z") == (["zsh"], no_files)
    assert offered("nope", "") == ([], no_files)
    assert offered() == (offered("")[0], no_files)


def test_names_that_are_not_there(history):
    """What was probably meant is said; a container in place of a snapshot, and the other way round."""
    fails = history.box.sidesnap.fails
    wrong = history.first[:-1]
    for words in (("show", wrong), ("log", wrong), ("diff", history.first, wrong), ("rm", wrong)):
        fails(NOT_FOUND, *words, says=("did you mean", history.first))
    name, tag = history.first.split(":")
    fails(NOT_FOUND, "show", name, says=("did you mean", history.first))
    fails(NOT_FOUND, "show", history.db.name, says=("is a container", f"sidesnap ls {history.db.name}"))
    fails(NOT_FOUND, "reset", "nothing/like:it", history.db.name, says="looks like the name of a snapshot")
    fails(NOT_FOUND, "show", "zzzzzz", says="sidesnap ls")
    fails(USAGE, "help", "prun", says="did you mean prune?")


# ---- what follows makes its own snapshots; on an engine of our own its end is that of the set, too ----


@pytest.fixture
def db(box):
    return run_db(box)


@pytest.fixture
def tag(box, sidesnap, db):
    tag = box.tag()
    sidesnap.create(db.name, tag, "-m", "a title")
    return tag


def test_tree_after_a_reset_alone(box, sidesnap):
    """Then only the note in the state volume knows, also where the newest image is good for nothing."""
    db = run_db(box)
    first, second = box.tag(), box.tag()
    sidesnap.create(db.name, first)
    sidesnap.create(db.name, second)
    sidesnap("reset", db.name, first, "--no-safety")
    forge(box, "evil", id="e" * 32, lineage="evil", created="2099-01-01T00:00:00Z", Volumes={"/dev/x": {}})
    result = sidesnap("tree", db.name, "--json")
    found = rows(result.json()[0])
    assert found[first]["current"] == [db.name] and not found[second]["current"] and not result.err
    assert [r["references"] for r in sidesnap.json("log", db.name)] == [[first]]


def test_history_over_a_gap(box, sidesnap):
    """The middle one is removed; labels of the last tell what it came from all the same."""
    db = run_db(box)
    first, second, third = (box.tag() for _ in range(3))
    identity = [sidesnap.create(db.name, tag)["id"] for tag in (first, second, third)]
    sidesnap("rm", second)
    found = rows(sidesnap.json("tree", db.name)[0])
    assert found[third]["parent"] == identity[1] and found[third]["parent_state"] == "absent"
    assert found[third]["ancestor"] == identity[0] and found[third]["depth"] == 0
    assert f"... {third}" in sidesnap("tree", db.name).out
    log = sidesnap("log", third).out
    assert identity[1][:12] in log and "not here" in log and first in log
    assert f"(not here; the nearest before it: {first})" in sidesnap("show", third).out
    sidesnap("rm", first)
    found = rows(sidesnap.json("tree", db.name)[0])
    assert found[third]["parent_state"] == "absent" and found[third]["ancestor"] == ""


def forge(box, word, Volumes=None, **labels):
    """An image that says whatever it likes."""
    container = box.create(word, "busybox", ["true"])
    names = {"role": "snapshot", "format": "1", **labels}
    box.engine.call(
        "POST",
        "/commit",
        {"container": container.id, "repo": box.name(word), "tag": "test"},
        {"Labels": {f"sidesnap.{k}": v for k, v in names.items()}, "Volumes": Volumes or {}},
    )
    return f"{box.name(word)}:test"


def test_forged_labels(box, sidesnap):
    """A circle, one id twice, escape sequences where ids, names and notes should be."""
    evil = "\x1b[31m\u202e evil"
    a, b = "a" * 32, "b" * 32
    second = "2026-01-02T00:00:00Z"
    tags = [
        forge(box, "one", id=a, parent=b, lineage="L", created="2026-01-01T00:00:00Z"),
        forge(box, "two", id=b, parent=a, lineage="L", created=second, ancestors=f"{evil},,{a}"),
        forge(box, "three", id=b, parent=evil, lineage="L", created=second, notes=evil),
        forge(box, "four", id=evil, parent=evil, lineage=evil, title=evil, notes=evil, created=evil),
        forge(box, "five"),
    ]
    tree = sidesnap.json("tree")
    listed = [t for lineage in tree for r in lineage["snapshots"] for t in r["references"]]
    assert sorted(listed) == sorted(tags)
    for words in (["tree"], *(["log", tag] for tag in tags), ["ls"], ["log", "-q", tags[3]]):
        text = sidesnap(*words).out
        assert "\x1b" not in text and "\u202e" not in text, (words, text)
        assert text.strip()
    result = sidesnap.json("describe", tags[3], "-m", "tamed")
    assert result["id"] == evil and result["title"] == "tamed"


# ---- tag ----


def test_tag(box, sidesnap, db, tag):
    other, name = box.tag(), box.tag()
    second = sidesnap.create(db.name, other)
    first = sidesnap.json("show", tag)
    result = sidesnap.json("tag", tag, name)
    assert result == {"reference": name, "id": first["id"], "image": first["image"], "moved_from": ""}
    assert sidesnap("tag", tag, name).out == name + "\n", "again is no error"
    sidesnap.fails(EXISTS, "tag", other, name, says="--force")
    assert sidesnap.json("tag", other, name, "--force")["moved_from"] == result["image"]
    row = next(r for r in sidesnap.json("tree", db.name)[0]["snapshots"] if name in r["references"])
    assert row["id"] == second["id"] and other in row["references"]
    assert sidesnap.json("tag", first["id"][:12], name, "--force")["id"] == first["id"]
    sidesnap("rm", name)
    assert "no name any more" in sidesnap("tag", other, tag, "--force").err
    sidesnap("tag", first["image"], tag, "--force")
    sidesnap.fails(USAGE, "tag", tag, "UPPER", says="upper")
    sidesnap.fails(NOT_FOUND, "tag", "no-such-snapshot:1", name)
    sidesnap.fails(USAGE, "tag", tag)


# ---- describe ----


NOTES = 'Line one, "quoted"\n\n  three: äöü $(no) `command`\nlast'


def test_describe(box, sidesnap, db, tag):
    second = box.tag()
    sidesnap("tag", tag, second)
    before, config = box.engine.image(tag), sidesnap.json("show", tag)
    result = sidesnap.json("describe", tag, "-m", "new title", "--notes", NOTES)
    after = box.engine.image(tag)
    assert after["Id"] == result["image"] != result["previous"] == before["Id"]
    assert sorted(result["references"]) == sorted([tag, second]) and result["changed"]
    assert box.engine.image(second)["Id"] == after["Id"]
    assert after["RootFS"] == before["RootFS"], "no layer more"
    shown = sidesnap.json("show", tag)
    assert (shown["title"], shown["notes"], shown["id"]) == ("new title", NOTES, config["id"])
    for name in ("manifest", "command", "volumes", "trees", "parent", "lineage", "created", "stored"):
        assert shown[name] == config[name], name
    changed = {k for k, v in shown["labels"].items() if config["labels"].get(k) != v}
    assert changed == {"sidesnap.title", "sidesnap.notes", "org.opencontainers.image.title"}
    for key in ("User", "Env", "Healthcheck", "Entrypoint", "Cmd", "Volumes", "StopSignal", "ExposedPorts"):
        assert after["Config"].get(key) == before["Config"].get(key), key
    for words in (("log", tag), ("show", tag)):
        assert "three: äöü $(no) `command`" in sidesnap(*words).out
    sidesnap("verify", tag)
    booted(box.boot("copy", tag))
    assert box.container("copy").exec("cat /data/file") == "hello\n"


def images_of(box, identity):
    """Also those that no list shows."""
    filters = {"label": [f"sidesnap.id={identity}"]}
    return box.engine.json("GET", "/images/json", {"all": "1", "filters": filters})


def test_describe_a_part_and_again(box, sidesnap, tag):
    sidesnap("describe", tag, "--notes", "the notes")
    first = sidesnap.json("show", tag)
    assert (first["title"], first["notes"]) == ("a title", "the notes")
    same = sidesnap.json("describe", tag, "-m", "a title")
    assert same["image"] == same["previous"] == first["image"] and not same["changed"]
    for number in range(3):
        sidesnap("describe", tag, "-m", f"title {number}")
    assert sidesnap.json("show", tag)["notes"] == "the notes"
    sidesnap("describe", tag, "-m", "", "--notes", "")
    shown = sidesnap.json("show", tag)
    assert (shown["title"], shown["notes"]) == ("", "")
    assert len(images_of(box, shown["id"])) <= 2, "each description has left an image"
    assert len(box.engine.history(tag)) <= len(box.engine.history(box.images("busybox"))) + 2
    sidesnap("rm", tag)
    assert not images_of(box, shown["id"])


def test_describe_is_refused(box, sidesnap, tag):
    sidesnap.fails(USAGE, "describe", tag, says="--notes")
    sidesnap.fails(USAGE, "describe", tag, "-m", "x" * 1001, says="at most 1000")
    sidesnap.fails(USAGE, "describe", tag, "--notes", "x" * 20000, says="at most")
    sidesnap.fails(NOT_FOUND, "describe", "no-such-snapshot:1", "-m", "x")
    sidesnap.fails(USAGE, "describe", box.images("busybox"), "-m", "x", says="no snapshot")


def test_describe_while_another_does(box, sidesnap, tag):
    process = sidesnap.at("helper/created", "stop").start("describe", tag, "-m", "one")
    assert await_stop(process)
    sidesnap.fails(BUSY, "describe", tag, "-m", "two")
    go_on(process)
    assert sidesnap.json("show", tag)["title"] == "one"


def steps():
    """Read from the source, so that a new one is tested without being listed here."""
    found = {"helper/created"}
    for name in ("history/describe.c", "history/retag.c"):
        with open(os.path.join(ROOT, "pkg/snapshot", name)) as file:
            found |= set(re.findall(r'failpoint\("([a-z/_-]+)"', file.read()))
    return sorted(found)


def untagged(box):
    return sorted(image for image, tags in box.engine.images().items() if not tags)


@pytest.mark.parametrize("point", steps())
def test_describe_that_is_killed(box, sidesnap, tag, point):
    """Under each of its names is the whole snapshot at once, and doctor leaves nothing of the rest."""
    second = box.tag()
    sidesnap("tag", tag, second)
    identity = sidesnap.json("show", tag)["id"]
    for verb, words, old, new in (
        ("describe", ("-m", "killed"), ("a title", False), ("killed", False)),
        ("pin", (), ("whole", False), ("whole", True)),
        ("unpin", (), ("whole", True), ("whole", False)),
    ):
        assert sidesnap.at(point)(verb, tag, *words, code=None).code == -9, f"{point} is not on the way"
        for name in (tag, second):
            shown = sidesnap.json("show", name)
            assert shown["id"] == identity and shown["manifest"]
            assert (shown["title"], shown["pinned"]) in (old, new)
        before = {name: box.engine.image(name)["Id"] for name in (tag, second)}
        left = untagged(box)
        planned = [a["container"] for a in sidesnap.json("doctor", "--dry-run")["actions"]]
        assert set(left) <= set(planned), "it says so first"
        assert sidesnap.json("doctor")["problems"] == [] and not untagged(box) and not box.helpers()
        assert before == {name: box.engine.image(name)["Id"] for name in (tag, second)}
        for name in (tag, second):
            sidesnap("verify", name)
            sidesnap(verb, name, *words)
            sidesnap("describe", name, "-m", "whole")
        # Each has its own image where the tags were parted; said of one, it is said of both by their id.
        rows = sidesnap.json("tree")[0]["snapshots"]
        assert [(r["title"], r["pinned"]) for r in rows] == [("whole", verb == "pin")]
        assert not untagged(box)


def test_doctor_leaves_what_is_not_of_a_killed_describe(box, sidesnap, db, tag):
    """An image that a container was made from; one that was built on a snapshot; a describe under way."""
    copy = box.create("copy", tag)
    held = box.engine.image(tag)["Id"]
    sidesnap("describe", tag, "-m", "described")
    other = box.create("other", tag)
    built = box.engine.json("POST", "/commit", {"container": other.id}, {})["Id"]
    process = sidesnap.at("describe/committed", "stop").start("describe", tag, "-m", "under way")
    assert await_stop(process)
    before = untagged(box)
    assert len(before) == 2 and built in before
    assert sidesnap.json("doctor")["actions"] == [] and untagged(box) == before
    go_on(process)
    assert sidesnap.json("show", tag)["title"] == "under way"
    assert untagged(box) == [built] and box.engine.has_image(held)
    other.remove()
    copy.remove()
    assert sidesnap.json("doctor")["actions"] == [] and untagged(box) == [built]
    box.engine.call("DELETE", f"/images/{built}")


def test_described_snapshot_of_a_container(box, sidesnap, db, tag):
    """The container was made from the image of before: everything must know it all the same."""
    copy = box.boot("copy", tag, StopSignal="SIGKILL")
    sidesnap("describe", tag, "-m", "described")
    assert next(r for r in sidesnap.json("ls") if tag in r["references"])["containers"] == [copy.name]
    row = rows(sidesnap.json("tree", db.name)[0])[tag]
    assert row["containers"] == [copy.name] and copy.name in row["current"]
    assert sidesnap.json("log", copy.name)[0]["references"] == [tag]
    sidesnap.fails(REFUSED, "rm", tag, says=copy.name)
    copy.exec("echo worse >/data/file")
    sidesnap("reset", copy.name)
    assert copy.exec("cat /data/file") == "hello\n"
    after = box.tag()
    assert sidesnap.create(copy.name, after)["parent"] == row["id"]
    sidesnap("verify", after)


def test_create_after_a_describe_is_small(box, sidesnap, db, tag):
    sidesnap("describe", tag, "-m", "described")
    second = box.tag()
    assert sidesnap.create(db.name, second)["stored_bytes"] < 65536
    layers = [len(box.engine.image(t)["RootFS"]["Layers"]) for t in (tag, second)]
    assert layers[1] == layers[0] + 1


# ---- pin ----


def test_pin(box, sidesnap, tag):
    second = box.tag()
    sidesnap("tag", tag, second)
    assert sidesnap("pin", tag).out.split() == sorted([tag, second])
    assert not sidesnap.json("pin", tag)["changed"], "again is no error"
    shown = sidesnap.json("show", tag)
    assert shown["pinned"] is True and shown["title"] == "a title"
    assert "[pinned] a title" in sidesnap("ls").out and "[pinned] a title" in sidesnap("tree").out
    sidesnap("rm", second)
    sidesnap.fails(REFUSED, "rm", tag, says=["pinned", "unpin"])
    other = box.tag()
    sidesnap.create(box.name("db"), other)
    sidesnap.fails(REFUSED, "tag", other, tag, "--force", says="pinned")
    sidesnap.fails(REFUSED, "create", box.name("db"), "-t", tag, "--force", says="pinned")
    assert sidesnap.json("unpin", tag)["pinned"] is False
    sidesnap("pin", tag)
    sidesnap("rm", "--force", tag)
    assert not box.engine.has_image(tag)


def test_pinned_safety_snapshots_stay(box, sidesnap, db, tag):
    """They are the ones that go by themselves."""
    sidesnap("reset", db.name, tag)
    pinned = next(r for r in sidesnap.json("ls") if r["kind"] == "safety")["references"][0]
    sidesnap("pin", pinned)
    for _ in range(3):
        sidesnap("undo", db.name)
    found = [r["references"][0] for r in sidesnap.json("ls") if r["kind"] == "safety"]
    assert pinned in found and len(found) == 4


def test_run_with_labels_of_nothing_else(box, sidesnap, tag):
    """What describe makes is an image like the others: no label of a helper is left."""
    sidesnap("describe", tag, "-m", "new")
    labels = box.engine.image(tag)["Config"]["Labels"]
    for name in ("nonce", "purpose", "target", "owner", "journal"):
        assert not labels.get("sidesnap." + name), name
    assert labels["sidesnap.role"] == "snapshot"
