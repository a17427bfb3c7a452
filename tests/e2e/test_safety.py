"""
What must never leak into an image, stay frozen or be lost on the way back: cases that were found by
looking for them, each of which went wrong once.
"""

import json
import os
import subprocess
import sys

import pytest

from support.api import wait_for
from support.cli import REFUSED, binary, family


def config_of(box, reference):
    return box.engine.image(reference)["Config"]


def layers_of(box, reference):
    return box.engine.image(reference)["RootFS"]["Layers"]


@pytest.fixture
def db(box):
    return box.sleeper(StopSignal="SIGKILL")


# ---- what the older snapshot that a helper is made from would hand on ----


def test_variable_of_an_older_snapshot_is_not_handed_on(box, sidesnap):
    """A commit unions the helper's variables, and the helper's are those of the image it is made from."""
    container = box.run("db", "busybox", ["sleep", "1000"], Env=["SECRET=hunter2"])
    first, second, third = box.tag(), box.tag(), box.tag()
    sidesnap.create(container.name, first, "--with-env", "SECRET")
    assert "SECRET=hunter2" in config_of(box, first)["Env"]
    sidesnap.create(container.name, second)
    assert "hunter2" not in str(box.engine.image(second)) + str(box.engine.history(second))
    sidesnap.create(container.name, third)
    assert layers_of(box, third)[: len(layers_of(box, second))] == layers_of(box, second), "no longer built upon"


def test_what_is_excluded_now_is_in_no_layer(box, sidesnap, db):
    """An older snapshot has it in its packs; made from that, the new image would carry it along."""
    first, second, third = box.tag(), box.tag(), box.tag()
    sidesnap.create(db.name, first)
    sidesnap.create(db.name, second, "--exclude", "/data/file")
    assert layers_of(box, first)[-1] not in layers_of(box, second)
    sidesnap.create(db.name, third, "--exclude", "/data/file")
    assert layers_of(box, second)[-1] in layers_of(box, third)


def test_file_included_once_is_not_in_the_next(box, sidesnap, scratch):
    """A bind mount that was asked for becomes a VOLUME or an own file of that image only."""
    with open(scratch + "/key", "w") as file:
        file.write("topsecret")
    container = box.run("db", "busybox", ["sleep", "1000"], [(scratch + "/key", "/etc/key"), (scratch, "/asked")])
    first, second = box.tag(), box.tag()
    sidesnap.create(container.name, first, "--include", "/etc/key", "--include", "/asked")
    assert set(config_of(box, first)["Volumes"]) == {"/asked"}
    sidesnap.create(container.name, second)
    assert not config_of(box, second).get("Volumes")
    assert layers_of(box, first)[-1] not in layers_of(box, second)


# ---- what stays frozen, and what was not frozen at all ----


def test_thaw_that_fails_is_left_to_the_watchdog(box, sidesnap, db):
    """An engine that restarts refuses for a moment: nobody may go home before the thaw."""
    tag = box.tag()
    result = sidesnap.at("freeze/thaw", "error")("create", db.name, "-t", tag, code=None)
    assert result.code not in (0, None), result
    wait_for(lambda: not db.state()["Paused"], "the thaw", 10)
    assert not box.engine.has_image(tag) and not box.helpers()


def kill_all(process):
    for one in reversed(family(process)):
        os.kill(one, 9)
    process.communicate()


def test_next_create_repairs_what_an_interrupted_one_left(box, sidesnap, db):
    """Command and watchdog in one container, killed together: not a person's pause, never for ever."""
    process = sidesnap.at("freeze/paused", "sleep:60").start("create", db.name, "-t", box.tag())
    wait_for(lambda: db.state()["Paused"], "the freeze")
    kill_all(process)
    assert db.state()["Paused"]
    result = sidesnap.json("create", db.name, "-t", box.tag())
    assert result["frozen"] == [db.name] and not db.state()["Paused"] and not box.helpers()


def test_watchdog_leaves_no_label_that_would_end_a_later_pause(box, sidesnap, db):
    """What it has repaired must not be repaired once more when a person has paused the container."""
    result = sidesnap.at("freeze/paused")("create", db.name, "-t", box.tag(), code=None)
    assert result.code == -9
    wait_for(lambda: not box.helpers(), "the watchdog clears away", 20)
    db.pause()
    assert sidesnap.json("doctor")["actions"] == [] and db.state()["Paused"]


def test_stop_of_the_sidecar_thaws(box, db):
    """Its end kills the commands of an exec and their watchdogs: process 1 sees to it before."""
    socket = box.host[len("unix://") :]
    mounts = [(binary("sidesnap", "failpoints"), "/sidesnap"), (socket, "/var/run/docker.sock")]
    sidecar = box.run("sidecar", "busybox", ["/sidesnap", "sidecar"], mounts)
    wait_for(lambda: "ready" in sidecar.logs(), "the sidecar", 90)
    sidecar.exec(
        f"SIDESNAP_FAILPOINT=create/frozen=sleep:60 /sidesnap create {db.name} -t {box.tag()} >/dev/null 2>&1 &"
    )
    wait_for(lambda: db.state()["Paused"], "the freeze", 30)
    sidecar.stop(10)
    assert not db.state()["Paused"] and not box.helpers(), sidecar.logs()


def test_freeze_of_another_create_is_no_pause_of_a_person(box, sidesnap, db):
    """Seen while it is frozen by the other, it must be frozen again when the other has gone."""
    peer = box.run("peer", "busybox", ["sleep", "1000"], [(db.volume, "/data")], StopSignal="SIGKILL")
    first = sidesnap.at("create/captured", "sleep:3").start("create", db.name, "-t", box.tag())
    wait_for(lambda: peer.state()["Paused"], "the freeze")
    result = sidesnap.json("create", peer.name, "-t", box.tag())
    first.communicate(timeout=120)
    assert sorted(result["frozen"]) == sorted([db.name, peer.name]), result


@pytest.mark.parametrize("option", ["--quiet", "--stopped"])
def test_stopped_target_that_is_started_meanwhile(box, sidesnap, db, option):
    """Its data was written while it was read: that is not a snapshot of a stopped container."""
    if option == "--quiet":
        db.stop(0)
    tag = box.tag()
    process = sidesnap.at("create/frozen", "sleep:2").start("create", db.name, "-t", tag, "--json", option)
    wait_for(lambda: any(h["State"] == "running" for h in box.helpers()), "the helper", 60)
    wait_for(lambda: not db.state()["Running"], "the stop", 60)
    db.start()
    out, err = process.communicate(timeout=180)
    if process.returncode == 0 and option == "--quiet":
        assert box.engine.image(tag)["Config"]["Labels"]["sidesnap.consistency"] == "frozen", (out, err)
    else:
        assert b"started while it was being read" in err, (out, err)


def test_deleted_below_a_new_directory_stays_deleted(box, sidesnap):
    """A stopped container's new directory is read whole: the older snapshot's files in it must go."""
    container = box.run("db", "busybox", ["sleep", "1000"], StopSignal="SIGKILL")
    container.exec("mkdir -p /new/inner; echo a >/new/gone; echo b >/new/inner/gone; echo c >/new/kept")
    sidesnap.create(container.name, box.tag())
    container.exec("rm -r /new/gone /new/inner")
    container.stop(0)
    first, second = box.tag(), box.tag()
    sidesnap.create(container.name, first)
    sidesnap.create(container.name, second)
    for tag in (first, second):
        assert box.boot(tag.partition(":")[0][-5:], tag).exec("find /new") == "/new\n/new/kept\n"


def test_secret_in_a_health_check_or_a_shell_s_line_stops_the_create(box, sidesnap):
    shell = box.run("shell", "busybox", ["sh", "-c", "sleep 1000; server --requirepass hunter2"])
    check = {"Test": ["CMD-SHELL", "mysqladmin ping --password='hunter2'"]}
    health = box.run("health", "busybox", ["sleep", "1000"], Healthcheck=check)
    for container in (shell, health):
        result = sidesnap.fails(REFUSED, "create", container.name, "-t", box.tag(), says=["secret"])
        assert "hunter2" not in result.out + result.err
    tag = box.tag()
    sidesnap.create(health.name, tag, "--image-command")
    assert "hunter2" not in str(box.engine.image(tag))


# ---- what does not fit into one message ----


def test_very_many_own_files(box, sidesnap):
    """The list of changes is longer than a message to the agent may be: npm install, apt-get install."""
    fill = "p=/srv/$(printf '%0150d' 0); mkdir $p; cd $p; seq 30000 | sed s/^/f/ | xargs touch; touch /full; sleep 1000"
    container = box.run("db", "busybox", ["sh", "-c", f"mkdir -p /srv; {fill}"], StopSignal="SIGKILL")
    wait_for(lambda: container.exec("ls /full", check=False)[0] == 0, "the files", 120)
    tag = box.tag()
    result = sidesnap.json("create", container.name, "-t", tag)
    assert result["own"]["files"] >= 30000
    container.exec("rm -r /srv/*; echo one >/srv/one")
    container.stop(0)
    sidesnap.create(container.name, box.tag())
    again = box.tag()
    sidesnap.create(container.name, again)
    assert box.boot("copy", again, ["sleep", "1000"]).exec("ls /srv") == "one\n"


def test_very_many_sockets(box, sidesnap):
    """What is not captured is listed in a label, which must not grow with what a volume holds."""
    make = (
        "import os, socket, sys\n"
        "os.chdir(sys.argv[1])\n"
        "for i in range(3000):\n"
        "    socket.socket(socket.AF_UNIX).bind('s%05d' % i + 'x' * 90)\n"
    )
    volume = box.volume("data", lambda path: subprocess.run([sys.executable, "-c", make, path], check=True))
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    tag = box.tag()
    sidesnap.create(container.name, tag)
    label = config_of(box, tag)["Labels"]["sidesnap.not-captured"]
    assert len(label) < 200000 and json.loads(label)[-1]["type"] == "more"


# ---- the way back of a replace ----


def test_container_of_a_snapshot_starts_after_a_way_back(box, sidesnap, db):
    """Its boot looks at the volume's mark, which must be its own and not the safety snapshot's."""
    first, second = box.tag(), box.tag()
    sidesnap.create(db.name, first)
    db.exec("echo two >/data/file")
    sidesnap.create(db.name, second)
    booted = box.boot("copy", first, mounts=[(box.volume("copy"), "/data")], host={})
    booted.exec("echo three >/data/file")
    result = sidesnap.at("replace/named", "error")("replace", booted.name, second, "--yes", code=None)
    assert result.code != 0 and booted.exists(), result
    assert booted.exec("cat /data/file") == "three\n"
    booted.stop(0)
    booted.start()
    wait_for(lambda: booted.exec("cat /data/file", check=False)[1] == "three\n", "it starts again")


def test_way_back_touches_only_what_was_touched(box, sidesnap, db):
    """A volume that the snapshot has not is in use by others meanwhile: it is none of ours."""
    tag = box.tag()
    other = box.volume("other")
    both = box.run("both", "busybox", ["sleep", "1000"], [(db.volume, "/data"), (other, "/other")], StopSignal="SIGKILL")
    writer = box.run("writer", "busybox", ["sleep", "1000"], [(other, "/other")])
    sidesnap.create(both.name, tag, "--exclude", "/other")
    db.stop(0)
    process = sidesnap.at("replace/restored", "sleep:2").start("replace", both.name, tag, "--yes", "--no-start")
    wait_for(lambda: not both.state()["Running"], "the stop", 60)
    # It is killed where the safety snapshot has it frozen, and with it the others that write there.
    wait_for(lambda: not writer.state()["Paused"], "the thaw of the writer", 10)
    writer.exec("echo precious >/other/new")
    process.terminate()
    process.communicate(timeout=120)
    assert both.exists() and both.state()["Running"]
    assert writer.exec("cat /other/new") == "precious\n"


def test_bind_mount_that_would_be_overwritten_is_in_the_safety_snapshot(box, sidesnap, scratch):
    """It is captured only on request, and overwritten by a snapshot that has it: so there is a way back."""
    with open(scratch + "/file", "w") as file:
        file.write("one")
    container = box.run("db", "busybox", ["sleep", "1000"], [(scratch, "/asked")], StopSignal="SIGKILL")
    tag = box.tag()
    sidesnap.create(container.name, tag, "--include", "/asked")
    with open(scratch + "/file", "w") as file:
        file.write("two")
    sidesnap.fails(REFUSED, "replace", container.name, tag, says=[scratch, "--yes"])
    result = sidesnap.at("replace/named", "error")("replace", container.name, tag, "--yes", code=None)
    assert result.code != 0
    with open(scratch + "/file") as file:
        assert file.read() == "two"


def test_other_container_of_a_snapshot_starts_on_what_was_put_there(box, sidesnap, db):
    """Two members of one snapshot share a volume; one is replaced, the other is only stopped and started."""
    first, second = box.tag(), box.tag()
    sidesnap.create(db.name, first)
    db.exec("echo two >/data/file")
    sidesnap.create(db.name, second)
    shared = box.volume("shared")
    one = box.boot("one", first, mounts=[(shared, "/data")])
    other = box.boot("other", first, mounts=[(shared, "/data")], host={"RestartPolicy": {"Name": "no"}})
    sidesnap("replace", one.name, second, "--yes")
    wait_for(lambda: other.exec("cat /data/file", check=False)[1] == "two\n", "the other starts again")
    fresh = box.boot("fresh", first, mounts=[(shared, "/data")], wait=False)
    assert fresh.wait() != 0 and "another snapshot" in fresh.logs(), "a first start is still refused"


# ---- images of others ----


@pytest.mark.parametrize("path", ["/dev/sidesnap/0/inner", "/proc/x"])
def test_volume_of_an_image_within_our_mounts_is_refused(box, sidesnap, db, path):
    """Covered like any other VOLUME it would make a directory in the data that is to be restored."""
    tag, evil = box.tag(), box.tag("evil")
    sidesnap.create(db.name, tag)
    changes = {"repo": evil.partition(":")[0], "tag": evil.partition(":")[2], "pause": "0"}
    holder = box.create("holder", tag, ["true"])
    body = {**box.engine.image(tag)["Config"], "Volumes": {path: {}}}
    box.engine.json("POST", "/commit", {"container": holder.id, **changes}, body)
    sidesnap.fails(REFUSED, "verify", evil, says=["volume", path])
    result = sidesnap.fails(REFUSED, "replace", db.name, evil, "--yes", says=[path])
    assert db.exec("ls /data | grep -c inner", check=False)[1] == "0\n", result
