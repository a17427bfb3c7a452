"""
SIGKILL at every named step of a create: the target runs on, there is no tag or a whole snapshot, and
doctor clears away the rest. The build for tests names the steps.
"""

import os
import re
import time

import pytest

from support.api import wait_for
from support.cli import binary, family
from support.images import ROOT

FREEZE_LIMIT_S = 90  # the watchdog's deadline and some


def points(prefix):
    """The steps are read from the source, so that a new one is tested without being listed here."""
    found = set()
    for folder, _folders, names in os.walk(os.path.join(ROOT, "pkg")):
        for name in names:
            if name.endswith(".c"):
                with open(os.path.join(folder, name)) as file:
                    found |= set(re.findall(r'failpoint(?:_error)?\("([a-z/_-]+)"', file.read()))
    return sorted(p for p in found if p.startswith(prefix))


CREATE_POINTS = points(("create/", "helper/", "freeze/"))


@pytest.fixture
def db(box):
    return box.sleeper()


def test_there_are_steps():
    assert len(CREATE_POINTS) >= 8, CREATE_POINTS
    assert os.path.exists(binary("sidesnap", "failpoints")), "run make failpoints"


def thawed_soon(container):
    began = time.monotonic()
    wait_for(lambda: not container.state()["Paused"], f"{container.name} thaws", FREEZE_LIMIT_S)
    return time.monotonic() - began


def assert_healed(box, sidesnap, container, tag):
    """After doctor nothing is left but, at most, a whole snapshot."""
    wait_for(lambda: not any(h["State"] == "running" for h in box.helpers()), "helpers end by themselves", 30)
    result = sidesnap.json("doctor")
    assert not box.helpers(), result
    assert not [i for i, tags in box.engine.images().items() if not tags and box.is_snapshot(i)], result
    state = container.state()
    assert state["Running"] and not state["Paused"], result
    container.exec("echo alive >/data/alive")
    if box.engine.has_image(tag):
        sidesnap("verify", tag)
    else:
        assert not [t for tags in box.engine.images().values() for t in tags if tag in t]
    again = box.tag("again")
    sidesnap.create(container.name, again)
    assert sidesnap.json("doctor")["actions"] == []


@pytest.mark.parametrize("point", CREATE_POINTS)
def test_killed_at(box, sidesnap, db, point):
    tag = box.tag()
    options = ["--stopped"] if point == "create/stopped" else []
    result = sidesnap.at(point)("create", db.name, "-t", tag, *options, code=None)
    reached = result.code == -9
    if not reached:
        assert result.code == 0, result
        pytest.skip(f"{point} is not on the way of this target")
    if point not in ("create/tagged",):
        assert not box.engine.has_image(tag), f"a tag after a death at {point}"
    thawed_soon(db)
    if options and not db.state()["Running"]:
        sidesnap("doctor")
    assert_healed(box, sidesnap, db, tag)


@pytest.mark.parametrize("point", CREATE_POINTS)
def test_failing_at(box, sidesnap, db, point):
    """The same with an error instead of a death, where the step can fail: all is clean at once."""
    tag = box.tag()
    result = sidesnap.at(point, "error")("create", db.name, "-t", tag, code=None)
    assert not box.helpers() and not db.state()["Paused"] and db.state()["Running"], result
    assert box.engine.has_image(tag) == (result.code == 0), result


def test_killed_while_frozen_is_thawed_at_once(box, sidesnap, db):
    """The watchdog has the pipe's end as its sign: it does not wait for a deadline."""
    result = sidesnap.at("freeze/paused")("create", db.name, "-t", box.tag(), code=None)
    assert result.code == -9, result
    assert thawed_soon(db) < 5
    assert_healed(box, sidesnap, db, "none:none")


def test_process_group_killed_while_frozen(box, sidesnap, db):
    """A closed terminal kills the whole group: the watchdog is in a session of its own."""
    process = sidesnap.at("freeze/paused", "sleep:20").start(
        "create", db.name, "-t", box.tag(), start_new_session=True
    )
    wait_for(lambda: db.state()["Paused"], "the freeze")
    os.killpg(process.pid, 9)
    process.communicate()
    assert thawed_soon(db) < 5
    assert_healed(box, sidesnap, db, "none:none")


def test_hanging_create_is_thawed_at_the_deadline(box, sidesnap, db):
    """Stopped (SIGSTOP) while the target is frozen: the watchdog ends the freeze."""
    process = sidesnap.at("freeze/paused", "sleep:1").start("create", db.name, "-t", box.tag())
    try:
        wait_for(lambda: db.state()["Paused"], "the freeze")
        os.kill(process.pid, 19)
        thawed_soon(db)
        os.kill(process.pid, 18)
        out, err = process.communicate(timeout=60)
        # What was read while the target ran is thrown away: it failed, or it was done again.
        assert process.returncode != 0 or b"thawed" in err, (out, err)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert_healed(box, sidesnap, db, "none:none")


def test_everything_killed_doctor_repairs(box, sidesnap, db):
    """The sidecar's container is gone, watchdog and all: the labels of the helper say who was frozen."""
    process = sidesnap.at("freeze/paused", "sleep:60").start("create", db.name, "-t", box.tag())
    wait_for(lambda: db.state()["Paused"], "the freeze")
    everybody = family(process)
    assert len(everybody) >= 2, "where is the watchdog?"
    for one in reversed(everybody):
        os.kill(one, 9)
    process.communicate()
    time.sleep(0.5)
    assert db.state()["Paused"], "nobody was left who could thaw it"
    wait_for(lambda: not any(h["State"] == "running" for h in box.helpers()), "the helper ends", 30)
    result = sidesnap.json("doctor")
    assert not db.state()["Paused"] and not box.helpers()
    assert any(a["container"] in (db.name, db.id) for a in result["actions"]), result
    text = sidesnap("doctor").out
    assert text.strip(), "doctor says that nothing is to be done"


def test_doctor_dry_run_only_tells(box, sidesnap, db):
    result = sidesnap.at("helper/created")("create", db.name, "-t", box.tag(), code=None)
    assert result.code == -9, result
    before = box.engine.state()
    planned = sidesnap("doctor", "--dry-run", "--json", code=None)
    assert box.engine.state() == before, planned
    sidesnap("doctor")
    assert not box.helpers()


def test_killed_with_a_person_s_pause(box, sidesnap, db):
    """Who was paused by a person before stays so, whatever dies."""
    db.pause()
    result = sidesnap.at("create/frozen")("create", db.name, "-t", box.tag(), code=None)
    assert result.code == -9, result
    sidesnap("doctor")
    assert db.state()["Paused"]
    db.unpause()


def test_killed_agent_in_the_helper(box, sidesnap, db):
    """The helper dies (OOM, say): an error that says so, the target runs, no tag."""
    tag = box.tag()
    process = sidesnap.at("freeze/paused", "sleep:2").start("create", db.name, "-t", tag)
    wait_for(lambda: db.state()["Paused"], "the freeze")
    box.engine.call("POST", f"/containers/{box.helpers()[0]['Id']}/kill")
    out, err = process.communicate(timeout=60)
    assert process.returncode not in (0, 1), (out, err)
    assert b"helper" in err or b"agent" in err, err
    assert not db.state()["Paused"] and not box.engine.has_image(tag) and not box.helpers()
