"""undo: back to before the last reset or replace, and from there forward again."""

import os

import pytest

from support.cli import NOT_FOUND
from test_reset import BEFORE, THEN, content, db, tag  # noqa: F401


def test_nothing_to_undo(box, sidesnap, db):  # noqa: F811
    sidesnap.fails(NOT_FOUND, "undo", db.name, says="safety")
    sidesnap.fails(NOT_FOUND, "undo", db.name + "x")


def test_undo_of_a_reset_and_of_that(box, sidesnap, db, tag):  # noqa: F811
    sidesnap("reset", db.name, tag)
    result = sidesnap.json("undo", db.name)
    assert content(db) == BEFORE and result["container"] == db.id and result["operation"] == "reset"
    assert db.exec("cat /own") == "own\n"
    sidesnap("undo", db.name)
    assert content(db) == THEN, "once more: forward again"
    sidesnap("undo", db.name)
    assert content(db) == BEFORE
    assert len(box.safeties()) == 3


def test_undo_of_a_replace(box, sidesnap, db, tag):  # noqa: F811
    """Own files and the image come back with it."""
    sidesnap("replace", db.name, tag)
    now = box.container("db")
    assert now.exec("ls /own 2>&1 | grep -c No") == "1\n"
    result = sidesnap.json("undo", db.name)
    again = box.container("db")
    assert result["operation"] == "replace" and again.id == result["container"] != now.id
    assert again.exec("cat /data/file /data/extra /own") == "worse\nextra\nown\n"
    sidesnap("undo", db.name)
    assert box.container("db").exec("cat /data/file") == "hello\n"


def test_a_reset_that_failed_is_nothing_to_undo(box, sidesnap, db, tag):  # noqa: F811
    """It went back by itself; undo takes back the one before."""
    sidesnap("reset", db.name, tag)
    db.exec("echo third >/data/file")
    result = sidesnap.at("reset/started", "error")("reset", db.name, tag, code=None)
    assert result.code == 2 and content(db)["file"] == "third\n", result
    sidesnap("undo", db.name)
    assert content(db) == BEFORE


def test_undo_is_of_this_container_only(box, sidesnap, db, tag):  # noqa: F811
    """One that was booted beside from the same snapshot has a history of its own."""
    sidesnap("reset", db.name, tag)
    copy = box.boot("copy", tag, mounts=[(box.volume("copy"), "/data")])
    sidesnap.fails(NOT_FOUND, "undo", copy.name, says="safety")


@pytest.mark.parametrize("word", ["--no-start"])
def test_options(box, sidesnap, db, tag, word):  # noqa: F811
    sidesnap("reset", db.name, tag)
    sidesnap("undo", db.name, word)
    assert not db.state()["Running"] and content(db) == BEFORE
    assert os.path.exists(box.path(db.volume))
