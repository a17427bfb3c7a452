"""
PostgreSQL: crash recovery from a frozen copy must work every time, and what a client was told is
committed must be there.
"""

import datetime
import os
import threading
import time

import pytest

from conftest import booted
from support import trees
from support.api import wait_for

SNAPSHOTS = int(os.environ.get("SIDESNAP_TEST_SNAPSHOTS", "5"))
PASSWORD = "pass word'%\"secret"


def ready(container, user="postgres", timeout=60):
    def answers():
        state = container.state()
        assert state["Running"], f"{container.name} ended: {container.logs()[-3000:]}"
        # Over TCP: the server of the initialisation listens on none.
        return container.exec(["pg_isready", "-q", "-h", "127.0.0.1", "-U", user], check=False)[0] == 0

    wait_for(answers, f"{container.name} gets ready", timeout, 0.2)
    return container


def sql(container, query, user="postgres", database="postgres"):
    return container.exec(["psql", "-XqAt", "-U", user, "-d", database, "-c", query]).strip()


def start(box, word="db", mounts=(), host=None, **config):
    environment = config.pop("Env", [])
    return ready(
        box.run(word, "postgres", None, mounts, host, Env=[f"POSTGRES_PASSWORD={PASSWORD}", *environment], **config)
    )


@pytest.fixture
def db(box):
    return start(box, mounts=[(box.volume("data"), "/var/lib/postgresql/data")])


def assert_sound(copy, database="postgres"):
    """Recovery has succeeded and every page and index is consistent."""
    log = copy.logs()
    assert "PANIC" not in log and "invalid page" not in log, log
    copy.exec(
        ["pg_amcheck", "-U", "postgres", "-d", database, "--install-missing", "--heapallindexed", "--rootdescend"],
        timeout=300,
    )


CLIENTS = 2

# One connection that inserts numbered rows and notes each, with the time, before and after the server
# confirmed it. Some pauses, so that pgbench gets on as well.
CLIENT = """
coproc psql -XqAt -v ON_ERROR_STOP=1 -h $HOST -U postgres
exec {never}<> <(:)
i=0
while :; do
  i=$((i+1))
  echo "insert into confirmed values ($NUMBER, $i, repeat('x', 200)); select $i;" >&${COPROC[1]}
  read -r answer <&${COPROC[0]} && [ "$answer" = $i ] || exit 1
  echo "$i $EPOCHREALTIME" >>/log/$NUMBER
  read -rt 0.00$((RANDOM % 9 + 1)) -u $never
done
"""


class Clients:
    """What each client was told is committed, and when."""

    def __init__(self, box, db):
        self.path = box.path(box.volume("log"))
        address = next(iter(db.inspect()["NetworkSettings"]["Networks"].values()))["IPAddress"]
        for number in range(CLIENTS):
            box.run(
                f"client{number}", "postgres", ["-c", CLIENT], [(box.name("log"), "/log")], Entrypoint=["/bin/bash"],
                Env=[f"HOST={address}", f"PGPASSWORD={PASSWORD}", f"NUMBER={number}"],
            )
        wait_for(lambda: all(n > 5 for n in self.confirmed_before(2**40)), "the clients' first rows", 60)

    def confirmed_before(self, moment):
        """Of each client the highest number that it had noted as committed before this time."""
        best = []
        for number in range(CLIENTS):
            path = os.path.join(self.path, str(number))
            with open(path if os.path.exists(path) else os.devnull) as file:
                rows = [line.split() for line in file if line.endswith("\n")]
            best.append(max((int(n) for n, time in rows if float(time) < moment), default=0))
        return best


def seconds_of(created):
    """RFC 3339 as seconds since 1970."""
    assert created.endswith("Z"), created
    return datetime.datetime.fromisoformat(created[:-1] + "+00:00").timestamp()


def assert_holds_what_was_confirmed(copy, clients, created):
    """
    Every row confirmed before the freeze, no gaps, and of each client at most the one more that was in
    flight: its answer had been sent, and not been read. created is cut to milliseconds.
    """
    moment = seconds_of(created)
    wanted, later = clients.confirmed_before(moment), clients.confirmed_before(moment + 0.001)
    for number in range(CLIENTS):
        got = sql(copy, f"select count(*), coalesce(max(n), 0) from confirmed where client = {number}")
        count, highest = map(int, got.split("|"))
        assert count == highest, f"client {number}: {count} rows up to {highest}"
        assert wanted[number] <= highest <= later[number] + 1, (
            f"client {number}: rows up to {highest}, confirmed before the freeze: {wanted[number]}"
        )
    return sum(wanted)


def test_snapshots_under_load_recover_and_hold_what_was_confirmed(box, sidesnap, db):
    """pgbench writes, clients note each row that was confirmed; every snapshot of the chain is booted."""
    db.exec(["pgbench", "-U", "postgres", "-i", "-q", "-s", "3", "postgres"], timeout=300)
    sql(db, "create table confirmed (client int, n bigint, filler text, primary key (client, n))")
    load = threading.Thread(
        target=lambda: db.exec(
            ["pgbench", "-U", "postgres", "-c", "3", "-T", "3600", "-n", "postgres"], check=False, timeout=4000
        ),
        daemon=True,
    )
    load.start()
    clients = Clients(box, db)
    last, stalls, added = 0, [], []
    for number in range(SNAPSHOTS):
        tag = box.tag("load")
        result = sidesnap.create(db.name, tag, timeout=300)
        assert result["driver"] == "postgres" and result["consistency"] == "frozen"
        stalls.append(result["frozen_ms"])
        added.append(result["new_bytes"])
        assert not db.state()["Paused"]
        copy = ready(box.boot(f"copy{number}", tag, wait=False))
        rows = assert_holds_what_was_confirmed(copy, clients, result["created"])
        assert rows > last, "the clients stood still"
        last = rows
        balance = sql(
            copy,
            "select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches)"
            " and (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)",
        )
        assert balance == "t", "transactions are torn"
        assert_sound(copy)
        assert "database system was not properly shut down" in copy.logs() or "redo" in copy.logs()
        copy.remove()
    print(f"rows {last}, frozen ms {stalls}, bytes stored {added}")
    assert sql(db, "select 1") == "1"


def test_whole_path(box, sidesnap, db):
    """create, lose a table, replace: the rows are back; then the snapshot as a plain container."""
    sql(db, "create table shop as select generate_series(1, 1000) n")
    tag = box.tag()
    sidesnap.create(db.name, tag)
    sql(db, "drop table shop")
    result = sidesnap.json("replace", db.name, tag, "--yes", timeout=300)
    assert result["ready"] is True
    now = box.container("db")
    assert sql(now, "select count(*) from shop") == "1000"
    assert_sound(now)
    copy = ready(booted(box.boot("copy", tag)))
    assert sql(copy, "select sum(n) from shop") == "500500"


def test_secrets_are_nowhere_in_the_image(box, sidesnap, db):
    """POSTGRES_PASSWORD was given at run time; PGDATA is state and stays."""
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    everything = str(box.engine.image(tag)) + str(box.engine.history(tag))
    assert "secret" not in everything
    assert "POSTGRES_PASSWORD" in result["omitted_variables"]
    made = box.create("files", tag)
    manifest = made.archive("/.sidesnap/manifest.json").extractfile("manifest.json").read().decode()
    assert "secret" not in manifest
    copy = ready(booted(box.boot("copy", tag)))
    address = next(iter(copy.inspect()["NetworkSettings"]["Networks"].values()))["IPAddress"]
    code, out, err = copy.exec(
        ["psql", "-XAt", "-h", address, "-U", "postgres", "-c", "select 42"], check=False, env=[f"PGPASSWORD={PASSWORD}"]
    )
    assert (code, out) == (0, "42\n"), err


def test_pgdata_set_by_environment(box, sidesnap):
    """Without PGDATA in the image's environment the copy would initialise an empty database."""
    volume = box.volume("data")
    db = start(box, mounts=[(volume, "/elsewhere")], Env=["PGDATA=/elsewhere/pg"])
    sql(db, "create table here as select 1 n")
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert result["driver"] == "postgres"
    assert "PGDATA=/elsewhere/pg" in box.engine.image(tag)["Config"]["Env"]
    copy = ready(booted(box.boot("copy", tag)))
    assert sql(copy, "select n from here") == "1"
    assert "initialised" not in copy.logs()


def test_bind_mounted_data_directory(box, sidesnap, scratch):
    """A driver that knows the directory captures it without --include."""
    os.chmod(scratch, 0o777)
    db = start(box, mounts=[(scratch, "/var/lib/postgresql/data")])
    sql(db, "create table here as select 1 n")
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert ["/var/lib/postgresql/data"] in [t["paths"] for t in result["trees"]], result
    copy = ready(booted(box.boot("copy", tag)))
    assert sql(copy, "select n from here") == "1"


def test_checkpoint_comes_before_the_freeze(box, sidesnap, db):
    before = sql(db, "select checkpoint_time from pg_control_checkpoint()")
    time.sleep(1.1)
    sql(db, "create table t as select 1")
    sidesnap.create(db.name, box.tag())
    assert sql(db, "select checkpoint_time from pg_control_checkpoint()") > before


def test_wal_and_tablespace_in_volumes_of_their_own(box, sidesnap):
    """pg_wal and tablespaces are symlinks out of PGDATA: of the same instant, or worth nothing."""
    data, wal, space = box.volume("data"), box.volume("wal"), box.volume("space")
    db = start(
        box,
        mounts=[(data, "/var/lib/postgresql/data"), (wal, "/wal"), (space, "/space")],
        Env=["POSTGRES_INITDB_WALDIR=/wal/dir"],
    )
    db.exec("chown postgres /space", user="root")
    db.exec(["psql", "-XqU", "postgres", "-c", "create tablespace fast location '/space'"])
    sql(db, "create table t tablespace fast as select generate_series(1, 5000) n")
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert len(result["trees"]) == 3
    copy = ready(booted(box.boot("copy", tag)))
    assert sql(copy, "select count(*) from t") == "5000"
    assert_sound(copy)


def test_stopped_server(box, sidesnap, db):
    sql(db, "create table t as select 7 n")
    db.stop(30)
    tag = box.tag()
    assert sidesnap.create(db.name, tag)["consistency"] == "stopped"
    copy = ready(booted(box.boot("copy", tag)))
    assert sql(copy, "select n from t") == "7"
    assert "was shut down at" in copy.logs() and "not properly" not in copy.logs()


def test_prepare_that_fails_is_told(box, sidesnap, db):
    """No superuser role of the expected name: the create names the command, or goes on and says why."""
    sql(db, "create role boss superuser login")
    db.exec(["psql", "-XqU", "boss", "-d", "postgres", "-c", "alter role postgres rename to other"])
    tag = box.tag()
    result = sidesnap("create", db.name, "-t", tag, code=None)
    if result.code == 0:
        assert "warning" in result.err.lower() or "checkpoint" in result.err.lower(), result
        copy = box.boot("copy", tag)
        wait_for(lambda: copy.exec(["pg_isready", "-q"], check=False)[0] == 0, "the copy")
    else:
        assert "checkpoint" in result.err.lower(), result
    assert "pass word" not in result.err
    assert not db.state()["Paused"]


def test_ps_names_the_driver(sidesnap, db):
    row = next(r for r in sidesnap.json("ps") if r["name"] == db.name)
    assert row["driver"] == "postgres"


def test_scaled_member_waits_for_the_restore(box, sidesnap, db):
    """The entrypoint would initialise over a half-restored directory: PG_VERSION is its only mark."""
    sql(db, "create table t as select generate_series(1, 200000) n")
    tag = box.tag()
    sidesnap.create(db.name, tag)
    volume = box.volume("copy")
    copy = box.boot("copy", tag, mounts=[(volume, "/var/lib/postgresql/data")], wait=False)
    time.sleep(0.05)
    copy.kill("KILL")
    copy.wait()
    copy.start()
    ready(booted(copy))
    assert sql(copy, "select count(*) from t") == "200000"
    assert "initialised" not in copy.logs()
    assert trees.os.path.exists(box.path(volume) + "/PG_VERSION")


def test_created_is_utc_and_of_the_freeze(box, sidesnap, db):
    before = datetime.datetime.now(datetime.timezone.utc)
    created = sidesnap.create(db.name, box.tag())["created"]
    after = datetime.datetime.now(datetime.timezone.utc)
    when = datetime.datetime.fromisoformat(created.replace("Z", "+00:00"))
    assert before <= when <= after
