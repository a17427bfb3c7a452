"""
SQLite in an application's volume: a frozen copy of the file with what lies beside it is sound at any instant, a
changed page costs a page, and its own program dumps it.
"""

import os
import sqlite3

import pytest

from conftest import booted
from support.api import wait_for
from support.cli import DAMAGED, FAILED, UNSUPPORTED

ROUNDS = int(os.environ.get("SIDESNAP_TEST_ROUNDS", "6"))
FILE = "/data/sub dir/app.db"
LABELS = {"sidesnap.driver": "sqlite", "sidesnap.driver.file": FILE}
ROWS = 20000


def fill(path, rows=ROWS):
    """Wide enough that a page of it is no page of another."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    db = sqlite3.connect(path)
    db.executescript(
        """create table "Tab""le" (id integer primary key, "näme" text unique, value real, raw blob);
        create table big (id integer primary key, body text); create view cheap as select id from "Tab""le" where id < 10;
        create table pairs (a text, b int, primary key (a, b)) without rowid;
        create trigger noted after delete on pairs begin insert into pairs values ('gone ' || old.a, old.b); end;"""
    )
    db.executemany(
        'insert into "Tab""le" values (?, ?, ?, ?)',
        ((n, f"Grüße 日本 {n}\n\t'", n / 7, os.urandom(60)) for n in range(1, rows + 1)),
    )
    db.execute("insert into big values (1, ?)", ("ä" * 3000000,))
    db.executemany("insert into pairs values (?, ?)", (("p", n) for n in range(100)))
    db.commit()
    db.close()


def content(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    text = list(db.iterdump())
    assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
    db.close()
    return text


@pytest.fixture
def app(box):
    volume = box.volume("data", lambda path: fill(os.path.join(path, "sub dir", "app.db")))
    container = box.run("app", "sqlite", None, [(volume, "/data")], Labels=LABELS, StopSignal="SIGKILL")
    container.file = os.path.join(box.path(volume), "sub dir", "app.db")
    return container


# ---- files ----


def test_a_page_costs_a_page(box, sidesnap, app):
    """Nobody said that it is a database: the file tells."""
    sidesnap.create(app.name, box.tag())
    size = os.path.getsize(app.file)
    assert size > 7000000
    db = sqlite3.connect(app.file)
    for n in (1, ROWS // 3, ROWS // 2, ROWS):
        db.execute('update "Tab""le" set value = -1 where id = ?', (n,))
    db.commit()
    db.close()
    tag = box.tag()
    result = sidesnap.create(app.name, tag)
    # four pages and the first, and the hashes of all; by content it would be 64 KiB and more for each
    assert result["new_bytes"] < 60000, result["new_bytes"]
    copy = booted(box.boot("copy", tag))
    assert copy.exec(["sqlite3", FILE, 'select count(*) from "Tab""le" where value = -1; pragma integrity_check']) == "4\nok\n"


@pytest.mark.parametrize("mode", ["wal", pytest.param("delete", marks=pytest.mark.database), pytest.param("truncate", marks=pytest.mark.database), pytest.param("persist", marks=pytest.mark.database)])
def test_under_load(box, sidesnap, mode):
    """
    Every snapshot is opened, which plays its journal back, and checked: whole, all that had been committed before,
    and no transaction in halves.
    """
    volume = box.volume("data")
    app = box.run("app", "sqlite", ["python3", "/writer.py", "/data/app.db", mode], [(volume, "/data")], StopSignal="SIGKILL")

    def committed():
        lines = app.output().split()
        return int(lines[-1]) if lines else 0

    wait_for(lambda: committed() > 1000, "it writes", 60)
    journals = set()
    for number in range(ROUNDS):
        before, tag = committed(), box.tag()
        assert sidesnap.create(app.name, tag)["consistency"] == "frozen"
        after = committed()
        copy = box.boot(f"copy{number}", tag, ["sleep", "1000"])
        journals |= set(copy.exec("ls /data").split())
        out = copy.exec(["sqlite3", "/data/app.db", "pragma integrity_check; select n from last; select max(n), count(*) from written where n > (select n from last) - 100"])
        check, last, newest = out.split()
        assert check == "ok" and before <= int(last) <= after + 20, (before, last, after)
        assert newest == f"{last}|100", "a transaction is torn"
        copy.remove()
        wait_for(lambda: committed() > after + 200, "it goes on", 60)
    print(mode, journals, committed())
    if mode == "wal":
        assert {"app.db-wal", "app.db-shm"} <= journals


def test_reset_replace_undo(box, sidesnap, app):
    then = content(app.file)
    tag = box.tag()
    sidesnap.create(app.name, tag)
    app.exec(["sqlite3", FILE, "pragma journal_mode=wal; delete from pairs; drop table big; create table new (i int)"])
    now = content(app.file)
    sidesnap("reset", app.name, tag, "--yes")
    assert content(app.file) == then and os.listdir(os.path.dirname(app.file)) == ["app.db"]
    sidesnap("undo", app.name, "--yes")
    assert content(app.file) == now
    sidesnap("replace", app.name, tag, "--yes")
    assert content(app.file) == then


# ---- its own dump ----


def dump(sidesnap, app, tmp_path, *options):
    path = tmp_path / "dump.sql"
    return path, sidesnap.json("dump", app.name, "-o", path, *options)


def test_dump_and_load(box, sidesnap, app, tmp_path):
    wanted = content(app.file)
    path, result = dump(sidesnap, app, tmp_path)
    assert result["driver"] == "sqlite" and result["version"].startswith("3.")
    made = sqlite3.connect(tmp_path / "made.db")
    made.executescript(path.read_text())
    made.close()
    assert content(tmp_path / "made.db") == wanted
    app.exec(["sqlite3", FILE, "pragma journal_mode=wal; delete from pairs; drop table big; create table new (i int)"])
    sidesnap("load", app.name, "-i", path, "--yes")
    assert app.exec(["sqlite3", FILE, "pragma integrity_check; pragma journal_mode"]) == "ok\nwal\n"
    assert content(app.file) == wanted
    assert not app.exec("ls /tmp")
    sidesnap("undo", app.name, "--yes")
    assert app.exec(["sqlite3", FILE, "select count(*) from new"]) == "0\n"


def test_dump_of_a_file_that_no_label_names(box, sidesnap, app, tmp_path):
    volume = box.volume("plain", lambda path: fill(os.path.join(path, "x.db"), 100))
    plain = box.run("plain", "sqlite", None, [(volume, "/data")], StopSignal="SIGKILL")
    path, _ = dump(sidesnap, plain, tmp_path, "--driver", "sqlite", "--database", "/data/x.db")
    assert path.read_text().endswith("COMMIT;\n")
    result = sidesnap("dump", plain.name, "--driver", "sqlite", code=FAILED)
    assert "lacks a value" in result.err
    sidesnap.fails(UNSUPPORTED, "dump", plain.name, says="no driver fits")
    result = sidesnap("dump", plain.name, "--driver", "sqlite", "--database", "/data/none.db", "-o", tmp_path / "no", code=FAILED)
    assert "unable to open" in result.err and not (tmp_path / "no").exists() and "none.db" not in plain.exec("ls /data")


def test_without_its_program(box, sidesnap, tmp_path):
    """A snapshot needs none; a dump does, and says so."""
    volume = box.volume("data", lambda path: fill(os.path.join(path, "sub dir", "app.db"), 100))
    app = box.run("app", "busybox", ["sleep", "1000"], [(volume, "/data")], Labels=LABELS, StopSignal="SIGKILL")
    assert sidesnap.create(app.name, box.tag())["driver"] == "sqlite"
    sidesnap.fails(FAILED, "dump", app.name, "-o", tmp_path / "x", says="sqlite3")


def test_logical_is_refused(box, sidesnap, app):
    """A dump would stand for the application's other files as well."""
    sidesnap.fails(UNSUPPORTED, "create", app.name, "-t", box.tag(), "--logical", says=["no directory of its own", "sidesnap dump"])


def test_a_damaged_database_has_no_dump(box, sidesnap, app, tmp_path):
    with open(app.file, "r+b") as file:
        for page in range(40, 60):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    result = sidesnap("dump", app.name, "-o", tmp_path / "x", code=None)
    assert result.code in (FAILED, DAMAGED) and not (tmp_path / "x").exists(), result


@pytest.mark.parametrize("how", ["cut", "empty", "wrong", "other"])
def test_bad_dumps_are_not_loaded(box, sidesnap, app, tmp_path, how):
    wanted = content(app.file)
    path, _ = dump(sidesnap, app, tmp_path)
    text = path.read_text()
    bad = {"cut": text[: len(text) // 2], "empty": "", "wrong": text.replace("COMMIT;\n", "insert into nowhere values (1);\nCOMMIT;\n"), "other": "hello\n"}
    path.write_text(bad[how])
    result = sidesnap("load", app.name, "-i", path, "--yes", "--no-safety", code=None)
    assert result.code in (FAILED, DAMAGED), result
    assert content(app.file) == wanted and not app.exec("ls /tmp")


def test_dump_while_it_is_written(box, sidesnap, tmp_path):
    """In one transaction: what was committed at one instant."""
    volume = box.volume("data")
    app = box.run("app", "sqlite", ["python3", "/writer.py", "/data/app.db", "wal"], [(volume, "/data")], StopSignal="SIGKILL")
    wait_for(lambda: len(app.output().split()) > 50, "it writes", 60)
    path, _ = dump(sidesnap, app, tmp_path, "--driver", "sqlite", "--database", "/data/app.db")
    made = sqlite3.connect(tmp_path / "made.db")
    made.executescript(path.read_text())
    last = made.execute("select n from last").fetchone()[0]
    assert made.execute("select max(n) from written").fetchone()[0] == last


# ---- what differs ----


def test_diff_data(box, sidesnap, app):
    """Rows by their keys, and by what is in them where a key may be NULL; definitions; values of every type."""
    db = sqlite3.connect(app.file)
    db.executescript("create table loose (a, b); insert into loose values (1, '1'), (null, x'00ff'), (1, '1')")
    db.commit()
    tag = box.tag()
    sidesnap.create(app.name, tag)
    assert sidesnap.json("diff", "--data", tag, app.name, timeout=300)["same"] is True
    db.execute('update "Tab""le" set "näme" = ? where id = 10', ("tab\tline\nback\\slash",))
    db.execute('delete from "Tab""le" where id = 9')
    db.execute("insert into pairs values ('p', 1000)")
    db.execute("insert into loose values (null, null)")
    db.execute("create index by_body on big (id)")
    db.commit()
    db.close()
    done = sidesnap("diff", "--data", tag, app.name, "--rows", "5", "--json", code=1, timeout=300)
    found = done.json()
    (main,) = [d for d in found["databases"] if d["name"] == "main"]
    tables = {t["name"]: (t["matched_by"], t["added"], t["removed"], t["changed"]) for t in main["tables"]}
    assert tables == {'"Tab""le"': ("key", 0, 1, 1), "pairs": ("key", 1, 0, 0), "loose": ("content", 1, 0, 0)}
    assert [(o["change"], o["type"], o["name"]) for o in main["schema"]] == [("added", "index", "by_body")]
    text = sidesnap("diff", "--data", tag, app.name, "--rows", "5", code=1, timeout=300).out
    assert r"'tab\x09line\x0aback\slash'" in text and "a=NULL b=NULL" in text, text
