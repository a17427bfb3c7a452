"""Fixtures of those who share: an engine at each side of a registry. They are used by being imported."""

import pytest

from conftest import Box
from support import trees
from support.cli import Sidesnap
from support.images import Images


@pytest.fixture(scope="module")
def far(registry, newer):
    """A box on an engine that has nothing: neither the tests' images nor the first engine's."""
    box = Box(newer.engine, Images(newer.engine))
    yield box
    box.close()


@pytest.fixture(scope="module")
def near(engine, images, login):
    """A box with a container and two snapshots of it; its command is logged in."""
    box = Box(engine, images)
    box.sidesnap = Sidesnap(engine.host, env=login)
    volume = box.volume("data", lambda path: trees.write(trees.join(path, "file"), trees.noise(3 << 20)))
    box.db = box.run("db", "busybox", ["sleep", "1000"], [(volume, "/data")], StopSignal="SIGKILL")
    box.first, box.second = f"{box.name('db')}:first", f"{box.name('db')}:second"
    box.results = [box.sidesnap.create(box.db.name, box.first, "-m", "the beginning")]
    box.db.exec("echo more >/data/more; echo own >/etc/own")
    box.results.append(box.sidesnap.create(box.db.name, box.second))
    yield box
    box.close()


@pytest.fixture
def team(registry, request):
    """A repository of the test's own at the registry."""
    return f"{registry.host}/team/{request.node.originalname.replace('_', '-')}"


def empty(far):
    for container in far.engine.containers():
        far.engine.remove_container(container["Id"])
    for tag in far.engine.tags():
        far.engine.remove_image(tag)
