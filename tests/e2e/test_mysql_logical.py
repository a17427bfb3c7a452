"""
MySQL and MariaDB by their own tools: dumps that are whole or fail, loads into fresh and newer servers, and what
changed between two snapshots, row by row.
"""

import re

import pytest

from conftest import Box
from support.cli import FAILED, USAGE
from test_mysql import PASSWORD, SERVERS, Made, Server

DIFFERENT = 1

# What a tool says that ended well and did nothing, or not all.
FAKES = {
    "empty": ("printf -- '-- {banner} dump 10\\n\\nCREATE USER `x`@`y`;\\nREPLACE INTO `user` VALUES\\nFLUSH PRIVILEGES;\\n\\n-- Dump completed\\n'", "holds nothing"),
    "cut": ("/usr/bin/{dumper} \"$@\" | head -c 300000; exit 0", "not whole"),
    "another": ("echo hello", "begin"),
    "failing": ("/usr/bin/{dumper} \"$@\"; exit 3", "exit code 3"),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    return Server(request.param)


@pytest.fixture(scope="module")
def made(engine, images, server):
    found = Made(engine, images, server)
    yield found
    found.box.close()


def accounts(server, container):
    """Who may do what, as the server itself says it; the password of a health check is the image's affair."""
    names = server.sql(container, "select concat(quote(user), '@', quote(host)) from mysql.user where user not like '%.%'")
    found = {}
    for name in sorted(names.splitlines()):
        if "healthcheck" not in name and "''@" not in name and "@''" not in name:
            # Columns come in no order.
            lines = server.sql(container, f"show grants for {name}").splitlines()
            grants = [re.sub(r"\(([^)]*)\)", lambda m: "".join(sorted(m[1].split(", "))), line) for line in lines]
            shown = "" if server.is_mysql else server.sql(container, f"show create user {name}")
            found[name] = (sorted(set(grants)), shown)
    return found


def assert_same(server, copy, original):
    assert server.dump(copy) == server.dump(original)
    assert accounts(server, copy) == accounts(server, original)
    assert server.sql(copy, "select shop.twice(4)", user="reporter", password="report") == "8"
    assert server.sql(copy, "select count(*) from shop.item", user="app", password="app-pass'word", host="127.0.0.1") == "20000"
    if not server.is_mysql:
        copy.exec("healthcheck.sh --connect --innodb_initialized")


@pytest.mark.database
def test_create_logical(server, made):
    """The first boot loads it into an empty server with a password that nobody knew; then all is as it was."""
    box = made.box
    tag = box.tag("logical")
    result = box.sidesnap.create(made.db.name, tag, "--logical", timeout=300)
    assert result["consistency"] == "logical" and result["driver"] == server.driver
    assert "secret" not in str(box.engine.image(tag)) + str(box.engine.history(tag))
    copy = server.ready(box.boot("logical", tag, ["--server-id=2"], wait=False))
    assert_same(server, copy, made.db)
    assert "loaded dump.sql" in copy.logs()
    assert server.sql(copy, "select @@skip_networking, @@max_allowed_packet < 1073741824") == "0\t1"
    copy.stop(60)
    copy.start()
    assert_same(server, server.ready(copy), made.db)
    assert copy.logs().count("loaded dump.sql") == 1
    copy.remove()


@pytest.mark.database
def test_dump_and_load_into_another(server, made, tmp_path):
    """Into a running server with another password and other data: it becomes what was dumped."""
    box, file = made.box, tmp_path / "dump.sql"
    result = box.sidesnap.json("dump", made.db.name, "-o", file, timeout=300)
    assert result["driver"] == server.driver and result["bytes"] == file.stat().st_size
    assert PASSWORD.encode() not in file.read_bytes()
    other = server.start(box, "other", [(box.volume("other"), "/var/lib/mysql")], password="other")
    server.run(other, "create database shop; create table shop.stale (i int); create database kept", password="other")
    box.sidesnap("load", other.name, "-i", file, "--yes", "--no-safety", timeout=300)
    assert_same(server, other, made.db)
    assert server.sql(other, "show tables from shop like 'stale'") == ""
    assert server.sql(other, "show databases like 'kept'") == "kept"
    again = tmp_path / "again.sql"
    # its variable still has the old password; whoever loads accounts, loads their passwords
    box.sidesnap.fails(FAILED, "dump", other.name, "-o", again, says="access denied")
    other.remove()


@pytest.mark.database
def test_one_database(server, made, tmp_path):
    box = made.box
    text = box.sidesnap("dump", "--database", "other `shop", made.db.name).out
    assert "we;ird" in text and "CREATE USER" not in text and "`item`" not in text
    box.sidesnap.fails(FAILED, "dump", "--database", "nope", made.db.name, "-o", tmp_path / "x", says="nope")
    other = server.start(box, "one", [(box.volume("one"), "/var/lib/mysql")])
    file = tmp_path / "one.sql"
    file.write_text(text)
    box.sidesnap.fails(USAGE, "load", "--database", "shop", "-i", file, "--yes", other.name, says='of database "other `shop"')
    box.sidesnap("load", "--database", "other `shop", "-i", file, "--yes", "--no-safety", other.name)
    assert server.sql(other, "select count(*), sum(v is null) from `other ``shop`.`we;ird\t\"table`") == "2\t1"
    other.remove()


@pytest.mark.database
@pytest.mark.parametrize("fake", sorted(FAKES))
def test_a_dump_that_is_none_fails(server, made, fake):
    """Whatever the tool's exit code says, nothing passes for a dump of this server that is none; no tag stays."""
    box, db = made.box, made.db
    script, says = FAKES[fake]
    text = script.format(banner="MySQL" if server.is_mysql else "MariaDB", dumper=server.dumper)
    path = f"/usr/local/bin/{server.dumper}"
    db.exec(["/bin/sh", "-c", "printf '%s\\n' '#!/bin/sh' \"$1\" >\"$2\"; chmod +x \"$2\"", "sh", text, path], user="root")
    tag = box.tag("bad")
    try:
        result = box.sidesnap.fails(FAILED, "create", db.name, "-t", tag, "--logical", timeout=300)
        assert says in result.err or "not whole" in result.err, result
        assert PASSWORD not in result.err
    finally:
        db.exec(["rm", path], user="root")
    assert not box.engine.has_image(tag) and not box.helpers()


@pytest.mark.database
def test_who_does_not_see_everything(server, made):
    """Its dump would lack what it may not see, and the tool would call that a success."""
    box = made.box
    own = server.start(
        box, "half", [(box.volume("half"), "/var/lib/mysql")], password="half", Labels={"sidesnap.driver.user": "half"}
    )
    server.run(
        own,
        "create database shop; create database unseen; create table unseen.t (i int);"
        "create user half@localhost identified by 'half'; grant process, reload on *.* to half@localhost;"
        "grant select, lock tables, show view, event, trigger on shop.* to half@localhost; grant select on mysql.* to half@localhost",
        password="half",
    )
    result = box.sidesnap("dump", own.name, code=FAILED)
    assert "rights on *.*" in result.err and not result.out
    own.remove()


@pytest.mark.database
def test_statement_that_fails(server, made, tmp_path):
    box = made.box
    text = box.sidesnap("dump", "--database", "other `shop", made.db.name).out
    file = tmp_path / "bad.sql"
    file.write_text(text.replace("\nINSERT INTO", "\nINSERT INTO nowhere.x VALUES (1);\nINSERT INTO", 1))
    other = server.start(box, "bad", [(box.volume("bad"), "/var/lib/mysql")])
    result = box.sidesnap("load", other.name, "-i", file, "--yes", "--no-safety", code=FAILED)
    assert "a statement failed" in result.err, result
    assert server.sql(other, "select @@global.max_allowed_packet < 1073741824") == "1"
    other.remove()


@pytest.mark.database
def test_from_10_11_to_11_8(engine, images, made, server):
    """create --logical --onto: the dump of the older server in an image of the newer one."""
    if server.image != "mariadb":
        pytest.skip("the way up is from MariaDB 10.11")
    box, newer = made.box, Server("mariadb11")
    tag = box.tag("onto")
    box.sidesnap.create(made.db.name, tag, "--onto", box.images("mariadb11"), timeout=300)
    copy = newer.ready(box.boot("onto", tag, wait=False))
    assert newer.sql(copy, "select version()").startswith("11.8")
    rows = "select count(*), sum(price), sum(crc32(name)), sum(crc32(note)), sum(crc32(made)) from shop.item"
    assert newer.sql(copy, rows) == server.sql(made.db, rows)
    blobs = "select sum(crc32(b)), sum(crc32(t)) from shop.big"
    assert newer.sql(copy, blobs) == server.sql(made.db, blobs)
    assert accounts(newer, copy).keys() == accounts(server, made.db).keys()
    assert newer.sql(copy, "select shop.twice(4)", user="reporter", password="report") == "8"
    newer.check(copy)
    copy.remove()


@pytest.mark.database
def test_masked(server, made, tmp_path):
    """What the statements took away is in no snapshot; accounts are there, and one of them is changed."""
    box, tag = made.box, made.box.tag("masked")
    (tmp_path / "mask.sql").write_text(
        "update shop.item set note = null, name = concat('name ', id); truncate shop.big;\n"
        "alter user app@'%' identified by 'for-all';\n"
    )
    box.sidesnap.create(made.db.name, tag, "--mask", tmp_path / "mask.sql", timeout=400)
    copy = server.ready(box.boot("masked", tag, wait=False))
    rows = "select count(*), count(note), sum(name like 'name %') from shop.item"
    assert server.sql(copy, rows, user="app", password="for-all", host="127.0.0.1") == "20000\t0\t20000"
    assert server.sql(made.db, "select count(*) from shop.big") == "3"
    copy.remove()


# ---- diff --data ----

CHANGE = """
use shop;
update item set note = 'changed\\ttab' where id = 7; delete from item where id in (5, 10); insert into item (id, name, price) values (30001, 'new', null);
update big set b = concat(left(b, 1048575), 'Z') where id = 1;
update legacy set n = n - 1 where k = 'é'; update odd set f = 1.1000001 where i = 1; update odd set v = 'NULL' where v is null;
delete from nokey where a = 1 limit 1; insert into nokey values (9, 'nine');
drop view cheap; create view dear as select id from item where price > 100;
drop function twice; create function twice(i int) returns int deterministic return i + i;
alter user app@'%' identified by 'another'; create user fresh@localhost; grant select on shop.* to fresh@localhost;
drop database `other ``shop`; create database third; {sequence}
"""
FILL_MORE = """
use shop; create table odd (i int primary key, f float, bits bit(5), e enum('z', 'a'), j json, v varchar(10), d double, b varbinary(10));
insert into odd values (1, 1.1, 5, 'a', '{{"a": [1]}}', null, 1e300, x'00ff0a'), (2, 2, 0, 'z', null, '', 0.1, ''), (10, 3, 1, null, null, '\\\\N', null, null);
create table nokey (a int, t text); insert into nokey values (1, 'x'), (1, 'x'), (2, null), (3, '\\\\\\n');
create table pairs (b varchar(20) character set utf8mb4, a int, primary key (b, a)); insert into pairs values ('Z', 1), ('a', 10), ('a', 9), ('ä', 1), ('', 2), ('tab\\t', 3), ('a!', 1);
{sequence}
"""


@pytest.fixture(scope="module")
def compared(engine, images, server):
    """What --data says of two snapshots."""
    found = Made(engine, images, server)
    box = found.box
    first, second = box.tag("first"), box.tag("second")
    more = "" if server.is_mysql else "create sequence counter start with 5; select nextval(counter)"
    server.run(found.db, FILL_MORE.format(sequence=more))
    box.sidesnap.create(found.db.name, first)
    more = "" if server.is_mysql else "select setval(shop.counter, 7000)"
    server.run(found.db, CHANGE.format(sequence=more))
    box.sidesnap.create(found.db.name, second)
    result = box.sidesnap.json(
        "diff", "--data", first, second, "--rows", "9", "--definitions", code=DIFFERENT, timeout=400
    )
    yield result
    box.close()


def tables_of(result, name):
    return {t["name"]: t for t in next(d for d in result["databases"] if d["name"] == name)["tables"]}


@pytest.mark.database
def test_diff_counts(compared, server):
    """Exactly the tables and rows that were changed."""
    states = {d["name"]: d["state"] for d in compared["databases"]}
    assert states == {"": "changed", "other `shop": "removed", "shop": "changed", "third": "added"}
    found = {
        n: (t["rows_from"], t["rows_to"], t["added"], t["removed"], t["changed"])
        for n, t in tables_of(compared, "shop").items()
        if t["state"] != "same"
    }
    wanted = {
        "item": (20000, 19999, 1, 2, 1), "big": (3, 3, 0, 0, 1), "legacy": (2, 2, 0, 0, 1), "odd": (3, 3, 0, 0, 1),
        "nokey": (4, 4, 1, 1, 0),
    }
    if not server.is_mysql:
        wanted["sequences"] = (1, 1, 0, 0, 1)
    assert found == wanted
    assert tables_of(compared, "shop")["nokey"]["matched_by"] == "content"
    assert compared["driver"] == server.driver and compared["to"]["version"][:2] in ("10", "11", "9.")


@pytest.mark.database
def test_diff_rows(compared, server):
    rows = {(r.get("table"), r["key"][0].get("value") if r["key"] else None, r["change"]): r for r in compared["rows"]}
    (note,) = rows[("item", "7", "changed")]["columns"]
    assert note["column"] == "note" and note["from"] is None and note["to"] == "changed\ttab"
    odd = {c["column"]: (c["from"], c["to"]) for c in rows[("odd", "1", "changed")]["columns"]}
    assert odd["v"] == (None, "NULL") and odd["f"] == ("1.100000023841858", "1.1000001430511475") and len(odd) == 2
    assert rows[("legacy", "é", "changed")]["columns"] == [
        {"column": "n", "from": "18446744073709551615", "to": "18446744073709551614"}
    ]
    assert {("item", "5", "removed"), ("item", "10", "removed"), ("item", "30001", "added")} <= set(rows)
    assert [c["column"] for c in rows[("big", "1", "changed")]["columns"]] == ["b"]


@pytest.mark.database
def test_diff_accounts(compared, server):
    """Which passwords changed, and not what they are."""
    users = "mysql.user" if server.is_mysql else "mysql.global_priv"
    changes = {tuple(k["value"] for k in r["key"]): r for r in compared["rows"] if r.get("table") == users}
    assert changes[("%", "app")]["change"] == "changed" and changes[("localhost", "fresh")]["change"] == "added"
    text = str(changes)
    assert "one with fingerprint" in text and "$A$" not in text and "*" not in text.replace("%", "")
    assert tables_of(compared, "")["mysql.db"]["added"] == 1


@pytest.mark.database
def test_diff_definitions(compared, server):
    objects = {(o["change"], o["type"], o["name"]): o["diff"] for d in compared["databases"] if d["name"] == "shop" for o in d["schema"]}
    assert set(objects) == {("removed", "VIEW", "cheap"), ("added", "VIEW", "dear"), ("changed", "FUNCTION", "twice")}
    assert "+return i + i" in objects[("changed", "FUNCTION", "twice")]
