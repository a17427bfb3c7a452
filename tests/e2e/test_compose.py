"""The sidecar in a compose project, with docker-compose 1.29 and with compose v2."""

import json
import os
import shutil
import subprocess
import time

import pytest

from conftest import booted
from support import compose as programs
from support import trees
from support.api import wait_for
from support.cli import BUILD, CANCELLED, family
from support.images import PREFIX, ROOT

SIDECAR = PREFIX + "sidecar:1"


@pytest.fixture(params=["v1", "v2"])
def compose(request, box, scratch):
    program, reason = programs.version_one() if request.param == "v1" else programs.version_two()
    if not program:
        pytest.skip(reason)
    project = box.name("p").replace("-", "")
    made = programs.Compose(program, box.host, scratch, project)
    yield made
    if os.path.exists(os.path.join(scratch, "compose.yml")):
        made("down", "-v", "--remove-orphans", "-t", "0", check=False)


@pytest.fixture(scope="session")
def sidecar(engine):
    """The image as `make image` packs it."""
    if not shutil.which("docker"):
        pytest.skip("no docker command to build the sidecar image with")
    subprocess.run(
        [os.path.join(ROOT, "scripts/image"), BUILD, SIDECAR, "test"],
        check=True,
        env={**os.environ, "DOCKER_HOST": engine.host},
        cwd=ROOT,
    )
    return SIDECAR


def write(compose, text):
    with open(os.path.join(compose.directory, "compose.yml"), "w") as file:
        file.write('version: "3.7"\n' + text)


def container(box, compose, service):
    found = box.engine.containers(
        label=[f"com.docker.compose.project={compose.project}", f"com.docker.compose.service={service}"]
    )
    assert len(found) == 1, found
    return box.engine.container(found[0]["Id"])


def project_file(box, socket=True, image=None):
    mount = f"      - {box.engine.path}:/var/run/docker.sock\n" if socket else ""
    return f"""
services:
  db:
    image: {image or box.images('busybox')}
    command: ["sleep", "1000"]
    environment: {{MODE: fast}}
    volumes: ["data:/data"]
    networks: {{default: {{aliases: [database]}}}}
    stop_grace_period: 0s
  sidesnap:
    image: {SIDECAR}
    restart: unless-stopped
    volumes:
{mount}      - data:/backup-of-data
volumes: {{data: {{}}}}
"""


def test_sidecar_creates_replaces_and_compose_keeps_the_container(box, compose, sidecar):
    """
    The whole path as the README shows it. The sidecar even shares the volume with its target, and is
    not frozen: it could not thaw anything then. `up -d` afterwards must not make the container again.
    """
    write(compose, project_file(box).replace("data:/backup-of-data", "data:/backup-of-data:ro"))
    compose("up", "-d")
    db = container(box, compose, "db")
    db.exec("echo good >/data/file")
    tag = box.tag()
    _code, out, _err = compose("exec", "-T", "sidesnap", "sidesnap", "create", "db", "-t", tag, "--json")
    result = json.loads(out)
    assert result["target"] == db.name and result["frozen"] == [db.name]
    labels = box.engine.image(tag)["Config"]["Labels"]
    assert labels["sidesnap.source.project"] == compose.project
    assert labels["sidesnap.source.service"] == "db"
    db.exec("echo worse >/data/file")
    compose("exec", "-T", "sidesnap", "sidesnap", "replace", "db", tag, "--yes")
    now = container(box, compose, "db")
    assert now.id != db.id and now.exec("cat /data/file") == "good\n"
    started = now.state()["StartedAt"]
    compose("up", "-d")
    again = container(box, compose, "db")
    assert again.id == now.id and again.state()["StartedAt"] == started, "compose made it again"
    assert db.name == again.name


def test_sidecar_that_writes_the_volume_may_not_be_frozen(box, compose, sidecar):
    """It mounts the target's volume writable: refused unless live, and never frozen itself."""
    write(compose, project_file(box))
    compose("up", "-d")
    db = container(box, compose, "db")
    code, out, err = compose("exec", "-T", "sidesnap", "sidesnap", "create", "db", check=False)
    assert code != 0 and "--live" in err + out, (code, out, err)
    assert not db.state()["Paused"]
    tag = box.tag()
    _c, out, _e = compose("exec", "-T", "sidesnap", "sidesnap", "create", "db", "-t", tag, "--live", "--json")
    assert json.loads(out)["consistency"] == "live"


def test_cancel_through_exec(box, compose, sidecar):
    """`exec -T` delivers no signal; another exec ends the create."""
    write(compose, project_file(box).replace("data:/backup-of-data", "data:/backup-of-data:ro"))
    compose("up", "-d")
    db = container(box, compose, "db")
    trees.write(trees.join(box.path(f"{compose.project}_data"), "big"), trees.noise(300 << 20))
    command = [
        compose.program, "-p", compose.project, "-f", compose.directory + "/compose.yml",
        "exec", "-T", "sidesnap", "sidesnap", "create", "db", "-t", box.tag(),
    ]
    process = subprocess.Popen(
        command, env={**os.environ, "DOCKER_HOST": box.host}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    wait_for(lambda: any(h["State"] == "running" for h in box.helpers()) or process.poll() is not None, "the helper")
    if process.poll() is None:
        compose("exec", "-T", "sidesnap", "sidesnap", "cancel", "db", check=False)
    out, err = process.communicate(timeout=120)
    assert process.returncode in (CANCELLED, 0), (process.returncode, out, err)
    wait_for(lambda: not box.helpers(), "the helper is removed")
    assert not db.state()["Paused"]


def test_sidecar_start_repairs(box, compose, sidecar):
    """The whole sidecar is killed while the target is frozen; at its next start doctor thaws."""
    write(compose, project_file(box).replace("data:/backup-of-data", "data:/backup-of-data:ro"))
    compose("up", "-d")
    db = container(box, compose, "db")
    process = box.sidesnap.at("freeze/paused", "sleep:60").start("create", db.name, "-t", box.tag())
    wait_for(lambda: db.state()["Paused"], "the freeze")
    for one in reversed(family(process)):
        os.kill(one, 9)
    process.communicate()
    time.sleep(0.5)
    assert db.state()["Paused"]
    compose("restart", "-t", "1", "sidesnap")
    wait_for(lambda: not db.state()["Paused"], "doctor at the sidecar's start", 40)
    wait_for(lambda: not box.helpers(), "the helper is removed", 20)


def test_snapshot_as_a_service_twice_and_shared(box, compose):
    """image: my-snapshot, scale=2, and a second service that mounts the volume read-only."""
    volume = box.volume("source", trees.make_small)
    source = box.run("source", "busybox", ["sleep", "1000"], [(volume, "/data")])
    tag = box.tag()
    box.sidesnap.create(source.name, tag)
    write(
        compose,
        f"""
services:
  db:
    image: {tag}
    volumes: ["data:/data"]
    stop_grace_period: 0s
  reader:
    image: {tag}
    volumes: ["data:/data:ro"]
    stop_grace_period: 0s
volumes: {{data: {{}}}}
""",
    )
    compose("up", "-d", "--scale", "db=2")
    members = box.engine.containers(label=f"com.docker.compose.project={compose.project}")
    assert len(members) == 3
    for member in members:
        booted(box.engine.container(member["Id"]))
    trees.assert_same(box.path(volume), box.path(f"{compose.project}_data"))
    compose("down", "-t", "0")
    compose("up", "-d")
    assert booted(container(box, compose, "db")).exec("cat /data/file") == "hello\n"


def test_sidecar_image_is_small_and_complete(box, sidecar):
    image = box.engine.image(sidecar)
    assert image["Size"] < 6 << 20, image["Size"]
    made = box.run("sidecar", sidecar, ["version"], Entrypoint=["sidesnap"])
    assert made.wait() == 0, made.logs()
    shell = box.run("shell", sidecar, ["-c", "busybox | head -1; ls /licences /usr/share/licenses 2>/dev/null; ls /etc/ssl"], Entrypoint=["/bin/sh"])
    shell.wait()
    assert "BusyBox" in shell.logs(), shell.logs()


def test_without_compose(box, sidecar):
    """docker run --rm -v socket sidesnap create NAME."""
    volume = box.volume("data", trees.make_small)
    target = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    tag = box.tag()
    made = box.run("run", sidecar, ["create", target.name, "-t", tag], [(box.engine.path, "/var/run/docker.sock")])
    assert made.wait() == 0, made.logs()
    assert box.boot("copy", tag).exec("cat /data/file") == "hello\n"
