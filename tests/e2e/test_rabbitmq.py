"""
RabbitMQ: its node is rabbit@HOST, and its data are found only under that name; messages that a
publisher was told are safe must be there.
"""

import json

import pytest

from conftest import Box, booted
from support import amqp
from support.api import wait_for
from support.data_diff import assert_tried, differences
from support.images import Images
from support.servers import Writer, address, move

pytestmark = pytest.mark.database
COUNT = 20000
QUEUES = {"plain": {}, "quorum": {"queue_type": "quorum"}}


def tool(container, *words, check=True):
    """Never as root: before the server has made its cookie, the tool makes one that only root can read."""
    return container.exec(["rabbitmqctl", "-q", *words], user="rabbitmq", check=check)


def ready(container, timeout=90):
    def answers():
        state = container.state()
        assert state["Running"], f"{container.name} ended: {container.logs()[-3000:]}"
        return tool(container, "await_startup", "--timeout", "20", check=False)[0] == 0

    wait_for(answers, f"{container.name} gets ready", timeout, 0.2)
    return container


def definitions(container):
    """As the server's own export has them; it lists them in no order."""
    exported = json.loads(tool(container, "export_definitions", "-"))
    for vhost in exported["vhosts"]:
        vhost["metadata"]["tags"] = vhost["metadata"]["tags"] or []  # 3.10 has "" for none, until it is imported
    for kind, objects in exported.items():
        if isinstance(objects, list):
            exported[kind] = sorted(objects, key=lambda one: json.dumps(one, sort_keys=True))
    return exported


def queues(container):
    """{name: messages}, as each queue itself tells: what the tool lists of a quorum queue is gathered later."""
    names = json.loads(tool(container, "list_queues", "-p", "shop", "name", "--formatter", "json"))
    asker = client(container)
    found = {}
    for name in (row["name"] for row in names):
        found[name] = asker.declare(name, **QUEUES["quorum" if "quorum" in name else "plain"])
    asker.close()
    return found


def client(container):
    return amqp.Client(address(container), "anna", "pässwört", "shop")


def body(number):
    return f"message {number} ü€😀\n".encode() + (b"x" * 100000 if number % 2000 == 0 else b"")


@pytest.fixture(params=["rabbitmq", "rabbitmq4"])
def server(box, request):
    """With users, a policy, and a filled queue of each kind. Nobody has given it a host name."""
    server = ready(box.run("mq", request.param, mounts=[(box.volume("data"), "/var/lib/rabbitmq")]))
    for words in (
        ["add_vhost", "shop"],
        ["add_user", "anna", "pässwört"],
        ["set_permissions", "-p", "shop", "anna", ".*", ".*", ".*"],
        ["set_policy", "-p", "shop", "short", "^short", '{"max-length":3}'],
    ):
        tool(server, *words)
    filler = client(server)
    for name, arguments in QUEUES.items():
        filler.declare(name, **arguments)
        for start in range(1, COUNT // 2, 1000):
            filler.send(name, [body(number) for number in range(start, start + 1000)])
    filler.close()
    return server


def assert_messages(copy, extra=()):
    """Every message of the start is there, in its order."""
    reader = client(copy)
    for name in QUEUES:
        assert reader.drain(name, COUNT // 2) == [body(number) for number in range(1, COUNT // 2 + 1)], name
        reader.close()
        reader = client(copy)
    for name, count in extra:
        yield [int(text) for text in reader.drain(name, count)]
        reader.close()
        reader = client(copy)
    reader.close()


def test_create_under_load_and_boot_under_another_host_name(box, sidesnap, server, newer):
    """Here, on another engine, and after a restart of the copy."""
    writers = {}
    for name, arguments in QUEUES.items():
        publisher = client(server)
        publisher.declare("w-" + name, **arguments)
        writers["w-" + name] = Writer(lambda n, p=publisher, q="w-" + name: p.send(q, [str(n).encode()]))
    tag = box.tag()
    result = sidesnap.create(server.name, tag)
    for writer in writers.values():
        writer.stop()
    assert result["driver"] == "rabbitmq" and result["consistency"] == "frozen"
    before = definitions(server)
    copy = ready(booted(box.boot("copy", tag)))
    assert copy.exec(["hostname"]) != server.exec(["hostname"])
    assert definitions(copy) == before
    counts = queues(copy)
    order = [(name, counts[name]) for name in writers]
    for (name, _), numbers in zip(order, assert_messages(copy, order)):
        assert writers[name].assert_in(numbers, result["created"]) > 10
    copy.stop(20)
    copy.start()
    ready(booted(copy))
    assert definitions(copy) == before and queues(copy)["plain"] == 0
    far = Box(newer.engine, Images(newer.engine))
    try:
        move(box.engine, tag, far.engine)
        there = ready(booted(far.boot("mq", tag)))
        assert definitions(there) == before
        assert queues(there)["quorum"] == COUNT // 2
    finally:
        far.close()


def test_reset_replace_undo(box, sidesnap, server):
    tag = box.tag()
    sidesnap.create(server.name, tag)
    before = definitions(server)
    publisher = client(server)
    publisher.declare("later")
    publisher.send("later", [b"gone"])
    publisher.drain("plain", 100)
    publisher.close()
    assert sidesnap.json("reset", server.name, tag, "--yes", timeout=300)["ready"] is True
    assert definitions(server) == before
    # a quorum queue counts what it holds once it has elected its leader
    wait_for(lambda: queues(server) == {name: COUNT // 2 for name in QUEUES}, "all messages are there", 60)
    publisher = client(server)
    publisher.declare("later")
    publisher.close()
    changed = definitions(server)
    assert sidesnap.json("replace", server.name, tag, "--yes", timeout=300)["ready"] is True
    assert definitions(box.container("mq")) == before
    assert not list(assert_messages(box.container("mq")))
    sidesnap("undo", server.name, "--yes", timeout=300)
    assert definitions(ready(box.container("mq"))) == changed


def test_a_copy_beside_the_original(box, sidesnap, server):
    """The name of its node leads to itself, not to the original in the same network."""
    tag = box.tag()
    sidesnap.create(server.name, tag)
    sidesnap("run", tag, "--name", box.name("copy"), timeout=300)
    copy = box.container("copy")
    tool(copy, "add_user", "berta", "x")
    assert "berta" not in tool(server, "list_users")
    second = box.tag()
    assert sidesnap.create(copy.name, second)["driver"] == "rabbitmq"
    grandchild = ready(booted(box.boot("grandchild", second)))
    assert "berta" in tool(grandchild, "list_users")


def test_definitions_logically(box, sidesnap, server, tmp_path):
    """Users, permissions, policies and queues; no message, which the file's name says."""
    before = definitions(server)
    tag = box.tag()
    assert sidesnap.create(server.name, tag, "--logical", timeout=300)["consistency"] == "logical"
    copy = ready(booted(box.boot("copy", tag, wait=False), timeout=180))
    assert "definitions-without-messages.json" in copy.logs()
    assert definitions(copy) == before
    assert queues(copy) == {name: 0 for name in QUEUES}
    client(copy).close()
    file = tmp_path / "definitions.json"
    sidesnap("dump", server.name, "-o", file)
    tool(server, "delete_user", "anna")
    sidesnap("load", server.name, "-i", file, "--yes", "--no-safety", timeout=300)
    assert definitions(server) == before


@pytest.mark.parametrize("image", ["rabbitmq", "rabbitmq4"])
def test_diff_data(box, sidesnap, image):
    """Definitions, and how many messages each queue holds; a quorum queue is asked itself."""
    server = ready(box.run("mq", image, mounts=[(box.volume("data"), "/var/lib/rabbitmq")]))
    for words in (
        ["add_vhost", "shop"],
        ["add_user", "anna", "pässwört"],
        ["set_permissions", "-p", "shop", "anna", ".*", ".*", ".*"],
        ["set_policy", "-p", "shop", "kürz", "^short\\.", '{"max-length":3}'],
    ):
        tool(server, *words)
    filler = client(server)
    for name, arguments in QUEUES.items():
        filler.declare(name, **arguments)
        filler.send(name, [body(number) for number in range(1, 101)])
    filler.close()
    tags = [box.tag() for _ in range(3)]
    sidesnap.create(server.name, tags[0])
    sidesnap.create(server.name, tags[1])
    assert sidesnap.json("diff", "--data", tags[0], tags[1], timeout=600)["same"] is True
    tool(server, "set_policy", "-p", "shop", "kürz", "^short\\.", '{"max-length":4}')
    tool(server, "change_password", "anna", "neu")
    tool(server, "add_user", "berta", "x")
    filler = amqp.Client(address(server), "anna", "neu", "shop")
    filler.declare("schlänge")
    filler.drain("plain", 30)
    filler.send("quorum", [b"one more"])
    filler.close()
    wait_for(lambda: not tool(server, "list_connections", "pid").strip().count("<"), "nobody is connected", 30)
    sidesnap.create(server.name, tags[2])
    found, _ = differences(sidesnap, tags[1], tags[2])
    found = {key: change for (_, key), change in found.items()}
    assert set(found) == {
        ("policies", "shop", "kürz"), ("users", "", "anna"), ("users", "", "berta"),
        ("queues", "shop", "plain"), ("queues", "shop", "quorum"), ("queues", "shop", "schlänge"),
    }
    policies = [json.loads(side["settings"])["definition"] for side in found["policies", "shop", "kürz"]]
    assert policies == [{"max-length": 3}, {"max-length": 4}]
    passwords = [json.loads(side["settings"])["password"] for side in found["users", "", "anna"]]
    assert passwords[0] != passwords[1] and all(p.startswith("one with fingerprint ") for p in passwords)
    assert found["users", "", "berta"][0] is None
    assert found["queues", "shop", "plain"] == ({"messages": "100"}, {"messages": "70"})
    assert found["queues", "shop", "quorum"] == ({"messages": "100"}, {"messages": "101"})
    assert found["queues", "shop", "schlänge"][1]["messages"] == "0"
    # The dump has no messages: its load is only the same where there are none.
    tool(server, "purge_queue", "-p", "shop", "plain")
    tool(server, "purge_queue", "-p", "shop", "quorum")
    assert_tried(sidesnap, "rabbitmq", server.name)
