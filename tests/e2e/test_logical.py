"""
Logical snapshots: the database's own dump, streamed into the image, and loaded into an empty server
at the first boot, before anybody else sees it.
"""

import re
import threading

import pytest

from support.api import wait_for
from support.cli import FAILED, REFUSED, UNSUPPORTED, USAGE
from test_postgres import PASSWORD, ready, sql, start

DATA = "/var/lib/postgresql/data"
ROWS = 20000


def fill(db):
    """Rows in unicode, a large value, a user with a password, an index, a function, two databases."""
    sql(db, "create role app login password 'p''ä\"s$s'")
    sql(db, 'create database "Zweite Ä" owner app')
    sql(db, "create database shop owner app")
    sql(
        db,
        f"""create table t (id int primary key, v text not null);
        insert into t select i, 'Zeile ' || i || ' äöü \U0001f418 ' || repeat(md5(i::text), 4) from generate_series(1, {ROWS}) i;
        create index on t (v); alter table t owner to app;
        create table large (v text); insert into large select repeat(md5(random()::text), 300000);
        create function f() returns int language sql as 'select 42'""",
        database="shop",
    )
    sql(db, "create table u (v text); insert into u values (e'\\t\\n\\\\.')", database="Zweite Ä")


def dump(container, *words):
    """The server's own dump, without what differs between two of the same state."""
    text = container.exec(["pg_dumpall", "-U", "postgres", *words], timeout=300)
    return re.sub(r"(?m)^(\\(un)?restrict .*|-- (Dumped|Started|Completed) .*)\n", "", text)


def loaded(container, timeout=120):
    """The load is over, and the server answers over TCP."""

    def over():
        state = container.state()
        assert state["Running"], f"{container.name} ended ({state['ExitCode']}): {container.logs()[-3000:]}"
        return container.exec(["pg_isready", "-q", "-h", "127.0.0.1"], check=False)[0] == 0

    wait_for(over, f"{container.name} has loaded its dump", timeout, 0.2)
    return container


@pytest.fixture
def db(box):
    made = start(box, mounts=[(box.volume("data"), DATA)])
    fill(made)
    return made


def test_there_and_back(box, db):
    before = dump(db)
    made = box.sidesnap.create(db.name, box.tag(), "--logical")
    assert made["consistency"] == "logical"
    assert made["dump"]["file"] == "dump.sql" and made["dump"]["database"] is None
    assert made["dump"]["bytes"] > len(before) / 2
    kinds = {t["kind"]: t for t in made["trees"]}
    assert set(kinds) == {"dump"} and kinds["dump"]["paths"] == [DATA]
    labels = box.engine.image(made["reference"])["Config"]["Labels"]
    assert labels["sidesnap.consistency"] == "logical" and labels["sidesnap.format"] == "2"
    assert labels["sidesnap.driver"] == "postgres" and labels["sidesnap.database"] == ""

    copy = box.create("copy", made["reference"], None, [(box.volume("copy"), DATA)])
    copy.start()
    loaded(copy)
    assert dump(copy) == before
    # the password of the server that was dumped, not the one of the first initialisation
    assert copy.exec(
        ["psql", "-XqAth", "127.0.0.1", "-U", "postgres", "-c", "select 1"], env=["PGPASSWORD=" + PASSWORD]
    ).strip() == "1"
    assert "sidesnap: loaded dump.sql" in copy.logs()
    # what boot added for the load is gone
    assert sql(copy, "show listen_addresses") == "*"
    first = copy.exec(["cat", "/proc/1/cmdline"]).replace("\0", " ").strip()
    assert first == "postgres", first
    # a second start loads nothing, and keeps what was written since
    sql(copy, "insert into t values (0, 'new')", database="shop")
    copy.stop()
    copy.start()
    loaded(copy)
    assert copy.logs().count("sidesnap: loaded") == 1
    assert sql(copy, "select count(*) from t", database="shop") == str(ROWS + 1)
