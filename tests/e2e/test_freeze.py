"""The freeze: one instant for everything, never longer than needed, always ended."""

import os
import pty
import signal
import struct
import termios
import time

import pytest

from support import trees
from support.api import wait_for
from support.cli import CANCELLED, ENGINE, NOT_FOUND, Sidesnap, interrupt
from support.watch import PauseWatch


@pytest.fixture
def db(box):
    return box.sleeper(lambda p: trees.write(trees.join(p, "big"), trees.noise(60 << 20)))


def assert_running(container):
    state = container.state()
    assert state["Running"] and not state["Paused"], state


def test_all_volumes_and_own_files_are_of_one_instant(box, sidesnap):
    """A writer counts up in three places, one after the other: any snapshot has them within one."""
    one, two = box.volume("one"), box.volume("two")
    script = (
        "i=0; while :; do i=$((i+1)); echo $i >/one/n; mv /one/n /one/count;"
        " echo $i >/two/n; mv /two/n /two/count; echo $i >/n; mv /n /count; done"
    )
    container = box.run("db", "busybox", ["sh", "-c", script], [(one, "/one"), (two, "/two")])
    wait_for(lambda: os.path.exists(box.path(two) + "/count"), "the writer")
    for number in range(3):
        tag = box.tag()
        sidesnap.create(container.name, tag)
        copy = box.run(f"copy{number}", tag, ["cat", "/one/count", "/two/count", "/count"])
        copy.wait()
        first, second, third = map(int, copy.output().split())
        assert first - 1 <= second <= first and second - 1 <= third <= second, (first, second, third)


def test_stores_through_a_mapping_are_of_one_instant(box, sidesnap):
    """mtime lies for mmap writers: the two counters of a page are equal, or one apart."""
    volume = box.volume("data")
    container = box.run("db", "service", ["service", "mapped", "/data/page"], [(volume, "/data")])
    wait_for(lambda: os.path.exists(box.path(volume) + "/page"), "the writer")
    last = 0
    for _ in range(3):
        tag = box.tag()
        sidesnap.create(container.name, tag)
        copy = box.volume("copy")
        box.create(f"copy{last}", tag, ["true"], [(copy, "/data")]).start()
        container_copy = box.container(f"copy{last}")
        container_copy.wait()
        with open(box.path(copy) + "/page", "rb") as file:
            data = file.read()
        head, tail = struct.unpack("<Q", data[:8])[0], struct.unpack("<Q", data[-8:])[0]
        assert head - 1 <= tail <= head and head > last, (head, tail, last)
        last = head
        container_copy.remove()
        box.engine.call("DELETE", f"/volumes/{copy}")


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_stalled_progress_reader_does_not_hold_the_freeze(box, db, kind):
    """`sidesnap create | less`, a terminal stopped with ^S: the target must not wait for a person."""
    sidesnap = Sidesnap(box.host)
    if kind == "pipe":
        read, write = os.pipe()
        # Full from the start: the first byte of progress would block a writer.
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(write, True)
    else:
        read, write = pty.openpty()
        termios.tcflow(write, termios.TCOOFF)
    process = sidesnap.start("create", db.name, "-t", box.tag(), "--verbose", stderr=write)
    os.close(write)
    try:
        with PauseWatch(box.engine) as watch:
            wait_for(lambda: db.name in watch.seen, "the freeze", 60)
            wait_for(lambda: not db.state()["Paused"], "the thaw while nobody reads", 20)
        assert_running(db)
    finally:
        os.close(read)
        process.terminate()
        process.communicate(timeout=30)


def test_interrupt_ends_it_cleanly(box, db):
    """Ctrl-C: thawed, helper removed, 130, no tag."""
    for point in ("helper/started", "freeze/paused"):
        tag = box.tag()
        process = box.sidesnap.at(point, "sleep:3").start("create", db.name, "-t", tag)
        time.sleep(1.5)
        code, out, err = interrupt(process)
        assert code == CANCELLED, (point, out, err)
        assert_running(db)
        assert not box.helpers() and not box.engine.has_image(tag), point


def test_interrupt_at_any_moment_leaves_nothing(box, db):
    """Also in the middle of the commit, which the engine finishes although nobody waits for it."""
    began = time.monotonic()
    box.sidesnap.create(db.name, box.tag())
    whole = time.monotonic() - began
    before = box.engine.images()
    for part in (0.2, 0.4, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
        tag = box.tag()
        process = box.sidesnap.start("create", db.name, "-t", tag)
        time.sleep(whole * part)
        code, _out, err = interrupt(process)
        assert code in (CANCELLED, 0), (part, err)
        time.sleep(0.5)
        new = {i: t for i, t in box.engine.images().items() if i not in before}
        assert list(new.values()) in ([[tag]], []), (part, code, new, err)
        assert len(new) == (code == 0), (part, code, new, err)
        for identity in new:
            box.engine.remove_image(identity)
        assert_running(db)
        assert not box.helpers()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_cleanly_too(box, db, number):
    tag = box.tag()
    process = box.sidesnap.at("freeze/paused", "sleep:3").start("create", db.name, "-t", tag)
    wait_for(lambda: db.state()["Paused"], "the freeze")
    code, _out, err = interrupt(process, number)
    assert code == CANCELLED, err
    assert_running(db)
    assert not box.helpers() and not box.engine.has_image(tag)


def test_cancel(box, sidesnap, db):
    """docker exec -T delivers no signal: another command ends it."""
    tag = box.tag()
    process = box.sidesnap.at("freeze/paused", "sleep:2").start("create", db.name, "-t", tag)
    wait_for(lambda: db.state()["Paused"], "the freeze")
    assert sidesnap.json("cancel", db.name)["cancelled"] is True
    out, err = process.communicate(timeout=60)
    assert process.returncode == CANCELLED, (out, err)
    assert b"cancel" in err.lower(), err
    assert_running(db)
    assert not box.helpers() and not box.engine.has_image(tag)


def test_helper_that_the_engine_stops_was_not_cancelled(box, db):
    """What an engine does at its orderly end: the create failed for the engine's sake, not a person's."""
    tag = box.tag()
    process = box.sidesnap.at("freeze/paused", "sleep:2").start("create", db.name, "-t", tag)
    wait_for(lambda: db.state()["Paused"], "the freeze")
    box.engine.call("POST", f"/containers/{box.helpers()[0]['Id']}/stop", {"t": "5"})
    out, err = process.communicate(timeout=60)
    assert process.returncode == ENGINE, (out, err)
    assert b"cancel" not in err and b"stopped" in err, err
    assert_running(db)
    assert not box.helpers() and not box.engine.has_image(tag)


def test_cancel_without_a_create(box, sidesnap, db):
    result = sidesnap.fails(4, "cancel", db.name, says=db.name)
    assert result


def test_doctor_leaves_a_living_create_alone(box, sidesnap, db):
    tag = box.tag()
    process = box.sidesnap.at("freeze/paused", "sleep:3").start("create", db.name, "-t", tag)
    wait_for(lambda: db.state()["Paused"], "the freeze")
    sidesnap.json("doctor")
    assert db.state()["Paused"], "doctor took a living create for a dead one"
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    assert_running(db)


def test_thawed_by_somebody_meanwhile_is_no_frozen_snapshot(box, db):
    """After the last read it is checked that nothing was thawed: redone, or failed, never a lie."""
    tag = box.tag()
    process = box.sidesnap.at("freeze/paused", "sleep:2").start("create", db.name, "-t", tag)
    wait_for(lambda: db.state()["Paused"], "the freeze")
    db.unpause()
    with PauseWatch(box.engine) as watch:
        out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        assert db.name in watch.seen, "it was not frozen again"
        assert box.engine.image(tag)["Config"]["Labels"]["sidesnap.consistency"] == "frozen"
    else:
        assert b"thaw" in err or b"unpaus" in err or b"unfro" in err, err
        assert not box.engine.has_image(tag)
    assert_running(db)


def test_writer_that_appears_meanwhile_starts_it_again(box, db):
    tag = box.tag()
    process = box.sidesnap.at("freeze/paused", "sleep:2").start("create", db.name, "-t", tag)
    wait_for(lambda: db.state()["Paused"], "the freeze")
    writer = box.run("late", "busybox", ["sleep", "1000"], [(db.volume, "/data")])
    with PauseWatch(box.engine) as watch:
        out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        assert writer.name in watch.seen, "a writer was running during the copy"
    else:
        assert writer.name.encode() in err, err
        assert not box.engine.has_image(tag)
    assert_running(db)
    assert_running(writer)


def test_target_removed_while_it_is_captured(box, db):
    tag = box.tag()
    process = box.sidesnap.at("helper/started", "sleep:2").start("create", db.name, "-t", tag)
    wait_for(lambda: box.helpers(), "the helper")
    time.sleep(0.5)
    box.engine.remove_container(db.id)
    out, err = process.communicate(timeout=60)
    assert process.returncode == NOT_FOUND, (out, err)
    assert b"removed" in err, err
    assert not box.engine.has_image(tag) and not box.helpers()


def test_target_that_stops_while_it_is_captured(box, db):
    tag = box.tag()
    process = box.sidesnap.at("helper/started", "sleep:2").start("create", db.name, "-t", tag)
    wait_for(lambda: box.helpers(), "the helper")
    time.sleep(0.5)
    db.kill()
    out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        assert box.engine.image(tag)["Config"]["Labels"]["sidesnap.consistency"] == "stopped"
    else:
        assert err.strip() and not box.engine.has_image(tag), err
    assert not box.helpers()


def test_pauses_are_balanced_over_many_creates(box, sidesnap, db):
    """A counter of freezes that drifts would show."""
    for _ in range(5):
        sidesnap.create(db.name, box.tag())
    assert_running(db)
    db.exec("true")


def test_a_health_check_that_is_due_does_not_prolong_the_freeze(box, sidesnap):
    """An engine that starts one while it pauses can neither end it nor thaw, until it times out."""
    volume = box.volume("data")
    check = {"Test": ["CMD-SHELL", "true"], "Interval": 300 * 10**6, "Timeout": 20 * 10**9}
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")], Healthcheck=check)
    frozen = [sidesnap.create(container.name, box.tag())["frozen_ms"] for _ in range(6)]
    assert max(frozen) < 10000, frozen
