"""
MySQL and MariaDB, which share most of their habits. MariaDB of bookworm is in the default run; the others are
tests of dear servers.
"""

import datetime
import os
import re
import threading
import time

import pytest

from conftest import Box, booted
from support.api import EngineError, wait_for

PASSWORD = "pass word'%\"secret"
SERVERS = ["mariadb", *(pytest.param(name, marks=pytest.mark.database) for name in ("mariadb11", "mysql9"))]


class Server:
    """What differs between the servers."""

    def __init__(self, image):
        self.image = image
        self.is_mysql = image.startswith("mysql")
        self.driver = "mysql" if self.is_mysql else "mariadb"
        self.daemon = "mysqld" if self.is_mysql else "mariadbd"
        self.prefix = "MYSQL" if self.is_mysql else "MARIADB"
        self.client = "mysql" if self.is_mysql else "mariadb"
        self.dumper = "mysqldump" if self.is_mysql else "mariadb-dump"
        self.checker = "mysqlcheck" if self.is_mysql else "mariadb-check"

    def environment(self, password=PASSWORD, **more):
        """Variables are given without their prefix."""
        given = {"ROOT_PASSWORD": password, "INITDB_SKIP_TZINFO": "1", **more}
        return [f"{self.prefix}_{name}={value}" for name, value in given.items()]

    def start(self, box, word="db", mounts=(), command=None, password=PASSWORD, host=None, image=None, env=None, **config):
        config.setdefault("StopTimeout", 30)
        container = box.run(
            word, image or self.image, command, mounts, host,
            Env=self.environment(password) if env is None else env, **config,
        )
        return self.ready(container, password)

    def ready(self, container, password=PASSWORD, timeout=120):
        def answers():
            state = container.state()
            assert state["Running"], f"{container.name} ended: {container.logs()[-3000:]}"
            # Over TCP: the server of the initialisation listens on none.
            return self.run(container, "select 1", password, host="127.0.0.1", check=False)[0] == 0

        wait_for(answers, f"{container.name} gets ready", timeout, 0.2)
        return container

    def run(self, container, query, password=PASSWORD, database=None, host=None, check=True, user="root"):
        words = [self.client, "-BN", "--default-character-set=utf8mb4", f"--user={user}", "-e", query]
        if host:
            words += [f"--host={host}"] + ([] if self.is_mysql else ["--skip-ssl"])
        if database:
            words += ["-D", database]
        return container.exec(words, check=check, env=[f"MYSQL_PWD={password}"] if password else None, timeout=300)

    def sql(self, container, query, **more):
        return self.run(container, query, **more).strip()

    def check(self, container, password=PASSWORD):
        """Every page and every index is right, and recovery did not complain."""
        log = container.logs()
        assert "corrupt" not in log.lower() and "[ERROR]" not in log, log[-5000:]
        out = container.exec(
            [self.checker, "--user=root", "--all-databases", "--check", "--extended"], env=[f"MYSQL_PWD={password}"],
            timeout=600,
        )
        # Tables of logs cannot be checked, and say so.
        bad = [line for line in out.splitlines() if line.split() and line.split()[-1] != "OK" and "_log" not in line]
        assert "shop.item" in out and not [b for b in bad if "note" not in b], out
        return out

    def dump(self, container, password=PASSWORD, options=()):
        """The whole server by its own tool, without what differs between two dumps of the same state."""
        words = [self.dumper, "--user=root", "--single-transaction", "--routines", "--events", "--hex-blob"]
        words += ["--set-gtid-purged=OFF"] if self.is_mysql else []
        words += ["--databases", "shop", "other `shop", *options]
        out = container.exec(words, env=[f"MYSQL_PWD={password}"], timeout=300)
        # A restart makes the next number that of the highest one.
        out = re.sub(" AUTO_INCREMENT=[0-9]+", "", out)
        return [line for line in out.splitlines() if not line.startswith(("-- Dump completed", "-- Server version"))]


FILL = """
create database shop character set utf8mb4; create database `other ``shop`;
use shop;
create table digit (d int primary key); insert into digit values (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
create table item (id int primary key auto_increment, name varchar(200), note text, price decimal(10,2), made timestamp(3) null, unique key (name))
 engine=InnoDB default charset=utf8mb4;
insert into item (name, note, price, made)
 select concat('item ', n, ' Größe 😀 漢字'), if(n % 7 = 0, null, repeat(concat('tab\\t line\\n back\\\\ ', n, ' '), 5)), n / 100, '2026-01-31 12:00:00.125'
 from (select a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d + 1 n from digit a, digit b, digit c, digit d, digit e) numbers where n <= 20000 order by n;
create table big (id int primary key, b longblob, t longtext);
insert into big select d, repeat(unhex(sha2(d, 256)), 32768), repeat(char(65 + d), 1048576) from digit where d < 3;
create table legacy (k varchar(20) character set latin1, n bigint unsigned, primary key (k)) default charset=latin1;
insert into legacy values ('é', 18446744073709551615), ('ÿ', 0);
create view cheap as select id, name from item where price < 10;
create function twice(i int) returns int deterministic return 2 * i;
create procedure answer() select 42;
create trigger item_note before insert on item for each row set new.note = coalesce(new.note, 'none');
create event tidy on schedule every 1 day starts '2030-01-01 00:00:00' do delete from shop.item where id < 0;
create table `other ``shop`.`we;ird\t"table` (`k;ey` int primary key, v varchar(10)); insert into `other ``shop`.`we;ird\t"table` values (1, null), (2, 'NULL');
create user app@'%' identified by 'app-pass''word'; create user reporter@localhost identified by 'report'; create user gone@'10.0.0.%';
grant select, insert, update on shop.* to app@'%'; grant select (id, name) on shop.item to reporter@localhost; grant execute on function shop.twice to reporter@localhost;
create role readers; grant select on `other ``shop`.* to readers; grant readers to reporter@localhost; set default role readers {to_or_for} reporter@localhost;
grant process on *.* to reporter@localhost;
"""

SCRIPT = """
coproc client {{ {client} --user=root --host=$HOST --batch --skip-column-names --unbuffered {tls} shop; }}
exec {{never}}<> <(:)
i=0
while :; do
  i=$((i+1))
  echo "insert into confirmed values ($i, repeat('x', 200)); select $i;" >&${{client[1]}}
  read -r answer <&${{client[0]}} && [ "$answer" = $i ] || exit 1
  echo "$i $EPOCHREALTIME" >>/log/confirmed
  read -rt 0.00$((RANDOM % 9 + 1)) -u $never
done
"""


def fill(server, container):
    server.run(container, FILL.format(to_or_for="to" if server.is_mysql else "for"))
    return container


class Writer:
    """One connection that inserts numbered rows, and notes when it was told that each is committed."""

    def __init__(self, box, server, db):
        self.path = box.path(box.volume("log"))
        server.run(db, "create table shop.confirmed (n bigint primary key, filler text)")
        address = next(iter(db.inspect()["NetworkSettings"]["Networks"].values()))["IPAddress"]
        script = SCRIPT.format(client=server.client, tls="" if server.is_mysql else "--skip-ssl")
        box.run(
            "writer", server.image, ["-c", script], [(box.name("log"), "/log")], Entrypoint=["/bin/bash"],
            Env=[f"HOST={address}", f"MYSQL_PWD={PASSWORD}"],
        )
        wait_for(lambda: self.confirmed_before(2**40) > 20, "the writer's first rows", 60)

    def confirmed_before(self, moment):
        """The highest number that was noted before this time (seconds since 1970)."""
        path = os.path.join(self.path, "confirmed")
        with open(path if os.path.exists(path) else os.devnull) as file:
            rows = [line.split() for line in file if line.endswith("\n")]
        return max((int(n) for n, time in rows if float(time) < moment), default=0)

    def assert_holds(self, server, copy, created):
        """All that was confirmed before the freeze, no gap, and at most the one more that was in flight."""
        moment = datetime.datetime.fromisoformat(created[:-1] + "+00:00").timestamp()
        wanted, later = self.confirmed_before(moment), self.confirmed_before(moment + 0.001)
        count, highest = map(int, server.sql(copy, "select count(*), coalesce(max(n), 0) from shop.confirmed").split())
        assert count == highest and wanted <= highest <= later + 1, (count, highest, wanted, later)
        return wanted


class Load:
    """Updates all over a table, until it is stopped."""

    def __init__(self, server, db):
        self.stopping = False
        self.thread = threading.Thread(target=self.run, args=(server, db), daemon=True)
        self.thread.start()

    def run(self, server, db):
        seed = 0
        while not self.stopping:
            seed += 1
            query = f"update shop.item set price = price + 1 where id % 97 = {seed % 97}"
            try:
                server.run(db, query, check=False)
            except EngineError:  # frozen just now
                time.sleep(0.05)

    def stop(self):
        self.stopping = True
        self.thread.join(60)


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    return Server(request.param)


class Made:
    """A filled server with binary log, that tests may change in tables of their own only."""

    def __init__(self, engine, images, server):
        self.box = Box(engine, images)
        self.server = server
        gtid = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"] if server.is_mysql else ["--gtid-strict-mode=ON"]
        self.db = fill(
            server,
            server.start(
                self.box, "shared", [(self.box.volume("data"), "/var/lib/mysql")],
                ["--log-bin=binlog", "--server-id=1", *gtid],
            ),
        )


@pytest.fixture(scope="module")
def made(engine, images, server):
    found = Made(engine, images, server)
    yield found
    found.box.close()


def test_detection(server, made):
    """By its process; the image's name does not matter. A client is no server."""
    box, sidesnap = made.box, made.box.sidesnap
    found = {row["name"]: row["driver"] for row in sidesnap.json("ps")}
    assert found[made.db.name] == server.driver
    repository, _, version = box.tag("thing").partition(":")
    box.engine.call("POST", f"/images/{box.images(server.image)}/tag", {"repo": repository, "tag": version})
    own = box.run("own", f"{repository}:{version}", [server.daemon], Env=server.environment())
    client = box.run("client", server.image, ["sleep", "100"], Env=server.environment(), StopSignal="SIGKILL")

    def driver_of(container):
        return next(r["driver"] for r in sidesnap.json("ps") if r["name"] == container.name)

    wait_for(lambda: driver_of(own) == server.driver, "the driver of a renamed image", 30)
    assert driver_of(client) in (None, "", "none", server.driver)
    own.remove()
    client.remove()


@pytest.mark.database
def test_mariadb_as_mysqld(box, sidesnap):
    """By the name that both servers have, and with variables of either: its program and its data tell."""
    mariadb = Server("mariadb")
    env = [f"MYSQL_{given}" for given in (f"ROOT_PASSWORD={PASSWORD}", "INITDB_SKIP_TZINFO=1")]
    db = mariadb.start(box, mounts=[(box.volume("data"), "/var/lib/mysql")], command=["mysqld"], env=env)
    assert db.exec("cat /proc/1/comm").strip() == "mysqld"
    mariadb.run(db, "create database shop; create table shop.item as select 7 n")
    tag = box.tag()
    assert sidesnap.create(db.name, tag, "--logical")["driver"] == "mariadb"
    copy = mariadb.ready(box.boot("copy", tag, wait=False, Env=env))
    assert mariadb.sql(copy, "select n from shop.item") == "7"
    db.stop(30)
    assert sidesnap.create(db.name, box.tag())["driver"] == "mariadb"


def test_secrets_are_nowhere(server, made):
    """The copy has all that the server had, accounts with their passwords too, and the image knows none of them."""
    box, sidesnap = made.box, made.box.sidesnap
    tag = box.tag()
    result = sidesnap.create(made.db.name, tag)
    assert "secret" not in str(box.engine.image(tag)) + str(box.engine.history(tag))
    assert f"{server.prefix}_ROOT_PASSWORD" in result["omitted_variables"]
    copy = server.ready(booted(box.boot("copy", tag)))
    assert server.dump(copy) == server.dump(made.db)
    assert server.sql(copy, "select shop.twice(4)", user="reporter", password="report") == "8"
    server.check(copy)
    copy.remove()


@pytest.mark.database
def test_newer_engine(server, made, newer, tmp_path):
    """Booted on an engine of another kind, from a file."""
    box, sidesnap = made.box, made.box.sidesnap
    tag = box.tag()
    sidesnap.create(made.db.name, tag)
    other = Box(newer.engine, made.box.images)
    try:
        path = str(tmp_path / "image.tar")
        with open(path, "wb") as file:
            box.engine.stream_to(f"/images/{tag}/get", file)
        with open(path, "rb") as file:
            newer.engine.load(file)
        copy = server.ready(other.boot("copy", tag, wait=False))
        assert server.dump(copy) == server.dump(made.db)
        server.check(copy)
    finally:
        other.close()
        try:
            newer.engine.remove_image(tag)
        except EngineError:
            pass


def test_under_load(box, sidesnap, server):
    """Each snapshot of a chain recovers, and holds what a client was told is committed."""
    db = fill(server, server.start(box, mounts=[(box.volume("data"), "/var/lib/mysql")]))
    load, writer = Load(server, db), Writer(box, server, db)
    stalls, added, last = [], [], 0
    for number in range(int(os.environ.get("SIDESNAP_TEST_SNAPSHOTS", "2"))):
        tag = box.tag("load")
        result = sidesnap.create(db.name, tag, timeout=300)
        assert result["driver"] == server.driver and result["consistency"] == "frozen"
        assert not db.state()["Paused"]
        stalls.append(result["frozen_ms"])
        added.append(result["new_bytes"])
        copy = server.ready(box.boot(f"copy{number}", tag, wait=False))
        rows = writer.assert_holds(server, copy, result["created"])
        assert rows > last, "the writer stood still"
        last = rows
        server.check(copy)
        assert server.sql(copy, "select count(*) from shop.item") == "20000"
        copy.remove()
    load.stop()
    print(f"{server.image}: rows {last}, frozen ms {stalls}, bytes stored {added}")


@pytest.mark.database
def test_reset_replace_undo(box, sidesnap, server):
    """Whichever way back, the rows and the accounts are those of the snapshot, and it waits until it answers."""
    db = server.start(box, mounts=[(box.volume("data"), "/var/lib/mysql")])
    server.run(db, "create database shop; create table shop.item as select 1 n; create user kept@localhost identified by 'k'")
    tag = box.tag()
    sidesnap.create(db.name, tag)
    server.run(db, "update shop.item set n = 2; drop user kept@localhost")
    assert sidesnap.json("reset", db.name, tag, timeout=300)["ready"] is True
    assert server.sql(db, "select n from shop.item") == "1"
    assert server.sql(db, "select 'in'", user="kept", password="k") == "in"
    sidesnap("undo", db.name, timeout=300)
    assert server.sql(server.ready(db), "select n from shop.item") == "2"
    assert sidesnap.json("replace", db.name, tag, "--yes", timeout=300)["ready"] is True
    now = box.container("db")
    assert server.sql(now, "select n from shop.item") == "1"
    server.check(now)


@pytest.mark.database
def test_half_restored_data_is_not_served(box, sidesnap, server):
    """The guard files: without them the server refuses to start, and initialises nothing."""
    volume = box.volume("data")
    db = server.start(box, mounts=[(volume, "/var/lib/mysql")])
    db.stop(30)
    guards = ["ibdata1", "mysql.ibd" if server.is_mysql else "mysql/global_priv.frm"]
    for guard in guards:
        os.rename(f"{box.path(volume)}/{guard}", f"{box.path(volume)}/../{os.path.basename(guard)}.away")
    db.start()
    assert db.wait(60) != 0
    for guard in guards:
        os.rename(f"{box.path(volume)}/../{os.path.basename(guard)}.away", f"{box.path(volume)}/{guard}")


@pytest.mark.database
def test_stopped(box, sidesnap, server):
    """Shut down in order: no recovery. Its data is in a bind mount that only --datadir tells of."""
    volume = box.volume("elsewhere")
    path = box.path(volume)
    os.chmod(path, 0o777)
    db = server.start(box, mounts=[(path, "/elsewhere")], command=["--datadir=/elsewhere/data"])
    server.run(db, "create database shop; create table shop.item as select 7 n")
    db.stop(60)
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert result["consistency"] == "stopped" and result["driver"] == server.driver
    assert ["/elsewhere"] in [t["paths"] for t in result["trees"]], result
    copy = server.ready(box.boot("copy", tag, wait=False))
    assert server.sql(copy, "select n from shop.item") == "7"
    assert "crash recovery" not in copy.logs().lower()


@pytest.mark.parametrize("kind", ["both", "none", "file", "random", "empty"])
@pytest.mark.database
def test_image_is_like_the_official_one(box, server, kind):
    """What the tests stand on: the environment of the official images, and what they refuse."""
    volume = box.volume("secret", lambda path: open(f"{path}/word", "w").write(PASSWORD + "\n") and os.chmod(path, 0o755))
    given = {
        "both": ["ROOT_PASSWORD=x", "ROOT_PASSWORD_FILE=/run/secret/word"],
        "none": [],
        "file": ["ROOT_PASSWORD_FILE=/run/secret/word"],
        "random": ["RANDOM_ROOT_PASSWORD=yes"],
        "empty": ["ALLOW_EMPTY_PASSWORD=yes" if server.is_mysql else "ALLOW_EMPTY_ROOT_PASSWORD=yes"],
    }[kind]
    db = box.run(
        "db", server.image, None, [(volume, "/run/secret")],
        Env=[f"{server.prefix}_{g}" for g in [*given, "INITDB_SKIP_TZINFO=1"]],
    )
    if kind in ("both", "none"):
        assert db.wait() == 1 and ("exclusive" if kind == "both" else "uninitialized") in db.logs()
        return
    words = {"file": PASSWORD, "empty": ""}
    if kind == "random":
        wait_for(lambda: "GENERATED ROOT PASSWORD: " in db.logs(), "the random password", 60)
        words["random"] = db.logs().partition("GENERATED ROOT PASSWORD: ")[2].splitlines()[0]
    server.ready(db, words[kind])
    assert db.exec("cat /proc/1/comm").strip() == server.daemon
    assert db.exec("stat -c %U /proc/1").strip() == "mysql"
    if not server.is_mysql:
        db.exec("healthcheck.sh --connect --innodb_initialized")


@pytest.mark.database
def test_first_start_that_is_not_over(box, sidesnap, server):
    """The server of the initialisation is not taken for the service."""
    slow = box.volume("slow", lambda path: open(f"{path}/slow.sh", "w").write("sleep 6\n"))
    db = box.run(
        "db", server.image, None, [(slow, "/docker-entrypoint-initdb.d"), (box.volume("data"), "/var/lib/mysql")],
        Env=server.environment(),
    )
    wait_for(lambda: "slow.sh" in db.logs(), "the script of the initialisation", 60)
    tag = box.tag()
    assert sidesnap.create(db.name, tag)["driver"] == server.driver
    server.ready(db)
