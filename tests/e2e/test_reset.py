"""
reset: the same container with the data of then, whatever it had become; and on any failure or death
either all of the state before or all of the snapshot's, under its name, with its policy.
"""

import contextlib
import os
import subprocess
import time

import pytest

from support import trees
from support.api import wait_for
from support.cli import BUSY, NOT_FOUND, REFUSED, USAGE, Terminal
from test_killed import points

STATE_VOLUME = "sidesnap-state"
BEFORE = {"file": "worse\n", "extra": "extra\n"}
THEN = {"file": "hello\n", "extra": None}


@pytest.fixture
def db(box):
    # KILL as its stop signal: a sleep as process 1 ignores TERM, and there are many stops here.
    policy = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 7}}
    return box.sleeper(host=policy, StopSignal="SIGKILL")


@pytest.fixture
def tag(box, sidesnap, db):
    """A snapshot of the good state; the container has gone on to a worse one."""
    tag = box.tag()
    sidesnap.create(db.name, tag)
    trees.worsen_small(db)
    return tag


def content(container):
    """What tells the two states apart; read beside the container, which may be stopped."""
    root = container.engine.volume_path(container.volume)
    found = {}
    for name in ("file", "extra"):
        try:
            with open(os.path.join(root, name)) as file:
                found[name] = file.read()
        except FileNotFoundError:
            found[name] = None
    return found


def assert_settled(box, db, running=True):
    """One container of that name, the same as ever, with its policy, and nothing of ours around."""
    now = box.container("db")
    assert now.id == db.id
    inspect = now.inspect()
    assert inspect["State"]["Running"] == running and not inspect["State"]["Paused"]
    assert inspect["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 7}
    assert not box.helpers()
    assert [c["Names"] for c in box.engine.containers() if "sidesnap-" in c["Names"][0].replace(box.name(""), "")] == []


def test_data_of_then_is_back(box, sidesnap, db, tag):
    result = sidesnap.json("reset", db.name, tag)
    assert content(db) == THEN
    assert sorted(os.listdir(box.path(db.volume))) == ["dir", "fifo", "file", "linked", "symlink"]
    assert_settled(box, db)
    assert db.exec("cat /own") == "own\n", "own files are left as they are"
    assert result["container"] == db.id and result["name"] == db.name and result["reference"] == tag
    assert result["ready"] is True and box.safeties() == [result["safety"]]
    for number in ("written_bytes", "read_bytes", "kept_files", "safety_ms", "stop_ms", "restore_ms", "ready_ms"):
        assert isinstance(result[number], int), number
    assert [r["path"] for r in result["restored"]] == ["/data"]
    said = sidesnap("reset", db.name, tag)
    assert "undo" in said.err and db.name in said.out, said


def test_without_a_safety_snapshot(box, sidesnap, db, tag):
    result = sidesnap.json("reset", db.name, tag, "--no-safety")
    assert content(db) == THEN and result["safety"] == "" and not box.safeties()
    assert_settled(box, db)


def test_left_stopped_on_request(box, sidesnap, db, tag):
    result = sidesnap.json("reset", db.name, tag, "--no-start", "--no-safety")
    assert result["ready"] is False
    assert_settled(box, db, running=False)
    assert content(db) == THEN
    # And one that did not run stays so.
    trees.write(os.path.join(box.path(db.volume), "extra"), b"extra\n")
    sidesnap("reset", db.name, tag)
    assert_settled(box, db, running=False)
    assert content(db) == THEN


def test_other_users_and_followers_run_again(box, sidesnap, db, tag):
    other = box.run("other", "busybox", ["sleep", "1000"], [(db.volume, "/data")])
    follower = box.run("follower", "busybox", ["sleep", "1000"], host={"NetworkMode": f"container:{db.id}"})
    stopped = box.create("stopped", "busybox", ["sleep", "1000"], [(db.volume, "/data")])
    started = {c.name: c.state()["StartedAt"] for c in (other, follower)}
    sidesnap.fails(REFUSED, "reset", db.name, tag, says=[other.name, follower.name])
    assert content(db) == BEFORE and db.state()["Running"]
    result = sidesnap.json("reset", db.name, tag, "--yes")
    assert sorted(result["restarted"]) == sorted(started) and result["recreated"] == []
    for container in (other, follower):
        state = container.state()
        assert state["Running"] and state["StartedAt"] > started[container.name], container.name
    assert not stopped.state()["Running"]
    namespaces = [os.readlink(f"/proc/{c.state()['Pid']}/ns/net") for c in (db, follower)]
    assert namespaces[0] == namespaces[1], "the follower is in the namespace of the new process"


# ---- which snapshot


def test_default_is_what_a_person_created_last(box, sidesnap, db, tag):
    worse = box.tag("worse")
    sidesnap.create(db.name, worse)
    db.exec("echo worst >/data/file")
    result = sidesnap.json("reset", db.name)
    assert result["reference"] == worse and content(db) == BEFORE


def test_default_is_what_it_was_reset_to(box, sidesnap, db, tag):
    worse = box.tag("worse")
    sidesnap.create(db.name, worse)
    sidesnap("reset", db.name, tag)
    db.exec("echo worst >/data/file")
    result = sidesnap.json("reset", db.name)
    assert result["reference"] == tag, "later than the create of the other, and never a safety one"
    assert content(db) == THEN
    # A record of a snapshot that is gone says nothing.
    sidesnap("rm", tag)
    assert sidesnap.json("reset", db.name)["reference"] == worse


def test_default_is_what_it_was_booted_from(box, sidesnap, db, tag):
    copy = box.boot("copy", tag, mounts=[(box.volume("copy"), "/data")])
    copy.exec("echo worst >/data/file")
    result = sidesnap.json("reset", copy.name)
    assert result["reference"] == tag and copy.exec("cat /data/file") == "hello\n"


def test_no_default(box, sidesnap, db):
    sidesnap.fails(NOT_FOUND, "reset", db.name, says=[db.name, "REF"])
    assert_settled(box, db)


def test_parent_of_the_next_create(box, sidesnap, db, tag):
    first = box.engine.image(tag)["Config"]["Labels"]["sidesnap.id"]
    worse = sidesnap.create(db.name, box.tag("worse"))
    assert worse["parent"] == first
    sidesnap("reset", db.name, tag, "--no-safety")
    again = sidesnap.create(db.name, box.tag("again"))
    assert again["parent"] == first, "its state came from there, though the other is newer"
    box.engine.call("DELETE", f"/volumes/{STATE_VOLUME}", {"force": "1"})
    assert sidesnap.create(db.name, box.tag("more"))["parent"] == again["id"]


def test_parent_of_the_next_create_is_not_the_safety_snapshot(box, sidesnap, db, tag):
    """That is newer than the snapshot, but made before the reset."""
    first = box.engine.image(tag)["Config"]["Labels"]["sidesnap.id"]
    sidesnap("reset", db.name, tag)
    assert sidesnap.create(db.name, box.tag("again"))["parent"] == first


# ---- refusals


def test_mistyped(box, sidesnap, db, tag):
    sidesnap.fails(NOT_FOUND, "reset", db.name + "x", tag)
    sidesnap.fails(NOT_FOUND, "reset", db.name, tag + "x")
    sidesnap.fails(USAGE, "reset", db.name, box.images("busybox"), says="no snapshot")
    sidesnap.fails(USAGE, "reset")
    assert content(db) == BEFORE and db.state()["Running"]


def test_container_that_cannot_be_reset(box, sidesnap, db, tag):
    db.pause()
    sidesnap.fails(REFUSED, "reset", db.name, tag, says="paused")
    assert db.state()["Paused"]
    db.unpause()
    gone = box.run("gone", "busybox", ["sleep", "1000"], [(box.volume("gone"), "/data")], host={"AutoRemove": True})
    sidesnap.fails(REFUSED, "reset", gone.name, tag, "--yes", says=["--rm", "sidesnap run"])
    bare = box.run("bare", "busybox", ["sleep", "1000"])
    sidesnap.fails(REFUSED, "reset", bare.name, tag, "--yes", says=["volumes", "replace"])


def test_snapshot_of_something_else_is_asked_about(box, sidesnap, db, tag):
    volume = box.volume("stranger")
    stranger = box.run("stranger", "busybox", ["sleep", "1000"], [(volume, "/data")], StopSignal="SIGKILL")
    terminal = Terminal(sidesnap, "reset", stranger.name, tag)
    try:
        wait_for(lambda: db.name.encode() in terminal.read(), "the question", 60)
        terminal.type(b"n\n")
        assert terminal.wait() == REFUSED, terminal.output
    finally:
        terminal.close()
    assert stranger.exec("ls /data") == ""
    sidesnap("reset", stranger.name, tag, "--yes")
    assert stranger.exec("cat /data/file") == "hello\n"


def test_one_at_a_time(box, sidesnap, db, tag):
    process = sidesnap.at("restore/stopped", "sleep:4").start("reset", db.name, tag)
    wait_for(lambda: not db.state()["Running"], "the stop")
    sidesnap.fails(BUSY, "reset", db.name, tag, says="under way")
    sidesnap.fails(BUSY, "replace", db.name, tag, "--yes")
    sidesnap.fails(BUSY, "create", db.name, "-t", box.tag())
    assert process.wait(60) == 0, process.communicate()
    process.communicate()
    assert content(db) == THEN


def test_one_at_a_time_on_the_way_back(box, sidesnap, db, tag):
    """Its helper is stopped by then, and yet nobody takes it for interrupted."""
    failing = sidesnap.at("reset/started=error,rollback/stopped", "sleep:6")
    process = failing.start("reset", db.name, tag)
    wait_for(lambda: ".sidesnap-restoring" in db.inspect()["Name"], "the change")
    wait_for(lambda: not any(h["State"] == "running" for h in box.helpers()), "the way back", 30)
    sidesnap.fails(BUSY, "reset", db.name, tag, says="under way")
    process.communicate(timeout=60)
    assert process.returncode not in (0, BUSY)
    assert content(db) == BEFORE
    assert_settled(box, db)


# ---- failures and deaths

SHARED_POINTS = points(("restore/", "reset/"))
AGENT_POINTS = ["volume/before", "restore/mid", "volume/before-mark"]


def test_there_are_steps():
    assert len(SHARED_POINTS) >= 10, SHARED_POINTS


def at_each_step(sidesnap, point, action, *arguments):
    result = sidesnap.at(point, action)(*arguments, code=None)
    if action == "kill":
        reached = result.code == -9
    else:
        reached = result.code != 0
    if not reached:
        assert result.code == 0, result
        pytest.skip(f"{point} is not on the way")
    return result


@pytest.mark.parametrize("point", SHARED_POINTS)
def test_failure_is_rolled_back(box, sidesnap, db, tag, point):
    at_each_step(sidesnap, point, "error", "reset", db.name, tag)
    assert content(db) == BEFORE
    assert_settled(box, db)


@pytest.mark.parametrize("point", SHARED_POINTS)
def test_failure_without_safety_is_one_or_the_other(box, sidesnap, db, tag, point):
    result = at_each_step(sidesnap, point, "error", "reset", db.name, tag, "--no-safety")
    assert content(db) in (BEFORE, THEN)
    said = "all is as it was before" in result.err
    assert said == (content(db) == BEFORE), result
    assert_settled(box, db)


def ended_helpers(box):
    wait_for(lambda: not any(h["State"] == "running" for h in box.helpers()), "helpers end", 30)


# Of the two ways after a death each is taken at every step with the one or the other; crosswise, where there is time.
RARE = pytest.mark.database


@pytest.mark.parametrize("safety", [(), pytest.param(("--no-safety",), marks=RARE)], ids=["safety", "bare"])
@pytest.mark.parametrize("point", SHARED_POINTS + ["create/killed", "freeze/paused"])
def test_death_and_doctor(box, sidesnap, db, tag, point, safety):
    at_each_step(sidesnap, point, "kill", "reset", db.name, tag, *safety)
    if point in ("create/killed", "freeze/paused"):
        wait_for(lambda: db.state()["Running"] and not db.state()["Paused"], "the watchdog's work")
    ended_helpers(box)
    said = sidesnap("doctor")
    assert content(db) in (BEFORE, THEN), said
    assert_settled(box, db)
    assert sidesnap.json("doctor")["actions"] == []


@pytest.mark.parametrize("safety", [pytest.param((), marks=RARE), ("--no-safety",)], ids=["safety", "bare"])
@pytest.mark.parametrize("point", SHARED_POINTS)
def test_death_and_again(box, sidesnap, db, tag, point, safety):
    at_each_step(sidesnap, point, "kill", "reset", db.name, tag, *safety)
    sidesnap("reset", db.name, tag, *safety)
    assert content(db) == THEN
    assert_settled(box, db)


@pytest.mark.parametrize("point", points("rollback/"))
def test_death_while_rolling_back(box, sidesnap, db, tag, point):
    """The snapshot's data makes the reset fail after the change; the way back is killed as well."""
    failing = f"reset/started=error,{point}"
    result = sidesnap.at(failing)("reset", db.name, tag, code=None)
    assert result.code == -9, result
    assert not db.state()["Running"], "nothing runs on half the data"
    ended_helpers(box)
    sidesnap("doctor")
    assert content(db) == BEFORE
    assert_settled(box, db)


@pytest.mark.parametrize("safety", [(), ("--no-safety",)], ids=["safety", "bare"])
@pytest.mark.parametrize("point", AGENT_POINTS)
def test_death_of_the_helper(box, sidesnap, db, tag, point, safety):
    result = sidesnap.at(point)("reset", db.name, tag, *safety, code=None)
    if result.code == 0:
        pytest.skip(f"{point} is not on the way of so little data")
    if "as it was before" in result.err:
        # The helper that put it back did not come by that place.
        assert content(db) == BEFORE
        assert_settled(box, db)
        return
    # The helper that was to put it right died as well.
    assert not db.state()["Running"] and "sidesnap doctor" in result.err, result
    assert db.inspect()["Name"].endswith(".sidesnap-restoring")
    assert db.inspect()["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    sidesnap("doctor")
    assert content(db) == (THEN if safety else BEFORE)
    assert_settled(box, db)


def test_death_of_helper_and_command_and_again(box, sidesnap, db, tag):
    process = sidesnap.at("restore/mid", "sleep:30").start("reset", db.name, tag)
    wait_for(lambda: ".sidesnap-restoring" in db.inspect()["Name"], "the change")
    time.sleep(0.5)
    for helper in box.helpers():
        box.engine.call("POST", f"/containers/{helper['Id']}/kill")
    process.kill()
    process.communicate()
    # By its usual name, which it does not have at the moment.
    result = sidesnap.json("reset", db.name, tag)
    assert result["name"] == db.name and content(db) == THEN
    assert_settled(box, db)


def lose_half_way(box, sidesnap, db):
    """A reset that is killed while it restores, and whose snapshot is gone then."""
    gone = box.tag()
    sidesnap.create(db.name, gone)
    at_each_step(sidesnap, "restore/going", "kill", "reset", db.name, gone, "--no-safety")
    ended_helpers(box)
    box.engine.call("DELETE", f"/images/{gone}?force=1")


def test_snapshot_of_a_killed_reset_is_gone(box, sidesnap, db, tag):
    """Half restored, without a way back or forth: another snapshot must do."""
    lose_half_way(box, sidesnap, db)
    sidesnap.fails(NOT_FOUND, "reset", db.name, says="another snapshot can take its place")
    result = sidesnap("reset", db.name, tag, code=None)
    assert result.code == 0 and "no safety snapshot" in result.err, result
    assert content(db) == THEN
    assert_settled(box, db)


def test_half_restored_is_not_started(box, sidesnap, db, tag):
    """The reset that takes over fails before its own restore began."""
    lose_half_way(box, sidesnap, db)
    sidesnap.at("restore/journal", "error")("reset", db.name, tag, code=None)
    assert content(db) == THEN, "brought to an end, or nothing may run"
    assert_settled(box, db)


def test_killed_reset_of_another_with_the_volume(box, sidesnap, db, tag):
    """Its end would overwrite what we restore, so it comes first."""
    beside = box.run("beside", "busybox", ["sleep", "1000"], [(db.volume, "/data")], StopSignal="SIGKILL")
    at_each_step(sidesnap, "restore/renamed", "kill", "reset", db.name, tag, "--yes")
    ended_helpers(box)
    sidesnap.fails(BUSY, "reset", beside.name, tag, "--yes", says="sidesnap doctor")
    sidesnap("doctor")
    sidesnap("reset", beside.name, tag, "--yes", "--no-safety")
    assert content(db) == THEN and db.state()["Running"] and beside.state()["Running"]
    assert_settled(box, db)


@pytest.mark.parametrize("point", ["reset/named", "reset/started", "restore/users"])
def test_death_leaves_no_other_container_stopped(box, sidesnap, db, tag, point):
    """Also without a way back: the journal stays until all that was stopped runs again."""
    policy = {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}
    beside = box.run("beside", "busybox", ["sleep", "1000"], [(db.volume, "/data")], host=policy, StopSignal="SIGKILL")
    at_each_step(sidesnap, point, "kill", "reset", db.name, tag, "--yes", "--no-safety")
    assert [h for h in box.helpers()], "the journal"
    ended_helpers(box)
    sidesnap("doctor")
    assert content(db) == THEN and db.state()["Running"]
    assert beside.state()["Running"]
    assert beside.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert_settled(box, db)


def test_two_with_one_volume_at_the_same_time(box, sidesnap, db, tag):
    beside = box.run("beside", "busybox", ["sleep", "1000"], [(db.volume, "/data")], StopSignal="SIGKILL")
    runs = [sidesnap.start("reset", name, tag, "--yes", "--no-safety") for name in (db.name, beside.name)]
    codes = []
    for run in runs:
        run.communicate(timeout=120)
        codes.append(run.returncode)
    assert set(codes) <= {0, BUSY}, codes
    assert content(db) == (THEN if 0 in codes else BEFORE)
    assert db.state()["Running"] and beside.state()["Running"]
    assert_settled(box, db)


def test_interrupted_by_ctrl_c(box, sidesnap, db, tag):
    for point, state in (("restore/ready", BEFORE), ("restore/restored", BEFORE), ("restore/going", BEFORE)):
        process = sidesnap.at(point, "sleep:2").start("reset", db.name, tag)
        wait_for(lambda: box.helpers(), "the helper")
        time.sleep(1.5)
        process.send_signal(2)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130, (point, out, err)
        assert content(db) == state, (point, err)
        assert_settled(box, db)


def test_service_that_does_not_come_up_is_rolled_back(box, sidesnap, poisoned):
    container, volume, tag = poisoned
    result = sidesnap("reset", container.name, tag, code=None)
    assert result.code not in (0, 1) and "as it was before" in result.err, result
    assert container.state()["Running"]
    assert container.exec("ls /data") == "good\n"
    result = sidesnap("reset", container.name, tag, "--no-safety", code=None)
    assert result.code not in (0, 1) and "no safety snapshot" in result.err, result
    assert os.listdir(box.path(volume)) == ["poison"] and not box.helpers()


def test_nothing_that_was_written_is_missing_after_undo(box, sidesnap):
    """What the service has said is on its disk when it was killed is in the safety snapshot."""
    volume = box.volume("data")
    script = "n=0; while :; do n=$((n+1)); echo $n >>/data/number; echo $n; done"  # appended: never empty for an instant
    container = box.run("db", "busybox", ["sh", "-c", script], [(volume, "/data")], StopSignal="SIGKILL")
    tag = box.tag()
    sidesnap.create(container.name, tag)
    result = sidesnap.json("reset", container.name, tag, "--no-start")
    said = int(container.output().split()[-1])
    sidesnap("undo", container.name, "--no-start")
    with open(box.path(volume) + "/number") as file:
        held = int(file.read().split()[-1])
    assert said <= held <= said + 1, result


def test_three_safety_snapshots_are_kept(box, sidesnap, db, tag):
    taken = []
    for _ in range(4):
        taken.append(sidesnap.json("reset", db.name, tag)["safety"])
    assert sorted(box.safeties()) == sorted(taken[1:])
    # The one that it goes back to stays, though it is the fourth.
    sidesnap("reset", db.name, taken[1])
    assert taken[1] in box.safeties()


# ---- whatever happened to the volume meanwhile


def compare(box, sidesnap, db, tag):
    """The volume equals one that is restored from the snapshot by a first start elsewhere."""
    other = box.volume("other")
    copy = box.boot("copy", tag, mounts=[(other, "/data")])
    copy.stop(0)
    trees.assert_same(box.path(other), box.path(db.volume))
    copy.remove()
    box.engine.call("DELETE", f"/volumes/{other}")


def test_volume_made_anew_under_the_same_name(box, sidesnap, db, tag):
    sidesnap("reset", db.name, tag, "--no-safety")
    name = db.name
    db.remove()
    box.engine.call("DELETE", f"/volumes/{db.volume}")
    box.volume("data")
    again = box.run("db", "busybox", ["sleep", "1000"], [(db.volume, "/data")], StopSignal="SIGKILL")
    sidesnap("reset", name, tag, "--yes", "--no-safety")
    again.volume = db.volume
    compare(box, sidesnap, again, tag)


def test_volume_restored_by_another_tool(box, sidesnap, db, tag):
    """Same names, sizes and times, other content: only ctime and inode tell."""
    sidesnap("reset", db.name, tag, "--no-safety")
    db.stop(0)
    path = os.path.join(box.path(db.volume), "file")
    before = os.stat(path)
    with open(path, "w") as file:
        file.write("HELLO\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy = path + ".new"
    with open(copy, "w") as file:
        file.write("olleh\n")
    linked = os.path.join(box.path(db.volume), "dir")
    os.utime(linked, ns=(0, 0))
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    db.start()
    sidesnap("reset", db.name, tag, "--no-safety")
    compare(box, sidesnap, db, tag)
    os.rename(os.path.join(box.path(db.volume), "dir"), os.path.join(box.path(db.volume), "moved"))
    sidesnap("reset", db.name, tag, "--no-safety")
    compare(box, sidesnap, db, tag)


def test_state_volume_is_nobody_s_data(box, sidesnap, db, tag):
    sidesnap("reset", db.name, tag, "--no-safety")
    volume = box.engine.json("GET", f"/volumes/{STATE_VOLUME}")
    assert volume["Labels"]["sidesnap.role"] == "state"
    trees.worsen_small(db)
    box.engine.call("DELETE", f"/volumes/{STATE_VOLUME}")
    sidesnap("reset", db.name, tag, "--no-safety")
    compare(box, sidesnap, db, tag)
    # Rubbish in it costs time, and nothing else.
    root = box.engine.volume_path(STATE_VOLUME)
    for folder, _folders, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "r+b") as file:
                file.write(b"rubbish")
    trees.worsen_small(db)
    sidesnap("reset", db.name, tag, "--no-safety")
    compare(box, sidesnap, db, tag)


def test_volume_of_that_name_that_is_not_ours(box, sidesnap, db, tag):
    box.engine.volume(STATE_VOLUME)
    sidesnap("reset", db.name, tag, "--no-safety")
    assert content(db) == THEN
    assert os.listdir(box.path(STATE_VOLUME)) == []


# ---- an owner that cannot be seen

BEAT = {"SIDESNAP_BEAT_MS": "300"}


@contextlib.contextmanager
def elsewhere(sidesnap, point, *arguments):
    """A command that waits at a step, its process hidden from ours like in another container."""
    inner = sidesnap.at(point, "sleep:60")
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *inner.command(*arguments)],
        env=inner.environment(BEAT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("point", ["reset/started", "restore/safety", "rollback/stopped"])
def test_one_at_work_elsewhere_is_left_alone(box, sidesnap, db, tag, point):
    """Its helper does not run at that time, and its process is in another pid namespace."""
    failing = f"reset/started=error,{point}" if point.startswith("rollback") else point
    with elsewhere(sidesnap, failing, "reset", db.name, tag) as process:
        # A second sleep: the step is reached soon after what can be seen of it.
        seen = {
            "reset/started": lambda: content(db) == THEN and db.state()["Running"],
            "restore/safety": lambda: box.safeties(),
            "rollback/stopped": lambda: content(db) == THEN and not db.state()["Running"],
        }[point]
        wait_for(seen, point, 30)
        time.sleep(1)
        before = content(db), db.state()
        told = sidesnap.json("doctor", env=BEAT)
        assert told["actions"] == [] and told["problems"] == []
        sidesnap.fails(BUSY, "reset", db.name, tag, env=BEAT, says="under way")
        beside = box.run("beside", "busybox", ["sleep", "1000"], [(db.volume, "/data")], StopSignal="SIGKILL")
        said = sidesnap.fails(BUSY, "reset", beside.name, tag, "--yes", env=BEAT, says="wait for it")
        assert "interrupted" not in said.err, said
        assert (content(db), db.state()) == before
        assert process.poll() is None
    sidesnap("doctor", env=BEAT)
    assert content(db) == (THEN if point == "reset/started" else BEFORE)
    assert_settled(box, db)


def test_doctors_do_not_repair_the_same(box, sidesnap, db, tag):
    at_each_step(sidesnap, "restore/restored", "kill", "reset", db.name, tag)
    ended_helpers(box)
    with elsewhere(sidesnap, "rollback/restored", "doctor"):
        wait_for(lambda: content(db) == BEFORE, "the first one's work", 30)
        time.sleep(1)
        told = sidesnap.json("doctor", env=BEAT)
        assert told["actions"] == [] and told["problems"] == []
    sidesnap("doctor", env=BEAT)
    assert content(db) == BEFORE
    assert_settled(box, db)
