"""ClickHouse: Debian has one of 2018 (18.16), which is what is proven here, with the user "default" alone."""

import threading
import time

import pytest

from conftest import booted
from support.api import wait_for
from support.data_diff import assert_tried

pytestmark = pytest.mark.database

ROWS = 20000


def sql(container, query, **more):
    return container.exec(["clickhouse-client", "--multiquery", "--query", query], **more)


def ready(container):
    def answers():
        assert container.state()["Running"], f"{container.name} ended: {container.logs()[-3000:]}"
        host = container.inspect()["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        return container.exec(["clickhouse-client", "--host", host, "--query", "SELECT 1"], check=False)[0] == 0

    wait_for(answers, f"{container.name} gets ready", 60, 0.2)
    return container


@pytest.fixture
def db(box):
    db = ready(box.run("db", "clickhouse", mounts=[(box.volume("data"), "/var/lib/clickhouse")], Env=["CLICKHOUSE_DB=shop"]))
    sql(db, "CREATE TABLE shop.items (n UInt32, name String, big String) ENGINE = MergeTree ORDER BY n")
    sql(
        db,
        "INSERT INTO shop.items SELECT number, concat('ключ ☃ \\'\\t\\\\ ', toString(number)),"
        f" arrayStringConcat(arrayMap(x -> 'y', range(number % 1000 = 0 ? 200000 : 0))) FROM numbers({ROWS})",
    )
    sql(db, "CREATE TABLE shop.log (n UInt32) ENGINE = Log")
    return db


SUM = "SELECT count(), sum(cityHash64(n, name, big)), max(length(big)) FROM shop.items"


def test_created_under_load_booted_reset_replaced(box, sidesnap, db):
    """Parts that are being written and merged while it is frozen are whole or not there at all."""
    content = sql(db, SUM)
    script = "i=0; while :; do clickhouse-client --query \"INSERT INTO shop.busy SELECT $i, number FROM numbers(1000)\" || exit 1; i=$((i+1)); echo $i >/tmp/confirmed; done"
    sql(db, "CREATE TABLE shop.busy (batch UInt32, n UInt32) ENGINE = MergeTree ORDER BY (batch, n)")
    load = threading.Thread(target=lambda: db.exec("echo $$ >/tmp/writer; " + script, check=False, timeout=600), daemon=True)
    load.start()
    wait_for(lambda: int(db.exec(["cat", "/tmp/confirmed"], check=False)[1] or 0) > 3, "the first batches", 60)
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert result["driver"] == "clickhouse" and result["consistency"] == "frozen"
    db.exec("kill $(cat /tmp/writer)")
    load.join(30)
    copy = ready(booted(box.boot("copy", tag)))
    assert sql(copy, SUM) == content
    assert_batches_are_whole(copy)
    sql(db, "DROP TABLE shop.items")
    assert sidesnap.json("reset", db.name, tag, "--yes")["ready"] is True
    assert sql(ready(db), SUM) == content
    sql(db, "DROP DATABASE shop")
    assert sidesnap.json("replace", db.name, tag, "--yes")["ready"] is True
    now = ready(box.container("db"))
    assert sql(now, SUM) == content
    assert_batches_are_whole(now)


def assert_batches_are_whole(copy):
    told = int(copy.exec(["cat", "/tmp/confirmed"]))
    held = sql(copy, "SELECT batch, count() FROM shop.busy GROUP BY batch ORDER BY batch").split("\n")[:-1]
    assert held == [f"{batch}\t1000" for batch in range(len(held))]
    assert told <= len(held) <= told + 1


def test_readiness_is_not_that_of_the_initialisation(box, sidesnap, db):
    tag = box.tag()
    sidesnap.create(db.name, tag, "--exclude", "/var/lib/clickhouse")
    began = time.monotonic()
    sidesnap("run", "-e", "INITIALISATION_TAKES=4", "--name", box.name("copy"), tag)
    assert time.monotonic() - began > 4
    assert "clickhouse" in box.container("copy").exec(["cat", "/proc/1/cmdline"])


def test_stopped_container_is_told_by_its_data(box, sidesnap, db):
    db.stop()
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert result["driver"] == "clickhouse" and result["consistency"] == "stopped"
    assert sql(ready(booted(box.boot("copy", tag))), "SELECT count() FROM shop.items") == f"{ROWS}\n"


def test_dump_load_and_logical_snapshot(box, sidesnap, db):
    content = sql(db, SUM)
    sql(db, "CREATE VIEW shop.cheap AS SELECT n FROM shop.items WHERE n < 10; CREATE TABLE shop.none (n Nullable(Int8)) ENGINE = Log")
    sql(db, "INSERT INTO shop.log SELECT number FROM numbers(5)")
    other = ready(box.run("other", "clickhouse"))
    sql(other, "CREATE DATABASE shop; CREATE TABLE shop.items (stale UInt8) ENGINE = Log")
    dump = sidesnap("dump", db.name, timeout=300).out.encode(errors="surrogateescape")
    for size in (10, len(dump) // 2, len(dump) - 10):
        result = sidesnap("load", other.name, "--yes", "--no-safety", input=dump[:size], code=None)
        assert result.code != 0, f"{size} bytes of {len(dump)} were loaded"
    sidesnap("load", other.name, "--yes", "--no-safety", input=dump, timeout=300)
    tag = box.tag()
    sidesnap("create", "--logical", db.name, "-t", tag, timeout=300)
    sidesnap("run", tag, "--name", box.name("copy"), timeout=300)
    for loaded in (other, box.container("copy")):
        assert sql(loaded, SUM) == content
        assert sql(loaded, "SELECT count() FROM shop.cheap") == "10\n"
        assert sql(loaded, "SELECT sum(n), count() FROM shop.log") == "10\t5\n"
        assert sql(loaded, "SELECT count() FROM shop.none") == "0\n"
    sql(db, "CREATE MATERIALIZED VIEW shop.seen ENGINE = MergeTree ORDER BY n AS SELECT n FROM shop.log")
    result = sidesnap("dump", db.name, code=2)
    assert "materialized view" in result.err.lower() or "MaterializedView" in result.err, result


def test_diff_data(box, sidesnap, db):
    """Rows by what they hold, since no key of a table is unique; definitions."""
    sql(db, "CREATE TABLE shop.types (a Array(String), f Float64, d Nullable(DateTime), t DateTime, e Enum8('ä' = 1), u UUID) ENGINE = Log")
    sql(db, "INSERT INTO shop.types SELECT ['x', '\\'\\\\'], 0.1, NULL, toDateTime(0), 'ä', toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') FROM numbers(3)")
    sql(db, "CREATE DATABASE `we'ird`; CREATE VIEW shop.cheap AS SELECT n FROM shop.items; CREATE TABLE shop.gone (n UInt8) ENGINE = Log")
    tags = [box.tag() for _ in range(3)]
    sidesnap.create(db.name, tags[0])
    sidesnap.create(db.name, tags[1])
    same = sidesnap.json("diff", "--data", tags[0], tags[1], timeout=300)
    assert same["same"] is True and same["skipped"] == 2, same
    sql(db, "INSERT INTO shop.items (n, name) VALUES (7, 'ключ \\t☃\\n'), (7, 'ключ \\t☃\\n')")
    sql(db, "INSERT INTO shop.types SELECT [], 1.5, now(), toDateTime(0), 'ä', toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')")
    sql(db, "INSERT INTO shop.log VALUES (1)")
    sql(db, "DROP TABLE shop.gone; DROP TABLE shop.cheap")
    sql(db, "CREATE VIEW shop.cheap AS SELECT n, name FROM shop.items")
    sidesnap.create(db.name, tags[2])
    result = sidesnap("diff", "--data", "--json", "--rows", "100", tags[1], tags[2], code=1, timeout=300).json()
    shop = next(d for d in result["databases"] if d["name"] == "shop")
    tables = {t["name"]: (t["state"], t["added"], t["removed"]) for t in shop["tables"] if t["state"] != "skipped"}
    assert tables["items"] == ("changed", 2, 0) and tables["types"] == ("changed", 1, 0) and tables["log"] == ("changed", 1, 0)
    assert tables["gone"][0] == "removed"
    items = [{v["column"]: v["value"] for v in row["values"]} for row in result["rows"] if row["table"] == "items"]
    assert items == 2 * [{"n": "7", "name": "ключ \t☃\n", "big": ""}]
    assert {(o["name"], o["change"]) for o in shop["schema"]} == {("gone", "removed"), ("cheap", "changed")}
    sql(db, "DROP DATABASE `we'ird`")
    assert_tried(sidesnap, "clickhouse", db.name)
