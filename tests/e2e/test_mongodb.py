"""
MongoDB's driver on FerretDB, which speaks the protocol above SQLite, with what stands in place of
MongoDB's own tools (tests/images/ferretdb): docs/databases.md says what that proves and what not.
"""

import json
import os
import re
import threading
import time

import pytest

from conftest import booted
from support.api import wait_for
from support.cli import REFUSED
from support.images import ROOT

pytestmark = pytest.mark.database

USER, PASSWORD = "root", "pass 'word\\\"$HOME"
DOCUMENTS = 20000
SECRETS = [f"MONGO_INITDB_ROOT_USERNAME={USER}", f"MONGO_INITDB_ROOT_PASSWORD={PASSWORD}"]

FILL = """
const items = db.getSiblingDB('app').getCollection('items');
for (let start = 0; start < %d; start += 1000) {
  const documents = [];
  for (let i = start; i < start + 1000; i++)
    documents.push({_id: i, name: 'ключ ☃ 𝄞 ' + i, tags: ['a\\tb', 'c\\\\d'], price: i / 8,
                    big: i %% 1000 ? '' : 'x'.repeat(300000)});
  items.insertMany(documents);
}
items.createIndex({name: 1}, {unique: true});
db.getSiblingDB('app').runCommand({createUser: 'app', pwd: 'of the app', roles: []});
db.getSiblingDB('empty').runCommand({create: 'nothing'});
""" % DOCUMENTS

# Numbers what it writes, and says each number once the server has confirmed it.
WRITE = """
const log = db.getSiblingDB('app').getCollection('log');
for (let i = 0; ; i++) {
  log.insertMany([{_id: i, text: 'y'.repeat(500)}]);
  print(i);
}
"""

# All that the server holds, in an order of its own, as one hash would see it.
CONTENT = """
const all = db.adminCommand({listDatabases: 1}).databases.map((each) => each.name).sort();
for (const name of all) {
  const database = db.getSiblingDB(name);
  const found = database.runCommand({listCollections: 1}).cursor.firstBatch.map((each) => each.name).sort();
  for (const collection of found) {
    if (name === 'app' && collection === 'log') continue;
    print('#', name, collection, EJSON.stringify(database.getCollection(collection).getIndexes()));
    database.getCollection(collection).find().sort({_id: 1}).forEach((each) => print(EJSON.stringify(each, {relaxed: false})));
  }
}
"""


LOGIN = (
    "const {MONGO_INITDB_ROOT_USERNAME: user, MONGO_INITDB_ROOT_PASSWORD: password} = process.env;"
    "if (user) db.auth(user, password);"
)


def shell(container, script, **more):
    return container.exec(["mongosh", "--quiet", "admin", "--eval", LOGIN + script], **more)


def start(box, word="db", command=None, mounts=(), env=SECRETS, **config):
    container = box.run(word, "ferretdb", command, mounts, Env=list(env), **config)
    return ready(container)


def ready(container):
    address = "db.adminCommand({ping: 1})"

    def answers():
        assert container.state()["Running"], f"{container.name} ended: {container.logs()[-3000:]}"
        host = container.inspect()["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        return container.exec(["mongosh", "--host", host, "--eval", address], check=False)[0] == 0

    wait_for(answers, f"{container.name} gets ready", 60, 0.2)
    return container


def environment(secrets=SECRETS):
    return [word for each in secrets for word in ("-e", each)]


def test_readiness_is_not_that_of_the_initialisation(box, sidesnap):
    """While it is initialised the server answers on 127.0.0.1, and must not be taken for ready."""
    db = start(box)
    tag = box.tag()
    assert sidesnap.create(db.name, tag, "--exclude", "/data/db")["driver"] == "mongodb"
    given = [*environment(), "-e", "INITIALISATION_TAKES=4"]
    began = time.monotonic()
    sidesnap("run", *given, "--name", box.name("copy"), tag)
    assert time.monotonic() - began > 4
    copy = box.container("copy")
    assert copy.exec(["cat", "/proc/1/comm"]).strip() == "mongod"
    assert shell(copy, "print(db.runCommand({ping: 1}).ok)").strip() == "1"


def test_users_and_documents_under_load(box, sidesnap):
    """The whole physical path: create while it is written to, boot, reset, replace."""
    volume = box.volume("data")
    db = start(box, mounts=[(volume, "/data/db")])
    shell(db, FILL)
    content = shell(db, CONTENT)
    writer = Writer(db)
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert result["driver"] == "mongodb" and result["consistency"] == "frozen"
    writer.stop()
    everything = str(box.engine.image(tag)) + str(box.engine.history(tag))
    assert "'word" not in everything
    assert "MONGO_INITDB_ROOT_PASSWORD" in result["omitted_variables"]
    copy = ready(booted(box.boot("copy", tag, Env=SECRETS)))
    assert shell(copy, CONTENT) == content
    assert_numbers_are_whole(copy)
    login = "db.getSiblingDB('app').auth('app', 'of the app'); print('in')"
    assert copy.exec(["mongosh", "--eval", login]).strip() == "in"
    shell(db, "db.getSiblingDB('app').runCommand({dropDatabase: 1})")
    assert sidesnap.json("reset", db.name, tag, "--yes")["ready"] is True
    assert shell(ready(db), CONTENT) == content
    shell(db, "db.getSiblingDB('app').runCommand({dropDatabase: 1})")
    assert sidesnap.json("replace", db.name, tag, "--yes")["ready"] is True
    now = ready(box.container("db"))
    assert shell(now, CONTENT) == content
    assert_numbers_are_whole(now)


class Writer:
    """Writes numbered documents; the numbers that the server has confirmed are in a file of the container."""

    def __init__(self, container):
        self.container = container
        command = 'echo $$ >/tmp/writer; exec mongosh --quiet admin --eval "$SCRIPT" >/tmp/confirmed'
        self.thread = threading.Thread(
            target=lambda: container.exec(command, check=False, env=[f"SCRIPT={LOGIN}{WRITE}"], timeout=600), daemon=True
        )
        self.thread.start()
        wait_for(lambda: len(confirmed(container)) > 20, "the first documents", 60)

    def stop(self):
        self.container.exec("kill $(cat /tmp/writer)")
        self.thread.join(30)


def confirmed(container):
    lines = container.exec(["cat", "/tmp/confirmed"], check=False)[1].split("\n")
    return lines[:-1]


def assert_numbers_are_whole(copy):
    """Every document that was confirmed before the freeze, at most the one that was in flight, no gaps."""
    told = len(confirmed(copy))
    script = "print(db.getSiblingDB('app').getCollection('log').find().sort({_id: 1}).toArray().map((each) => each._id).join(' '))"
    held = shell(copy, script).split()
    assert held == [str(n) for n in range(len(held))]
    assert 20 < told <= len(held) <= told + 1


@pytest.fixture
def filled(box):
    db = start(box)
    shell(db, FILL)
    return db


def pipe(sidesnap, source, target, *options):
    """sidesnap dump SOURCE | sidesnap load TARGET, in one pipe."""
    dump = sidesnap.start("dump", source.name)
    load = sidesnap.start("load", target.name, "--yes", *options, stdin=dump.stdout)
    dump.stdout.close()
    out = load.communicate(timeout=300)
    assert dump.wait(60) == 0, dump.stderr.read()
    assert load.returncode == 0, out


def test_dump_and_load_in_pipes(box, sidesnap, filled):
    """Of a server with other documents and another password: afterwards it is as the first one was."""
    secrets = ["MONGO_INITDB_ROOT_USERNAME=root", "MONGO_INITDB_ROOT_PASSWORD=another"]
    other = start(box, "other", env=secrets)
    shell(other, "db.getSiblingDB('app').getCollection('items').insertMany([{_id: 'stale'}])")
    content = shell(filled, CONTENT)
    pipe(sidesnap, filled, other, "--no-safety")
    # Users are part of the dump, the one that the dump came by with its password.
    came = f"db.auth('root', {json.dumps(PASSWORD)});"
    assert other.exec(["mongosh", "admin", "--eval", came + CONTENT]) == content
    for container in (filled, other):
        assert not [line for line in processes(container) if "'word" in line]


def processes(container):
    top = container.engine.json("GET", f"/containers/{container.id}/top")
    return [" ".join(row) for row in top["Processes"]]


def test_a_dump_that_is_not_whole_is_none(box, sidesnap, scratch):
    """Cut off, of an empty server, or by somebody who may not read: never a success that is none."""
    db = start(box)
    path = scratch + "/dump"
    sidesnap("dump", db.name, "-o", path)
    shell(db, "db.getSiblingDB('app').getCollection('items').insertMany([{_id: 1, text: 'x'.repeat(100000)}])")
    sidesnap("dump", db.name, "-o", path + "2")
    whole = open(path + "2", "rb").read()
    assert whole[:4] == b"\x6d\xe2\x99\x81" and whole[-4:] == b"\xff" * 4
    for size in (3, 100, 60000, len(whole) - 4, len(whole) - 100):
        result = sidesnap("load", db.name, "--yes", "--no-safety", input=whole[:size], code=None)
        assert result.code != 0, f"{size} bytes of {len(whole)} were loaded"
    sidesnap("load", db.name, "--yes", "--no-safety", input=whole)
    assert shell(db, "print(db.getSiblingDB('app').getCollection('items').countDocuments())").strip() == "1"


def test_a_member_of_a_sharded_cluster_is_refused(box, sidesnap):
    """Before anything is done: no helper, no image; and a label that says that files will do is heard."""
    router = box.run("router", "ferretdb", ["-c", "exec -a mongos sleep 1000"], Entrypoint=["bash"])
    member = box.run("member", "ferretdb", ["--shardsvr"], Entrypoint=["bash", "-c", "exec -a mongod sleep 1000"])
    for container, reason in ((router, "mongos holds no data"), (member, "sharded cluster")):
        wait_for(lambda: any("mongo" in line for line in processes(container)), "its process")
        for verb in (["create"], ["create", "--dry-run"], ["dump"], ["load", "--yes"]):
            sidesnap.fails(REFUSED, *verb, container.name, says=[reason, "sidesnap.driver=none"])
    plain = box.run(
        "plain", "ferretdb", ["-c", "exec -a mongos sleep 1000"], Entrypoint=["bash"], Labels={"sidesnap.driver": "none"}
    )
    assert sidesnap.create(plain.name, box.tag())["driver"] == ""


def test_logical_snapshot(box, sidesnap, filled):
    """Under load; at its first boot it loads into an empty server, which is not ready before; another password."""
    content = shell(filled, CONTENT)
    writer = Writer(filled)
    tag = box.tag()
    result = sidesnap("create", filled.name, "-t", tag, "--logical", "--json", timeout=300).json()
    assert result["driver"] == "mongodb" and result["consistency"] == "logical"
    writer.stop()
    name = box.name("copy")
    sidesnap("run", tag, *environment(), "--name", name, timeout=300)
    copy = box.container("copy")
    assert shell(copy, CONTENT) == content
    held = shell(copy, "print(db.getSiblingDB('app').getCollection('log').find().toArray().length)")
    assert int(held) > 0
    login = "db.getSiblingDB('app').auth('app', 'of the app'); print('in')"
    assert copy.exec(["mongosh", "--eval", login]).strip() == "in"
    copy.stop()
    copy.start()
    assert shell(ready(copy), CONTENT) == content


def test_one_database(box, sidesnap, filled):
    """--database: its collections, and nothing of the others."""
    shell(filled, "db.getSiblingDB('other').getCollection('kept').insertMany([{_id: 1}])")
    tag = box.tag()
    sidesnap("create", filled.name, "-t", tag, "--database", "app", timeout=300)
    sidesnap("run", tag, *environment(), "--name", box.name("copy"), timeout=300)
    copy = box.container("copy")
    names = shell(copy, "print(db.adminCommand({listDatabases: 1}).databases.map((each) => each.name).sort().join())")
    assert names.strip() == "admin,app"
    assert shell(copy, "print(db.getSiblingDB('app').getCollection('items').countDocuments())").strip() == str(DOCUMENTS)


def test_what_differs_between_two_snapshots(box, sidesnap, filled):
    first, second = box.tag(), box.tag()
    sidesnap.create(filled.name, first)
    shell(
        filled,
        "const items = db.getSiblingDB('app').getCollection('items');"
        "items.updateMany({_id: 7}, {$set: {price: 1.5}}); items.insertMany([{_id: 'new', name: 'ключ'}]);"
        "db.getSiblingDB('app').runCommand({delete: 'items', deletes: [{q: {_id: 9}, limit: 1}]});"
        "db.getSiblingDB('app').runCommand({createUser: 'second', pwd: 'x', roles: []});",
    )
    sidesnap.create(filled.name, second)
    result = sidesnap("diff", "--data", "--rows", "9", first, second, code=1, timeout=500)
    assert "items" in result.out and '"new"' in result.out and "1.5" in result.out


# A server that answers as mongod is documented to: "state" is what its replica set is like.
FAKE = """
const asked = [];
sleep = () => { state.patience = (state.patience || 0) + 1; };
const refuse = (code, text) => { throw Object.assign(new Error(text), {code: code}); };
db = {getSiblingDB: () => ({auth: () => ({ok: 1}), runCommand: (command) => {
  asked.push(command);
  if (command.isMaster) return {ok: 1, ismaster: Boolean(state.primary)};
  if (command.replSetGetConfig) return state.config ? {ok: 1, config: state.config} : refuse(state.code, 'none');
  if (command.replSetGetStatus) return state.lost ? refuse(93, 'not a member') : {ok: 1, myState: 2};
  if (command.replSetReconfig) {
    if (!state.hears.includes(command.replSetReconfig.members[0].host)) refuse(103, 'no host maps to this node');
    state.lost = false; state.primary = true;
    return {ok: 1};
  }
  refuse(59, 'no such command');
}})};
"""


def run_finish(container, state):
    """The driver's own script, with a server that is made up; what it said, and what it asked to change."""
    with open(os.path.join(ROOT, "pkg", "driver", "data", "mongodb.json")) as file:
        driver = json.load(file)
    values = {"login": driver["values"]["login"]["default"], "source": "admin", "port": "27017", "shell": ""}
    script = driver["finish"]["steps"][0]["any"][1]["arguments"][-1]
    for _ in range(2):
        script = re.sub(r"\$\{(\w+)\}", lambda match: values[match.group(1)], script)
    script += ";print(JSON.stringify(asked.filter((each) => each.replSetReconfig)))"
    command = ["mongosh", "--quiet", "--eval", f"const state = {json.dumps(state)};{FAKE}{script}"]
    code, out, err = container.exec(command, check=False, env=["MONGO_SELF=new"])
    return code, out, err


def test_replica_set_of_one_member_under_another_host_name(box):
    """There is no mongod here: this is the driver's script alone, against documented answers."""
    db = start(box)
    config = {"_id": "rs0", "version": 3, "members": [{"_id": 0, "host": "old:27017", "priority": 1}]}
    for state in ({"code": 76}, {"code": 94}, {"code": 59}, {"config": config, "primary": True}):
        assert run_finish(db, state) == (0, "done\n[]\n", ""), state
    for hears in ("new:27017", "127.0.0.1:27017"):
        code, out, err = run_finish(db, {"config": config, "lost": True, "hears": [hears]})
        assert code == 0 and out.startswith("done\n"), (out, err)
        last = json.loads(out.split("\n")[1])[-1]
        assert last["force"] is True and last["replSetReconfig"]["version"] > 3
        assert last["replSetReconfig"]["members"] == [{"_id": 0, "host": hears, "priority": 1}]
    code, out, err = run_finish(db, {"config": config, "lost": True, "hears": []})
    assert code == 1 and "no host maps" in err
    many = {**config, "members": config["members"] * 3}
    code, out, err = run_finish(db, {"config": many, "lost": True, "hears": ["new:27017"]})
    assert code == 1 and "3 members" in err and "by hand" in err


def test_masked_snapshot(box, sidesnap, scratch):
    """A script of a person's runs where the image's own would, and its first error ends the create."""
    db = start(box, env=[*SECRETS, "MONGO_INITDB_DATABASE=app"])
    shell(db, "db.getSiblingDB('app').getCollection('people').insertMany([{_id: 1, name: 'planted secret name'}])")
    path = scratch + "/mask.js"
    with open(path, "w") as file:
        file.write("db.getCollection('people').updateMany({}, {$set: {name: 'somebody'}});\n")
    tag = box.tag()
    sidesnap("create", db.name, "-t", tag, "--mask", path, timeout=300)
    copy = ready(booted(box.boot("copy", tag, Env=SECRETS)))
    people = "print(EJSON.stringify(db.getSiblingDB('app').getCollection('people').find().toArray()))"
    assert shell(copy, people).strip() == '[{"_id":1,"name":"somebody"}]'
    with open(path, "a") as file:
        file.write("db.runCommand({noSuchCommand: 1});\n")
    result = sidesnap("create", db.name, "-t", box.tag(), "--mask", path, code=None, timeout=300)
    assert result.code == 2 and "noSuchCommand" in result.err, result
