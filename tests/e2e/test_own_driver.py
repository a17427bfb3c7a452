"""What docs/drivers.md teaches: its driver, as it stands there, on the toy server that it is about."""

import json
import os
import re

import pytest

from conftest import booted
from support.api import wait_for
from support.images import ROOT

PASSWORD = "it's \"secret\""


@pytest.fixture(scope="module")
def drivers(tmp_path_factory):
    """A folder with the first and the whole file of the page: the last counts."""
    with open(os.path.join(ROOT, "docs", "drivers.md")) as file:
        page = file.read()
    blocks = [match.group() for match in re.finditer(r"(?m)^( {4,})\{\n(?:^\1.*\n)+", page)]
    found = [json.loads(block) for block in blocks if '"name": "notes"' in block]
    assert len(found) == 2, "the page has two files of this driver: its beginning, and the whole"
    folders = []
    for number, definition in enumerate(found):
        folder = tmp_path_factory.mktemp(f"drivers{number}")
        (folder / "notes.json").write_text(json.dumps(definition, indent=2))
        folders.append({"SIDESNAP_DRIVERS": str(folder)})
    return folders


def notes(container, *words):
    return container.exec(["notes", *words], env=[f"NOTES_PASSWORD={PASSWORD}"])


def start(box, word):
    container = box.run(word, "notes", mounts=[(box.volume(word), "/var/lib/notes")], Env=[f"NOTES_PASSWORD={PASSWORD}"])
    wait_for(lambda: container.exec(["notes", "ping"], check=False)[0] == 0, f"{word} answers")
    return container


def test_the_driver_of_the_page(box, sidesnap, drivers):
    db = start(box, "db")
    notes(db, "set", "a", "one")
    first, whole = drivers
    assert [row["driver"] for row in sidesnap.json("ps", env=first) if row["name"] == db.name] == ["notes"]
    # Without the driver what was not flushed is lost: that is what "prepare" is for.
    tag = box.tag()
    assert sidesnap.create(db.name, tag, env=whole)["driver"] == "notes"
    copy = booted(box.boot("copy", tag, Env=[f"NOTES_PASSWORD={PASSWORD}"]))
    wait_for(lambda: copy.exec(["notes", "ping"], check=False)[0] == 0, "the copy answers")
    assert notes(copy, "list") == "a one\n"


def test_dump_load_and_logical(box, sidesnap, drivers):
    db, other = start(box, "db"), start(box, "other")
    whole = drivers[1]
    notes(db, "set", "ключ", "☃ value")
    notes(other, "set", "stale", "x")
    dump = sidesnap("dump", db.name, env=whole).out.encode(errors="surrogateescape")
    assert dump.decode() == "# notes\nnote ключ ☃ value\n# end of 1 notes\n"
    sidesnap("load", other.name, "--yes", "--no-safety", env=whole, input=dump)
    assert notes(other, "list") == "ключ ☃ value\n"
    result = sidesnap("load", other.name, "--yes", "--no-safety", env=whole, input=dump[:-9], code=None)
    assert result.code == 1, result
    tag = box.tag()
    assert sidesnap("create", "--logical", db.name, "-t", tag, "--json", env=whole).json()["consistency"] == "logical"
    sidesnap("run", tag, "-e", f"NOTES_PASSWORD={PASSWORD}", "--name", box.name("copy"), env=whole)
    assert notes(box.container("copy"), "list") == "ключ ☃ value\n"


def test_a_probe_that_is_slow(box, sidesnap):
    """No engine ends a command: what takes longer than the first probe may must not be tried for ever."""
    probe = ["sh", "-c", "echo >>/data/probes; sleep 7; exit 0"]
    db = box.sleeper(Labels={"sidesnap.driver.ready": json.dumps(probe)})
    tag = box.tag()
    sidesnap.create(db.name, tag)
    sidesnap("run", tag, "--name", box.name("copy"), timeout=60)
    assert box.container("copy").exec("cat /data/probes").count("\n") == 2
