"""
Creates at the same time. Over the same containers they go one after the other, whoever is first:
no snapshot holds what the other's thaw let happen, and nobody is left frozen.

SIDESNAP_TEST_ROUNDS sets the number of rounds (10).
"""

import os

from support.api import wait_for
from support.cli import BUSY

ROUNDS = int(os.environ.get("SIDESNAP_TEST_ROUNDS", "10"))

# Counts up in two files of the volume, one after the other: at any instant they are within one.
WRITER = (
    "i=0; while :; do i=$((i+1)); echo $i >/data/$0.new; mv /data/$0.new /data/$0.one;"
    " echo $i >/data/$0.new; mv /data/$0.new /data/$0.two; done"
)


def writers(box):
    volume = box.volume("data")
    found = [
        box.run(word, "busybox", ["sh", "-c", WRITER, word], [(volume, "/data")]) for word in ("left", "right")
    ]
    wait_for(lambda: {"left.two", "right.two"} <= set(os.listdir(box.path(volume))), "the writers")
    return found


def at_once(box, targets, tags):
    """Both started before either can have ended: (exit code, stderr) of each."""
    processes = [box.sidesnap.start("create", t.name, "-t", tag, "--json") for t, tag in zip(targets, tags)]
    return [(p.returncode, err.decode()) for p in processes for _out, err in [p.communicate(timeout=180)]]


def assert_nobody_is_frozen(box, containers):
    for container in containers:
        state = container.state()
        assert state["Running"] and not state["Paused"], (container.name, state)
    assert not box.helpers()


def assert_of_one_instant(box, tag):
    copy = box.run("copy", tag, ["sh", "-c", "cd /data && cat left.one left.two right.one right.two"])
    copy.wait()
    one, two, three, four = map(int, copy.output().split())
    assert one - 1 <= two <= one and three - 1 <= four <= three, (one, two, three, four)
    copy.remove()


def test_two_targets_on_one_volume(box, sidesnap):
    targets, older = writers(box), []
    for number in range(ROUNDS):
        tags = [box.tag(), box.tag()]
        results = at_once(box, targets, tags)
        assert [code for code, _err in results] == [0, 0], (number, results)
        assert_nobody_is_frozen(box, targets)
        for tag in tags:
            labels = box.engine.image(tag)["Config"]["Labels"]
            assert labels["sidesnap.consistency"] == "frozen", labels
            assert sidesnap.json("verify", tag)
        if number % 5 == 0:
            for tag in tags:
                assert_of_one_instant(box, tag)
        # The newest ones are what the next round builds on; the others only make it slower.
        for tag in older:
            box.engine.remove_image(tag)
        older = tags


def test_two_creates_of_one_target(box, sidesnap):
    """The second is refused clearly, or comes after the first; what is made is whole."""
    target = writers(box)[0]
    for number in range(max(3, ROUNDS // 3)):
        tags = [box.tag(), box.tag()]
        results = at_once(box, [target, target], tags)
        made = [tag for tag, (code, _err) in zip(tags, results) if code == 0]
        assert made, (number, results)
        for tag, (code, err) in zip(tags, results):
            assert code in (0, BUSY), (number, results)
            assert box.engine.has_image(tag) == (code == 0)
            assert code == 0 or ("under way" in err and "cancel" in err), err
        assert_nobody_is_frozen(box, [target])
        for tag in made:
            assert sidesnap.json("verify", tag)
            assert_of_one_instant(box, tag)
