"""Redis: a server that works relative to its WORKDIR and re-execs itself as another user by its own path."""

import pytest

from conftest import booted
from support.api import wait_for


@pytest.fixture
def redis(box):
    """As a compose file has it: options alone as the command."""
    container = box.run("redis", "redis", ["--appendonly", "yes"])
    ready(container)
    return container


def ready(container):
    wait_for(
        lambda: container.exec(["redis-cli", "ping"], check=False)[1].strip() == "PONG", f"{container.name} answers", 30
    )
    return container


def test_appendonly_as_compose_command(box, sidesnap, redis):
    """Booted by plain `docker run`, with the same command, as the same user, in the same directory."""
    for number in range(300):
        if number % 100 == 0:
            redis.exec(["redis-cli", "set", f"key{number}", "x" * 1000])
    redis.exec(["redis-cli", "debug", "populate", "10000"], check=False)
    size = redis.exec(["redis-cli", "dbsize"])
    tag = box.tag()
    result = sidesnap.create(redis.name, tag)
    assert result["driver"] == "redis" and result["consistency"] == "frozen"
    config = box.engine.image(tag)["Config"]
    assert config["Cmd"] == ["--appendonly", "yes"] and config["WorkingDir"] == "/data"
    copy = ready(booted(box.boot("copy", tag)))
    assert copy.exec(["redis-cli", "dbsize"]) == size
    assert copy.exec(["redis-cli", "config", "get", "appendonly"]).split() == ["appendonly", "yes"]
    assert copy.exec(["redis-cli", "config", "get", "dir"]).split() == ["dir", "/data"]
    assert copy.exec("ps -o user= -p 1 2>/dev/null || stat -c %U /proc/1").strip() == "redis"


def test_data_in_memory_only_is_saved_first(box, sidesnap):
    """Without AOF the last writes are in memory: BGSAVE by the driver, before the freeze."""
    redis = ready(box.run("redis", "redis", ["redis-server", "--save", "3600 1000000"]))
    redis.exec(["redis-cli", "set", "only", "in-memory"])
    tag = box.tag()
    sidesnap.create(redis.name, tag)
    copy = ready(box.boot("copy", tag))
    assert copy.exec(["redis-cli", "get", "only"]).strip() == "in-memory"


def test_replace_waits_until_it_answers(box, sidesnap, redis):
    redis.exec(["redis-cli", "set", "a", "then"])
    tag = box.tag()
    sidesnap.create(redis.name, tag)
    redis.exec(["redis-cli", "set", "a", "now"])
    assert sidesnap.json("replace", redis.name, tag, "--yes")["ready"] is True
    now = box.container("redis")
    assert now.exec(["redis-cli", "get", "a"]).strip() == "then"


def test_run_says_ready_when_it_answers(box, sidesnap, redis):
    tag = box.tag()
    sidesnap.create(redis.name, tag)
    sidesnap("run", tag, "--name", box.name("copy"))
    assert box.container("copy").exec(["redis-cli", "ping"]).strip() == "PONG"
