"""run, ls, show, rm: handling snapshots from day to day."""

import json
import socket
import time

import pytest

from support.api import wait_for
from support.cli import EXISTS, NOT_FOUND, REFUSED


@pytest.fixture
def db(box):
    return box.sleeper()


@pytest.fixture
def tag(box, sidesnap, db):
    tag = box.tag()
    sidesnap.create(db.name, tag, "-m", "a title")
    return tag


def test_run_makes_a_ready_container(box, sidesnap, tag):
    result = sidesnap.json("run", tag, "--name", box.name("copy"))
    assert result["container"] and result["name"] == box.name("copy") and result["ready"] is True
    assert result["reference"] == tag
    copy = box.container("copy")
    assert copy.exec("cat /data/file") == "hello\n"
    networks = copy.inspect()["NetworkSettings"]["Networks"].values()
    assert result["address"] in [n["IPAddress"] for n in networks]


def test_run_without_a_name_and_text_says_what_next(box, sidesnap, tag):
    result = sidesnap("run", tag)
    assert "docker" in result.out + result.err, result


def test_run_options(box, sidesnap, tag):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    volume = box.volume("mine")
    name = box.name("copy")
    sidesnap(
        "run", tag, "--name", name, "-e", "LEVEL=5", "-p", f"127.0.0.1:{port}:80", "-v", f"{volume}:/data",
        "--label", "a=b", "--hostname", "copyhost", "sh", "-c", "httpd -f -p 80 -h /data",
    )
    copy = box.container("copy")
    inspect = copy.inspect()
    assert inspect["Config"]["Labels"]["a"] == "b" and inspect["Config"]["Hostname"] == "copyhost"
    assert copy.exec("echo $LEVEL") == "5\n"
    assert [m["Name"] for m in inspect["Mounts"]] == [volume]

    def answer():
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as connection:
                connection.sendall(b"GET /file HTTP/1.0\r\n\r\n")
                connection.settimeout(2)
                data = b""
                while True:
                    part = connection.recv(65536)
                    if not part:
                        return b"hello" in data
                    data += part
        except OSError:
            return False

    wait_for(answer, "the published port", 20)


def test_run_of_something_that_dies_shows_its_last_words(box, sidesnap, tag):
    result = sidesnap("run", tag, "--name", box.name("copy"), "sh", "-c", "echo my last words; exit 3", code=None)
    assert result.code not in (0, 1), result
    assert "my last words" in result.err, result


def test_run_with_a_taken_name(box, sidesnap, db, tag):
    sidesnap.fails(EXISTS, "run", tag, "--name", db.name, says=db.name)


def test_ls_newest_first(box, sidesnap, db, tag):
    time.sleep(0.01)
    second = box.tag()
    sidesnap.create(db.name, second)
    rows = [r for r in sidesnap.json("ls") if r["source"]["container"] == db.name]
    assert [r["references"] for r in rows] == [[second], [tag]]
    assert rows[1]["title"] == "a title" and rows[1]["consistency"] == "frozen"
    assert rows[1]["kind"] == "user" and rows[1]["bytes"] > 100000 and rows[1]["size"] > 0
    text = sidesnap("ls").out
    assert tag in text and "ago" in text or "now" in text or "second" in text, text


def test_ls_of_one_target(box, sidesnap, db, tag):
    other = box.run("other", "busybox", ["sleep", "1000"])
    sidesnap.create(other.name, box.tag())
    assert [r["references"] for r in sidesnap.json("ls", db.name)] == [[tag]]


def test_ls_knows_containers_of_a_snapshot(box, sidesnap, tag):
    copy = box.boot("copy", tag)
    row = next(r for r in sidesnap.json("ls") if r["references"] == [tag])
    assert row["containers"] == [copy.name]


def test_show(box, sidesnap, db, tag):
    shown = sidesnap.json("show", tag)
    assert shown["title"] == "a title" and shown["trees"][0]["paths"] == ["/data"]
    text = sidesnap("show", tag).out
    for word in ("a title", "/data", db.name, "frozen", "UTC"):
        assert word in text, (word, text)


def test_show_by_id_prefix(box, sidesnap, tag):
    identity = sidesnap.json("show", tag)["id"]
    assert sidesnap.json("show", identity[:10])["id"] == identity


def test_names_from_others_are_escaped(box, sidesnap):
    """A title may hold an escape sequence that rewrites the terminal."""
    container = box.run("db", "busybox", ["sleep", "1000"])
    tag = box.tag()
    sidesnap.create(container.name, tag, "-m", "red \x1b[31m and \x07 bell\nnew line")
    for words in (("ls",), ("show", tag), ("ps",)):
        out = sidesnap(*words).out
        assert "\x1b" not in out and "\x07" not in out, (words, out)
    assert "\x1b[31m" in sidesnap.json("show", tag)["title"]


def test_rm(box, sidesnap, tag):
    second = box.tag()
    box.engine.call("POST", f"/images/{tag}/tag", {"repo": second.split(":")[0], "tag": "test"})
    result = sidesnap.json("rm", second)
    assert result["removed"] == [second] and box.engine.has_image(tag)
    sidesnap("rm", tag)
    assert not box.engine.has_image(tag)
    sidesnap.fails(NOT_FOUND, "rm", tag)


def test_rm_of_a_snapshot_in_use(box, sidesnap, tag):
    copy = box.boot("copy", tag)
    result = sidesnap("rm", tag, code=None)
    assert result.code not in (0, 1) and copy.name in result.err, result
    assert box.engine.has_image(tag) and copy.status() == "running"


def test_restore_points_elsewhere(sidesnap):
    """The word that people try first."""
    result = sidesnap("restore", "x", code=None)
    assert result.code not in (0, 1), result
    for word in ("reset", "replace", "run"):
        assert word in result.err, result


def test_tables_survive_nothing(sidesnap):
    """An engine without snapshots gives an empty list, no error."""
    assert isinstance(sidesnap.json("ls"), list)
    sidesnap("ls")
    sidesnap("ps")
    assert isinstance(json.loads(sidesnap("ps", "--json").out), list)


def test_replace_without_a_terminal_asks_nothing(box, sidesnap, db, tag):
    """Who must stop other containers lists them and refuses without --yes."""
    other = box.run("other", "busybox", ["sleep", "1000"], [(box.name("data"), "/data")])
    result = sidesnap.fails(REFUSED, "replace", db.name, tag, says=[other.name, "--yes"])
    assert other.status() == "running" and db.exists(), result
