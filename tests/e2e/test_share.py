"""
push and pull through a real registry, with TLS and passwords, between two engines of which the second
is newer, has another image store and nothing in it; and what they say and leave where the registry
refuses, breaks off or sends something else.
"""

import base64
import collections
import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile

import pytest

from conftest import Box, booted
from support import trees
from support.api import Engine, wait_for
from support.cli import DAMAGED, ENGINE, EXISTS, NOT_FOUND, REFUSED, USAGE, Sidesnap, interrupt
from support.images import Images
from support.registry import PASSWORD, USER, free_port
from support.relay import start_relay
from support.sharing import empty, far, near, team


def version(tag):
    return tag.partition(":")[2]


@pytest.fixture
def broken(proxy, request):
    """The same behind the proxy."""
    proxy.clear()
    yield f"{proxy.host}/team/{request.node.originalname.replace('_', '-')}"
    proxy.clear()


def path_of(repository):
    return repository.partition("/")[2]


# ---- there and back ----


def test_there_and_back(near, far, registry, team, login):
    """Push, pull into an empty engine, boot, reset, create on top, push back, pull on the first."""
    for number, tag in enumerate((near.first, near.second)):
        near.engine.call("POST", f"/images/{tag}/tag", {"repo": team, "tag": f"v{number}"})
    sent = near.sidesnap.json("push", f"{team}:v0", f"{team}:v1")["pushed"]
    assert [p["reference"] for p in sent] == [f"{team}:v0", f"{team}:v1"]
    assert [p["id"] for p in sent] == [r["id"] for r in near.results]
    assert sent[1]["layers"]["moved"] == 1, "of the second only its own layer"
    assert registry.tags(path_of(team)) == ["v0", "v1"]

    sidesnap = far.sidesnap = Sidesnap(far.engine.host, env=login)
    assert not sidesnap.json("ls")
    got = sidesnap.json("pull", f"{team}:v1", f"{team}:v0")["pulled"]
    assert [p["digest"] for p in got] == [p["digest"] for p in reversed(sent)]
    assert got[0]["layers"]["moved"] > 1 and got[1]["layers"]["moved"] == 0
    assert {p["changed"] for p in got} == {True} and {p["kept"] for p in got} == {""}
    assert not sidesnap.json("pull", f"{team}:v1")["pulled"][0]["changed"]
    assert sidesnap.json("tree") and sidesnap.json("verify", f"{team}:v1")["ok"]
    log = sidesnap.json("log", f"{team}:v1")
    assert [r["title"] for r in log] == ["", "the beginning"]

    volume = far.volume("data")
    copy = far.boot("copy", f"{team}:v1", mounts=[(volume, "/data")], StopSignal="SIGKILL")
    assert copy.exec("cat /data/more /etc/own") == "more\nown\n"
    trees.assert_same(near.path(near.name("data")), far.path(volume))
    copy.exec("rm /data/file; echo gone >/data/more")
    sidesnap("reset", copy.name, f"{team}:v1", "--no-safety")
    trees.assert_same(near.path(near.name("data")), far.path(volume))

    copy.exec("head -c 200000 /dev/urandom >/data/new")
    made = sidesnap.create(copy.name, f"{team}:v2")
    assert made["parent"] == sent[1]["id"] and made["lineage"] == near.results[0]["lineage"]
    before = registry.stored()
    back = sidesnap.json("push", f"{team}:v2")["pushed"][0]
    grown = registry.stored() - before
    print(f"{made['stored_bytes']} bytes of packs, {grown} more at the registry")
    assert back["layers"]["moved"] == 1 and grown <= made["stored_bytes"] + 65536

    home = near.sidesnap.json("pull", f"{team}:v2")["pulled"][0]
    assert home["layers"] == {"moved": 1, "there": got[0]["layers"]["moved"]}
    assert home["bytes"] <= made["stored_bytes"] + 65536
    newest = near.sidesnap.json("show", f"{team}:v2")
    assert newest["ancestor"]["id"] == sent[1]["id"] and newest["parent_state"] == "here"
    booted(near.boot("back", f"{team}:v2", ["sh", "-c", "stat -c %s /data/new; exec sleep 1000"]))


# ---- names ----


def test_names_that_are_of_no_registry(near):
    sidesnap = near.sidesnap
    default = sidesnap.json("create", near.db.name)["reference"]
    for name in (default, near.first, near.results[0]["id"]):
        sidesnap.fails(USAGE, "push", name, says="--to registry.example/team/db")
    sidesnap.fails(USAGE, "push", near.first, "--to", "localhost/db", says="--to")
    sidesnap.fails(USAGE, "push", near.first, "--to", "UPPER/x y", says="--to")
    for name in ("demo:before", "localhost/sidesnap/db:x"):
        sidesnap.fails(USAGE, "pull", name, says="registry.example")
    sidesnap.fails(USAGE, "pull", "a.example/b@sha256:" + "0" * 64, says="digest")
    sidesnap.fails(NOT_FOUND, "push", "a.example/no-such:1", says="no-such")
    sidesnap.fails(USAGE, "push", near.images("busybox"), "--to", "a.example/b", says="no snapshot")
    sidesnap("rm", default)


def test_to_names_the_repository(near, registry, team):
    """All keep their tags; the snapshot has the name here, too."""
    other = f"{near.name('again')}:other"
    near.sidesnap("tag", near.second, other)
    out = near.sidesnap("push", near.first, other, "--to", team).out.split()
    near.sidesnap("rm", other)
    assert out == [f"{team}:{version(near.first)}", f"{team}:other"]
    assert registry.tags(path_of(team)) == sorted([version(near.first), "other"])
    assert near.engine.image(f"{team}:other")["Id"] == near.results[1]["image"]
    near.sidesnap("push", near.first, "--to", f"{team}:monday")
    assert "monday" in registry.tags(path_of(team))
    by_id = near.sidesnap("push", near.results[1]["id"][:12], "--to", f"{team}-id:x").out
    assert by_id == f"{team}-id:x\n"
    near.sidesnap.fails(USAGE, "push", near.first, near.second, "--to", f"{team}:x", says="tag")


def test_a_name_of_another_snapshot_is_not_taken(near, team):
    near.sidesnap("tag", near.second, f"{team}:{version(near.first)}")
    near.sidesnap.fails(EXISTS, "push", near.first, "--to", team, says=["another image", "--to"])
    namesake = f"{near.name('namesake')}:{version(near.first)}"
    near.sidesnap("tag", near.second, namesake)
    near.sidesnap.fails(USAGE, "push", near.first, namesake, "--to", f"{team}-two", says="two snapshots")
    assert not near.engine.has_image(f"{team}-two:{version(near.first)}")
    near.sidesnap("rm", namesake)


# ---- credentials ----


def test_credentials(near, registry, team, tmp_path):
    stranger = Sidesnap(near.engine.host, env={"DOCKER_CONFIG": str(tmp_path)})
    target = f"{team}:x"
    stranger.fails(REFUSED, "push", near.first, "--to", target, says=["docker login", registry.host])
    stranger.fails(REFUSED, "pull", target, says=["docker login", registry.host])
    assert not near.engine.has_image(target) and not registry.tags(path_of(team))
    wrong = stranger.fails(
        REFUSED, "push", near.first, "--to", target, "-u", USER, "--password-stdin", input=b"wrong\n",
        says=["check the name and the password"],
    )
    assert "docker login" not in wrong.err
    words = ("-u", USER, "--password-stdin")
    right = stranger("push", near.first, "--to", target, *words, "-v", input=PASSWORD.encode() + b"\n")
    assert PASSWORD not in right.err + right.out and registry.tags(path_of(team)) == ["x"]
    stranger.fails(USAGE, "push", target, "-u", USER, says="--password-stdin")
    stranger.fails(USAGE, "push", target, "--password-stdin", says="--username")
    stranger.fails(USAGE, "pull", target, *words, input=b"\n", says="no password")
    stranger.fails(USAGE, "pull", target, "other.example/x", *words, input=b"x", says="one registry")


def test_credential_helper(near, registry, team, tmp_path):
    """The program that config.json names is asked; one that fails is a warning, as in docker."""
    helper = tmp_path / "docker-credential-here"
    answer = json.dumps({"ServerURL": registry.host, "Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\nread -r host\n[ $host = {registry.host} ] || exit 1\necho '{answer}'\n")
    helper.chmod(0o755)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"credHelpers": {registry.host: "here"}}))
    environment = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    sidesnap = Sidesnap(near.engine.host, env=environment)
    sidesnap("push", near.first, "--to", f"{team}:x")
    config.write_text(json.dumps({"credsStore": "missing"}))
    sidesnap.fails(REFUSED, "pull", f"{team}:x", says=["docker-credential-missing", "going on without"])


def test_a_registry_that_is_not_trusted(near, registry, team):
    registry.be_trusted(False)
    try:
        near.sidesnap.fails(
            2, "push", near.first, "--to", f"{team}:x", says=["certs.d/" + registry.host, "signed"]
        )
    finally:
        registry.be_trusted()


# ---- lineages ----


def test_lineage(near, far, registry, team, login):
    """What it came from goes along, oldest first, and the history is the same elsewhere."""
    near.sidesnap("reset", near.db.name, near.first)
    near.db.exec("echo third >/data/third")
    third = near.sidesnap.create(near.db.name, near.tag("third"))
    near.sidesnap("tag", third["reference"], f"{team}:latest")
    pushed = near.sidesnap.json("push", "--lineage", f"{team}:latest")["pushed"]
    first = f"{team}:{version(near.first)}"
    assert [p["reference"] for p in pushed] == [first, f"{team}:latest"], "second is none of its ancestors"
    assert near.engine.image(first)["Id"] == near.results[0]["image"]

    empty(far)
    sidesnap = Sidesnap(far.engine.host, env=login)
    sidesnap("pull", f"{team}:latest")
    alone = sidesnap.json("log", f"{team}:latest")
    assert [r["parent_state"] for r in alone] == ["absent"]
    sidesnap("pull", first)
    here = [(r["id"], r["parent_state"]) for r in near.sidesnap.json("log", f"{team}:latest")]
    there = [(r["id"], r["parent_state"]) for r in sidesnap.json("log", f"{team}:latest")]
    assert here == there and len(there) == 2


def test_lineage_of_tags_that_collide(near, registry, team):
    """Two that have the same tag elsewhere: the older keeps its tag, the other gets its time."""
    names = [f"{near.name(word)}:same" for word in ("one", "two")]
    near.db.exec("echo x >/data/x")
    near.sidesnap.create(near.db.name, names[0])
    near.db.exec("echo y >/data/y")
    result = near.sidesnap.create(near.db.name, names[1])
    third = near.sidesnap.create(near.db.name, f"{near.name('three')}:head")
    pushed = near.sidesnap("push", "--lineage", third["reference"], "--to", team).out.split()
    stamp = result["created"].replace("-", "").replace(":", "")
    assert pushed[-3:] == [f"{team}:same", f"{team}:{stamp}", f"{team}:head"]
    again = near.sidesnap.json("push", "--lineage", f"{team}:head")["pushed"]
    assert [p["reference"] for p in again] == pushed and not any(p["layers"]["moved"] for p in again)
    near.sidesnap.fails(USAGE, "push", "--lineage", near.first, "--to", f"{team}:x", says="tag")
    pushed = near.sidesnap("push", "--lineage", names[1], names[0], "--to", f"{team}-both", code=USAGE)
    assert "two snapshots" in pushed.err
    pushed = near.sidesnap("push", "--lineage", names[1], "--to", f"{team}-two").out.split()
    assert pushed[-1] == f"{team}-two:same" and pushed[-2].startswith(f"{team}-two:20"), "it goes first"
    words = ("push", "--lineage", third["reference"], names[0], "--to", f"{team}-three")
    pushed = near.sidesnap(*words).out.split()
    assert pushed[-3:] == [f"{team}-three:same", f"{team}-three:{stamp}", f"{team}-three:head"]


# ---- names that move ----


def test_pull_leaves_no_snapshot_without_a_name(near, registry, team):
    """Another one has the name there by now: the one here gets a name that no prune takes."""
    near.sidesnap("push", near.second, "--to", f"{team}:x")
    near.sidesnap("rm", f"{team}:x")
    near.db.exec("echo local >/data/local")
    local = near.sidesnap.create(near.db.name, f"{team}:x")
    assert not near.sidesnap.json("pull", near_first(near, team))["pulled"][0]["kept"]
    result = near.sidesnap.json("pull", f"{team}:x")["pulled"][0]
    assert result["image"] == near.results[1]["image"] and result["changed"]
    assert result["kept"].startswith("localhost/sidesnap/")
    assert near.engine.image(result["kept"])["Id"] == local["image"]
    again = near.sidesnap.json("pull", f"{team}:x")["pulled"][0]
    assert not again["changed"] and not again["kept"]


def near_first(near, team):
    near.sidesnap("push", near.first, "--to", f"{team}:y")
    return f"{team}:y"


def test_pull_of_what_is_no_snapshot(near, registry, team):
    image = near.images("busybox")
    near.engine.call("POST", f"/images/{image}/tag", {"repo": team, "tag": "plain"})
    auth = {"X-Registry-Auth": header(registry)}
    answer = near.engine.call("POST", f"/images/{team}/push", {"tag": "plain"}, headers=auth)
    assert b'"error"' not in answer, answer
    near.engine.remove_image(f"{team}:plain")
    tags = near.engine.tags()
    near.sidesnap.fails(USAGE, "pull", f"{team}:plain", says=["no snapshot", "docker pull"])
    assert near.engine.tags() == tags
    near.sidesnap("tag", near.first, f"{team}:plain")
    near.sidesnap.fails(USAGE, "pull", f"{team}:plain", says="no snapshot")
    assert near.engine.image(f"{team}:plain")["Id"] == near.results[0]["image"], "the name went back"
    assert near.engine.has_image(image), "and the image, which has another name, stayed"


def header(registry):
    words = {"username": USER, "password": PASSWORD, "serveraddress": registry.host}
    return base64.urlsafe_b64encode(json.dumps(words).encode()).decode()


def test_a_tag_that_is_not_there(near, registry, team):
    near.sidesnap("push", near.first, "--to", f"{team}:x")
    tags = near.engine.tags()
    for name in (f"{team}:other", f"{team}-none:x"):
        near.sidesnap.fails(NOT_FOUND, "pull", name, says=[name, "check the name"])
    assert near.engine.tags() == tags


# ---- registries that fail ----


def fresh(near, size=300000):
    """A snapshot whose layer no registry has; its reference."""
    near.db.exec(f"head -c {size} /dev/urandom >/data/fresh")
    near.number_of_fresh = getattr(near, "number_of_fresh", 0) + 1
    return near.sidesnap.create(near.db.name, f"{near.name('fresh')}:f{near.number_of_fresh}")["reference"]


def assert_nothing_is_half_done(near, registry, broken, tags):
    """No name here that was not here, and none there."""
    assert near.engine.tags() == tags
    assert not registry.tags(path_of(broken))


def test_push_is_tried_again_when_the_registry_answers_5xx(near, registry, proxy, broken):
    """Docker gives a manifest up at once; the second try has only that to send."""
    proxy.fault("PUT", "/manifests/", "status", 503)
    result = near.sidesnap("push", fresh(near), "--to", f"{broken}:x", "--json")
    pushed = result.json()["pushed"][0]
    assert pushed["tries"] == 2 and pushed["layers"]["moved"] == 0
    assert "503" in result.err and "trying again" in result.err
    assert registry.tags(path_of(broken)) == ["x"] and proxy.count("PUT", "/manifests/") == 2


def test_push_gives_up_when_the_registry_stays_ill(near, registry, proxy, broken):
    reference, tags = fresh(near), near.engine.tags()
    proxy.fault("PUT", "/manifests/", "status", 503, times=99)
    near.sidesnap.fails(ENGINE, "push", reference, "--to", f"{broken}:x", says=["503", "try again later"])
    assert proxy.count("PUT", "/manifests/") == 3, "tries are bounded"
    assert_nothing_is_half_done(near, registry, broken, tags)
    proxy.clear()
    assert near.sidesnap.json("push", reference, "--to", f"{broken}:x")["pushed"][0]["layers"]["moved"] == 0


def test_push_goes_on_after_a_cut(near, registry, proxy, broken):
    """The connection ends amid a layer: the engine sends that one again."""
    proxy.fault("PATCH", "/blobs/uploads/", "cut")
    pushed = near.sidesnap.json("push", fresh(near), "--to", f"{broken}:x")["pushed"][0]
    assert pushed["layers"]["moved"] >= 1 and registry.tags(path_of(broken)) == ["x"]


def test_push_of_a_layer_that_arrives_damaged(near, registry, proxy, broken):
    """The registry takes no blob under a digest that it has not got; the engine sends it again."""
    proxy.fault("PATCH", "/blobs/uploads/", "flip-request")
    reference = fresh(near)
    near.sidesnap("push", reference, "--to", f"{broken}:x")
    near.sidesnap.json("pull", f"{broken}:x")
    assert near.sidesnap.json("verify", reference)["ok"]


def test_several_of_which_one_fails(near, registry, proxy, broken):
    """A 401 amid it: those before are whole, it and those after it are not there at all."""
    references = [fresh(near) for _ in range(3)]
    proxy.fault("PUT", f"/manifests/{version(references[1])}", "status", 401, times=99)
    result = near.sidesnap.fails(REFUSED, "push", *references, "--to", broken,
                                  says=["1 of 3 were pushed", "docker login", proxy.host])
    assert registry.tags(path_of(broken)) == [version(references[0])], result
    assert [t for t in near.engine.tags() if t.startswith(broken)] == [f"{broken}:{version(references[0])}"]


def test_push_is_interrupted(near, registry, proxy, broken):
    reference, tags = fresh(near), near.engine.tags()
    proxy.fault("PATCH", "/blobs/uploads/", "stall", 20, times=99)
    process = near.sidesnap.start("push", reference, "--to", f"{broken}:x")
    wait_for(lambda: proxy.count("PATCH", "/blobs/uploads/"), "the upload begins")
    code, out, err = interrupt(process)
    assert code == 130 and not out, (code, out, err)
    assert_nothing_is_half_done(near, registry, broken, tags)


def test_pull_of_layers_that_arrive_damaged(near, far, registry, proxy, broken, login):
    near.sidesnap("push", fresh(near), "--to", f"{broken}:x")
    empty(far)
    proxy.fault("GET", "/blobs/", "flip", times=99)
    sidesnap = Sidesnap(far.engine.host, env=login)
    sidesnap.fails(DAMAGED, "pull", f"{broken}:x", says=["digest", "nothing of it was kept"])
    assert not far.engine.images() and proxy.count("GET", "/blobs/") <= 8, "tries are bounded"
    proxy.clear()
    proxy.fault("GET", "/blobs/", "cut-answer", 1000)
    sidesnap("pull", f"{broken}:x")
    assert sidesnap.json("verify", f"{broken}:x")["ok"]


def test_registry_that_stays_ill_for_the_newer_engine(near, far, registry, proxy, broken, login):
    """Which sends a layer in one piece, goes on from what it has, and tries nothing again by itself."""
    sidesnap = Sidesnap(far.engine.host, env=login)
    source = far.run("source", "busybox", ["sh", "-c", "echo own >/etc/own; exec sleep 1000"], StopSignal="SIGKILL")
    reference = sidesnap.create(source.name, f"{far.name('source')}:x")["reference"]
    tags = far.engine.tags()
    for action, value, code, says in (
        ("flip-request", None, DAMAGED, ["digest", "not what was sent"]),
        ("status", 401, REFUSED, ["unauthorized", "docker login"]),
        ("cut", None, ENGINE, "try again later"),
    ):
        proxy.clear()
        fault = proxy.fault("PUT", "/blobs/uploads/", action, value, times=99)
        sidesnap.fails(code, "push", reference, "--to", f"{broken}:x", says=says)
        assert fault.times > 40, "tries are bounded"
        assert_nothing_is_half_done(far, registry, broken, tags)
    proxy.clear()
    sidesnap("push", reference, "--to", f"{broken}:x")
    empty(far)
    proxy.fault("GET", "/blobs/", "short", 1000, times=99)
    sidesnap.fails(ENGINE, "pull", f"{broken}:x", says=["short read", "try again later"])
    assert not far.engine.images()
    proxy.clear()
    sidesnap("pull", f"{broken}:x")
    assert sidesnap.json("verify", f"{broken}:x")["ok"]


def test_registry_that_stays_ill_for_docker_20(near, registry, proxy, broken):
    """It tries a layer four times again by itself, for 50 seconds, and says so; that is enough."""
    reference, tags = fresh(near), near.engine.tags()
    proxy.fault("PATCH", "/blobs/uploads/", "status", 401, times=99)
    says = ["the engine tries again", "unauthorized", "docker login"]
    near.sidesnap.fails(REFUSED, "push", reference, "--to", f"{broken}:x", says=says)
    assert proxy.count("PATCH", "/blobs/uploads/") <= 20, "tries are bounded"
    assert_nothing_is_half_done(near, registry, broken, tags)


def test_pull_from_a_registry_that_fails(near, far, registry, proxy, broken, login):
    near.sidesnap("push", fresh(near), "--to", f"{broken}:x")
    empty(far)
    sidesnap = Sidesnap(far.engine.host, env=login)
    proxy.fault("GET", "/manifests/", "status", 502)
    pulled = sidesnap.json("pull", f"{broken}:x")["pulled"][0]
    assert pulled["tries"] == 2 and pulled["changed"]
    empty(far)
    proxy.fault("GET", "/blobs/", "status", 401, times=99)
    sidesnap.fails(REFUSED, "pull", f"{broken}:x", says=["docker login", proxy.host])
    assert not far.engine.images()
    proxy.clear()
    gone = f"127.0.0.1:{free_port('127.0.0.1')}/team/db:x"
    sidesnap.fails(ENGINE, "pull", gone, says=["refused", "try again later"])


def test_killed_between_two_names(near, registry, team):
    """Nothing is lost: the names that it made are there in addition."""
    near.sidesnap("push", near.first, "--to", f"{team}:x")
    near.sidesnap("rm", f"{team}:x")
    local = near.sidesnap.create(near.db.name, f"{team}:x")
    for point in ("pull/named", "pull/pulled"):
        near.sidesnap.at(point)("pull", f"{team}:x", code=-9)
        names = [t for t, i in tagged(near.engine) if i == local["image"]]
        assert any(n.startswith("localhost/sidesnap/") for n in names), (point, names)
    assert near.engine.image(f"{team}:x")["Id"] == near.results[0]["image"]
    near.sidesnap.at("push/named")("push", near.second, "--to", f"{team}:y", code=-9)
    assert near.sidesnap.json("push", near.second, "--to", f"{team}:y")["pushed"][0]["tries"] == 1


def tagged(engine):
    return [(tag, image) for image, tags in engine.images().items() for tag in tags]


# ---- other engines ----


@pytest.fixture(params=os.environ.get("SIDESNAP_TEST_HOSTS", "").split() or [None])
def other(request, registry):
    """As in test_other_engines; one with a network or files of its own gets a way to the registry."""
    if request.param is None:
        pytest.skip("SIDESNAP_TEST_HOSTS names no engines")
    engine = Engine(request.param)
    assert engine.ping(), f"{request.param} does not answer"
    box = Box(engine, Images(engine))
    with trust_of(engine, registry), way_to(engine, registry):
        yield box
        box.close()
        for tag in engine.tags():
            if tag.startswith(registry.host):
                engine.remove_image(tag)


def process_of(engine):
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(engine.path)
        return struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


@contextlib.contextmanager
def trust_of(engine, registry):
    """The registry's certificate among the files that the engine's process sees; podman, too, looks there."""
    folder = f"/proc/{process_of(engine)}/root{registry.trust}"
    if os.path.exists(folder):
        yield
        return
    os.makedirs(folder)
    shutil.copy(registry.path("cert.pem"), os.path.join(folder, "ca.crt"))
    yield
    shutil.rmtree(folder)


def network_of(process):
    """That of most of its threads: podman leaves some of them in the networks of its containers."""
    threads = [f"/proc/{process}/task/{name}/ns/net" for name in os.listdir(f"/proc/{process}/task")]
    networks = collections.Counter(os.readlink(path) for path in threads)
    return next(path for path in threads if os.readlink(path) == networks.most_common(1)[0][0])


@contextlib.contextmanager
def way_to(engine, registry):
    """The registry's address in the network of the engine's process, through a unix socket."""
    network = network_of(process_of(engine))
    if os.stat(network).st_ino == os.stat("/proc/self/ns/net").st_ino:
        yield
        return
    with open(network) as file, tempfile.TemporaryDirectory() as directory:
        enter = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{file.fileno()}"]
        address = [registry.address + "/32", "dev", "lo"]
        subprocess.run([*enter, "ip", "address", "add", *address], check=True)
        middle = os.path.join(directory, "socket")
        relays = [
            start_relay(("unix", middle), ("tcp", registry.host)),
            start_relay(("tcp", registry.host), ("unix", middle), enter),
        ]
        yield
        for relay in relays:
            relay.kill()
            relay.wait()
        subprocess.run([*enter, "ip", "address", "delete", *address], check=True)


def test_there_and_back_with_other_engines(near, other, registry, team, login):
    """As test_there_and_back; bytes are counted at the registry, as engines count layers differently."""
    repository = f"{team}-{other.number}"
    near.sidesnap("push", near.second, "--to", f"{repository}:v1")
    sidesnap = Sidesnap(other.engine.host, env=login)
    pulled = sidesnap.json("pull", f"{repository}:v1")["pulled"][0]
    assert pulled["id"] == near.results[1]["id"]
    assert sidesnap.json("verify", f"{repository}:v1")["ok"]
    volume = other.volume("data")
    copy = other.boot("copy", f"{repository}:v1", mounts=[(volume, "/data")], StopSignal="SIGKILL")
    sums = copy.exec("cd /data && md5sum file more /etc/own")
    copy.exec("rm /data/file; echo gone >/data/more")
    sidesnap("reset", copy.name, f"{repository}:v1", "--no-safety")
    assert copy.exec("cd /data && md5sum file more /etc/own") == sums
    copy.exec("head -c 200000 /dev/urandom >/data/new")
    made = sidesnap.create(copy.name, f"{repository}:v2")
    assert made["parent"] == near.results[1]["id"]
    before = registry.stored()
    sidesnap("push", f"{repository}:v2")
    grown = registry.stored() - before
    print(f"{made['stored_bytes']} bytes of packs, {grown} more at the registry")
    assert grown <= made["stored_bytes"] + 65536
    near.sidesnap("pull", f"{repository}:v2")
    assert near.sidesnap.json("show", f"{repository}:v2")["ancestor"]["id"] == near.results[1]["id"]
    back = near.boot(f"back{other.number}", f"{repository}:v2")
    assert back.exec("cd /data && md5sum file more /etc/own && stat -c %s new") == sums + "200000\n"
    sidesnap.fails(NOT_FOUND, "pull", f"{repository}:none", says="check the name")
    sidesnap.fails(REFUSED, "push", f"{repository}:v2", "--to", f"{repository}-x:v2", "-u", USER, "--password-stdin",
                   input=b"wrong", says="check the name and the password")
