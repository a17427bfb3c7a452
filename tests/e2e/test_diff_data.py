"""
diff --data: what changed in a database. All look at one pair of snapshots and change nothing; the live
container is changed for one comparison, which comes last.
"""

import base64
import signal
import threading
import time

import pytest

from conftest import Box
from support.cli import CANCELLED, FAILED, NO_SPACE, UNSUPPORTED, USAGE, await_stop
from test_postgres import start

DIFFERENT = 1

FILL = r"""
create table shop (id int primary key, name text, price numeric(10,2), tags text[]);
insert into shop select i, 'item ' || i, i, array['a', null, 'b,c'] from generate_series(1, 1000) i;
create table pairs (b text, a int, v bytea, primary key (b, a));
insert into pairs values (E'tab\tand\nline\\', 1, '\x00ff'), ('ä', 2, null), ('', 3, ''), ('ab', 10, 'x'), ('a', 9, 'x');
create table log (line text, detail json, spot point);
insert into log select 'line ' || i % 10, '{"n": 1}', '(1,2)' from generate_series(1, 50) i;
insert into log values (null, null, null), ('', null, null);
create table wide (id int primary key, big text, after text);
insert into wide values (1, repeat('x', 30000000), 'a'), (2, repeat('y', 30000000), 'b');
create schema "We.ird
""schema"; create table "We.ird
""schema"."Tab""le" ("Key" uuid primary key, ":odd" int);
insert into "We.ird
""schema"."Tab""le" values ('00000000-0000-0000-0000-000000000001', 1);
create table parts (i int primary key) partition by range (i);
create table parts_low partition of parts for values from (0) to (100);
insert into parts select generate_series(1, 5);
create table was_here (i int primary key); insert into was_here values (1), (2);
create table other_key (i int primary key, j int not null unique); insert into other_key values (1, 11), (2, 12);
create table more_columns (i int primary key, old int, kept int); insert into more_columns values (1, 1, 1), (2, 2, 2);
create sequence counter; select setval('counter', 100);
create unlogged table scribble (i int);
create materialized view summary as select count(*) from shop;
create view cheap as select * from shop where price < 10;
create function twice(i int) returns int language sql as 'select 2 * i';
create type mood as enum ('zebra', 'ape');
create table moods (m mood primary key, n int); insert into moods values ('zebra', 1), ('ape', 2);
create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options (host '192.0.2.1');
create foreign table far_away (i int) server far;
select lo_from_bytea(4711, 'abc');
create database second; create database closed; alter database closed allow_connections false;
create database gone; create database latin encoding 'LATIN1' locale 'C' template template0; create role worker login password 'hidden-word';
"""

CHANGE = r"""
insert into shop select i, 'new ' || i, i, null from generate_series(1001, 1003) i;
delete from shop where id in (5, 10);
update shop set price = 99.99, name = E'evil \x1b[31m' where id = 7;
update pairs set v = 'y' where b = 'ab'; delete from pairs where b = ''; insert into pairs values ('Z', 0, null);
delete from log where ctid = (select min(ctid) from log where line = 'line 3'); insert into log values (null, null, null);
update wide set big = repeat('x', 29999999) || 'z' where id = 1;
update "We.ird
""schema"."Tab""le" set ":odd" = null;
insert into parts values (6);
drop table was_here; create table fresh (i int, t text); insert into fresh values (1, 'one'), (1, 'one');
alter table other_key drop constraint other_key_pkey; alter table other_key drop constraint other_key_j_key;
alter table other_key add primary key (j); insert into other_key values (3, 13);
alter table more_columns drop column old; alter table more_columns add column added int default 5;
update more_columns set kept = 22 where i = 2;
select setval('counter', 200);
create or replace function twice(i int) returns int language sql as 'select i + i';
drop view cheap; create index on shop (name);
update moods set n = 3 where m = 'ape';
select lo_put(4711, 1, 'X');
alter role worker createdb password 'another-word'; drop database gone; create database third;
"""


def run_sql(container, script, database="boss"):
    """Each line that ends a statement is sent by itself; databases are made outside of transactions."""
    words = []
    for statement in filter(str.strip, script.replace("; ", ";\n").split(";\n")):
        words += ["-c", statement]
    container.exec(
        ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-U", "boss", "-d", database, *words],
        env=["PGCLIENTENCODING=UTF8"], timeout=120,
    )


class Set:
    """first and second: of db before and after CHANGE."""

    def __init__(self, box):
        self.box, self.sidesnap = box, box.sidesnap
        self.db = start(
            box, mounts=[(box.volume("data"), "/var/lib/postgresql/data")], Env=["POSTGRES_USER=boss"]
        )
        run_sql(self.db, FILL)
        run_sql(self.db, "create table t (i int primary key); insert into t values (1)", "second")
        # of another encoding than the client has: é is one byte, and sorts as it does
        run_sql(self.db, "create table café (k text primary key, v text)", "latin")
        run_sql(self.db, "insert into café values ('z', 'é'), ('é', 'x'), ('e', 'x'), ('ÿ', 'x')", "latin")
        self.first, self.second = box.tag(), box.tag()
        self.sidesnap.create(self.db.name, self.first)
        run_sql(self.db, CHANGE)
        run_sql(self.db, "insert into t values (2)", "second")
        run_sql(self.db, "update café set v = 'è' where k in ('z', 'é'); delete from café where k = 'ÿ'", "latin")
        self.sidesnap.create(self.db.name, self.second)

    def scratch(self):
        return self.box.engine.containers(label="sidesnap.role=scratch")


@pytest.fixture(scope="module")
def made(engine, images):
    box = Box(engine, images)
    yield Set(box)
    box.close()


@pytest.fixture(scope="module")
def result(made):
    return made.sidesnap.json(
        "diff", "--data", made.first, made.second, "--rows", "6", "--definitions", code=DIFFERENT
    )


def database(result, name):
    return next(d for d in result["databases"] if d["name"] == name)


def tables(result, name="boss"):
    return {t["name"]: t for t in database(result, name)["tables"]}


def rows(result, table):
    return [r for r in result["rows"] if r.get("table") == table]


def numbers(table):
    return table["rows_from"], table["rows_to"], table["added"], table["removed"], table["changed"]


def test_counts(result):
    """Every kind of table, and only those that differ."""
    found = tables(result)
    expected = {
        "public.shop": (1000, 1001, 3, 2, 1),
        "public.pairs": (5, 5, 1, 1, 1),
        "public.log": (52, 52, 1, 1, 0),
        "public.wide": (2, 2, 0, 0, 1),
        '"We.ird\n""schema"."Tab""le"': (1, 1, 0, 0, 1),
        "public.parts_low": (5, 6, 1, 0, 0),
        "public.was_here": (2, 0, 0, 2, 0),
        "public.fresh": (0, 2, 2, 0, 0),
        "public.other_key": (2, 3, 1, 0, 0),
        "public.more_columns": (2, 2, 0, 0, 1),
        "public.moods": (2, 2, 0, 0, 1),
        "sequences": (1, 1, 0, 0, 1),
        "large objects": (1, 1, 0, 0, 1),
    }
    assert {n: numbers(t) for n, t in found.items() if t["state"] != "skipped"} == expected
    assert found["public.far_away"]["state"] == "skipped" and "elsewhere" in found["public.far_away"]["reason"]
    assert found["public.was_here"]["state"] == "removed" and found["public.fresh"]["state"] == "added"
    assert found["public.log"]["matched_by"] == "content" and found["public.pairs"]["key"] == ["b", "a"]
    assert found["public.other_key"]["matched_by"] == "content"
    more = found["public.more_columns"]
    assert (more["columns_added"], more["columns_removed"]) == (["added"], ["old"])
    assert database(result, "boss")["tables_compared"] == len(expected) + 3


def test_databases_and_the_server(result):
    states = {d["name"]: d["state"] for d in result["databases"]}
    assert states == {
        "": "changed", "boss": "changed", "closed": "skipped", "gone": "removed", "latin": "changed",
        "postgres": "same", "second": "changed", "template1": "same", "third": "added",
    }
    assert "connections" in database(result, "closed")["reason"]
    assert numbers(tables(result, "second")["public.t"]) == (1, 2, 1, 0, 0)
    assert numbers(tables(result, "")["databases"]) == (8, 8, 1, 1, 0)
    (role,) = rows(result, "roles")
    assert role["key"] == [{"column": "role", "value": "worker"}]
    assert {c["column"] for c in role["columns"]} == {"create_database", "password"}
    assert not any(secret in str(result) for secret in ("SCRAM", "hidden-word", "another-word"))


def test_rows(result):
    """Values as they are: no value, control characters, bytes, what is too long."""
    shop = {r["key"][0]["value"]: r for r in rows(result, "public.shop")}
    assert len(shop) == 6
    changed = shop["7"]
    assert changed["change"] == "changed" and changed["columns"] == [
        {"column": "name", "from": "item 7", "to": "evil \x1b[31m"},
        {"column": "price", "from": "7.00", "to": "99.99"},
    ]
    pairs = {r["change"]: r for r in rows(result, "public.pairs")}
    assert [k["value"] for k in pairs["removed"]["key"]] == ["", "3"]
    assert [k["value"] for k in pairs["changed"]["key"]] == ["ab", "10"]
    assert pairs["changed"]["columns"] == [{"column": "v", "from": "\\x78", "to": "\\x79"}]
    log = {r["change"]: r for r in rows(result, "public.log")}
    assert [v["value"] for v in log["added"]["values"]] == [None, None, None]
    assert log["removed"]["values"][0] == {"column": "line", "value": "line 3"} and log["removed"]["key"] == []
    (wide,) = rows(result, "public.wide")
    assert [c["column"] for c in wide["columns"]] == ["big"] and len(wide["columns"][0]["to"]) == 1024
    (odd,) = rows(result, '"We.ird\n""schema"."Tab""le"')
    assert odd["columns"] == [{"column": ":odd", "from": "1", "to": None}]
    assert rows(result, "public.fresh")[0]["values"] == rows(result, "public.fresh")[1]["values"]


def test_definitions(result):
    changes = {(o["change"], o["type"], o["name"]): o["diff"] for o in database(result, "boss")["schema"]}
    assert ("removed", "TABLE", "public.was_here") in changes
    assert ("added", "TABLE", "public.fresh") in changes
    assert ("removed", "VIEW", "public.cheap") in changes
    assert ("added", "INDEX", "public.shop_name_idx") in changes
    assert ("changed", "TABLE", "public.more_columns") in changes
    assert ("removed", "CONSTRAINT", "public.other_key other_key_j_key") in changes
    text = changes[("changed", "FUNCTION", "public.twice(integer)")]
    assert "select 2 * i" in text and "+" in text and "select i + i" in text
    kinds = {o[1] for o in changes}
    assert kinds <= {"TABLE", "VIEW", "INDEX", "CONSTRAINT", "FUNCTION"}, changes.keys()
    assert result["objects"] == sum(len(d["schema"]) for d in result["databases"])
    assert not result["same"] and result["driver"] == "postgres" and result["to"]["version"].startswith("15")


def watch_memory(pid, peaks):
    """The most that it has had resident, until its end."""
    while True:
        try:
            with open(f"/proc/{pid}/status") as file:
                peak = [int(line.split()[1]) for line in file if line.startswith("VmHWM")]
        except OSError:
            return
        if not peak:
            return
        peaks.append(peak[0] << 10)
        time.sleep(0.02)


def test_for_people_and_closed_to_the_outside(made):
    """Both are booted where nobody reaches them; a terminal sees no control character; nothing stays."""
    process = made.sidesnap.at("diff/booted", "stop").start(
        "diff", "--data", made.first, made.second, "--rows", "2000"
    )
    try:
        assert await_stop(process), process.communicate()
        scratch = made.scratch()
        assert len(scratch) == 2
        for found in scratch:
            inspect = made.box.engine.json("GET", f"/containers/{found['Id']}/json")
            host = inspect["HostConfig"]
            assert host["NetworkMode"] == "none" and not host["Binds"] and not host["PortBindings"]
            assert host["RestartPolicy"]["Name"] in ("no", "") and not host["Privileged"]
            assert inspect["Config"]["Healthcheck"]["Test"] == ["NONE"]
            assert {m["Type"] for m in inspect["Mounts"]} == {"volume"}
        assert not {c["name"] for c in made.sidesnap.json("ps")} & {c["Names"][0].lstrip("/") for c in scratch}
        # somebody is at work: doctor leaves them
        made.sidesnap("doctor")
        assert len(made.scratch()) == 2
    finally:
        process.send_signal(signal.SIGCONT)
    peaks = []
    watch = threading.Thread(target=watch_memory, args=(process.pid, peaks))
    watch.start()
    out, err = (text.decode() for text in process.communicate(timeout=120))
    watch.join()
    # two rows of 30 MB are in it
    assert 1 << 20 < max(peaks) < 12 << 20, max(peaks)
    assert process.returncode == DIFFERENT, err
    lines = out.splitlines()
    assert "\x1b" not in out + err and r"'evil \x1b[31m'" in out
    assert any(line.split()[:7] == ["boss", "public.shop", "changed", "1000", "1001", "3", "2"] for line in lines)
    assert "A  boss: INDEX public.shop_name_idx" in lines and "D  DATABASE: gone" in lines
    assert "A  id='1001' name='new 1001' price='1001.00' tags=NULL" in lines, out
    assert "M  id='7'  name: 'item 7' -> 'evil \\x1b[31m' price: '7.00' -> '99.99'" in lines
    assert "not compared: boss: public.far_away" in err
    assert not made.scratch() and made.box.orphans() == []


def test_one_image_is_not_booted(made):
    quick = made.sidesnap.json("diff", "--data", made.second, made.second)
    assert quick["same"] and quick["databases"] == [] and quick["rows"] == []


@pytest.mark.parametrize("point", ["scratch/created", "scratch/started", "diff/rows", "diff/made"])
def test_killed(made, point):
    """doctor removes what was booted, its volumes, and the image that a container was put into."""
    words = (made.db.name,) if point == "diff/made" else (made.first, made.second)
    made.sidesnap.at(point)("diff", "--data", *words, code=None)
    assert made.db.state()["Running"] and not made.db.state()["Paused"]
    made.sidesnap("doctor")
    assert not made.scratch() and not made.box.helpers() and made.box.orphans() == []
    assert not [i for i, tags in made.box.engine.images().items() if not tags and made.box.is_snapshot(i)]


def test_what_cannot_be_compared(made):
    plain = made.box.run("plain", "busybox", ["sleep", "1000"], StopSignal="SIGKILL")
    tag = made.box.tag()
    made.sidesnap.create(plain.name, tag)
    made.sidesnap.fails(UNSUPPORTED, "diff", "--data", made.first, tag, says=["no driver", "without --data"])
    made.sidesnap.fails(USAGE, "diff", "--rows", "3", made.first, says="--data")
    made.sidesnap.fails(USAGE, "diff", "--data", "--stat", made.first, says="exclude")
    plain.remove()
    assert not made.scratch()


def like_second(made, **changes):
    """An image like second, of another configuration."""
    config = made.box.engine.image(made.second)["Config"]
    container = made.box.create("changed", made.second)
    repository, _, version = made.box.tag("changed").partition(":")
    made.box.engine.json(
        "POST", "/commit", {"container": container.id, "repo": repository, "tag": version}, {**config, **changes}
    )
    container.remove()
    return f"{repository}:{version}"


def test_service_that_does_not_come_up(made):
    """With what it said last; nothing of it stays."""
    broken = like_second(made, Cmd=["postgres", "--no-such-option"])
    made.sidesnap.fails(
        FAILED, "diff", "--data", made.first, broken, says=["did not come up", "no-such-option"]
    )
    made.box.engine.remove_image(broken)
    assert not made.scratch() and made.box.orphans() == []


def test_too_little_room_for_both(made):
    """Nothing is booted."""
    labels = made.box.engine.image(made.second)["Config"]["Labels"]
    huge = like_second(made, Labels={**labels, "sidesnap.bytes": str(1 << 52)})
    made.sidesnap.fails(NO_SPACE, "diff", "--data", made.first, huge, says=["4.0 PiB", "make room"])
    made.box.engine.remove_image(huge)
    assert not made.scratch() and made.box.orphans() == []


def test_container_as_it_is_now(made):
    """It is frozen for a moment like by create, never asked itself; and what did not change is the same."""
    volumes, images = made.box.engine.volumes(), made.box.engine.images()
    run_sql(made.db, "insert into shop values (5000, 'live', 1, null)")
    found = made.sidesnap.json("diff", "--data", made.db.name, "--rows", "1", code=DIFFERENT)
    assert found["from"]["reference"] == made.second and found["to"]["state"] == "live"
    changed = {n: numbers(t) for n, t in tables(found).items() if t["state"] != "skipped"}
    assert changed == {"public.shop": (1001, 1002, 1, 0, 0)} and found["added"] == 1 and not found["objects"]
    assert found["rows"][0]["key"] == [{"column": "id", "value": "5000"}]
    assert not made.scratch() and not made.box.helpers()
    assert sorted(made.box.engine.volumes()) == sorted(volumes) and made.box.engine.images() == images


def test_text_of_another_encoding(result):
    """Bytes as the database has them, in the order that it sorts them in."""
    (table,) = [t for t in database(result, "latin")["tables"] if "name64" in t]
    assert base64.b64decode(table["name64"]).decode("latin1") == 'public."café"'
    assert numbers(table) == (4, 3, 0, 1, 2)
    found = [r for r in result["rows"] if r["database"] == "latin" and "table64" in r]
    keys = [k.get("value") or base64.b64decode(k["value64"]).decode("latin1") for r in found for k in r["key"]]
    assert keys == ["z", "é", "ÿ"]
    assert base64.b64decode(found[0]["columns"][0]["to64"]) == "è".encode("latin1")


@pytest.mark.parametrize("point", ["scratch/started", "diff/rows"])
def test_interrupted(made, point):
    process = made.sidesnap.at(point, "stop").start("diff", "--data", made.first, made.second)
    assert await_stop(process), process.communicate()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == CANCELLED
    assert not made.scratch() and made.box.orphans() == []
