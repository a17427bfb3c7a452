"""
Snapshots read at a registry without the engine and without their data: ls, show and diff with --remote,
through passwords, tokens, redirections and pages; and what they say where the registry fails or lies.
"""

import base64
import http.server
import json
import re
import signal
import threading
import time
import urllib.parse

import pytest

from conftest import Box
from support import trees
from support.api import wait_for
from support.cli import CANCELLED, DAMAGED, ENGINE, NOT_FOUND, REFUSED, USAGE, Sidesnap
from support.registry import PASSWORD, USER, docker_config, free_port

# What the front of a first layer has before its catalogs: the agent.
AGENT = 700 << 10
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def pushed(engine, images, registry, proxy, login):
    """Two snapshots of a container at the registry, beside an image that is none."""
    box = Box(engine, images)
    sidesnap = Sidesnap(engine.host, env=login)
    volume = box.volume("data", lambda path: trees.write(trees.join(path, "file"), trees.noise(6 << 20)))
    db = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")], StopSignal="SIGKILL")
    box.team = f"{registry.host}/team/remote"
    box.first, box.second = f"{box.team}:first", f"{box.team}:second"
    box.results = [sidesnap.create(db.name, box.first, "-m", "the \x1b[31mbeginning")]
    db.exec("echo more >/data/more; head -c 3000000 /dev/urandom >/data/noise; echo own >/etc/own; rm /data/file")
    box.results.append(sidesnap.create(db.name, box.second))
    sidesnap("push", box.first, box.second)
    push_other(box, registry)
    box.here = sidesnap
    # no engine: a host that nobody listens at
    box.sidesnap = Sidesnap("tcp://127.0.0.1:1", env={**login, "SSL_CERT_FILE": "/nonexistent"})
    box.broken, box.registry = f"{proxy.host}/team/remote", registry
    yield box
    box.close()


def push_other(box, registry):
    image = box.images("busybox")
    box.engine.call("POST", f"/images/{image}/tag", {"repo": box.team, "tag": "plain"})
    words = json.dumps({"username": USER, "password": PASSWORD, "serveraddress": registry.host})
    auth = {"X-Registry-Auth": base64.urlsafe_b64encode(words.encode()).decode()}
    answer = box.engine.call("POST", f"/images/{box.team}/push", {"tag": "plain"}, headers=auth)
    assert b'"error"' not in answer, answer
    box.engine.remove_image(f"{box.team}:plain")


def same_but_there(here, there):
    """What a registry cannot know, or says of its own."""
    left_out = {"image", "size", "committed", "containers", "digest", "fetched", "references",
                "parent_state", "ancestor", "children", "labels"}
    return {k: v for k, v in here.items() if k not in left_out} == {
        k: v for k, v in there.items() if k not in left_out
    }


def test_ls(pushed):
    found = pushed.sidesnap.json("ls", "--remote", pushed.team)
    assert [e["references"] for e in found] == [[pushed.second], [pushed.first]]
    here = {e["id"]: e for e in pushed.here.json("ls")}
    for entry in found:
        assert same_but_there(here[entry["id"]], entry)
        assert set(here[entry["id"]]) <= set(entry)
    assert found[0]["parent"] == found[1]["id"] and re.fullmatch("sha256:[0-9a-f]{64}", found[0]["digest"])
    assert found[1]["size"] > 6 << 20
    result = pushed.sidesnap("ls", "--remote", pushed.team)
    lines = result.out.splitlines()
    assert lines[0].split() == ["REFERENCE", "SOURCE", "CREATED", "PARENT", "DATA", "STORED", "SIZE", "TITLE"]
    assert " first " in lines[1] and "\x1b" not in result.out and "1 of 3 tags" in result.err
    assert pushed.sidesnap("ls", "--remote", f"{pushed.team}:f*", "-q").out == f"{pushed.first}\n"
    assert pushed.sidesnap.json("ls", "--remote", f"{pushed.team}:none*") == []


def test_ls_of_many_tags(pushed, registry):
    """Each with a configuration of its own: several are asked for at once."""
    manifest = json.loads(registry.fetch("/v2/team/remote/manifests/second", {"Accept": MANIFEST})[2])
    config = json.loads(registry.get(f"/v2/team/remote/blobs/{manifest['config']['digest']}"))
    layers = []
    for layer in manifest["layers"]:
        # mounted from where it is: nothing is sent
        query = urllib.parse.urlencode({"mount": layer["digest"], "from": "team/remote"})
        registry.request(f"/v2/team/many/blobs/uploads/?{query}", {}, b"", "POST")
        layers.append(layer)
    for number in range(40):
        config["config"]["Labels"]["sidesnap.title"] = f"number {number}"
        text = json.dumps(config).encode()
        digest = registry.put_blob("team/many", text)
        described = {**manifest["config"], "digest": digest, "size": len(text)}
        registry.put_manifest("team/many", f"t{number}", {**manifest, "config": described, "layers": layers})
    begin = time.monotonic()
    found = pushed.sidesnap.json("ls", "--remote", f"{registry.host}/team/many")
    took = time.monotonic() - begin
    print(f"40 tags listed in {took:.1f} s")
    assert {e["title"] for e in found} == {f"number {n}" for n in range(40)} and took < 10


def test_show(pushed):
    here = pushed.here.json("show", pushed.second)
    there = pushed.sidesnap.json("show", "--remote", pushed.second)
    assert same_but_there(here, there) and set(here) <= set(there)
    assert there["manifest"]["id"] == here["id"] and there["parent_state"] == "unknown"
    assert there["labels"] == here["labels"]
    print(f"show fetched {there['fetched']} bytes of an image of {there['size']}")
    assert there["fetched"] < 64 << 10
    by_digest = pushed.sidesnap.json("show", "--remote", f"{pushed.team}@{there['digest']}")
    assert by_digest["id"] == here["id"] and by_digest["references"] == [f"{pushed.team}@{there['digest']}"]
    first = pushed.sidesnap.json("show", "--remote", pushed.first)
    assert first["parent_state"] == "none" and first["manifest"] and first["fetched"] < AGENT
    text = pushed.sidesnap("show", "--remote", pushed.first).out
    assert there["parent"] == first["id"] and first["digest"] in text and "\x1b" not in text


def test_usage(pushed):
    sidesnap = pushed.sidesnap
    sidesnap.fails(USAGE, "ls", "--remote", says="repository")
    pushed.here.fails(USAGE, "ls", "--insecure", says="--remote")
    pushed.here.fails(USAGE, "show", "demo:x", "-u", "x", says="--remote")
    sidesnap.fails(USAGE, "show", "--remote", "demo:x", says="registry.example")
    sidesnap.fails(USAGE, "show", "--remote", "localhost/sidesnap/db:x", says="registry.example")
    sidesnap.fails(USAGE, "show", "--remote", "a.example/b@sha256:12", says="digest")
    sidesnap.fails(USAGE, "show", "--remote", f"{pushed.team}:plain", says="no snapshot")
    sidesnap.fails(NOT_FOUND, "show", "--remote", f"{pushed.team}:none", says="manifest unknown")
    sidesnap.fails(NOT_FOUND, "ls", "--remote", f"{pushed.team}-none", says="cannot list")
    sidesnap.fails(ENGINE, "ls", says="engine")
    pushed.here.fails(NOT_FOUND, "show", "nowhere.example/quite/other:thing", says="--remote")


def test_credentials(pushed, registry, tmp_path):
    stranger = Sidesnap(None, env={"DOCKER_CONFIG": str(tmp_path)})
    stranger.fails(REFUSED, "ls", "--remote", pushed.team, says=["docker login", registry.host])
    words = ("-u", USER, "--password-stdin")
    result = stranger("show", "--remote", pushed.first, *words, "-v", input=PASSWORD.encode())
    assert PASSWORD not in result.out + result.err
    wrong = stranger.fails(REFUSED, "ls", "--remote", pushed.team, *words, input=b"wrong", says="check the name")
    assert "docker login" not in wrong.err


def test_certificates(pushed, registry, login, tmp_path):
    """docker's certs.d, SSL_CERT_FILE, or none."""
    registry.be_trusted(False)
    try:
        pushed.sidesnap.fails(ENGINE, "ls", "--remote", pushed.team, says=["TLS", "certs.d/" + registry.host])
        named = Sidesnap(None, env={**login, "SSL_CERT_FILE": registry.path("cert.pem")})
        assert len(named.json("ls", "--remote", pushed.team)) == 2
        assert len(pushed.sidesnap.json("ls", "--remote", pushed.team, "--insecure")) == 2
    finally:
        registry.be_trusted()


# ---- registries that fail ----


@pytest.fixture(autouse=True)
def calm(proxy):
    yield
    proxy.clear()


@pytest.mark.parametrize("action, value", [("status", 503), ("status", 429), ("cut", None), ("cut-answer", 100)])
@pytest.mark.parametrize("place", ["/manifests/", "/blobs/"])
def test_a_failure_that_passes(pushed, proxy, action, value, place):
    proxy.fault("GET", place, action, value, times=2)
    found = pushed.sidesnap("show", "--remote", f"{pushed.broken}:second", "--json")
    assert found.json()["manifest"] and "trying again" in found.err


def test_failures_that_stay(pushed, proxy):
    for action, value, says in (("status", 500, "answers with 500"), ("cut", None, "broke")):
        proxy.clear()
        proxy.fault("GET", "/manifests/", action, value, times=1000)
        begin = time.monotonic()
        pushed.sidesnap.fails(ENGINE, "show", "--remote", f"{pushed.broken}:second", says=says)
        assert proxy.count("GET", "/manifests/") == 4 and time.monotonic() - begin < 15
    gone = f"127.0.0.1:{free_port('127.0.0.1')}/team/db"
    pushed.sidesnap.fails(ENGINE, "ls", "--remote", gone, says="cannot reach")


def test_what_arrives_damaged(pushed, proxy):
    manifest = pushed.sidesnap.json("show", "--remote", pushed.second)["digest"]
    for place, says in (("/manifests/", "digest"), ("/blobs/", "digest")):
        proxy.clear()
        proxy.fault("GET", place, "flip", times=1000)
        pushed.sidesnap.fails(DAMAGED, "show", "--remote", f"{pushed.broken}@{manifest}", says=says)
    proxy.clear()
    proxy.fault("GET", "/blobs/", "flip", times=1000)
    result = pushed.sidesnap("ls", "--remote", pushed.broken)
    assert result.err.count("warning") == 3 and "no snapshot" not in result.err


def test_refused_in_the_middle(pushed, proxy):
    """A token that has run out is asked for anew, once."""
    proxy.fault("GET", "/blobs/", "status", 401, times=1)
    assert pushed.sidesnap.json("show", "--remote", f"{pushed.broken}:second")["manifest"]
    proxy.clear()
    proxy.fault("GET", "/blobs/", "status", 401, times=1000)
    pushed.sidesnap.fails(REFUSED, "show", "--remote", f"{pushed.broken}:second", says="refuses")
    assert proxy.count("GET", "/blobs/") == 2


# ---- tokens, redirections, pages: a registry of few words ----


class Words:
    """
    A registry that asks for tokens and sends blobs to another host, before the real one. What it was
    asked is in `seen`: (host, path, Authorization).
    """

    def __init__(self, registry):
        self.registry, self.seen, self.pages, self.lifetime = registry, [], 2, 1000
        self.given = 0
        self.servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler(n)) for n in range(2)]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.host, self.other = (f"127.0.0.1:{s.server_port}" for s in self.servers)

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def handler(words, number):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle(self):
                if self.connection.recv(1, 2) == b"\x16":  # MSG_PEEK: TLS
                    return
                try:
                    super().handle()
                except ConnectionError:
                    pass

            def do_POST(self):
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                words.seen.append((number, f"{self.path} {form}", self.headers.get("Authorization")))
                self.token(dict(urllib.parse.parse_qsl(form)).get("refresh_token") == "secret-token")

            def token(self, is_known):
                if not is_known:
                    return self.answer(401, b"{}")
                words.given += 1
                return self.answer(200, json.dumps({"token": f"T{words.given}"}).encode())

            def do_GET(self):
                authorization = self.headers.get("Authorization")
                words.seen.append((number, self.path, authorization))
                url = urllib.parse.urlparse(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                if number == 1:
                    return self.forward(self.path)
                if url.path == "/token":
                    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                    return self.token(authorization == f"Basic {basic}")
                match = re.fullmatch(r"Bearer T(\d+)", authorization or "")
                if not match or int(match[1]) != words.given or words.lifetime == 0:
                    realm = f'Bearer realm="http://{words.host}/token",service="a \\"b\\"",scope="repository:x:push"'
                    return self.answer(401, b"{}", {"WWW-Authenticate": realm})
                words.lifetime -= 1
                if words.lifetime == 0:
                    words.given, words.lifetime = words.given + 1, 1000
                if "/blobs/" in url.path:
                    where = f"http://{words.other}{self.path}"
                    return self.answer(307, b"", {"Location": where})
                if url.path.endswith("/tags/list") and words.pages:
                    tags = json.loads(words.registry.get(url.path))
                    page = int(query.get("page", 0))
                    tags["tags"] = tags["tags"][page : page + 1]
                    link = {} if page >= words.pages else {"Link": f'<{url.path}?page={page + 1}>; rel="next"'}
                    return self.answer(200, json.dumps(tags).encode(), link)
                return self.forward(self.path)

            def forward(self, path):
                status, headers, data = words.registry.fetch(path, dict(self.headers.items()))
                kept = ("content-type", "docker-content-digest", "content-range")
                return self.answer(status, data, {k: v for k, v in headers.items() if k.lower() in kept})

            def answer(self, status, data, headers=None):
                self.send_response_only(status)
                for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(data)

        return Handler


@pytest.fixture
def words(registry):
    found = Words(registry)
    yield found
    found.stop()


def test_tokens(pushed, words, tmp_path):
    """By name and password, and by an identity token; another host gets neither them nor the token."""
    repository = f"{words.host}/team/remote"
    config = docker_config(str(tmp_path), **{words.host: (USER, PASSWORD)})
    sidesnap = Sidesnap(None, env={"DOCKER_CONFIG": config})
    assert len(sidesnap.json("ls", "--remote", repository)) == 2
    asked = [p for n, p, _ in words.seen if p.startswith("/token")]
    assert len(asked) == 1 and "scope=repository%3Ateam%2Fremote%3Apull" in asked[0] and "push" not in asked[0]
    assert sum("page=" in p for _, p, _ in words.seen) == 2, "all pages"
    assert sidesnap.json("show", "--remote", f"{repository}:second")["manifest"]
    other = [(p, a) for n, p, a in words.seen if n == 1]
    assert other and all(a is None for _, a in other)

    words.seen.clear()
    entry = {"auth": base64.b64encode(b"x:").decode(), "identitytoken": "secret-token"}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {words.host: entry}}))
    assert len(sidesnap.json("ls", "--remote", repository)) == 2
    forms = [p for _, p, _ in words.seen if "grant_type=refresh_token" in p]
    assert len(forms) == 1 and "refresh_token=secret-token" in forms[0]
    (tmp_path / "config.json").write_text("{}")
    sidesnap.fails(REFUSED, "ls", "--remote", repository, says="docker login")


def test_a_token_that_runs_out(pushed, words, tmp_path):
    config = docker_config(str(tmp_path), **{words.host: (USER, PASSWORD)})
    words.lifetime = 3
    sidesnap = Sidesnap(None, env={"DOCKER_CONFIG": config})
    assert len(sidesnap.json("ls", "--remote", f"{words.host}/team/remote")) == 2
    assert sum(p.startswith("/token") for _, p, _ in words.seen) == 2


# ---- diff ----


def entries(result):
    return sorted((e["path"], e["change"], tuple(e.get("what", ()))) for e in result["entries"])


def test_diff(pushed):
    """As between two that are here, but for own files, and for a few kilobytes."""
    here = pushed.here.json("diff", pushed.first, pushed.second, code=1)
    there = pushed.sidesnap.json("diff", "--remote", pushed.first, pushed.second, code=1)
    print(f"diff fetched {there['fetched']} bytes")
    assert there["fetched"] < AGENT + (100 << 10)
    assert [t for t in here["trees"] if t["kind"] != "own"] == [t for t in there["trees"] if t["kind"] != "own"]
    assert entries(here) == entries(there)
    assert there["from"]["digest"] and there["from"]["id"] == here["from"]["id"]
    back = pushed.sidesnap.json("diff", "--remote", pushed.second, pushed.first, code=1)
    assert {e["path"]: e["change"] for e in back["entries"]}["/data/file"] == "added"
    same = pushed.sidesnap.json("diff", "--remote", pushed.second, pushed.second)
    assert same["same"] and not same["entries"]
    text = pushed.sidesnap("diff", "--remote", pushed.first, pushed.second, code=1)
    assert "D  /data/file" in text.out and "own files" in text.err
    stat = pushed.sidesnap.json("diff", "--remote", "--stat", pushed.first, pushed.second, code=1)
    assert stat["fetched"] and "entries" not in stat


def test_diff_with_one_of_here(pushed):
    here = pushed.here.json("diff", pushed.first, pushed.second, code=1)
    mixed = pushed.here.json("diff", "--remote", pushed.results[0]["id"], pushed.second, code=1)
    assert entries(mixed) == entries(here) and mixed["from"]["id"] == here["from"]["id"]
    assert "digest" not in mixed["from"] and mixed["to"]["digest"]
    name = f"{pushed.name('here')}:second"
    pushed.here("tag", pushed.second, name)
    same = pushed.here.json("diff", "--remote", pushed.second, name)
    assert same["same"] and same["to"]["reference"] == name
    pushed.here("rm", name)
    pushed.here.fails(USAGE, "diff", "--remote", "a:b", "c:d", says="neither")
    pushed.here.fails(NOT_FOUND, "diff", "--remote", pushed.first, "none:x", says="no snapshot")
    pushed.sidesnap.fails(ENGINE, "diff", "--remote", pushed.first, "none:x", says="engine")
    assert not pushed.helpers()


def test_interrupted(pushed, proxy):
    proxy.fault("GET", "/manifests/", "stall", 20, times=100)
    process = pushed.sidesnap.start("ls", "--remote", pushed.broken)
    wait_for(lambda: proxy.count("GET", "/manifests/"), "the request")
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    process.communicate(timeout=15)
    assert process.returncode == CANCELLED and time.monotonic() - begin < 5


def test_diff_of_what_cannot_be(pushed, proxy):
    sidesnap = pushed.sidesnap
    sidesnap.fails(USAGE, "diff", "--remote", pushed.first, says="needs A and B")
    sidesnap.fails(USAGE, "diff", "--remote", pushed.first, pushed.second, "--content", "/x", says="--content")
    sidesnap.fails(NOT_FOUND, "diff", "--remote", pushed.first, f"{pushed.team}:none")
    # of a layer no byte is believed: what is changed in it is found
    layer = layer_of(pushed)
    for place in (100, 400, 1000):
        proxy.clear()
        proxy.fault("GET", layer, "flip", place, times=1000)
        result = sidesnap("diff", "--remote", f"{pushed.broken}:first", f"{pushed.broken}:second", code=2)
        assert not result.out and result.err.strip()


def layer_of(pushed):
    """The digest of the newest layer of the second."""
    digest = pushed.sidesnap.json("show", "--remote", pushed.second)["digest"]
    status, _, body = pushed.registry.fetch(f"/v2/team/remote/manifests/{digest}", {"Accept": "*/*"})
    assert status == 200
    return json.loads(body)["layers"][-1]["digest"]


def test_a_chain(pushed, engine, images, login, registry):
    """Catalogs refer to older layers: the fronts of all of them are read, each once."""
    box = Box(engine, images)
    try:
        volume = box.volume("chain", lambda p: [trees.write(trees.join(p, f"f{i}"), b"x" * i) for i in range(500)])
        db = box.run("chain", "busybox", ["sleep", "1000"], [(volume, "/data")], StopSignal="SIGKILL")
        team = f"{registry.host}/team/chain"
        for number in range(5):
            db.exec(f"echo {number} >/data/f{number * 90}; head -c 100000 /dev/urandom >/data/noise{number}")
            pushed.here.create(db.name, f"{team}:v{number}")
        pushed.here("push", *[f"{team}:v{n}" for n in range(5)])
        for a, b in ((0, 4), (2, 3)):
            here = pushed.here.json("diff", f"{team}:v{a}", f"{team}:v{b}", code=1)
            there = pushed.sidesnap.json("diff", "--remote", f"{team}:v{a}", f"{team}:v{b}", code=1)
            assert entries(here) == entries(there)
            print(f"v{a} with v{b}: {there['fetched']} bytes fetched")
            assert there["fetched"] < AGENT + (300 << 10)
        listed = pushed.sidesnap.json("ls", "--remote", team)
        assert [e["references"][0][-2:] for e in listed] == ["v4", "v3", "v2", "v1", "v0"]
    finally:
        box.close()
