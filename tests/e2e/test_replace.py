"""
replace: the container made again from a snapshot, the same in everything that its inspect says, with
the data of then; and on any failure the old one running as before.
"""

import os
import time

import pytest

from support import trees
from support.api import wait_for
from support.cli import REFUSED, Terminal
from test_killed import points

# What may differ between the inspects, and why. "*" is one level, "**" any number.
ALLOWED = {
    "Id": "another container",
    "Created": "made now",
    "Image": "the snapshot's",
    "Config.Image": "the snapshot's",
    "Path": "boot comes before the entrypoint",
    "Args.**": "boot comes before the entrypoint",
    "Args": "boot comes before the entrypoint",
    "Config.Entrypoint.**": "boot comes before the entrypoint",
    "Config.Entrypoint": "boot comes before the entrypoint",
    "Config.Cmd.**": "may be handed on by the image's configuration",
    "Config.Cmd": "may be handed on by the image's configuration",
    "State.**": "started now",
    "GraphDriver.**": "an own layer",
    "ResolvConfPath": "named by the id",
    "HostnamePath": "named by the id",
    "HostsPath": "named by the id",
    "LogPath": "named by the id",
    "ExecIDs": "of this moment",
    "NetworkSettings.SandboxID": "of this start",
    "NetworkSettings.SandboxKey": "of this start",
    "NetworkSettings.EndpointID": "of this start",
    "NetworkSettings.Networks.*.EndpointID": "of this start",
    "NetworkSettings.Networks.*.DNSNames.**": "newer engines add the id",
    "Config.Volumes.**": "every captured path is declared by the snapshot's image",
    "Config.Volumes": "every captured path is declared by the snapshot's image",
    "HostConfig.Binds.**": "anonymous volumes are now named ones; Mounts is compared",
    "HostConfig.Binds": "anonymous volumes are now named ones; Mounts is compared",
    "HostConfig.Mounts.**": "as Binds",
    "HostConfig.Mounts": "as Binds",
}
# Given by the engine where the person fixed none.
ADDRESSES = ("IPAddress", "MacAddress", "Gateway", "GlobalIPv6Address")


def flatten(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else key)
        if not value:
            yield path, None
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from flatten(inner, f"{path}.{number}")
        if not value:
            yield path, None
    else:
        yield path, None if value in ("", 0, False) else value


def allowed(path):
    for pattern in ALLOWED:
        if pattern == path or pattern.endswith(".**") and path.startswith(pattern[:-2]):
            return True
        parts, words = pattern.split("."), path.split(".")
        if "*" in parts and len(parts) <= len(words):
            if all(p in ("*", w) for p, w in zip(parts, words)) and len(parts) == len(words):
                return True
    return False


def normal(inspect):
    """Lists whose order means nothing are sorted; ids that name the container itself become ID."""
    inspect = dict(inspect)
    inspect["Mounts"] = {m["Destination"]: m for m in inspect["Mounts"]}
    short = inspect["Id"][:12]
    config = inspect["Config"] = dict(inspect["Config"])
    config["Env"] = sorted(config.get("Env") or [])
    if config["User"] in ("0", "root"):
        config["User"] = ""  # an empty one would be filled from the helper at the commit
    if config["Hostname"] == short:
        config["Hostname"] = "ID"
    config["Labels"] = {
        k: v
        for k, v in (config.get("Labels") or {}).items()
        if not k.startswith(("sidesnap.", "org.opencontainers."))
    }
    networks = inspect["NetworkSettings"] = dict(inspect["NetworkSettings"])
    networks["Networks"] = {
        name: {
            **network,
            "Aliases": sorted("ID" if a == short else a for a in network.get("Aliases") or []),
        }
        for name, network in networks["Networks"].items()
    }
    return inspect


def assert_same_inspect(before, after):
    left, right = dict(flatten(normal(before))), dict(flatten(normal(after)))
    fixed = any((n.get("IPAMConfig") or {}).get("IPv4Address") for n in before["NetworkSettings"]["Networks"].values())
    differing = {}
    for path in sorted(set(left) | set(right)):
        if left.get(path) == right.get(path) or allowed(path):
            continue
        if not fixed and path.startswith("NetworkSettings") and path.rpartition(".")[2] in ADDRESSES:
            continue
        differing[path] = (left.get(path), right.get(path))
    assert not differing, differing


@pytest.fixture
def db(box):
    # KILL as its stop signal: a sleep as process 1 ignores TERM, and there are many stops here.
    return box.sleeper(StopSignal="SIGKILL")


@pytest.fixture
def tag(box, sidesnap, db):
    """A snapshot of the good state; the container has gone on to a worse one."""
    tag = box.tag()
    sidesnap.create(db.name, tag)
    trees.worsen_small(db)
    return tag


def test_state_of_then_is_back(box, sidesnap, db, tag):
    result = sidesnap.json("replace", db.name, tag, "--yes")
    assert result["name"] == db.name and result["reference"] == tag and result["ready"] is True
    now = box.container("db")
    assert now.id != db.id and result["container"] == now.id
    assert now.exec("cat /data/file; ls /data; ls /own 2>&1 | grep -c No") == (
        "hello\ndir\nfifo\nfile\nlinked\nsymlink\n1\n"
    )
    assert not db.exists(), "the old container is removed after success"
    assert [m["Name"] for m in now.inspect()["Mounts"]] == [db.volume]
    assert len([c for c in box.engine.containers() if box.name("") in c["Names"][0]]) == 1


def test_safety_snapshot_holds_the_state_before(box, sidesnap, db, tag):
    result = sidesnap.json("replace", db.name, tag, "--yes")
    assert box.safeties() == [result["safety"]]
    copy = box.boot("undo", result["safety"])
    assert copy.exec("cat /data/file /data/extra /own") == "worse\nextra\nown\n"
    text = sidesnap("replace", db.name, tag, "--yes")
    assert "safety" in text.out + text.err, text


def test_everything_of_the_inspect_is_kept(box, sidesnap, scratch):
    """Two inspects, field by field."""
    network = box.name("net")
    box.engine.json(
        "POST", "/networks/create", None,
        {"Name": network, "IPAM": {"Config": [{"Subnet": "10.250.77.0/24"}]}},
    )
    second = box.name("net2")
    box.engine.json("POST", "/networks/create", None, {"Name": second})
    named, readonly = box.volume("named", trees.make_small), box.volume("readonly", trees.make_small)
    container = box.create(
        "db",
        "service",
        ["serve", "with words"],
        host={
            "Binds": [f"{named}:/data", f"{readonly}:/ro:ro", f"{scratch}:/bind:ro,rprivate"],
            "Mounts": [
                {"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}},
                {"Type": "volume", "Target": "/anonymous"},
            ],
            "Tmpfs": {"/run": "size=1m"},
            "NetworkMode": network,
            "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18093"}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 7},
            "Memory": 200 << 20,
            "MemoryReservation": 100 << 20,
            "CpuShares": 512,
            "NanoCpus": 1500000000,
            "PidsLimit": 200,
            "CapAdd": ["NET_ADMIN"],
            "CapDrop": ["MKNOD"],
            "Ulimits": [{"Name": "nofile", "Soft": 2000, "Hard": 3000}],
            "ExtraHosts": ["other:10.1.2.3"],
            "Dns": ["10.9.9.9"],
            "DnsSearch": ["example.org"],
            "DnsOptions": ["ndots:2"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
            "SecurityOpt": ["no-new-privileges"],
            "ShmSize": 32 << 20,
            "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "1000"},
            "Init": True,
            "GroupAdd": ["1234"],
            "OomScoreAdj": 100,
            "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/null2", "CgroupPermissions": "rw"}],
        },
        Env=["SECRET=hunter2", "MODE=fast"],
        Labels={"own": "label", "com.example.x": "1"},
        Hostname="dbhost",
        Domainname="example.org",
        WorkingDir="/tmp",
        StopSignal="SIGUSR1",
        StopTimeout=3,
        Tty=True,
        OpenStdin=True,
        ExposedPorts={"8080/tcp": {}, "9/tcp": {}},
        Healthcheck={"Test": ["CMD", "true"], "Interval": 2000000000, "Retries": 5},
        NetworkingConfig={
            "EndpointsConfig": {
                network: {"Aliases": ["database", "primary"], "IPAMConfig": {"IPv4Address": "10.250.77.77"}}
            }
        },
    )
    box.engine.call("POST", f"/networks/{second}/connect", None, {"Container": container.id, "EndpointConfig": {"Aliases": ["other-name"]}})
    container.start()
    wait_for(lambda: "serving" in container.logs(), "the service")
    tag = box.tag()
    sidesnap.create(container.name, tag)
    before = container.inspect()
    volumes = sorted(name for name in box.engine.volumes() if name != "sidesnap-state")
    sidesnap("replace", container.name, tag, "--yes")
    after = box.container("db")
    assert_same_inspect(before, after.inspect())
    left = sorted(name for name in box.engine.volumes() if name != "sidesnap-state")
    assert left == volumes, "anonymous volumes are taken over by name"
    assert after.exec("cat /data/file; echo $SECRET") == "hello\nhunter2\n"
    # And once more from the replaced one: nothing drifts.
    second_tag = box.tag()
    sidesnap.create(container.name, second_tag)
    sidesnap("replace", container.name, second_tag, "--yes")
    assert_same_inspect(before, box.container("db").inspect())


def test_entrypoint_given_at_run_time(box, sidesnap):
    container = box.run("db", "service", ["1000"], Entrypoint=["/bin/sleep"])
    tag = box.tag()
    sidesnap.create(container.name, tag)
    sidesnap("replace", container.name, tag, "--yes")
    now = box.container("db")
    wait_for(lambda: now.exec("cat /proc/1/cmdline") == "/bin/sleep\x001000\x00", "the service")


@pytest.mark.parametrize("mode", ["NetworkMode", "PidMode", "IpcMode"])
def test_followers_follow(box, sidesnap, mode):
    """Containers that use its network, pid or ipc namespace name the old id: they are made again too."""
    host = {"IpcMode": "shareable"} if mode == "IpcMode" else {}
    container = box.run("db", "busybox", ["sleep", "1000"], host=host)
    follower = box.run("follower", "busybox", ["sleep", "1000"], host={mode: f"container:{container.id}"})
    before = follower.inspect()
    tag = box.tag()
    sidesnap.create(container.name, tag)
    sidesnap("replace", container.name, tag, "--yes")
    now, follows = box.container("db"), box.container("follower")
    assert follows.inspect()["HostConfig"][mode] == f"container:{now.id}"
    assert follows.status() == "running"
    assert follows.inspect()["Image"] == before["Image"] and follows.inspect()["Config"]["Cmd"] == ["sleep", "1000"]
    kind = {"NetworkMode": "net", "PidMode": "pid", "IpcMode": "ipc"}[mode]

    def namespace(which):
        return os.readlink(f"/proc/{which.state()['Pid']}/ns/{kind}")

    assert namespace(now) == namespace(follows)


def test_other_users_of_the_volume_are_stopped_and_started(box, sidesnap, db, tag):
    other = box.run("other", "busybox", ["sleep", "1000"], [(db.volume, "/data")])
    started = other.state()["StartedAt"]
    sidesnap("replace", db.name, tag, "--yes")
    state = other.state()
    assert state["Running"] and state["StartedAt"] > started
    assert other.exec("cat /data/file") == "hello\n"


def test_question_on_a_terminal(box, sidesnap, db, tag):
    other = box.run("other", "busybox", ["sleep", "1000"], [(db.volume, "/data")])
    terminal = Terminal(sidesnap, "replace", db.name, tag)
    try:
        wait_for(lambda: other.name.encode() in terminal.read(), "the question", 60)
        terminal.type(b"n\n")
        assert terminal.wait() == REFUSED, terminal.output
    finally:
        terminal.close()
    assert box.container("db").id == db.id and db.status() == "running"
    assert db.exec("cat /data/file") == "worse\n"


def test_stopped_container(box, sidesnap, db, tag):
    db.stop(0)
    sidesnap("replace", db.name, tag, "--yes", "--no-start", code=None)
    now = box.container("db")
    assert now.id != db.id and not now.state()["Running"]
    now.start()
    wait_for(lambda: now.state()["Running"], "it")
    assert now.exec("cat /data/file") == "hello\n"


def test_volume_at_another_name(box, sidesnap, db, tag):
    """The container has since got another volume at that path: that one is restored."""
    other = box.volume("newer")
    name = db.name
    db.remove()
    container = box.run("db", "busybox", ["sleep", "1000"], [(other, "/data")])
    sidesnap("replace", name, tag, "--yes")
    now = box.container("db")
    assert now.id != container.id and now.exec("cat /data/file") == "hello\n"
    assert [m["Name"] for m in now.inspect()["Mounts"]] == [other]


def test_what_was_excluded_is_never_touched(box, sidesnap):
    """Neither deleted nor changed: it is in the manifest as left out."""
    volume = box.volume("data", trees.make_small)
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    container.exec("mkdir /data/cache; echo 1 >/data/cache/x; nc -lkU /data/a.sock >/dev/null 2>&1 & sleep 0.2")
    tag = box.tag()
    sidesnap.create(container.name, tag, "--exclude", "/data/cache")
    container.exec("echo 2 >/data/cache/x; echo worse >/data/file")
    sidesnap("replace", container.name, tag, "--yes")
    now = box.container("db")
    assert now.exec("cat /data/cache/x /data/file") == "2\nhello\n"


def assert_as_before(box, db, before, content):
    """The old container, running, with the data it had."""
    now = box.container("db")
    assert now.state()["Running"] and not now.state()["Paused"]
    assert_same_inspect(before, now.inspect())
    assert now.exec("cat /data/file; cat /data/extra; cat /own") == content
    assert not box.helpers()
    assert [c["Names"] for c in box.engine.containers() if "restoring" in str(c["Names"])] == []


REPLACE_POINTS = points(("replace/", "restore/", "rollback/"))


def test_there_are_steps_of_replace():
    assert len(REPLACE_POINTS) >= 4, REPLACE_POINTS


@pytest.mark.parametrize("point", REPLACE_POINTS)
def test_failure_at_each_step_leaves_the_old_one(box, sidesnap, db, tag, point):
    before = db.inspect()
    result = sidesnap.at(point, "error")("replace", db.name, tag, "--yes", code=None)
    if result.code == 0:
        pytest.skip(f"{point} cannot fail")
    assert result.code not in (0, 1), result
    assert_as_before(box, db, before, "worse\nextra\nown\n")


@pytest.mark.parametrize("point", REPLACE_POINTS)
def test_death_at_each_step_is_rolled_back_by_doctor(box, sidesnap, db, tag, point):
    """Or carried to the end, where the new one was complete already."""
    before = db.inspect()
    result = sidesnap.at(point)("replace", db.name, tag, "--yes", code=None)
    if result.code != -9:
        assert result.code == 0, result
        pytest.skip(f"{point} is not on the way")
    wait_for(lambda: not any(h["State"] == "running" for h in box.helpers()), "helpers end", 30)
    said = sidesnap("doctor")
    now = box.container("db")
    if now.inspect()["Image"] == before["Image"]:
        assert_as_before(box, db, before, "worse\nextra\nown\n")
    else:
        wait_for(lambda: box.container("db").state()["Running"], "the new one runs")
        assert now.exec("cat /data/file") == "hello\n", said
    assert not box.helpers(), said
    assert sidesnap.json("doctor")["actions"] == []


def test_service_that_does_not_get_ready_is_rolled_back(box, sidesnap, poisoned):
    """The snapshot's data makes the service end: the state before comes back by itself."""
    container, _, tag = poisoned
    result = sidesnap("replace", container.name, tag, "--yes", code=None)
    assert result.code not in (0, 1), result
    now = box.container("db")
    assert now.state()["Running"], result
    time.sleep(0.5)
    assert now.exec("ls /data") == "good\n"


def test_interrupted_by_ctrl_c(box, sidesnap, db, tag):
    before = db.inspect()
    point = REPLACE_POINTS[len(REPLACE_POINTS) // 2] if REPLACE_POINTS else "replace/stopped"
    process = sidesnap.at(point, "sleep:3").start("replace", db.name, tag, "--yes")
    time.sleep(2)
    process.send_signal(2)
    out, err = process.communicate(timeout=120)
    assert process.returncode in (130, 0), (out, err)
    if process.returncode == 130:
        assert_as_before(box, db, before, "worse\nextra\nown\n")
