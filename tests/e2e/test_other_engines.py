"""
The main path on other engines: a newer one with the containerd image store, and those that SIDESNAP_TEST_HOSTS
lists as DOCKER_HOST values, separated by blanks. Their storage cannot be looked at from here, so the state is read
through the containers.
"""

import io
import os
import tarfile

import pytest

from conftest import Box, booted
from support.api import Engine
from support.cli import REFUSED, UNSUPPORTED, Sidesnap
from support.images import Images

HOSTS = os.environ.get("SIDESNAP_TEST_HOSTS", "").split()

FILL = r"""
cd /data && echo hello >file && chmod 640 file && mkdir -p dir/sub && head -c 300000 /dev/urandom >dir/sub/big
ln file linked && ln -s file symlink && mkfifo pipe && touch -d '2001-02-03 04:05:06' file
truncate -s 100M sparse && chown 12:34 dir && chmod 7751 dir
echo own >/etc/own && rm /etc/old/gone && rm -rf /home && echo now-a-file >/home
"""
STATE = r"""
cd /data && find . | sort | while read -r f; do stat -c '%n %F %a %u %g %s %h' "$f"; done
find . -type f -size -1000k | sort | xargs md5sum; stat -c %Y file; du -k sparse; readlink symlink
cat /etc/own /home; ls /etc/old
"""


@pytest.fixture(params=["newer", *HOSTS])
def other(request):
    if request.param == "newer":
        engine = request.getfixturevalue("newer").engine
    else:
        engine = Engine(request.param)
    assert engine.ping(), f"{request.param} does not answer"
    box = Box(engine, Images(engine))
    yield box
    box.close()
    for tag in box.images.tags():
        engine.remove_image(tag)


@pytest.fixture
def db(other):
    volume = other.volume("data")
    container = other.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")], StopSignal="SIGKILL")
    container.exec(FILL)
    return container


def settled(text):
    """The size of a directory is the file system's affair, not ours."""
    return [line for line in text.splitlines() if " directory " not in line]


def test_create_boot_verify(other, db):
    tag = other.tag()
    result = other.sidesnap.create(db.name, tag)
    assert result["consistency"] == "frozen"
    assert not db.state()["Paused"]
    other.sidesnap("verify", tag)
    copy = booted(other.boot("copy", tag))
    assert settled(copy.exec(STATE)) == settled(db.exec(STATE))
    assert [r["references"] for r in other.sidesnap.json("ls", db.name)]
    copy.stop(0)
    copy.start()
    booted(copy)


def test_stopped_and_image_settings(other):
    volume = other.volume("data")
    container = other.run("web", "service", None, [(volume, "/data")])
    container.exec("echo hello >/data/file")
    tag = other.tag()
    other.sidesnap.create(container.name, tag)
    container.stop(0)
    tag = other.tag()
    result = other.sidesnap.create(container.name, tag)
    assert result["consistency"] == "stopped" and not result["own"]["deleted"]
    other.sidesnap("verify", tag)
    before, after = (other.engine.image(t)["Config"] for t in (other.images("service"), tag))
    assert after["WorkingDir"] == before["WorkingDir"] and after["Cmd"] == ["serve"]
    assert set(before["Env"]) <= set(after["Env"])
    assert not after["Labels"].get("sidesnap.nonce")
    copy = booted(other.boot("copy", tag))
    assert copy.exec("cat /data/file") == "hello\n"


def test_anonymous_volumes(other):
    """A booted snapshot's, above all: podman makes a VOLUME of the image of each that a helper mounts."""
    container = other.run("db", "seeded", ["sleep", "1000"])
    container.exec("echo hello >/data/file")
    first, second = other.tag(), other.tag()
    other.sidesnap.create(container.name, first)
    copy = booted(other.boot("copy", first, ["sleep", "1000"]))
    other.sidesnap.create(copy.name, second)
    for tag in (first, second):
        assert list(other.engine.image(tag)["Config"]["Volumes"]) == ["/data"]
        other.sidesnap("verify", tag)
    copy.exec("echo worse >/data/file")
    other.sidesnap("reset", copy.name, second)
    assert copy.exec("cat /data/file") == "hello\n"


def test_image_without_users(other):
    """Podman makes /etc/passwd and /etc/group for the user of a helper."""
    volume = other.volume("data")
    container = other.run("db", "scratch", None, [(volume, "/data")])
    for tag in (other.tag(), other.tag()):
        other.sidesnap.create(container.name, tag)
        other.sidesnap("verify", tag)
        image = other.create("image", tag)
        names = tarfile.open(fileobj=io.BytesIO(other.engine.call("GET", f"/containers/{image.id}/export"))).getnames()
        image.remove()
        assert "etc/passwd" not in names and "etc/group" not in names


def test_user_that_is_not_root(other):
    volume = other.volume("data")
    container = other.run("web", "nonroot", None, [(volume, "/data")])
    container.exec("echo hello >/data/file; chmod 600 /data/file; chown 77:88 /data/file", user="0")
    tag = other.tag()
    other.sidesnap.create(container.name, tag)
    copy = booted(other.boot("copy", tag))
    assert copy.exec("stat -c '%u %g %a' /data/file") == "77 88 600\n"
    assert copy.exec("id -u") == "1000\n"


def test_replace(other, db):
    tag = other.tag()
    other.sidesnap.create(db.name, tag)
    state = db.exec(STATE)
    db.exec("echo worse >/data/file; rm -r /data/dir; echo extra >/data/extra")
    other.sidesnap("replace", db.name, tag, "--yes")
    now = other.container("db")
    assert settled(now.exec(STATE)) == settled(state)


def test_killed_while_frozen(other, db):
    result = other.sidesnap.at("freeze/paused")("create", db.name, "-t", other.tag(), code=None)
    assert result.code == -9, result
    other.sidesnap("doctor")
    assert not db.state()["Paused"] and not other.helpers()


def layers(engine, tag):
    return len(engine.image(tag)["RootFS"]["Layers"])


def bases(engine):
    """Images that are only there to be built on, hidden ones too."""
    return [
        i["Id"] for i in engine.json("GET", "/images/json", {"all": "1"})
        if (i.get("Labels") or {}).get("sidesnap.role") == "base"
    ]


def test_long_chain(other, db):
    """Over the lowered limit; the last one is whole when all before it are gone and dangling images are pruned."""
    short = Sidesnap(other.host, "failpoints", {"SIDESNAP_LAYERS_DUE": "5"})
    tags, consolidated, states = [], [], []
    for number in range(1, 8):
        db.exec(f"echo {number} >/data/of{number}; rm -f /data/of{number - 1}; echo {number} >/etc/own")
        tags.append(other.tag())
        result = short.create(db.name, tags[-1])
        consolidated.append(bool(result["consolidated"]))
        states.append(settled(db.exec(STATE)))
        assert layers(other.engine, tags[-1]) <= 6
        assert number == 1 or result["new_bytes"] < 200000, result
    assert True in consolidated and consolidated[-1] is False
    assert len(other.sidesnap.json("ls", db.name)) == len(tags)
    first = consolidated.index(True)
    for index in (first - 1, first, first + 1):
        other.sidesnap("verify", tags[index])
        copy = booted(other.boot(f"copy{index}", tags[index]))
        assert settled(copy.exec(STATE)) == states[index]
        other.engine.remove_container(copy.id)
    for tag in tags[:-1]:
        other.sidesnap("rm", tag)
    other.engine.call("POST", "/images/prune")
    other.sidesnap("verify", tags[-1])
    copy = booted(other.boot("copy", tags[-1]))
    assert settled(copy.exec(STATE)) == states[-1]
    other.engine.remove_container(copy.id)
    other.sidesnap("rm", tags[-1])
    assert not bases(other.engine) and not other.helpers()


def test_consolidation_that_fails_leaves_nothing(other, db):
    short = Sidesnap(other.host, "failpoints", {"SIDESNAP_LAYERS_DUE": "5"})
    while True:
        tag = other.tag()
        short.create(db.name, tag)
        if layers(other.engine, tag) >= 5:
            break
    for point, action in (("consolidate/before-manifest", "error"), ("consolidate/committed", "kill")):
        broken = Sidesnap(other.host, "failpoints", {**short.extra, "SIDESNAP_FAILPOINT": f"{point}={action}"})
        assert broken("create", db.name, "-t", other.tag(), code=None).code != 0
        other.sidesnap("doctor")
        assert not bases(other.engine) and not other.helpers(), point


def test_reset_and_undo(other, db):
    """Also what differs: killing while frozen, renaming, a volume beside, reading from what never ran."""
    tag = other.tag()
    other.sidesnap.create(db.name, tag)
    then = settled(db.exec(STATE))
    db.exec("cd /data; echo worse >file; rm -r dir; echo extra >extra")
    worse = settled(db.exec(STATE))
    result = other.sidesnap.json("reset", db.name)
    assert result["reference"].endswith(tag) and result["container"] == db.id
    assert settled(db.exec(STATE)) == then
    result = other.sidesnap.json("undo", db.name)
    assert settled(db.exec(STATE)) == worse and db.inspect()["Name"].lstrip("/") == db.name
    other.sidesnap("reset", db.name, tag, "--no-safety")
    assert settled(db.exec(STATE)) == then
    killed = other.sidesnap.at("restore/renamed")("reset", db.name, tag, code=None)
    assert killed.code == -9, killed
    assert not db.state()["Running"]
    other.sidesnap("reset", db.name, tag, "--no-safety")
    assert settled(db.exec(STATE)) == then and not other.helpers()


def test_history(other, db):
    """describe moves tags in each engine's own way; only podman adds a layer, and an empty one."""
    first, second, third = (other.tag() for _ in range(3))
    sidesnap = other.sidesnap
    sidesnap.create(db.name, first)
    sidesnap("tag", first, second)
    before, count = sidesnap.json("show", first), layers(other.engine, first)
    copy = booted(other.boot("copy", first))
    for number in range(2):
        result = sidesnap.json("describe", first, "-m", f"title {number}", "--notes", "in one line")
        assert result["changed"] and len(result["references"]) == 2
    sidesnap("pin", second)
    for tag in (first, second):
        shown = sidesnap.json("show", tag)
        assert (shown["id"], shown["title"], shown["notes"]) == (before["id"], "title 1", "in one line")
        assert shown["pinned"] and shown["manifest"] == before["manifest"]
    added = layers(other.engine, first) - count
    assert added in (0, 3)
    full = Sidesnap(other.host, "failpoints", {"SIDESNAP_LAYERS_MOST": str(count + added)})
    if added:
        full.fails(UNSUPPORTED, "describe", first, "-m", "one more", says=["layers", "sidesnap tag"])
        assert sidesnap.json("show", first)["title"] == "title 1"
    else:
        full("describe", first, "-m", "title 1", "--notes", "in one line")
    sidesnap.fails(REFUSED, "rm", first, second, says="pinned")
    killed = sidesnap.at("describe/committed")("unpin", first, code=None)
    assert killed.code == -9, killed
    sidesnap("doctor")
    sidesnap("unpin", first)
    sidesnap.fails(REFUSED, "rm", first, second, says=copy.name)
    sidesnap("verify", first)
    again = booted(other.boot("again", first))
    assert settled(again.exec(STATE)) == settled(db.exec(STATE))
    db.exec("echo more >/data/more")
    assert sidesnap.create(db.name, third)["parent"] == before["id"]
    tree = sidesnap.json("tree", db.name)
    assert [r["id"] for r in tree[0]["snapshots"]][0] == before["id"] and len(tree[0]["snapshots"]) == 2
    assert sorted(tree[0]["snapshots"][0]["containers"]) == sorted([copy.name, again.name])
    assert tree[0]["snapshots"][1]["current"] == [db.name]
    assert [r["id"] for r in sidesnap.json("log", copy.name)] == [before["id"]]
    for container in (copy, again):
        other.engine.remove_container(container.id)
    sidesnap("rm", first, second, third)
    for image, tags in other.engine.images().items():  # what others were made from, on some engines
        if not tags and other.is_snapshot(image):
            other.engine.remove_image(image)


def test_prune(other, db):
    """Each engine keeps images below others in its own way; the room that is freed is the same."""
    tags, states = [other.tag() for _ in range(4)], []
    sidesnap = other.sidesnap
    for number, tag in enumerate(tags):
        db.exec(f"head -c 3000000 /dev/urandom >/data/large; echo {number} >/etc/number")
        states.append(settled(db.exec(STATE)))
        sidesnap.create(db.name, tag)
    rules = ("--keep-tag", tags[1], "--keep-tag", tags[3], "--yes")
    killed = sidesnap.at("prune/retagged")("prune", db.name, *rules, code=None)
    assert killed.code == -9, killed
    sidesnap("doctor")
    result = sidesnap.json("prune", db.name, *rules)
    assert [row["reference"].split("/")[-1] for row in result["rewritten"]] == [tags[3]], result
    assert result["rewritten"][0]["stored_bytes"] < 4000000, "the rest is in the one before"
    assert sidesnap.json("prune", db.name, *rules)["rewritten"] == []
    assert [other.engine.has_image(tag) for tag in tags] == [False, True, False, True]
    assert layers(other.engine, tags[3]) == layers(other.engine, tags[1]) + 1
    for index in (1, 3):
        sidesnap("verify", tags[index])
        copy = booted(other.boot(f"copy{index}", tags[index]))
        assert settled(copy.exec(STATE)) == states[index]
        assert copy.exec("cat /etc/number") == f"{index}\n"
        other.engine.remove_container(copy.id)
    sidesnap("rm", tags[1], tags[3])
