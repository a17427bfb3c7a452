"""InfluxDB 1: points that were confirmed are in its log; its first start listens on 127.0.0.1 only."""

import base64
import http.client
import json
import tarfile
import urllib.parse

import pytest

from conftest import Box, booted
from support.api import wait_for
from support.data_diff import assert_tried, differences
from support.images import Images
from support.servers import Writer, address, difference, move

pytestmark = pytest.mark.database
COUNT = 20000
ADMIN, PASSWORD = "boss", "ge'he\\im"
ENVIRONMENT = [
    "INFLUXDB_HTTP_AUTH_ENABLED=true",
    f"INFLUXDB_ADMIN_USER={ADMIN}",
    f"INFLUXDB_ADMIN_PASSWORD={PASSWORD}",
    "INFLUXDB_DB=shop",
    "INFLUXDB_USER=anna",
    "INFLUXDB_USER_PASSWORD=anna pässword",
]


class Client:
    def __init__(self, container, user=ADMIN, password=PASSWORD):
        self.connection = http.client.HTTPConnection(address(container), 8086, timeout=60)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": "Basic " + token}

    def call(self, path, body="", expected=(200, 204)):
        self.connection.request("POST", path, body.encode(), self.headers)
        answer = self.connection.getresponse()
        data = answer.read()
        assert answer.status in expected, (answer.status, data)
        return data

    def write(self, lines):
        self.call("/write?db=shop&precision=s", "\n".join(lines))

    def ask(self, query):
        """[(tags, columns, values)] of one statement"""
        text = self.call("/query?" + urllib.parse.urlencode({"db": "shop", "q": query, "epoch": "s"}))
        result = json.loads(text)["results"][0]
        assert "error" not in result, result
        return [
            (s.get("tags"), s["columns"], [row for row in s.get("values", []) if row != ["_internal"]])
            for s in result.get("series", [])
            if s.get("name") != "_internal"  # it is there when the server has run for a while
        ]


def ready(container, timeout=60):
    """On the container's own address, as others see it."""

    def answers():
        state = container.state()
        assert state["Running"], f"{container.name} ended: {container.logs()[-3000:]}"
        words = ["influx", "-host", address(container), "-execute", "settings"]
        return container.exec(words, check=False)[0] == 0

    wait_for(answers, f"{container.name} gets ready", timeout, 0.2)
    return container


def point(number):
    text = "x" * 50000 if number % 4000 == 0 else f"täxt {number} 😀"
    return f'wetter,stadt=Köln\\ {number % 100},art=a temperatur={number}.5,zahl={number}i,text="{text}" {1700000000 + number}'


def dump(container):
    """The points of every measurement and who may what, by the server's own answers."""
    client = Client(container)
    return [
        client.ask(query)
        for query in (
            "SELECT * FROM wetter GROUP BY *",
            "SHOW DATABASES",
            "SHOW RETENTION POLICIES",
            "SHOW CONTINUOUS QUERIES",
            "SHOW USERS",
            "SHOW GRANTS FOR anna",
        )
    ]


def start(box, mounts=None, image="influxdb"):
    if mounts is None:
        mounts = [(box.volume("data"), "/var/lib/influxdb")]
    server = ready(box.run("influx", image, None, mounts, Env=ENVIRONMENT))
    client = Client(server)
    for first in range(1, COUNT, 2000):
        client.write(point(number) for number in range(first, first + 2000))
    client.ask('CREATE RETENTION POLICY "jahr" ON shop DURATION 52w REPLICATION 1')
    client.ask(
        "CREATE CONTINUOUS QUERY mittel ON shop BEGIN SELECT mean(temperatur) INTO jahr.mittel FROM wetter"
        " GROUP BY time(1h) END"
    )
    return server


@pytest.fixture
def server(box):
    return start(box)


def test_create_under_load_and_boot_elsewhere(box, sidesnap, server, newer):
    client = Client(server)
    writer = Writer(lambda n: client.write([f"w value={n}i {1700000000 + n}"]))
    tag = box.tag()
    result = sidesnap.create(server.name, tag)
    writer.stop()
    assert result["driver"] == "influxdb" and result["consistency"] == "frozen"
    before = dump(server)
    assert sum(len(values) for _, _, values in before[0]) == COUNT
    copy = ready(booted(box.boot("copy", tag)))
    rows = Client(copy).ask("SELECT value FROM w")[0][2]
    assert writer.assert_in([value for _, value in rows], result["created"]) > 10
    assert difference(dump(copy), before) is None
    assert Client(copy, "anna", "anna pässword").ask("SELECT count(zahl) FROM wetter")[0][2][0][1] == COUNT
    Client(copy, "anna", "wrong").call("/query?q=SHOW+DATABASES", expected=(401,))
    assert PASSWORD not in str(box.engine.image(tag)) + str(box.engine.history(tag))
    far = Box(newer.engine, Images(newer.engine))
    try:
        move(box.engine, tag, far.engine)
        assert difference(dump(ready(booted(far.boot("influx", tag)))), before) is None
    finally:
        far.close()


def test_reset_replace_undo(box, sidesnap, server):
    tag = box.tag()
    sidesnap.create(server.name, tag)
    before = dump(server)
    Client(server).ask("DROP MEASUREMENT wetter")
    assert sidesnap.json("reset", server.name, tag, "--yes")["ready"] is True
    assert difference(dump(server), before) is None
    Client(server).write([point(COUNT + 1)])
    changed = dump(server)
    assert changed != before
    assert sidesnap.json("replace", server.name, tag, "--yes")["ready"] is True
    assert difference(dump(box.container("influx")), before) is None
    sidesnap("undo", server.name, "--yes")
    assert difference(dump(ready(box.container("influx"))), changed) is None



def test_logical_and_load(box, sidesnap, server, tmp_path):
    """influxd's portable backup: points and retention policies; not users and continuous queries."""
    Client(server).ask("DROP CONTINUOUS QUERY mittel ON shop")
    before = dump(server)[:5]  # all but the grants
    tag = box.tag()
    assert sidesnap.create(server.name, tag, "--logical", timeout=300)["consistency"] == "logical"
    copy = ready(booted(box.boot("copy", tag, Env=ENVIRONMENT), timeout=120))
    assert difference(dump(copy)[:5], before) is None
    file = tmp_path / "influx.tar"
    sidesnap("dump", server.name, "-o", file)
    with tarfile.open(file) as whole:
        assert whole.getnames()[0].endswith(".manifest")
    Client(server).ask("DROP MEASUREMENT wetter")
    sidesnap("load", server.name, "-i", file, "--yes", "--no-safety", timeout=300)
    assert difference(dump(server)[:5], before) is None


def test_diff_data(box, sidesnap):
    """Points by time and tags, whatever shard they are in; text of any characters."""
    server = ready(box.run("influx", "influxdb", None, [(box.volume("data"), "/var/lib/influxdb")], Env=["INFLUXDB_DB=shop"]))
    client = Client(server)
    client.write(point(number) for number in range(1, 3001))
    client.write(['wetter,stadt=Köln,art=b temperatur=1,text="a\tb\\"c\\\\d\ne,",wahr=true 1600000000', "w x=1 5"])
    client.write([f"viele,k={n} x={n} 1650000000" for n in range(100)])  # of one instant
    client.ask('CREATE RETENTION POLICY "jahr" ON shop DURATION INF REPLICATION 1')
    client.call("/write?db=shop&rp=jahr&precision=s", "mittel zahl=3i 1700000000")
    tags = [box.tag() for _ in range(3)]
    sidesnap.create(server.name, tags[0])
    sidesnap.create(server.name, tags[1])
    assert sidesnap.json("diff", "--data", tags[0], tags[1], timeout=300)["same"] is True
    client.write(['wetter,stadt=Köln,art=b text="a\tb\\"c\\\\d\ne,😀" 1600000000'])
    client.write(["viele,k=100 x=1 1650000000"])
    client.call("/write?db=shop&rp=jahr&precision=s", "mittel zahl=4i 1700000000")
    client.ask("DROP MEASUREMENT w")
    client.ask('CREATE RETENTION POLICY "tag" ON shop DURATION 24h REPLICATION 1')
    client.ask("CREATE USER anna WITH PASSWORD 'x'")
    client.ask("GRANT READ ON shop TO anna")
    sidesnap.create(server.name, tags[2])
    found, _ = differences(sidesnap, tags[1], tags[2])
    second = "000000000"
    assert set(found) == {
        ("autogen.wetter", ("1600000000" + second, "b", "Köln")),
        ("autogen.viele", ("1650000000" + second, "100")),
        ("jahr.mittel", ("1700000000" + second,)),
        ("autogen.w", ("5" + second,)),
        ("retention policies", ("tag",)), ("users", ("anna",)), ("grants", ("anna", "shop")),
    }
    assert found["autogen.wetter", ("1600000000" + second, "b", "Köln")] == (
        {"text": 'a\tb"c\\d\ne,'}, {"text": 'a\tb"c\\d\ne,😀'},
    )
    assert found["autogen.viele", ("1650000000" + second, "100")] == (None, {"x": "1"})
    assert found["jahr.mittel", ("1700000000" + second,)] == ({"zahl": "3"}, {"zahl": "4"})
    assert found["autogen.w", ("5" + second,)] == ({"x": "1"}, None)
    assert found["grants", ("anna", "shop")] == (None, {"privilege": "READ"})
    # No dump has users.
    client.ask("DROP USER anna")
    assert_tried(sidesnap, "influxdb", server.name)
