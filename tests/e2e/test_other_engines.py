"""
The main path on other engines: SIDESNAP_TEST_HOSTS lists them as DOCKER_HOST values, separated by
blanks. Their storage cannot be looked at from here, so the state is read through the containers.
"""

import os

import pytest

from conftest import Box, booted
from support.api import Engine
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


@pytest.fixture(params=HOSTS or [None])
def other(request):
    if request.param is None:
        pytest.skip("SIDESNAP_TEST_HOSTS names no engines")
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
    container = other.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
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
    container.stop(0)
    tag = other.tag()
    assert other.sidesnap.create(container.name, tag)["consistency"] == "stopped"
    before, after = (other.engine.image(t)["Config"] for t in (other.images("service"), tag))
    assert after["WorkingDir"] == before["WorkingDir"] and after["Cmd"] == ["serve"]
    assert set(before["Env"]) <= set(after["Env"])
    assert not after["Labels"].get("sidesnap.nonce")
    copy = booted(other.boot("copy", tag))
    assert copy.exec("cat /data/file") == "hello\n"


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
