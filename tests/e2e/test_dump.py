"""
Dumps of a running database and their way back: whole, or a failure. A dump that is cut, empty or
damaged never passes for one, and nothing is left running or lying about.
"""

import os
import re
import subprocess

import pytest

from support.api import EngineError, wait_for
from support.cli import CANCELLED, DAMAGED, FAILED, NOT_FOUND, REFUSED, UNSUPPORTED, USAGE, Terminal, interrupt
from test_postgres import PASSWORD, ready, sql, start

ROWS = 2000


@pytest.fixture
def db(box):
    container = start(box, mounts=[(box.volume("data"), "/var/lib/postgresql/data")])
    sql(container, "CREATE ROLE app LOGIN PASSWORD 'hush'")
    sql(container, "CREATE DATABASE shop OWNER app")
    sql(
        container,
        "CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL);"
        f"INSERT INTO item SELECT n, 'Grüße 日本 ' || n FROM generate_series(1, {ROWS}) n;"
        "CREATE TABLE big AS SELECT 1 AS id, repeat('x', 3000000) AS body",
        database="shop",
    )
    return container


def count(container, table="item", database="shop"):
    return int(sql(container, f"SELECT count(*) FROM {table}", database=database))


def dump(box, target, *options):
    return box.sidesnap("dump", target.name, *options).out


def test_a_dump_is_the_tools_own(box, db, tmp_path):
    text = dump(box, db)
    assert text.startswith("--\n-- PostgreSQL database cluster dump\n")
    assert "Grüße 日本 1\n" in text and PASSWORD not in text
    file = tmp_path / "db.sql"
    result = box.sidesnap.json("dump", db.name, "-o", file)
    assert result["bytes"] == file.stat().st_size
    assert result["driver"] == "postgres" and result["version"].startswith("15")
    assert file.stat().st_mode & 0o777 == 0o600
    volatile = re.compile(r"^\\(un)?restrict .*$", re.M)
    assert volatile.sub("", file.read_text()) == volatile.sub("", text)
    assert volatile.sub("", dump(box, db, "-o", "-")) == volatile.sub("", text)
    assert os.listdir(tmp_path) == ["db.sql"]


def test_one_database(box, db, tmp_path):
    text = dump(box, db, "--database", "shop")
    assert text.startswith("--\n-- PostgreSQL database dump\n")
    assert 'CREATE DATABASE "shop"' in text and "CREATE ROLE" not in text
    result = box.sidesnap.fails(FAILED, "dump", db.name, "--database", "nope", "-o", tmp_path / "x", says="nope")
    assert "does not exist" in result.err
    assert os.listdir(tmp_path) == []


def test_wrong_names(box, db, tmp_path):
    """Each is told by its own name, with what to do; nothing is said of an output that nobody has got."""
    missing = tmp_path / "no" / "db.sql"
    result = box.sidesnap.fails(FAILED, "dump", db.name, "-o", missing, says=f"cannot create {missing}: ")
    assert ".part" not in result.err
    assert "worth nothing" not in box.sidesnap.fails(NOT_FOUND, "dump", "nobody", says="ps --all").err
    file = tmp_path / "db.sql"
    file.write_text("-- no dump\n")
    box.sidesnap.fails(USAGE, "load", db.name, file, says=f"-i {file}")
    box.sidesnap.fails(DAMAGED, "load", db.name, "-i", "-", "--yes", input=b"-- no dump\n", says="no dump")


def test_a_file_that_is_there_stays_when_the_dump_fails(box, db, tmp_path):
    file = tmp_path / "db.sql"
    file.write_text("before")
    box.sidesnap.fails(FAILED, "dump", db.name, "--database", "nope", "-o", file)
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["db.sql"]


def test_a_terminal_gets_no_dump(box, db):
    terminal = Terminal(box.sidesnap, "dump", db.name)
    assert terminal.wait() == USAGE
    assert b"nothing for a terminal" in terminal.output and b"CREATE" not in terminal.output
    terminal.close()


def test_who_cannot_be_dumped(box):
    busy = box.sleeper()
    box.sidesnap.fails(UNSUPPORTED, "dump", busy.name, says="no driver fits")
    box.sidesnap.fails(UNSUPPORTED, "dump", busy.name, "--driver", "neo4j", says="cannot dump")
    box.sidesnap.fails(FAILED, "dump", busy.name, "--driver", "redis", says="cannot get into Redis")
    box.sidesnap.fails(FAILED, "dump", busy.name, "--driver", "postgres", says="cannot get into PostgreSQL")
    busy.kill()
    box.sidesnap.fails(FAILED, "dump", busy.name, "--driver", "postgres", says="does not run")


def sessions(container):
    return sql(container, "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'pg_dump|psql' AND pid <> pg_backend_pid()")


@pytest.mark.parametrize("action", ["kill", "interrupt"])
def test_an_interrupted_dump_leaves_nothing_behind(box, db, tmp_path, action):
    sql(db, "CREATE TABLE long AS SELECT repeat(md5(n::text), 100) FROM generate_series(1, 100000) n", database="shop")
    process = box.sidesnap.start("dump", db.name, "-o", tmp_path / "db.sql")
    wait_for(lambda: any(f.stat().st_size > 100000 for f in tmp_path.iterdir()), "it writes", 30, 0.01)
    if action == "interrupt":
        code, out, err = interrupt(process)
        assert code == CANCELLED, err
        assert os.listdir(tmp_path) == []
    else:
        process.kill()
        process.communicate()
        assert not (tmp_path / "db.sql").exists()
    wait_for(lambda: sessions(db) == "0", "the dump ends in the container", 30)


def test_a_reader_that_goes_away(box, db):
    process = box.sidesnap.start("dump", db.name)
    process.stdout.read(10)
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait() not in (0, None)
    assert "worth nothing" in err or process.returncode < 0
    wait_for(lambda: sessions(db) == "0", "the dump ends in the container", 30)


def test_load_puts_everything_back(box, db, tmp_path):
    file = tmp_path / "db.sql"
    box.sidesnap("dump", db.name, "-o", file)
    sql(db, "DROP TABLE item; CREATE TABLE other (x int)", database="shop")
    sql(db, "ALTER ROLE app NOLOGIN")
    result = box.sidesnap.json("load", db.name, "-i", file, "--yes")
    assert count(db) == ROWS
    assert sql(db, "SELECT length(body) FROM big", database="shop") == "3000000"
    assert sql(db, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app'") == "t"
    assert sql(db, "SELECT to_regclass('other') IS NULL", database="shop") == "t"
    assert result["safety"] in box.safeties()
    box.sidesnap("undo", db.name, "--yes")
    ready(db)
    assert sql(db, "SELECT to_regclass('item') IS NULL", database="shop") == "t"


def test_load_into_a_fresh_server(box, db, tmp_path):
    """As the image makes it: the same superuser, a database of POSTGRES_DB, and what initdb.d made."""
    copy = start(box, "copy", Env=["POSTGRES_DB=shop"])
    sql(copy, "CREATE ROLE app; CREATE TABLE item (made_by_initdb int)", database="shop")
    text = dump(box, db)
    box.sidesnap("load", copy.name, "--yes", "--no-safety", input=text.encode())
    assert count(copy) == ROWS
    assert sql(copy, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'") == "app"
    volatile = re.compile(r"^\\(un)?restrict .*$", re.M)
    assert volatile.sub("", dump(box, copy)) == volatile.sub("", text)


def test_the_dump_of_a_snapshot(box, db):
    """What create --logical has stored, into the running server."""
    whole, one, files = box.tag(), box.tag(), box.tag()
    box.sidesnap.create(db.name, whole, "--logical")
    box.sidesnap.create(db.name, one, "--database", "shop")
    box.sidesnap.create(db.name, files)
    sql(db, "DELETE FROM item", database="shop")
    box.sidesnap.fails(USAGE, "load", db.name, files, "--yes", says="holds no dump")
    box.sidesnap.fails(USAGE, "load", db.name, whole, "--database", "shop", "--yes", says="alone")
    box.sidesnap.fails(USAGE, "load", db.name, whole, "-i", "/dev/null", "--yes", says="exclude each other")
    box.sidesnap.fails(REFUSED, "load", db.name, whole, says="--yes")
    assert count(db) == 0 and not box.helpers()
    result = box.sidesnap.json("load", db.name, whole, "--yes", "--no-safety")
    assert count(db) == ROWS and result["bytes"] > 3000000
    sql(db, "DROP TABLE item", database="shop")
    box.sidesnap("load", db.name, one, "--yes", "--no-safety")
    assert count(db) == ROWS


def test_one_database_there_and_back(box, db):
    text = dump(box, db, "--database", "shop")
    sql(db, "DELETE FROM item", database="shop")
    box.sidesnap("load", db.name, "--database", "shop", "--yes", "--no-safety", input=text.encode())
    assert count(db) == ROWS


def test_a_dump_of_another_database(box, db):
    """It would replace the one that it names, whichever was meant: refused before anything is run."""
    sql(db, 'CREATE DATABASE "größe ""x"')
    text = dump(box, db, "--database", "shop")
    sql(db, "DELETE FROM item WHERE id > 1", database="shop")

    def refused(given, says):
        box.sidesnap.fails(USAGE, "load", db.name, "--database", 'größe "x', "--yes", input=given.encode(), says=says)

    refused(text, 'is of database "shop"')
    # pg_dump without --create would fill whichever database a session begins in
    refused(text.replace("DATABASE", "TABLE"), "does not say of which database")
    assert count(db) == 1 and not box.safeties()
    itself = dump(box, db, "--database", 'größe "x')
    box.sidesnap("load", db.name, "--database", 'größe "x', "--yes", "--no-safety", input=itself.encode())
    box.sidesnap.fails(
        DAMAGED, "load", db.name, "--database", "shop", "--yes", input=dump(box, db).encode(), says="is no dump for the driver"
    )


def test_a_failing_statement_in_the_middle(box, db):
    """The client goes on and ends with 0: what it says counts."""
    text = dump(box, db)
    broken = text.replace('CREATE TABLE "public"."item"', 'CREATE TABLE "nowhere"."item"')
    assert broken != text
    result = box.sidesnap.fails(FAILED, "load", db.name, "--yes", input=broken.encode(), says=["a statement failed", "nowhere"])
    assert f"sidesnap undo {db.name}" in result.err
    box.sidesnap("undo", db.name, "--yes")
    ready(db)
    assert count(db) == ROWS


def test_a_dump_that_is_cut(box, db):
    text = dump(box, db)
    cut = text[: text.index("-- PostgreSQL database cluster dump complete")]
    result = box.sidesnap.fails(DAMAGED, "load", db.name, "--yes", "--no-safety", input=cut.encode(), says="its end is missing")
    assert "undo" not in result.err


def test_what_is_no_dump_touches_nothing(box, db):
    before = count(db)
    for junk in (b"", b"DROP DATABASE shop;\n", os.urandom(5000)):
        box.sidesnap.fails(DAMAGED, "load", db.name, "--yes", input=junk, says="is no dump for the driver")
    box.sidesnap.fails(REFUSED, "load", db.name, input=dump(box, db).encode(), says="--yes")
    assert count(db) == before and not box.safeties()


def test_a_database_that_is_in_use(box, db):
    text = dump(box, db)
    process = subprocess.Popen(
        ["docker", "-H", box.host, "exec", db.name, "psql", "-U", "postgres", "shop", "-c", "SELECT pg_sleep(60)"]
    )
    try:
        wait_for(lambda: sql(db, "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep.60'") >= "2", "it is in use")
        box.sidesnap.fails(FAILED, "load", db.name, "--yes", "--no-safety", input=text.encode(), says="being accessed by other users")
    finally:
        process.kill()
        process.wait()
    assert count(db) == ROWS


def test_an_interrupted_load_tells_the_way_back(box, db, tmp_path):
    sql(db, "CREATE TABLE long AS SELECT repeat(md5(n::text), 100) FROM generate_series(1, 100000) n", database="shop")
    file = tmp_path / "db.sql"
    box.sidesnap("dump", db.name, "--database", "shop", "-o", file)
    process = box.sidesnap.start("load", db.name, "--database", "shop", "-i", file, "--yes")

    def loads():
        try:
            return "COPY" in sql(db, "SELECT string_agg(query, ' ') FROM pg_stat_activity")
        except EngineError as error:  # frozen for the safety snapshot
            assert error.status == 409
            return False

    wait_for(loads, "it loads", 60, 0.01)
    code, out, err = interrupt(process)
    assert code == CANCELLED and f"sidesnap undo {db.name}" in err, err
    wait_for(lambda: sessions(db) == "0", "the load ends in the container", 30)
    box.sidesnap("undo", db.name, "--yes")
    ready(db)
    assert count(db) == ROWS


def test_memory_stays_small(box, db, tmp_path):
    """A dump of a hundred megabytes, in some megabytes of memory."""
    sql(db, "CREATE TABLE long AS SELECT repeat(md5(n::text), 1000) AS t FROM generate_series(1, 4000) n", database="shop")
    command = ["/usr/bin/time", "-f", "%M", *box.sidesnap.command("dump", db.name, "-o", tmp_path / "db.sql")]
    done = subprocess.run(command, env=box.sidesnap.environment(), capture_output=True, check=True)
    assert (tmp_path / "db.sql").stat().st_size > 100 << 20
    assert int(done.stderr.split()[-1]) < 32 << 10
