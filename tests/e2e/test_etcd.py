"""etcd: its file is written in pages and mapped by its reader; the official image has no shell."""

import base64
import http.client
import json

import pytest

from conftest import Box, booted
from support.api import wait_for
from support.cli import FAILED
from support.data_diff import assert_tried, differences
from support.images import Images
from support.servers import Writer, address, difference, move

COUNT = 20000
ENVIRONMENT = ["ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379", "ETCD_ADVERTISE_CLIENT_URLS=http://127.0.0.1:2379"]


def ready(container, timeout=60):
    def answers():
        state = container.state()
        assert state["Running"], f"{container.name} ended: {container.logs()[-3000:]}"
        return container.exec(["etcdctl", "endpoint", "health"], check=False)[0] == 0

    wait_for(answers, f"{container.name} gets ready", timeout, 0.2)
    return container


def encoded(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


class Client:
    """Over the JSON that etcd speaks beside gRPC."""

    def __init__(self, container):
        self.connection = http.client.HTTPConnection(address(container), 2379, timeout=60)

    def call(self, path, body):
        self.connection.request("POST", "/v3/" + path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return json.loads(data)

    def put(self, key, value):
        self.call("kv/put", {"key": encoded(key), "value": encoded(value)})

    def put_all(self, pairs):
        """128 to a transaction: what a server allows."""
        pairs = list(pairs)
        for start in range(0, len(pairs), 128):
            puts = [
                {"requestPut": {"key": encoded(k), "value": encoded(v)}} for k, v in pairs[start : start + 128]
            ]
            self.call("kv/txn", {"success": puts})


def pair(number):
    return f"/registry/schlüssel/{number:06}😀", f"wert {number}\n\tü".encode() + b"\xff\0" + b"v" * (
        900000 if number % 5000 == 0 else 100
    )


def dump(container):
    """All keys with their values, revisions and leases, by etcd's own tool; users and roles."""
    keys = json.loads(container.exec(["etcdctl", "get", "", "--prefix", "-w", "json"], timeout=300))
    users = container.exec(["etcdctl", "user", "list"]), container.exec(["etcdctl", "role", "list"])
    return keys.get("kvs"), users


def start(box, image, mounts=(), command=None):
    container = box.run("etcd", image, command, mounts, Env=ENVIRONMENT)
    return ready(container)


def test_image_without_a_shell(box, sidesnap):
    """Detection, readiness and the restore need nothing but etcd's own programs."""
    server = start(box, "etcd-bare", [(box.volume("data"), "/var/lib/etcd")])
    client = Client(server)
    client.put_all(pair(n) for n in range(1, 500))
    writer = Writer(lambda n: client.put(f"/w/{n}", str(n)))
    tag = box.tag()
    result = sidesnap.create(server.name, tag)
    writer.stop()
    assert result["driver"] == "etcd" and result["consistency"] == "frozen"
    sidesnap("run", tag, "--name", box.name("copy"))
    keys = json.loads(box.container("copy").exec(["etcdctl", "get", "/w/", "--prefix", "-w", "json"]))["kvs"]
    assert writer.assert_in([int(base64.b64decode(k["value"])) for k in keys], result["created"]) > 10
    server.exec(["etcdctl", "del", "", "--prefix"])
    assert sidesnap.json("reset", server.name, tag, "--yes")["ready"] is True
    assert int(server.exec(["etcdctl", "get", "/registry", "--prefix", "--keys-only"]).count("/registry")) == 499


@pytest.fixture(params=["etcd", "etcd35"])
def server(box, request):
    server = start(box, request.param, [(box.volume("data"), "/var/lib/etcd")])
    Client(server).put_all(pair(n) for n in range(1, COUNT + 1))
    server.exec(["etcdctl", "user", "add", "anna", "--no-password"])
    server.exec(["etcdctl", "role", "add", "leser"])
    server.exec(["etcdctl", "user", "grant-role", "anna", "leser"])
    lease = server.exec(["etcdctl", "lease", "grant", "90000"]).split()[1]
    server.exec(["etcdctl", "put", "leased", "x", f"--lease={lease}"])
    return server


@pytest.mark.database
def test_create_under_load_and_boot_elsewhere(box, sidesnap, server, newer):
    client = Client(server)
    writer = Writer(lambda n: client.put(f"w/{n}", str(n)))
    tag = box.tag()
    result = sidesnap.create(server.name, tag)
    writer.stop()
    server.exec(["etcdctl", "del", "w/", "--prefix"])
    before = dump(server)
    assert len(before[0]) == COUNT + 1 and "anna" in before[1][0]
    copy = ready(booted(box.boot("copy", tag)))
    found = json.loads(copy.exec(["etcdctl", "get", "w/", "--prefix", "-w", "json"]))["kvs"]
    assert writer.assert_in([int(base64.b64decode(k["value"])) for k in found], result["created"]) > 10
    copy.exec(["etcdctl", "del", "w/", "--prefix"])
    assert difference(dump(copy), before) is None
    hashes = [json.loads(c.exec(["etcdctl", "endpoint", "status", "-w", "json"])) for c in (copy, server)]
    assert hashes[0][0]["Status"]["header"]["member_id"] == hashes[1][0]["Status"]["header"]["member_id"]
    far = Box(newer.engine, Images(newer.engine))
    try:
        move(box.engine, tag, far.engine)
        there = ready(booted(far.boot("etcd", tag)))
        there.exec(["etcdctl", "del", "w/", "--prefix"])
        assert difference(dump(there), before) is None
    finally:
        far.close()


@pytest.mark.database
def test_reset_replace_undo(box, sidesnap, server):
    tag = box.tag()
    sidesnap.create(server.name, tag)
    before = dump(server)
    server.exec(["etcdctl", "del", "/registry", "--prefix"])
    server.exec(["etcdctl", "put", "new", "key"])
    assert sidesnap.json("reset", server.name, tag, "--yes")["ready"] is True
    assert difference(dump(server), before) is None
    server.exec(["etcdctl", "user", "add", "berta", "--no-password"])
    changed = dump(server)
    assert sidesnap.json("replace", server.name, tag, "--yes")["ready"] is True
    assert difference(dump(box.container("etcd")), before) is None
    sidesnap("undo", server.name, "--yes")
    assert difference(dump(ready(box.container("etcd"))), changed) is None


@pytest.mark.database
def test_a_changed_page_costs_a_page(box, sidesnap, server):
    """One key of 20,000 overwritten: bolt writes its path of pages anew, not the file. 0.3 MB were measured."""
    tags = [box.tag() for _ in range(3)]
    sidesnap.create(server.name, tags[0])
    stored = []
    for tag in tags[1:]:
        Client(server).put(*pair(7))
        stored.append(sidesnap.create(server.name, tag)["new_bytes"])
    print("stored after one put:", stored)
    assert max(stored) < 600_000, stored


@pytest.mark.database
def test_data_in_the_container_itself(box, sidesnap):
    """The official image has no volume: what a container without one holds is carried as own files."""
    server = start(box, "etcd35")
    Client(server).put_all(pair(n) for n in range(1, 300))
    tag = box.tag()
    assert sidesnap.create(server.name, tag)["driver"] == "etcd"
    assert difference(dump(ready(booted(box.boot("copy", tag)))), dump(server)) is None


@pytest.mark.database
def test_data_directory_by_option(box, sidesnap):
    command = ["etcd", "--data-dir=/elsewhere", "--listen-client-urls=http://0.0.0.0:2379",
               "--advertise-client-urls=http://127.0.0.1:2379"]
    server = ready(box.run("etcd", "etcd", command, [(box.volume("data"), "/elsewhere")]))
    server.exec(["etcdctl", "put", "a", "b"])
    tag = box.tag()
    result = sidesnap.create(server.name, tag)
    assert result["driver"] == "etcd"
    assert difference(dump(ready(booted(box.boot("copy", tag)))), dump(server)) is None


@pytest.mark.database
def test_logical_and_onto_a_newer_etcd(box, sidesnap, server):
    """etcd's own snapshot, restored before the server starts: here by the same version and by 3.5."""
    before = dump(server)
    tag = box.tag()
    result = sidesnap.create(server.name, tag, "--logical", timeout=300)
    assert result["consistency"] == "logical" and result["driver"] == "etcd"
    copy = ready(booted(box.boot("copy", tag), timeout=120))
    assert difference(dump(copy), before) is None
    assert copy.exec("ls -A /.sidesnap").split().count("load") == 0
    copy.stop(10)
    copy.start()
    assert difference(dump(ready(booted(copy))), before) is None
    onto = box.tag()
    sidesnap.create(server.name, onto, "--logical", "--onto", box.images("etcd35"), timeout=300)
    newer = ready(booted(box.boot("newer", onto), timeout=120))
    assert "3.5" in newer.exec(["etcdctl", "version"]) and difference(dump(newer), before) is None


@pytest.mark.database
def test_a_dump_without_a_shell_is_refused_with_a_reason(box, sidesnap, tmp_path):
    server = start(box, "etcd-bare", [(box.volume("data"), "/var/lib/etcd")])
    sidesnap.fails(FAILED, "dump", server.name, "-o", tmp_path / "x", says="sh")
    assert not list(tmp_path.iterdir())


@pytest.mark.database
@pytest.mark.parametrize("image", ["etcd", "etcd-bare"])
def test_diff_data(box, sidesnap, image):
    """Keys and values of any bytes, by etcdctl alone: the official image has nothing else."""
    server = start(box, image, [(box.volume("data"), "/var/lib/etcd")])
    client = Client(server)
    client.put_all(pair(n) for n in range(1, 3000))
    client.put(b"\xff\x00\t", b"\\N")
    client.put("leer", "")
    server.exec(["etcdctl", "role", "add", "leser"])
    tags = [box.tag() for _ in range(3)]
    sidesnap.create(server.name, tags[0])
    sidesnap.create(server.name, tags[1])
    assert sidesnap.json("diff", "--data", tags[0], tags[1], timeout=300)["same"] is True
    client.put(pair(7)[0], 'neu "€😀"\n\\')
    client.put("leer", b"\x00")
    client.put("ä\tb", b"\xfe")
    server.exec(["etcdctl", "del", pair(11)[0]])
    server.exec(["etcdctl", "role", "add", "schreiber"])
    server.exec(["etcdctl", "user", "add", "anna", "--no-password"])
    sidesnap.create(server.name, tags[2])
    found, _ = differences(sidesnap, tags[1], tags[2])
    assert set(found) == {
        ("keys", (pair(7)[0],)), ("keys", ("leer",)), ("keys", ("ä\tb",)), ("keys", (pair(11)[0],)),
        ("roles", ("schreiber",)), ("users", ("anna",)),
    }
    assert found["keys", (pair(7)[0],)][1] == {"value": 'neu "€😀"\n\\'}
    assert found["keys", ("leer",)] == ({"value": ""}, {"value": "base64 AA=="})
    assert found["keys", ("ä\tb",)] == (None, {"value": "base64 /g==", "lease": "0"})
    assert found["keys", (pair(11)[0],)][1] is None
    if image == "etcd":
        assert_tried(sidesnap, "etcd", server.name)
