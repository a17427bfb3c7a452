"""
Logical snapshots: the database's own dump, streamed into the image, and loaded into an empty server
at the first boot, before anybody else sees it.
"""

import os
import re
import threading
import time

import pytest

from support.api import wait_for
from support.cli import DAMAGED, FAILED, NOT_FOUND, REFUSED, UNSUPPORTED, USAGE, Sidesnap
from test_killed import points
from test_postgres import PASSWORD, ready, sql, start

DATA = "/var/lib/postgresql/data"
ROWS = 20000


def fill(db, large=10):
    """Rows in unicode, large values, a user with a password, an index, a function, two databases."""
    sql(db, "create role app login password 'p''ä\"s$s'")
    sql(db, 'create database "Zweite Ä" owner app')
    sql(db, "create database shop owner app")
    sql(
        db,
        f"""create table t (id int primary key, v text not null);
        insert into t select i, 'Zeile ' || i || ' äöü \U0001f418 ' || repeat(md5(i::text), 4) from generate_series(1, {ROWS}) i;
        create index on t (v); alter table t owner to app;
        create table large (v text);
        insert into large select string_agg(md5(random()::text), '') from generate_series(1, {large} * 32768) i;
        create function f() returns int language sql as 'select 42'""",
        database="shop",
    )
    sql(db, "create table u (v text); insert into u values (e'\\t\\n\\\\.')", database="Zweite Ä")


def dump(container, *words):
    """The server's own dump, without what differs between two of the same state."""
    text = container.exec(["pg_dumpall", "-U", "postgres", *words], timeout=300)
    return re.sub(r"(?m)^(\\(un)?restrict .*|-- (Dumped|Started|Completed) .*)\n", "", text)


def answers(container):
    return container.exec(["pg_isready", "-q", "-h", "127.0.0.1"], check=False)[0] == 0


def loaded(container, timeout=120):
    """The load is over, and the server answers over TCP."""

    def over():
        state = container.state()
        assert state["Running"], f"{container.name} ended ({state['ExitCode']}): {container.logs()[-3000:]}"
        return answers(container)

    wait_for(over, f"{container.name} has loaded its dump", timeout, 0.2)
    return container


def boot(box, reference, word="copy", **config):
    """A container of it with a volume of its own."""
    mounts = config.pop("mounts", None) or [(box.volume(word), DATA)]
    copy = box.create(word, reference, config.pop("command", None), mounts, config.pop("host", None), **config)
    copy.start()
    return copy


def assert_no_trace(box, reference):
    """Neither a name nor an image without one, nor a helper."""
    assert reference not in box.engine.tags()
    assert not box.helpers()
    untagged = [i for i, tags in box.engine.images().items() if not tags and box.is_snapshot(i)]
    assert not untagged, untagged


def with_failpoints(box):
    """Its agent has them too, and stops where the container's environment says."""
    return Sidesnap(box.engine.host, "failpoints")


@pytest.fixture
def small(box):
    """A server that has something, and little."""
    made = start(box, mounts=[(box.volume("data"), DATA)])
    sql(made, "create table t (id int primary key, v text); insert into t select i, 'row ' || i from generate_series(1, 100) i")
    return made


@pytest.fixture
def db(box):
    made = start(box, mounts=[(box.volume("data"), DATA)])
    fill(made)
    return made


# ---- what is refused before anything is touched ----


def test_refusals(box, sidesnap):
    idle = box.run("idle", "busybox", ["sleep", "1000"], [(box.volume("x"), "/data")])
    sidesnap.fails(UNSUPPORTED, "create", idle.name, "--logical", says="no database")
    db = start(box, mounts=[(box.volume("data"), DATA)])
    sidesnap.fails(USAGE, "create", db.name, "--logical", "--stopped", says="exclude each other")
    sidesnap.fails(NOT_FOUND, "create", db.name, "--onto", "localhost/no/such:image", says="docker pull")
    result = sidesnap.fails(FAILED, "create", db.name, "-t", box.tag(), "--database", "no such", says="no such")
    assert PASSWORD not in result.err
    db.pause()
    sidesnap.fails(REFUSED, "create", db.name, "--logical", says="paused")
    db.unpause()
    plan = sidesnap.json("create", db.name, "--logical", "--dry-run")
    assert plan["dump"] == {"file": "dump.sql", "database": None, "paths": [DATA]} and not plan["trees"]
    assert plan["consistency"] == "logical"
    db.stop()
    sidesnap.fails(REFUSED, "create", db.name, "--logical", says="does not run")


# ---- there and back ----


def test_there_and_back(box, db):
    before = dump(db)
    made = box.sidesnap.create(db.name, box.tag(), "--logical")
    assert made["consistency"] == "logical"
    assert made["dump"]["file"] == "dump.sql" and made["dump"]["database"] is None
    assert made["dump"]["bytes"] > len(before) / 2
    lacking = made["dump"]["without"]
    assert "pg_hba.conf" in lacking and lacking in box.sidesnap("show", made["reference"]).out
    kinds = {t["kind"]: t for t in made["trees"]}
    assert set(kinds) == {"dump"} and kinds["dump"]["paths"] == [DATA]
    labels = box.engine.image(made["reference"])["Config"]["Labels"]
    assert labels["sidesnap.consistency"] == "logical" and labels["sidesnap.format"] == "2"
    assert labels["sidesnap.driver"] == "postgres" and labels["sidesnap.database"] == ""
    assert PASSWORD not in str(box.engine.image(made["reference"])), "a secret in the image's configuration"

    copy = loaded(boot(box, made["reference"]))
    assert dump(copy) == before
    # the password of the server that was dumped, not the one of the first initialisation
    words = ["psql", "-XqAth", "127.0.0.1", "-U", "postgres", "-c", "select 1"]
    assert copy.exec(words, env=["PGPASSWORD=" + PASSWORD]).strip() == "1"
    words[words.index("postgres")] = "app"
    assert copy.exec([*words, "shop"], env=["PGPASSWORD=p'ä\"s$s"]).strip() == "1"
    assert "sidesnap: loaded dump.sql" in copy.logs()
    # what boot added for the load is gone
    assert sql(copy, "show listen_addresses") == "*" and sql(copy, "show port") == "5432"
    assert copy.exec(["cat", "/proc/1/cmdline"]).replace("\0", " ").strip() == "postgres"
    # a second start loads nothing, and keeps what was written since
    sql(copy, "insert into t values (0, 'new')", database="shop")
    copy.stop()
    copy.start()
    loaded(copy)
    assert copy.logs().count("sidesnap: loaded") == 1
    assert sql(copy, "select count(*) from t", database="shop") == str(ROWS + 1)


def test_one_database(box, sidesnap, db):
    before = db.exec(["pg_dump", "-U", "postgres", "shop"])
    made = sidesnap.create(db.name, box.tag(), "--database", "shop")
    assert made["dump"]["database"] == "shop"
    assert box.engine.image(made["reference"])["Config"]["Labels"]["sidesnap.database"] == "shop"
    # a role that owns it is the server's, not the database's: it is made where it is loaded
    sql(db, "alter database shop owner to postgres")
    sql(db, "alter table t owner to postgres", database="shop")
    before = db.exec(["pg_dump", "-U", "postgres", "shop"])
    made = sidesnap.create(db.name, box.tag(), "--database", "shop")
    copy = loaded(boot(box, made["reference"]))
    assert re.sub(r"(?m)^\\(un)?restrict .*\n", "", copy.exec(["pg_dump", "-U", "postgres", "shop"])) == re.sub(
        r"(?m)^\\(un)?restrict .*\n", "", before
    )
    assert sql(copy, "select count(*) from pg_database where datname like 'Zweite%'") == "0"


WRITER = """
i=0
while :; do
  i=$((i+1))
  psql -XqAt -U postgres -c "begin; insert into a values ($i); insert into b values ($i); commit" || exit 1
done
"""


def test_under_write_load(box, sidesnap, small):
    """Of one instant: what one transaction wrote to two tables is in both or in none."""
    sql(small, "create table a (i int); create table b (i int)")
    thread = threading.Thread(target=lambda: small.exec(["bash", "-c", WRITER], check=False), daemon=True)
    thread.start()
    wait_for(lambda: int(sql(small, "select count(*) from a")) > 5, "the first rows")
    made = sidesnap.create(small.name, box.tag(), "--logical")
    assert not made["frozen"] or made["frozen_ms"] < 2000
    rows = int(sql(small, "select count(*) from a"))
    wait_for(lambda: int(sql(small, "select count(*) from a")) > rows, "the writer goes on")
    small.kill()
    thread.join()
    copy = loaded(boot(box, made["reference"]))
    count = sql(copy, "select count(*), max(i) from a").split("|")
    assert count[0] == count[1] and 5 < int(count[0]) <= rows
    assert sql(copy, "select count(*), max(i) from b").split("|") == count


def test_other_volumes_and_own_files_come_along(box, sidesnap):
    """What is no data of the database is captured as ever; below the data directory nothing is."""
    db = start(box, mounts=[(box.volume("data"), DATA), (box.volume("more"), "/more")])
    db.exec("echo kept >/more/file; echo own >/etc/own.conf; mkdir /tmp/x")
    made = sidesnap.create(db.name, box.tag(), "--logical")
    assert sorted(t["kind"] for t in made["trees"]) == ["dump", "volume"]
    copy = loaded(boot(box, made["reference"], mounts=[(box.volume("copy"), DATA), (box.volume("morecopy"), "/more")]))
    assert copy.exec("cat /more/file /etc/own.conf").split() == ["kept", "own"]


@pytest.mark.database
def test_data_in_the_container_s_own_layer(box, sidesnap):
    """No volume holds it: what is loaded is in the new container's layer, and of the old one's nothing."""
    db = start(box, Env=["PGDATA=/srv/pg"])
    sql(db, "create table t (v text); insert into t values ('here')")
    made = sidesnap.create(db.name, box.tag(), "--logical")
    assert [t["paths"] for t in made["trees"] if t["kind"] == "dump"] == [["/srv/pg"]]
    assert not [p for p in box.engine.image(made["reference"])["Config"]["Volumes"] if p.startswith("/srv")]
    bare = box.create("bare", made["reference"])
    with pytest.raises(Exception):
        bare.archive("/srv/pg/PG_VERSION")
    copy = box.create("copy", made["reference"])
    copy.start()
    loaded(copy)
    assert sql(copy, "select v from t") == "here"
    copy.stop()
    copy.start()
    loaded(copy)
    assert copy.logs().count("sidesnap: loaded") == 1


@pytest.mark.parametrize("how", ["init", pytest.param("read-only", marks=pytest.mark.database), "user"])
def test_in_other_circumstances(box, sidesnap, small, how):
    """An init above boot, a root that cannot be written, a user who is not root."""
    before = dump(small)
    made = sidesnap.create(small.name, box.tag(), "--logical")
    host = {
        "init": {"Init": True},
        "read-only": {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": "", "/run/postgresql": "mode=3777", "/var/run/postgresql": "mode=3777"}},
        "user": {},
    }[how]
    config = {"User": "postgres"} if how == "user" else {}
    copy = loaded(boot(box, made["reference"], host=host, **config))
    assert dump(copy) == before
    copy.stop()
    copy.start()
    loaded(copy)
    assert copy.logs().count("sidesnap: loaded") == 1
    if how == "user":
        # nothing of what boot could do is left to the service
        status = copy.exec(["cat", "/proc/1/status"])
        assert re.search(r"CapPrm:\s+0+\n", status), status


def test_nobody_is_let_in_or_told_before(box, sidesnap):
    """Neither by TCP nor by a health check over the socket; run waits for the end of it."""
    db = start(box, mounts=[(box.volume("data"), DATA)])
    fill(db, large=60)
    failing = with_failpoints(box)
    reference = failing.create(db.name, box.tag(), "--logical")["reference"]
    check = {"Test": ["CMD-SHELL", "pg_isready -q && echo saw it"], "Interval": 100000000, "Retries": 1000}
    copy = boot(box, reference, Healthcheck=check, Env=["SIDESNAP_FAILPOINT=load/loaded=sleep:3"])
    early = []

    def over():
        state = copy.state()
        assert state["Running"], copy.logs()
        if "sidesnap: loaded" not in copy.logs():
            seen = [e for e in (state["Health"]["Log"] or []) if e["ExitCode"] == 0]
            tcp = answers(copy)
            # asked for before the log was: what came true between is no fault
            if (seen or tcp) and "sidesnap: loaded" not in copy.logs():
                early.append((seen, tcp))
        return state["Health"]["Status"] == "healthy"

    wait_for(over, "the health check", 120, 0.05)
    assert not early
    assert "sidesnap: loaded" in copy.logs()


def test_server_does_not_sync_only_while_it_loads(box, small):
    """Boot does it for all of them at the end; the log is in a volume of its own, under a name with a blank."""
    before, log = dump(small), box.volume("wal")
    reference = with_failpoints(box).create(small.name, box.tag(), "--logical")["reference"]
    copy = boot(
        box, reference, mounts=[(box.volume("copy"), DATA), (log, "/wal dir")],
        Env=["POSTGRES_INITDB_WALDIR=/wal dir/log", "SIDESNAP_FAILPOINT=load/loaded=sleep:15"],
    )  # fmt: skip

    def setting(port):
        words = ["psql", "-XqAtU", "postgres", "-p", str(port), "-c", "select string_agg(setting, ' ') from pg_settings where name in ('fsync', 'full_page_writes')"]
        code, out, _ = copy.exec(words, check=False)
        return out.strip() if code == 0 else None

    wait_for(lambda: setting(54329) == "off off", "the server that is loaded", 120, 0.2)
    assert setting(5432) is None and "sidesnap: loaded" not in copy.logs()
    loaded(copy)
    assert setting(5432) == "on on"
    assert dump(copy) == before
    assert os.listdir(os.path.join(box.path(log), "log"))


# ---- what fails leaves nothing ----


REAL = "/usr/lib/postgresql/15/bin/pg_dumpall.real"


@pytest.mark.parametrize(
    "script",
    [
        f"{REAL} \"$@\" | head -c 3000",  # exit code 0, cut off
        "exit 0",  # nothing at all
        f"{REAL} \"$@\" | grep -v '^CREATE TABLE'",  # an empty one of a server that is not
        f"{REAL} \"$@\"; exit 3",
        f"{REAL} \"$@\" | head -c 3000; kill -9 $$",
    ],
    ids=["truncated", "nothing", "empty", "exit-code", "killed"],
)
def test_bad_dump_leaves_nothing(box, sidesnap, small, script):
    small.exec(["mv", "/usr/lib/postgresql/15/bin/pg_dumpall", REAL], user="0")
    small.exec(
        ["sh", "-c", "printf '#!/bin/bash\\n%s\\n' \"$1\" >/usr/lib/postgresql/15/bin/pg_dumpall; chmod 755 /usr/lib/postgresql/15/bin/pg_dumpall", "sh", script],
        user="0",
    )
    tag = box.tag()
    result = sidesnap(
        "create", small.name, "-t", tag, "--logical", code=None
    )
    assert result.code not in (0, None), result
    assert_no_trace(box, tag)
    assert sql(small, "select count(*) from t") == "100"


def test_server_that_is_killed_meanwhile(box, db):
    tag = box.tag()
    process = box.sidesnap.at("logical/dumping", "sleep:1").start("create", db.name, "-t", tag, "--logical")
    wait_for(lambda: "dumping" in dumping(process), "the dump", 60)
    db.kill()
    process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    wait_for(lambda: not box.helpers(), "the helper's end", 30)
    assert_no_trace(box, tag)
    db.start()
    ready(db)
    assert sql(db, "select count(*) from t", database="shop") == str(ROWS)


def dumping(process, text=[]):
    """What it has said so far; never waits."""
    os.set_blocking(process.stderr.fileno(), False)
    text.append((process.stderr.read() or b"").decode())
    return "".join(text)


@pytest.mark.parametrize("point", points(("logical/",)))
def test_killed_create_leaves_nothing(box, small, point):
    tag = box.tag()
    box.helpers_may_stay = True
    result = box.sidesnap.at(point)("create", small.name, "-t", tag, "--logical", code=None)
    assert result.code == -9, result
    wait_for(lambda: not [h for h in box.helpers() if h["State"] == "running"], "the helper's end", 30)
    box.sidesnap("doctor")
    assert_no_trace(box, tag)
    assert sql(small, "select count(*) from t") == "100"
    box.sidesnap.create(small.name, tag, "--logical")


# ---- boots that are cut off ----


@pytest.mark.parametrize("point", [pytest.param("load/marked", marks=pytest.mark.database), "load/feeding", "load/loaded"])
def test_killed_boot_begins_anew(box, small, point):
    before = dump(small)
    reference = with_failpoints(box).create(small.name, box.tag(), "--logical")["reference"]
    volume = box.volume("copy")
    first = boot(box, reference, "first", mounts=[(volume, DATA)], Env=[f"SIDESNAP_FAILPOINT={point}=kill"])
    assert first.wait(60) == 137
    first.remove()
    second = loaded(boot(box, reference, "second", mounts=[(volume, DATA)]))
    assert dump(second) == before


def test_killed_in_the_middle_from_outside(box, db):
    """The whole container, as a crash of the machine or an impatient person does it; then again by stop."""
    before = dump(db)
    reference = with_failpoints(box).create(db.name, box.tag(), "--logical")["reference"]
    volume = box.volume("copy")
    slow = ["SIDESNAP_FAILPOINT=load/feeding=sleep:1"]
    first = boot(box, reference, "first", mounts=[(volume, DATA)], Env=slow)
    wait_for(lambda: os.path.exists(os.path.join(box.path(volume), "PG_VERSION")), "the first files", 60)
    wait_for(lambda: "psql" in str(first.engine.json("GET", f"/containers/{first.id}/top")), "the load", 60)
    first.kill()
    first.start()
    wait_for(lambda: "psql" in str(first.engine.json("GET", f"/containers/{first.id}/top")), "the load", 60)
    began = time.monotonic()
    first.stop(30)
    assert time.monotonic() - began < 25 and first.state()["ExitCode"] in (130, 143), first.logs()[-2000:]
    assert "the next start begins anew" in first.logs()
    first.remove()
    second = loaded(boot(box, reference, "second", mounts=[(volume, DATA)]))
    assert dump(second) == before


def test_load_that_fails_is_told_and_not_served(box, sidesnap, small):
    """A statement that fails, of a library that is not there: no server, the reason, and anew at each start."""
    small.exec(["sh", "-c", "cp $(pg_config --pkglibdir 2>/dev/null || echo /usr/lib/postgresql/15/lib)/plpgsql.so /srv/x.so"], user="0")
    sql(small, "create function h() returns language_handler language c as '/srv/x.so', 'plpgsql_call_handler'")
    made = sidesnap.create(small.name, box.tag(), "--logical", "--exclude", "/srv")
    copy = boot(box, made["reference"])
    for attempt in (1, 2):
        assert copy.wait(120) == FAILED, copy.logs()
        assert copy.logs().count("cannot load the dump into PostgreSQL") == attempt
        assert copy.logs().count("sidesnap: loading") == attempt
        copy.start()
    assert 'could not access file "/srv/x.so"' in copy.logs()
    assert "begins anew" in copy.logs() and "sidesnap: loaded" not in copy.logs()
    copy.wait(120)


def test_wrong_command_is_refused(box, sidesnap, small):
    made = sidesnap.create(small.name, box.tag(), "--logical")
    copy = boot(box, made["reference"], command=["true"])
    assert copy.wait(60) == FAILED
    assert "not another command" in copy.logs()


def test_foreign_volume(box, sidesnap, small):
    made = sidesnap.create(small.name, box.tag(), "--logical")
    other = start(box, "other", mounts=[(box.volume("foreign"), DATA)])
    sql(other, "create table theirs (v text)")
    other.stop()
    mounts = [(box.name("foreign"), DATA)]
    copy = boot(box, made["reference"], "refused", mounts=mounts)
    assert copy.wait(60) == REFUSED
    assert "SIDESNAP_RESTORE=keep" in copy.logs() and "SIDESNAP_RESTORE=replace" in copy.logs()
    kept = ready(boot(box, made["reference"], "kept", mounts=mounts, Env=["SIDESNAP_RESTORE=keep"]))
    assert sql(kept, "select count(*) from theirs") == "0"
    kept.stop()
    replaced = loaded(boot(box, made["reference"], "replaced", mounts=mounts, Env=["SIDESNAP_RESTORE=replace"]))
    assert sql(replaced, "select count(*) from t") == "100"
    sql(replaced, "insert into t values (0, 'new')")
    replaced.stop()
    replaced.start()
    loaded(replaced)
    assert sql(replaced, "select count(*) from t") == "101", "the wish was to be granted once"


# ---- the next snapshot ----


def test_second_one_stores_little_and_bases_are_right(box, sidesnap, db):
    first = sidesnap.create(db.name, box.tag(), "--logical")
    sql(db, "update t set v = 'changed' where id = 10000", database="shop")
    second = sidesnap.create(db.name, box.tag(), "--logical")
    print("stored", first["stored_bytes"], second["stored_bytes"], "of", first["dump"]["bytes"])
    assert second["stored_bytes"] < first["stored_bytes"] / 10
    assert second["parent"] == first["id"]

    def layers(reference):
        return box.engine.image(reference)["RootFS"]["Layers"]

    own = layers(db.inspect()["Image"])
    physical = sidesnap.create(db.name, box.tag())
    # nothing of a dump is of use to files, or the other way round: neither carries the other
    assert layers(physical["reference"])[: len(own)] == own and len(layers(physical["reference"])) == len(own) + 1
    assert physical["parent"] == second["id"]
    third = sidesnap.create(db.name, box.tag(), "--logical")
    assert layers(third["reference"])[:-1] == layers(second["reference"])
    assert third["parent"] == physical["id"]
    again = sidesnap.create(db.name, box.tag())
    assert layers(again["reference"])[:-1] == layers(physical["reference"])
    # of one database: what is left out must not be in a layer below
    one = sidesnap.create(db.name, box.tag(), "--database", "shop")
    assert len(layers(one["reference"])) == len(own) + 1
    copy = loaded(boot(box, third["reference"]))
    assert dump(copy) == dump(db)


def test_what_reads_snapshots(box, sidesnap, small):
    first = sidesnap.create(small.name, box.tag(), "--logical")["reference"]
    sql(small, "insert into t values (1000, 'a row that is new')")
    second = sidesnap.create(small.name, box.tag(), "--logical")["reference"]
    assert sidesnap.json("verify", second)["entries"] >= 2
    shown = sidesnap.json("show", second)
    assert [t["kind"] for t in shown["trees"] if t["kind"] != "own"] == ["dump"]
    assert "dump" in sidesnap("show", second).out and "logical" in sidesnap("show", second).out
    assert {s["consistency"] for s in sidesnap.json("ls", small.name)} == {"logical"}
    assert second.partition(":")[0] in sidesnap("tree").out
    text = sidesnap("cat", f"{second}:{DATA}/dump.sql").out
    assert "a row that is new" in text and "cluster dump complete" in text
    result = sidesnap("diff", first, second, code=DAMAGED)
    assert "dump.sql" in result.out
    assert sidesnap("diff", second, small.name, code=DAMAGED).out, "files on the one side, a dump on the other"
    sidesnap("describe", second, "-m", "another title")
    copy = loaded(boot(box, second))
    assert sql(copy, "select count(*) from t") == "101"


# ---- back into a container ----


def test_reset_is_refused_with_the_ways_on(box, sidesnap, small):
    made = sidesnap.create(small.name, box.tag(), "--logical")["reference"]
    result = sidesnap.fails(REFUSED, "reset", small.name, made, "--yes", says=["replace", "run", "load"])
    way = re.search(r"sidesnap cat (\S+) \| sidesnap load", result.err).group(1)
    assert "dump complete" in sidesnap("cat", way).out
    assert sql(small, "select count(*) from t") == "100"


def test_replace(box, sidesnap, small):
    made = sidesnap.create(small.name, box.tag(), "--logical")["reference"]
    sql(small, "insert into t values (1000, 'later')")
    before = dump(small)
    result = sidesnap.json("replace", small.name, made, "--yes", timeout=300)
    assert result["ready"] and result["safety"]
    now = box.container("db")
    assert sql(now, "select count(*) from t") == "100"
    assert sidesnap.json("undo", small.name, "--yes", timeout=300)
    now = ready(box.container("db"))
    assert dump(now) == before


def test_replace_that_fails_goes_back(box, small):
    before = dump(small)
    failing = with_failpoints(box)
    made = failing.create(small.name, box.tag(), "--logical")["reference"]
    failing("replace", small.name, made, "--yes", code=FAILED, env={"SIDESNAP_FAILPOINT": "replace/started=error"}, timeout=300)
    now = ready(box.container("db"))
    assert dump(now) == before


# ---- in another version ----


@pytest.mark.slow
@pytest.mark.parametrize("image, data", [("postgres17", DATA), pytest.param("postgres18", "/var/lib/postgresql", marks=pytest.mark.database)])
def test_onto_a_newer_version(box, sidesnap, images, db, image, data):
    newer = images(image)
    rows = sql(db, "select count(*), md5(string_agg(v, '' order by id)) from t", database="shop")
    made = sidesnap.create(db.name, box.tag(), "--onto", newer)
    labels = box.engine.image(made["reference"])["Config"]["Labels"]
    assert labels["sidesnap.source.image"] == newer
    assert [t["paths"] for t in made["trees"] if t["kind"] == "dump"] == [[data]]
    assert list(box.engine.image(made["reference"])["Config"]["Volumes"]) == [data]
    copy = loaded(boot(box, made["reference"], mounts=[(box.volume("copy"), data)]))
    assert sql(copy, "show server_version").startswith(image[-2:])
    assert sql(copy, "select count(*), md5(string_agg(v, '' order by id)) from t", database="shop") == rows
    assert sql(copy, "select f()", database="shop") == "42"
    assert sql(copy, "select v from u", database="Zweite Ä") == sql(db, "select v from u", database="Zweite Ä")
    words = ["psql", "-XqAth", "127.0.0.1", "-U", "app", "-c", "select count(*) from t", "shop"]
    assert copy.exec(words, env=["PGPASSWORD=p'ä\"s$s"]).strip() == str(ROWS)
    # a second one stands on the first, and the container's own chain is another
    again = sidesnap.create(db.name, box.tag(), "--onto", newer)
    assert again["stored_bytes"] < made["stored_bytes"] / 10
    copy.stop()
    copy.start()
    loaded(copy)
    assert copy.logs().count("sidesnap: loaded") == 1


# ---- a large one ----


def private_bytes(process):
    try:
        with open(f"/proc/{process}/status") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon:"))
    except (OSError, StopIteration):
        return 0


@pytest.mark.slow
@pytest.mark.database
def test_memory_does_not_grow_with_the_dump(box, sidesnap):
    """Neither the command's, nor the agent's in the helper, nor boot's: 150 MB that compress badly."""
    db = start(box, mounts=[(box.volume("data"), DATA)])
    sql(db, "create table large (i int, v text)")
    db.exec(
        ["psql", "-XqU", "postgres", "-c",
         "insert into large select n, (select string_agg(md5(n::text || i), '') from generate_series(1, 32768) i) from generate_series(1, 150) n"],
        timeout=300,
    )
    tag = box.tag()
    process = sidesnap.start("create", db.name, "-t", tag, "--logical")
    command, agent = [0], [0]
    while process.poll() is None:
        command.append(private_bytes(process.pid))
        for helper in box.helpers():
            agent.append(private_bytes(box.engine.json("GET", f"/containers/{helper['Id']}/json")["State"]["Pid"]))
        time.sleep(0.02)
    assert process.returncode == 0, process.communicate()
    copy = boot(box, tag)
    booting = [0]

    def over():
        booting.append(private_bytes(copy.inspect()["State"]["Pid"]) if "sidesnap: loaded" not in copy.logs() else 0)
        return answers(copy)

    wait_for(over, "the load", 180, 0.05)
    assert sql(copy, "select count(*), sum(length(v)) from large") == sql(db, "select count(*), sum(length(v)) from large")
    print("peaks of private memory:", max(command), max(agent), max(booting))
    assert 0 < max(command) < 32 << 20 and 0 < max(agent) < 64 << 20 and 0 < max(booting) < 64 << 20
