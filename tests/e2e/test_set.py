"""Sets: several containers at one instant, all of them named or none."""

import json
import os
import re
import time

import pytest

import test_postgres as postgres
import test_redis as redis
from support import trees
from support.api import wait_for
from support.cli import CANCELLED, DAMAGED, EXISTS, NOT_FOUND, REFUSED, USAGE, Sidesnap, interrupt
from support.servers import address
from test_killed import FREEZE_LIMIT_S, points

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"


@pytest.fixture
def stack(box):
    """Two that count the same, written by a third, and one that does not run; as compose would label them."""
    project = box.name("shop").replace("-", "")

    def labels(service):
        return {PROJECT: project, SERVICE: service, "com.docker.compose.container-number": "1"}

    one, two = box.volume("one", trees.make_small), box.volume("two", trees.make_small)
    script = (
        "i=0; while :; do i=$((i+1)); echo $i >/one/n; mv /one/n /one/count; echo $i >/two/n; mv /two/n /two/count; done"
    )
    members = {
        "db": box.run("db", "busybox", ["sleep", "1000"], [(one, "/data")], Labels=labels("db")),
        "cache": box.run("cache", "busybox", ["sleep", "1000"], [(two, "/data")], Labels=labels("cache")),
        "web": box.run("web", "busybox", ["sh", "-c", script], [(one, "/one"), (two, "/two")], Labels=labels("web")),
        "done": box.create("done", "busybox", ["true"], Labels=labels("done")),
    }
    members["db"].exec("echo own >/own-file")
    wait_for(lambda: "count" in members["cache"].exec("ls /data"), "the writer")
    members["project"] = project
    return members


def count_in(box, tag, word):
    copy = box.create(word, tag, ["cat", "/data/count"])
    copy.start()
    copy.wait()
    number = int(copy.output().split()[-1])
    copy.remove()
    return number


def names_of(engine, tag):
    return sorted(t for t in engine.tags() if t.startswith(tag.split(":")[0] + ":"))


def assert_untouched(box, stack):
    for word in ("db", "cache", "web"):
        state = stack[word].state()
        assert state["Running"] and not state["Paused"], (word, state)
    assert not stack["done"].state()["Running"]
    assert not box.helpers()


def test_a_project_is_of_one_instant(box, sidesnap, stack):
    for number in range(4):
        tag = box.tag()
        result = sidesnap.json("create", "-p", stack["project"], "-t", tag)
        assert [m["name"] for m in result["members"]] == ["cache", "db", "done", "web"]
        assert result["consistency"] == "frozen" and result["project"] == stack["project"]
        assert sorted(result["frozen"]) == sorted(stack[w].name for w in ("db", "cache", "web"))
        first, second = (count_in(box, f"{tag}-{name}", f"copy{number}{name}") for name in ("db", "cache"))
        assert first - 1 <= second <= first, (first, second)
        assert {m["name"]: m["consistency"] for m in result["members"]}["done"] == "stopped"
        for member in result["members"]:
            assert member["reference"] == f"{tag}-{member['name']}"
            sidesnap("verify", member["reference"])
    assert_untouched(box, stack)


def test_a_shared_volume_is_captured_once(box, sidesnap, stack):
    tag = box.tag()
    result = sidesnap.json("create", "-p", stack["project"], "-t", tag)
    holders = {}
    for member in result["members"]:
        for tree in member["trees"]:
            if tree["kind"] == "volume":
                holders.setdefault(tree["name"], []).append(member["name"])
    assert sorted(holders.values()) == [["cache"], ["db"]], holders
    web = [m for m in result["members"] if m["name"] == "web"][0]
    assert {(n["path"], n["type"]) for n in web["not_captured"]} == {("/one", "volume"), ("/two", "volume")}
    assert all("of the same set" in n["reason"] for n in web["not_captured"])


def test_what_the_image_of_a_set_says(box, sidesnap, stack):
    tag = box.tag()
    result = sidesnap.json("create", "-p", stack["project"], "-t", tag, "-m", "before the sale")
    image = box.engine.image(tag)
    labels = image["Config"]["Labels"]
    assert labels["sidesnap.role"] == "set" and labels["sidesnap.id"] == result["id"]
    assert labels["sidesnap.title"] == "before the sale" and labels["sidesnap.source.project"] == stack["project"]
    members = json.loads(labels["sidesnap.members"])
    assert [(m["name"], m["id"]) for m in members] == [(m["name"], m["id"]) for m in result["members"]]
    assert len(image["RootFS"]["Layers"]) <= 2 and image["Size"] < 100000
    assert not [k for k in ("sidesnap.nonce", "sidesnap.purpose", "sidesnap.owner") if labels.get(k)]
    for member in result["members"]:
        assert box.engine.image(member["reference"])["Config"]["Labels"]["sidesnap.set"] == result["id"]
    # Bases of each other, as two creates of one target are.
    again = sidesnap.json("create", "-p", stack["project"], "-t", box.tag())
    assert {m["lineage"] for m in again["members"]} == {m["lineage"] for m in result["members"]}


SECRETS = {
    "Env": ["PASSWORD=planted-1", "PLAIN=planted-2"],
    "Labels": {"auth.token": "planted-3", "note": "postgres://u:planted-4@db/x"},
}


def test_no_secret_is_in_the_definition(box, sidesnap):
    container = box.sleeper(**SECRETS)
    other = box.run("other", "busybox", ["sleep", "1000"])
    tag = box.tag()
    sidesnap("create", container.name, other.name, "-t", tag)
    document = box.create("look", tag, ["none"])
    with document.archive("/.sidesnap/set.json") as archive:
        text = archive.extractfile("set.json").read().decode()
    document.remove()
    assert not re.findall("planted-.", text)
    known = json.loads(text)
    assert sorted(known["needs"]) == sorted(["PASSWORD", "PLAIN", "AUTH_TOKEN", "NOTE"])
    body = [m for m in known["members"] if m["container"] == container.name][0]["definition"]
    assert sorted(body["Env"]) == ["PASSWORD=${PASSWORD:?}", "PLAIN=${PLAIN:?}"]
    assert body["Labels"]["auth.token"] == "${AUTH_TOKEN:?}"
    assert [v["name"] for v in known["volumes"]] == [container.volume]


def test_names_on_the_command_line(box, sidesnap, stack):
    tag = box.tag()
    sidesnap.fails(USAGE, "create", says=["TARGET", "--all"])
    sidesnap.fails(NOT_FOUND, "create", "-p", "nosuchproject", "-t", tag, says="no containers")
    sidesnap.fails(NOT_FOUND, "create", stack["db"].name, "nosuch", "-t", tag, says="nosuch")
    sidesnap.fails(USAGE, "create", "--all", stack["db"].name, says="exclude")
    sidesnap.fails(USAGE, "create", "-p", stack["project"], "--logical", says="--logical")
    one = sidesnap("create", "-p", stack["project"], "db", "-t", box.tag()).out
    assert one.strip() == box.engine.image(one.strip())["RepoTags"][0]
    plan = sidesnap.json("create", "-p", stack["project"], "-t", tag, "--dry-run")
    assert [m["name"] for m in plan["members"]] == ["cache", "db", "done", "web"]
    assert not names_of(box.engine, tag)


def test_a_taken_tag_refuses_all(box, sidesnap, stack):
    tag = box.tag()
    sidesnap.create("db", f"{tag}-db", "-p", stack["project"])
    before = names_of(box.engine, tag)
    sidesnap.fails(EXISTS, "create", "-p", stack["project"], "-t", tag, says=f"{tag}-db")
    assert names_of(box.engine, tag) == before
    sidesnap("create", "-p", stack["project"], "-t", tag, "--force")
    assert len(names_of(box.engine, tag)) == 5


def test_interrupted(box, stack):
    for point in ("set/precopied", "set/frozen", "set/committed", "set/tagging"):
        tag = box.tag()
        process = box.sidesnap.at(point, "sleep:2").start("create", "-p", stack["project"], "-t", tag)
        time.sleep(3)
        code, out, err = interrupt(process)
        assert code in (CANCELLED, 0), (point, out, err)
        assert names_of(box.engine, tag) == [] or code == 0, point
        assert_untouched(box, stack)


@pytest.mark.parametrize("point", points("set/"))
def test_killed_at(box, sidesnap, stack, point):
    """The leader dies, its members notice; or all die at once. Never some of the names."""
    tag = box.tag()
    result = sidesnap.at(point)("create", "-p", stack["project"], "-t", tag, code=None)
    assert result.code == -9, result
    wait_for(lambda: not any(stack[w].state()["Paused"] for w in ("db", "cache", "web")), "the thaw", FREEZE_LIMIT_S)
    wait_for(lambda: not any(h["State"] == "running" for h in box.helpers()), "helpers end", 30)
    sidesnap("doctor")
    names = names_of(box.engine, tag)
    assert len(names) == (5 if point == "set/tagged" else 0), names
    assert_untouched(box, stack)
    sidesnap("create", "-p", stack["project"], "-t", box.tag())


def test_a_member_that_fails(box, sidesnap, stack):
    """Of four, one cannot be captured: no name, no image, everybody runs on."""
    for point in ("create/captured", "create/committed", "helper/injected"):
        tag = box.tag()
        result = sidesnap.at(point, "error")("create", "-p", stack["project"], "-t", tag, code=None)
        assert (result.code == 0) == (len(names_of(box.engine, tag)) == 5), result
        assert result.code == 0 or not names_of(box.engine, tag), result
        assert_untouched(box, stack)


def test_a_member_that_is_never_frozen(box, sidesnap, stack):
    collector = box.run("collector", "busybox", ["sleep", "1000"], Labels={"sidesnap.freeze": "false"})
    result = sidesnap.json("create", stack["db"].name, stack["cache"].name, stack["web"].name, collector.name, "-t", box.tag())
    assert collector.name not in result["frozen"] and result["consistency"] == "live"
    assert {m["target"]: m["consistency"] for m in result["members"]}[collector.name] == "live"


def test_sets_are_listed_shown_kept_and_removed(box, sidesnap, stack):
    tag = box.tag()
    result = sidesnap.json("create", "-p", stack["project"], "-t", tag)
    (entry,) = [s for s in sidesnap.json("ls", "--sets") if s["id"] == result["id"]]
    assert entry["references"] == [tag] and entry["project"] == stack["project"]
    assert [(m["name"], m["references"]) for m in entry["members"]] == [
        (name, [f"{tag}-{name}"]) for name in ("cache", "db", "done", "web")
    ]
    for name in (tag, result["id"][:12]):
        shown = sidesnap.json("show", name)
        assert shown["id"] == result["id"] and len(shown["definition"]["members"]) == 4
    assert "cache" in sidesnap("show", tag).out and tag in sidesnap("ls", "--sets").out

    # A member alone is not taken away, by hand or by rule.
    sidesnap.fails(REFUSED, "rm", f"{tag}-db", says="member of the set")
    for _ in range(2):
        sidesnap.create("db", box.tag(), "-p", stack["project"])
    pruned = sidesnap.json("prune", "db", "-p", stack["project"], "--keep-last", "1", "--yes")
    reasons = {r: s["reasons"] for line in pruned["lineages"] for s in line["snapshots"] for r in s["references"]}
    assert reasons[f"{tag}-db"] == ["set"] and pruned["removed_snapshots"] == 1, pruned

    sidesnap("pin", tag)
    assert sidesnap.json("show", tag)["pinned"]
    sidesnap.fails(REFUSED, "rm", tag, says="pinned")
    assert len(names_of(box.engine, tag)) == 5
    sidesnap("unpin", tag)
    removed = sidesnap.json("rm", tag)["removed"]
    assert removed[-1] == tag and sorted(removed) == sorted([tag, *(f"{tag}-{n}" for n in ("cache", "db", "done", "web"))])
    assert not names_of(box.engine, tag)
    assert result["id"] not in [s["id"] for s in sidesnap.json("ls", "--sets")]


def test_a_member_that_is_gone_is_told(box, sidesnap, stack):
    tag = box.tag()
    sidesnap("create", "-p", stack["project"], "-t", tag)
    sidesnap("rm", "--force", f"{tag}-web")
    assert "(not here)" in sidesnap("show", tag).out and "web (not here)" in sidesnap("ls", "--sets").out
    sidesnap("rm", tag)
    assert not names_of(box.engine, tag)


def test_through_a_registry(box, stack, registry, login):
    """The set and all its members, by one name; a member that is another one is not taken."""
    sidesnap = Sidesnap(box.host, env=login)
    tag, there = box.tag(), f"{registry.host}/team/{box.name('shop')}"
    made = sidesnap.json("create", "-p", stack["project"], "-t", tag)
    first, second = (count_in(box, f"{tag}-{name}", f"before{name}") for name in ("db", "cache"))
    sent = sidesnap.json("push", tag, "--to", f"{there}:v1")["pushed"]
    names = [f"{there}:v1-{m['name']}" for m in made["members"]] + [f"{there}:v1"]
    assert [p["reference"] for p in sent] == names
    sidesnap("rm", tag, f"{there}:v1", "--force")
    assert not [t for t in box.engine.tags() if t.startswith((there, tag.split(":")[0]))]

    came = sidesnap.json("pull", f"{there}:v1")["pulled"]
    assert sorted(p["reference"] for p in came) == sorted(names)
    shown = sidesnap.json("show", f"{there}:v1")
    assert shown["id"] == made["id"] and all(m["references"] for m in shown["members"])
    assert (first, second) == tuple(count_in(box, f"{there}:v1-{n}", f"after{n}") for n in ("db", "cache"))

    # Somebody pushes another snapshot under the name of a member.
    other = box.tag()
    sidesnap.create("db", other, "-p", stack["project"])
    box.engine.remove_image(f"{there}:v1-db")
    sidesnap("tag", other, f"{there}:v1-db")
    sidesnap("push", f"{there}:v1-db")
    sidesnap("rm", f"{there}:v1", "--force")
    sidesnap.fails(DAMAGED, "pull", f"{there}:v1", says="not the snapshot that the set names")
    assert not box.engine.has_image(f"{there}:v1")
    for left in [t for t in box.engine.tags() if t.startswith(there)]:
        box.engine.remove_image(left)


def test_a_set_that_is_not_whole_is_not_pushed(box, sidesnap, stack):
    tag = box.tag()
    sidesnap("create", "-p", stack["project"], "-t", tag)
    sidesnap("rm", "--force", f"{tag}-web")
    sidesnap.fails(NOT_FOUND, "push", tag, "--to", "registry.example/team/x:1", says='member "web"')


@pytest.mark.database
def test_two_databases_are_one_write_apart_at_most(box, sidesnap):
    """One writer, the same counter to PostgreSQL and then to Redis: fifty sets under that load."""
    db = postgres.start(box, mounts=[(box.volume("pg"), "/var/lib/postgresql/data")])
    cache = redis.start(box, word="cache", command=["redis-server", "--appendonly", "yes", "--appendfsync", "always"])
    postgres.sql(db, "CREATE TABLE counter (n bigint)")
    postgres.sql(db, "INSERT INTO counter VALUES (0)")

    # A command that the engine starts in a container while it freezes is no way to write: one that runs is.
    script = (
        "i=0; while :; do i=$((i+1)); psql -Xq -h $PG -U postgres -c \"UPDATE counter SET n = $i\" || exit;"
        " exec 3<>/dev/tcp/$REDIS/6379; printf 'SET counter %s\\r\\n' $i >&3; read -r -t 60 <&3; exec 3>&-; done"
    )
    writer = box.run(
        "writer",
        "postgres",
        ["bash", "-c", script],
        Entrypoint=[],
        Env=[f"PG={address(db)}", f"REDIS={address(cache.container)}", f"PGPASSWORD={postgres.PASSWORD}"],
    )
    wait_for(lambda: cache("GET", "counter") not in ("", "0", "1"), "the writer", 60)
    frozen, last = [], 0
    for number in range(int(os.environ.get("SIDESNAP_TEST_SETS", "50"))):
        tag = box.tag()
        made = sidesnap.json("create", db.name, cache.container.name, "-t", tag)
        frozen.append(made["frozen_ms"])
        # Removed with its volumes, so that the next one is its own.
        one = postgres.ready(box.boot("one", f"{tag}-{db.name}"))
        first = int(postgres.sql(one, "SELECT n FROM counter"))
        two = cache.like(box.boot("two", f"{tag}-{cache.container.name}"))
        second = int(two("GET", "counter"))
        assert first - 1 <= second <= first and second > last, (number, first, second, last)
        last = second
        for copy in (one, two.container):
            copy.remove()
        sidesnap("rm", "--force", tag)
    assert writer.state()["Running"], writer.logs()
    print(f"frozen for {sorted(frozen)} ms")
