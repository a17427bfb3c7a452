"""
What drivers and labels make happen, and that all of it happens in the container that it is about.
"""

import json
import os

import pytest

from support.cli import FAILED, NOT_FOUND, UNFINISHED, UNSUPPORTED, USAGE, Sidesnap
from test_postgres import sql, start

LABEL = "sidesnap.driver."


def labelled(box, **members):
    return box.sleeper(Labels={LABEL + name: text for name, text in members.items()})


def there(container, path):
    return container.exec(["test", "-e", path], check=False)[0] == 0


def test_they_are_listed_and_shown(box):
    listed = {d["name"]: d for d in box.sidesnap.json("drivers")}
    assert {"postgres", "redis"} <= set(listed)
    assert {"prepare", "dump", "load", "script", "compare"} <= set(listed["postgres"]["can"])
    shown = box.sidesnap("drivers", "show", "postgres")
    assert json.loads(shown.out)["name"] == "postgres"
    assert box.sidesnap.json("drivers", "show", "postgres")["definition"] == json.loads(shown.out)
    box.sidesnap.fails(NOT_FOUND, "drivers", "show", "oracle")
    box.sidesnap.fails(USAGE, "drivers", "shew", "postgres")


def test_a_broken_file(box, tmp_path):
    (tmp_path / "mine.json").write_text('{"name": "mine",\n"detect": {"processes": ["sleep"]},\n"data": [], "prepar": {}}')
    own = Sidesnap(box.host, env={"SIDESNAP_DRIVERS": str(tmp_path)})
    wrong = f'{tmp_path}/mine.json:3: "prepar" is no member'
    entry = next(d for d in own.json("drivers") if d["name"] == "mine")
    assert entry["problem"].startswith(wrong) and entry["can"] == []
    own.fails(USAGE, "drivers", "show", "mine", says=wrong)
    container = box.sleeper()
    own.fails(USAGE, "create", container.name, "-t", box.tag(), says=wrong)
    (tmp_path / "mine.json").write_text('{"name": "mine", "detect": {"processes": ["another"]}, "data": [], "prepar": {}}')
    made = own("create", container.name, "-t", box.tag())
    assert '"prepar" is no member' in made.err and "captured without one" in made.err


def test_prepare_by_label(box):
    container = labelled(box, prepare="touch '/data/two words'")
    box.sidesnap.create(container.name, box.tag())
    assert there(container, "/data/two words")


def test_a_failed_prepare(box):
    container = labelled(box, prepare="sh -c 'echo no disk >&2; exit 3'", release="touch /data/released")
    tag = box.tag()
    box.sidesnap.fails(FAILED, "create", container.name, "-t", tag, says=["cannot prepare labels", "exit code 3: no disk"])
    assert tag not in box.engine.tags() and there(container, "/data/released")
    made = box.sidesnap("create", container.name, "-t", tag, "--ignore-prepare", "--json")
    assert "captured unprepared" in made.err and "no disk" in made.err
    assert made.json()["prepare"] == "failed"
    assert box.engine.image(tag)["Config"]["Labels"]["sidesnap.prepare"] == "failed"
    assert box.sidesnap.json("show", tag)["prepare"] == "failed"
    assert "failed" in box.sidesnap("show", tag).out
    assert [s["prepare"] for s in box.sidesnap.json("ls") if tag in s["references"]] == ["failed"]


def test_one_that_succeeds_is_not_marked(box):
    container = labelled(box, prepare="true")
    tag = box.tag()
    assert box.sidesnap.create(container.name, tag, "--ignore-prepare")["prepare"] == ""
    assert not box.engine.image(tag)["Config"]["Labels"]["sidesnap.prepare"]


def test_finish_follows_a_restore(box):
    container = labelled(box, finish="touch /finished", ready="true")
    tag = box.tag()
    box.sidesnap.create(container.name, tag)
    assert not there(container, "/finished")
    box.sidesnap("reset", container.name, tag, "--yes")
    assert there(container, "/finished")
    # Labels go with the snapshot.
    run = box.sidesnap.json("run", tag, "--name", box.name("copy"))
    assert there(box.engine.container(run["name"]), "/finished")
    box.sidesnap("replace", container.name, tag, "--yes")
    assert there(box.container("db"), "/finished")


def test_a_finish_that_fails_leaves_what_was_restored(box):
    container = labelled(box, finish="sh -c 'echo not today >&2; exit 1'", ready="true")
    tag = box.tag()
    box.sidesnap.create(container.name, tag)
    container.exec("echo changed > /data/new")
    result = box.sidesnap.fails(UNFINISHED, "reset", container.name, tag, "--yes", says=["the data is restored", "not today"])
    assert f"sidesnap undo {container.name}" in result.err
    assert not there(container, "/data/new") and container.state()["Running"]
    name = box.name("copy")
    box.sidesnap.fails(UNFINISHED, "run", tag, "--name", name, says=name)
    assert box.engine.container(name).state()["Running"]


def test_statements_after_a_restore(box, tmp_path):
    container = labelled(box, script="sh -es", ready="true")
    tag = box.tag()
    box.sidesnap.create(container.name, tag)
    file = tmp_path / "finish.sh"
    file.write_text("echo $((6 * 7)) > /data/answer\n")
    box.sidesnap("reset", container.name, tag, "--yes", "--finish", file)
    assert container.exec("cat /data/answer").strip() == "42"
    file.write_text("false\ntouch /data/after\n")
    box.sidesnap.fails(UNFINISHED, "reset", container.name, tag, "--yes", "--finish", file, says="finish.sh")
    assert not there(container, "/data/after")
    # Before anything is touched.
    box.sidesnap.fails(FAILED, "reset", container.name, tag, "--yes", "--finish", tmp_path / "none")
    other = box.run("other", "busybox", ["sleep", "1000"])
    box.sidesnap.fails(UNSUPPORTED, "run", box.sidesnap.create(other.name, box.tag())["reference"], "--finish", file)


MEMBERS = {
    "prepare": {"steps": [{"name": "a", "any": [{"arguments": ["touch", "PATH-prepare"]}]}]},
    "release": {"steps": [{"name": "a", "any": [{"arguments": ["touch", "PATH-release"]}]}]},
    "ready": {"any": [{"arguments": ["touch", "PATH-ready"]}]},
    "finish": {"steps": [{"name": "a", "any": [{"arguments": ["touch", "PATH-finish"]}]}]},
    "client": {"arguments": ["touch", "PATH-client"]},
    "access": {"ways": [{}], "version": {"arguments": ["touch", "PATH-version"]}},
    "dump": {
        "file": "dump",
        "begin": [{"arguments": ["touch", "PATH-begin"]}],
        "server": {"arguments": ["sh", "-c", "touch PATH-dump; echo held"]},
        "end": [{"arguments": ["touch", "PATH-end"]}],
        "clean": [{"arguments": ["touch", "PATH-clean"]}],
        "holds": "^never",
        "contents": {"arguments": ["touch", "PATH-contents"]},
    },
    "load": {
        "how": "server",
        "server": {"arguments": ["sh", "-c", "touch PATH-load; cat > /dev/null"]},
        "begin": [{"arguments": ["touch", "PATH-before"]}],
        "end": [{"arguments": ["touch", "PATH-after"]}],
        "clean": [{"arguments": ["touch", "PATH-tidy"]}],
    },
    "script": {"arguments": ["sh", "-c", "touch PATH-script; cat > /dev/null"]},
}
MADE = "prepare release ready finish version begin dump end clean contents load before after tidy script".split()


def test_nothing_runs_outside_the_container(box, tmp_path):
    """Every command of a driver leaves a mark where it runs: the container has them all, we none."""
    mark = f"/tmp/{box.name('mark')}"
    text = json.dumps({"name": "evil", "detect": {}, "data": [], **MEMBERS}).replace("PATH", mark)
    (tmp_path / "evil.json").write_text(text)
    file = tmp_path / "some"
    file.write_text("something\n")
    own = Sidesnap(box.host, env={"SIDESNAP_DRIVERS": str(tmp_path)})
    container = box.sleeper(Labels={"sidesnap.driver": "evil"})
    tag = box.tag()
    # Its process is none of the driver's: nothing is prepared then, so its own name is given.
    definition = json.loads(text)
    definition["detect"] = {"processes": ["sleep"]}
    (tmp_path / "evil.json").write_text(json.dumps(definition))
    own("create", container.name, "-t", tag)
    assert own("dump", container.name).out == "held\n"
    own("load", container.name, "-i", file, "--yes", "--no-safety")
    own("reset", container.name, tag, "--yes", "--finish", file)
    made = container.exec(f"ls {mark}-*").split()
    assert {m.rpartition("-")[2] for m in made} == set(MADE)
    assert [f for f in os.listdir("/tmp") if f.startswith(os.path.basename(mark))] == []


def test_what_the_shell_would_do(box):
    """Words of a label are words: no shell expands them, there or here."""
    container = labelled(box, prepare="touch /data/$HOME /data/`id` '/data/a;b' /data/*")
    box.sidesnap.create(container.name, box.tag())
    names = set(container.exec("ls /data").split("\n"))
    assert {"$HOME", "`id`", "a;b", "*"} <= names


def steps(result):
    return {step["step"]: step["result"] for step in result["steps"]}


def test_one_is_tried(box, sidesnap):
    """Every step on a real server; the copy that is loaded is gone afterwards."""
    db = start(box, mounts=[(box.volume("data"), "/var/lib/postgresql/data")])
    sql(db, "create table t as select i, 'ä' || i as v from generate_series(1, 500) i; create role app login password 'x'")
    before = {c["Id"] for c in box.engine.containers()}
    result = sidesnap.json("drivers", "test", "postgres", db.name, timeout=300)
    assert result["ok"] is True
    assert steps(result) == dict.fromkeys(["detect", "ready", "prepare", "dump", "load", "compare"], "ok")
    shown = sidesnap("drivers", "test", "postgres", db.name, timeout=300).out
    assert "the same rows" in shown and "its own dump is the same" in shown
    assert {c["Id"] for c in box.engine.containers()} == before


def test_one_that_does_not_fit_is_told(box, sidesnap, tmp_path):
    db = start(box, mounts=[(box.volume("data"), "/var/lib/postgresql/data")])
    sidesnap.fails(FAILED, "drivers", "test", "redis", db.name, says=["postgres", "sidesnap.driver=redis"])
    sidesnap.fails(USAGE, "drivers", "test", "redis", says=["CONTAINER"])
    sidesnap.fails(NOT_FOUND, "drivers", "test", "nosuch", db.name)
    sidesnap.fails(NOT_FOUND, "drivers", "test", "postgres", "nosuch")
    # A dump that leaves something out is loaded without an error, and found by the comparison.
    own = json.loads(sidesnap("drivers", "show", "postgres").out)
    own["dump"]["server"]["arguments"].append("--no-role-passwords")
    (tmp_path / "postgres.json").write_text(json.dumps(own))
    done = sidesnap("drivers", "test", "postgres", db.name, "--json", code=FAILED, env={"SIDESNAP_DRIVERS": str(tmp_path)}, timeout=300)
    assert steps(done.json())["compare"] == "failed", done
    assert steps(done.json())["load"] == "ok", done
