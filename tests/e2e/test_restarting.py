"""
A service that fails again and again: nothing can be frozen, and it is what a snapshot is wanted for.
"""

import pytest

from support import trees
from support.api import wait_for
from support.cli import REFUSED

# Ends as soon as its data is not what it should be.
SERVICE = "while grep -q hello /data/file; do sleep 0.1; done; exit 1"


@pytest.fixture
def good(box, sidesnap):
    """A snapshot of the service when it ran; since then it restarts for ever."""
    volume = box.volume("data", trees.make_small)
    policy = {"RestartPolicy": {"Name": "always"}}
    service = box.run("db", "busybox", ["sh", "-c", SERVICE], [(volume, "/data")], policy)
    tag = box.tag()
    sidesnap.create(service.name, tag)
    with open(box.path(volume) + "/file", "w") as file:
        file.write("broken\n")
    # The engine waits longer each time, so soon it mostly waits.
    wait_for(lambda: service.inspect()["RestartCount"] >= 6, "the engine tries again", 60)
    wait_for(lambda: service.state()["Restarting"], "the engine waits for the next try")
    return tag


def test_create_says_what_to_do(box, sidesnap, good):
    name = box.name("db")
    wait_for(lambda: box.container("db").state()["Restarting"], "the engine waits")
    sidesnap.fails(REFUSED, "create", name, says=["restarted", "--stopped", f"docker stop {name}"])
    tag = box.tag()
    sidesnap.create(name, tag, "--stopped")
    assert "sidesnap.consistency" in box.engine.image(tag)["Config"]["Labels"]
    wait_for(lambda: box.container("db").state()["Running"], "the engine goes on trying")


def test_a_service_that_begins_to_fail_while_it_is_captured(box):
    volume = box.volume("data", trees.make_small)
    policy = {"RestartPolicy": {"Name": "always"}}
    service = box.run("db", "busybox", ["sh", "-c", SERVICE], [(volume, "/data")], policy)
    tag = box.tag()
    process = box.sidesnap.at("helper/started", "sleep:3").start("create", service.name, "-t", tag)
    wait_for(box.helpers, "the helper")
    with open(box.path(volume) + "/file", "w") as file:
        file.write("broken\n")
    out, err = process.communicate(timeout=60)
    assert process.returncode == REFUSED, (process.returncode, out, err)
    assert b"restarted" in err and b"--stopped" in err, err
    assert not box.engine.has_image(tag)


def test_replace_brings_it_back(box, sidesnap, good):
    result = sidesnap.json("replace", box.name("db"), good, "--yes")
    now = box.container("db")
    assert now.exec("cat /data/file") == "hello\n"
    host = now.inspect()["HostConfig"]
    assert host["RestartPolicy"]["Name"] == "always"
    broken = box.engine.image(result["safety"])["Config"]["Labels"]
    assert broken["sidesnap.consistency"] == "stopped"
