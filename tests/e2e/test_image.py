"""The committed image's configuration: everything of the container, nothing of the helper."""

import json

import pytest

from support import trees
from support.cli import REFUSED


def config_of(box, reference):
    return box.engine.image(reference)["Config"]


@pytest.fixture
def service(box):
    return box.run("web", "service", host={"RestartPolicy": {"Name": "no"}})


def test_image_settings_are_kept(box, sidesnap, service):
    """Commit unions with the helper and fills what is empty: each field is named by us."""
    tag = box.tag()
    sidesnap.create(service.name, tag)
    before, after = config_of(box, box.images("service")), config_of(box, tag)
    assert after["Env"] == before["Env"]
    assert after["WorkingDir"] == "/srv" and after["StopSignal"] == "SIGUSR1"
    assert after["ExposedPorts"] == before["ExposedPorts"]
    assert after["Healthcheck"] == before["Healthcheck"]
    assert (after.get("User") or "") in ("", "0"), "an empty one would be filled from the helper"
    assert set(after["Volumes"]) == {"/data"}
    assert after["Labels"]["maker"] == "test"
    assert after["Entrypoint"][0] == "/.sidesnap/agent"
    assert "entry.sh" in after["Entrypoint"] and after["Cmd"] == ["serve"]


def test_helper_labels_do_not_leak(box, sidesnap, service):
    tag = box.tag()
    sidesnap.create(service.name, tag)
    found = config_of(box, tag)["Labels"]
    assert found["sidesnap.role"] == "snapshot"
    for name in ("nonce", "freezes", "purpose", "target", "release", "journal"):
        assert not found.get("sidesnap." + name), (name, found)


def test_run_time_settings_win(box, sidesnap):
    container = box.run(
        "web",
        "service",
        ["one", "two words", ""],
        Entrypoint=["/bin/sh", "-c", 'sleep 1000; echo "$@"', "name"],
        User="app",
        WorkingDir="/tmp",
        StopSignal="SIGINT",
        ExposedPorts={"9999/tcp": {}},
        Healthcheck={"Test": ["CMD", "true"], "Interval": 5000000000},
        Labels={"own": "label"},
    )
    tag = box.tag()
    sidesnap.create(container.name, tag)
    after = config_of(box, tag)
    assert after["User"] == "app" and after["WorkingDir"] == "/tmp" and after["StopSignal"] == "SIGINT"
    assert "9999/tcp" in after["ExposedPorts"]
    assert after["Healthcheck"]["Test"] == ["CMD", "true"]
    assert after["Entrypoint"][1:][-4:] == ["/bin/sh", "-c", 'sleep 1000; echo "$@"', "name"]
    assert after["Cmd"] == ["one", "two words", ""]


def test_health_check_switched_off_stays_off(box, sidesnap):
    container = box.run("web", "health", Healthcheck={"Test": ["NONE"]})
    tag = box.tag()
    sidesnap.create(container.name, tag)
    assert config_of(box, tag)["Healthcheck"]["Test"] == ["NONE"]


def test_image_without_health_check_gets_none_from_the_helper(box, sidesnap):
    """The helper's own NONE must not become the snapshot's."""
    container = box.run("db", "busybox", ["sleep", "1000"])
    tag = box.tag()
    sidesnap.create(container.name, tag)
    assert (config_of(box, tag).get("Healthcheck") or {}).get("Test") in (None, ["NONE"])
    copy = box.boot("copy", tag)
    assert "Health" not in copy.state() or copy.state()["Health"]["Status"] == "none"


def test_history_and_config_hold_no_secrets(box, sidesnap):
    volume = box.volume("data", trees.make_small)
    container = box.run(
        "db", "busybox", ["sleep", "1000"], [(volume, "/data")], Env=["DB_PASSWORD=s3cr3t-in-env", "A=b"]
    )
    tag = box.tag()
    sidesnap.create(container.name, tag, "-m", "title")
    everything = json.dumps([box.engine.history(tag), box.engine.image(tag)])
    assert "s3cr3t-in-env" not in everything
    history = json.dumps(box.engine.history(tag)[0])
    assert "A=b" not in history


@pytest.mark.parametrize(
    "word",
    ["--password=hunter2", "--requirepass", "postgres://u:hunter2@host/db", "TOKEN=abcdef0123456789"],
)
def test_command_word_that_looks_like_a_secret_stops_the_create(box, sidesnap, word):
    command = ["sh", "-c", "sleep 1000", "x", word]
    if word == "--requirepass":
        command.append("hunter2secret")
    container = box.run("db", "busybox", command)
    tag = box.tag()
    result = sidesnap.fails(REFUSED, "create", container.name, "-t", tag, says="--image-command")
    assert "hunter2" not in result.err and "abcdef0123456789" not in result.err, "shown in clear"
    assert not box.engine.has_image(tag)
    sidesnap.create(container.name, tag, "--image-command")
    assert "hunter2" not in json.dumps(box.engine.image(tag))


def test_ordinary_commands_are_no_secrets(box, sidesnap):
    container = box.run("db", "busybox", ["sleep", "1000", ";", "--data-dir=/data", "passwd-file"][:2])
    sidesnap.create(container.name, box.tag())


def test_every_captured_path_is_a_volume(box, sidesnap):
    """Without VOLUME a plain `docker run` would restore into the container's own layer."""
    volume = box.volume("data", trees.make_small)
    container = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/some/where")])
    tag = box.tag()
    sidesnap.create(container.name, tag)
    assert set(config_of(box, tag)["Volumes"]) == {"/some/where"}


def test_image_with_a_symlink_at_our_place_is_refused(box, sidesnap):
    """/.sidesnap -> /etc would have us write into /etc as root."""
    container = box.run("db", "symlink")
    tag = box.tag()
    result = sidesnap.fails(REFUSED, "create", container.name, "-t", tag, says="/.sidesnap")
    assert not box.engine.has_image(tag), result


def test_health_check_of_the_image_is_not_run_in_a_helper(box, sidesnap):
    """It would run as root beside the data."""
    container = box.run("db", "health")
    volume = container.inspect()["Mounts"][0]["Name"]
    container.exec("true")
    container.stop(0)
    size = len(open(box.path(volume) + "/health").read()) if trees.os.path.exists(box.path(volume) + "/health") else 0
    sidesnap = sidesnap.at("helper/started", "sleep:2")
    tag = box.tag()
    sidesnap.create(container.name, tag)
    path = box.path(volume) + "/health"
    after = len(open(path).read()) if trees.os.path.exists(path) else 0
    assert after == size, "the health check ran"
    image = box.create("image", tag)
    ran = container.archive("/health").extractfile("health").read() if size else b""
    if ran:
        assert image.archive("/health").extractfile("health").read() == ran


def test_architecture_and_os_are_kept(box, sidesnap, service):
    tag = box.tag()
    sidesnap.create(service.name, tag)
    image = box.engine.image(tag)
    assert (image["Architecture"], image["Os"]) == ("amd64", "linux")


def test_layers_of_the_base_are_shared(box, sidesnap, service):
    """A snapshot is one layer on its base, not a copy of it."""
    tag = box.tag()
    sidesnap.create(service.name, tag)
    before = box.engine.image(box.images("service"))["RootFS"]["Layers"]
    after = box.engine.image(tag)["RootFS"]["Layers"]
    assert after[: len(before)] == before and len(after) == len(before) + 1
