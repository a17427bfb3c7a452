"""reset when it is the engine that fails: restarted in the middle, or out of room."""

import os
import signal

import pytest

from support import trees
from support.api import wait_for
from support.cli import ENGINE, NO_SPACE, Sidesnap
from support.images import Images
from test_reset import BEFORE, THEN, content, db, tag  # noqa: F401


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
@pytest.mark.parametrize("safety", [(), ("--no-safety",)], ids=["safety", "bare"])
@pytest.mark.parametrize("point", ["restore/ready", "restore/renamed", "restore/going", "reset/named"])
def test_engine_restarts_in_the_middle(box, private_engine, sidesnap, db, tag, point, safety, number):  # noqa: F811
    """Also a container that the engine starts at its own start never runs on half the data."""
    if not private_engine:
        pytest.skip("needs an engine of its own")
    always = {"RestartPolicy": {"Name": "always"}}
    box.engine.call("POST", f"/containers/{db.id}/update", None, always)
    process = sidesnap.at(point, "sleep:4").start("reset", db.name, tag, *safety)
    aside = f"{db.name}.sidesnap-restoring"
    if point == "restore/ready":
        wait_for(lambda: any(h["State"] == "running" for h in box.helpers()), "the helper")
    elif point == "reset/named":
        wait_for(lambda: content(db) == THEN and db.inspect()["Name"] == "/" + db.name, "the end")
    else:
        wait_for(lambda: db.inspect()["Name"] == "/" + aside, "the change", 60)
    private_engine.restart(number)
    box.before["networks"] = set(box.engine.networks())  # the bridge has another id now
    out, err = process.communicate(timeout=60)
    assert process.returncode != 1, (out, err)
    # An engine that is back at once may go unnoticed.
    if process.returncode == 0:
        assert content(db) == THEN, (out, err)
    now = db.inspect()
    assert not now["State"]["Running"] or now["Name"] == "/" + db.name, "it runs while it is set aside"
    said = sidesnap("doctor")
    now = box.container("db").inspect()
    assert now["Id"] == db.id and now["HostConfig"]["RestartPolicy"]["Name"] == "always"
    wait_for(lambda: db.state()["Running"], "it runs again")
    assert content(db) in (BEFORE, THEN), (said, err)
    assert not box.helpers()


def test_disk_full(small_engine):
    """No room for the safety snapshot: nothing is touched. None for the data: it is finished when there is."""
    engine, sidesnap = small_engine, Sidesnap(small_engine.host)
    images = Images(engine)
    engine.volume("room-data")
    engine.volume("room-ballast")
    where, ballast = engine.volume_path("room-data"), engine.volume_path("room-ballast")
    container = engine.run(
        "room-db", images("busybox"), ["sleep", "1000"], {"Binds": ["room-data:/data"]}, StopSignal="SIGKILL"
    )
    big = trees.noise(40 << 20)
    try:
        trees.write(trees.join(where, "big"), big)
        sidesnap("create", container.name, "-t", "room:1", "--min-free", "0")
        os.truncate(os.path.join(where, "big"), 0)
        sidesnap.fails(NO_SPACE, "reset", container.name, "room:1", says="as it was before")
        assert os.path.getsize(os.path.join(where, "big")) == 0 and container.state()["Running"]
        assert container.inspect()["Name"] == "/room-db" and not engine.containers(label="sidesnap.role=helper")
        free = os.statvfs(where)
        trees.write(trees.join(ballast, "ballast"), trees.noise(free.f_bavail * free.f_frsize - (15 << 20)))
        sidesnap.fails(NO_SPACE, "reset", container.name, "room:1", "--no-safety", says="sidesnap doctor")
        assert not container.state()["Running"]
        os.unlink(os.path.join(ballast, "ballast"))
        sidesnap("reset", "room-db", "room:1", "--no-safety")
        with open(os.path.join(where, "big"), "rb") as file:
            assert file.read() == big
        assert container.state()["Running"] and container.inspect()["Name"] == "/room-db"
    finally:
        for helper in engine.containers(label="sidesnap.role=helper"):
            engine.remove_container(helper["Id"])
        engine.remove_container(container.id)
        engine.remove_image("room:1")
        for volume in ("room-data", "room-ballast"):
            engine.call("DELETE", f"/volumes/{volume}", {"force": "1"})


@pytest.mark.parametrize("name", ["busybox", "service"])
def test_engine_is_stopped_during_a_create(box, private_engine, sidesnap, name):
    """In order: it stops the helper first, by the signal of its image, which may be that of `cancel`."""
    if not private_engine:
        pytest.skip("needs an engine of its own")
    volume = box.volume("data", trees.make_small)
    container = box.run("db", name, ["sleep", "1000"] if name == "busybox" else None, [(volume, "/data")])
    tag = box.tag()
    process = sidesnap.at("helper/started", "sleep:4").start("create", container.name, "-t", tag)
    wait_for(lambda: any(h["State"] == "running" for h in box.helpers()), "the helper")
    private_engine.restart(signal.SIGTERM)
    box.before["networks"] = set(box.engine.networks())  # the bridge has another id now
    out, err = process.communicate(timeout=60)
    assert process.returncode == ENGINE and b"sidesnap doctor" in err, (process.returncode, out, err)
    sidesnap("doctor")
    assert not box.helpers() and not box.engine.has_image(tag)
