"""sidesnap create: what it answers, what it makes, and what it leaves alone."""

import datetime
import json
import os
import re
import subprocess
import threading

import pytest

from support import trees
from support.api import wait_for
from support.cli import BUSY, EXISTS, NOT_FOUND, USAGE, Sidesnap, Terminal
from support.images import ROOT
from support.watch import HelperWatch, PauseWatch, assert_confined


@pytest.fixture
def db(box):
    """A running container with one volume that holds a little of everything."""
    return box.sleeper()


def labels(box, reference):
    return box.engine.image(reference)["Config"]["Labels"]


def test_snapshot_boots_into_the_same_state(box, sidesnap, db):
    """The whole path, thin: capture, commit, plain docker run."""
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert result["reference"] == tag and result["target"] == db.name
    assert result["target_id"] == db.id
    assert result["consistency"] == "frozen" and result["frozen"] == [db.name]
    assert result["kind"] == "user"
    assert [t["paths"] for t in result["trees"]] == [["/data"]]
    assert result["trees"][0]["kind"] == "volume" and result["trees"][0]["name"] == db.volume
    assert result["bytes"] >= 100000
    copy = box.volume("copy")
    box.boot("copy", tag, mounts=[(copy, "/data")])
    trees.assert_same(box.path(db.volume), box.path(copy))
    assert db.status() == "running"


def test_default_tag(box, sidesnap):
    container = box.run("With.Odd_Name", "busybox", ["sleep", "1000"])
    result = sidesnap.json("create", container.name)
    name = re.sub(r"[^a-z0-9]", "-", container.name.lower())
    match = re.fullmatch(
        rf"localhost/sidesnap/({re.escape(name)}|[a-z0-9._-]+):(\d{{8}}T\d{{6}}\.\d{{3}}Z)", result["reference"]
    )
    assert match, result["reference"]
    when = datetime.datetime.strptime(match.group(2)[:15], "%Y%m%dT%H%M%S")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert abs((now - when).total_seconds()) < 120, "the tag is UTC"
    assert box.engine.has_image(result["reference"])


def test_stdout_is_the_result_alone(box, sidesnap, db):
    tag = box.tag()
    result = sidesnap("create", db.name, "-t", tag)
    assert tag in result.out and len(result.out.strip().splitlines()) == 1, result
    quiet = sidesnap("create", db.name, "-t", box.tag(), "--quiet")
    assert quiet.err == "", quiet
    verbose = sidesnap("create", db.name, "-t", box.tag(), "--verbose")
    assert len(verbose.err.splitlines()) >= len(result.err.splitlines()), (verbose, result)


def test_plain_lines_without_a_terminal(sidesnap, box, db):
    result = sidesnap("create", db.name, "-t", box.tag())
    assert "\r" not in result.err and "\x1b" not in result.err, result


def test_terminal_shows_progress(box, sidesnap, db):
    terminal = Terminal(sidesnap, "create", db.name, "-t", box.tag())
    try:
        assert terminal.wait() == 0, terminal.output
        assert b"\r" in terminal.output or b"\x1b[" in terminal.output, terminal.output
    finally:
        terminal.close()


def test_no_color(box, sidesnap, db):
    terminal = Terminal(sidesnap, "create", db.name, "-t", box.tag(), env={"NO_COLOR": "1"})
    try:
        assert terminal.wait() == 0, terminal.output
        assert not re.search(rb"\x1b\[[0-9;]*m", terminal.output), terminal.output
    finally:
        terminal.close()


def test_target_is_frozen_once_and_short(box, sidesnap, db):
    with PauseWatch(box.engine) as watch:
        result = sidesnap.create(db.name, box.tag())
    assert watch.seen == {db.name}
    assert 0 < result["frozen_ms"] < 10000
    assert not db.state()["Paused"]


def test_live_does_not_freeze_and_says_so(box, sidesnap, db):
    tag = box.tag()
    with PauseWatch(box.engine) as watch:
        result = sidesnap.create(db.name, tag, "--live")
    assert watch.seen == set() and result["consistency"] == "live" and not result["frozen"]
    assert labels(box, tag)["sidesnap.consistency"] == "live"


def test_stopped_target_is_captured_as_it_is(box, sidesnap, db):
    db.exec("echo own >/etc/own")
    db.stop(0)
    before = db.state()
    tag = box.tag()
    result = sidesnap.create(db.name, tag)
    assert result["consistency"] == "stopped"
    assert db.state()["Status"] == "exited" and db.state()["StartedAt"] == before["StartedAt"]
    copy = box.boot("copy", tag)
    assert copy.exec("cat /etc/own /data/file") == "own\nhello\n"


def test_container_that_never_ran(box, sidesnap):
    volume = box.volume("data", trees.make_small)
    container = box.create("db", "busybox", ["sleep", "1000"], [(volume, "/data")])
    tag = box.tag()
    assert sidesnap.create(container.name, tag)["consistency"] == "stopped"
    assert container.status() == "created"
    assert box.boot("copy", tag).exec("cat /data/file") == "hello\n"


def test_stopped_option_stops_and_starts_again(box, sidesnap, db):
    started = db.state()["StartedAt"]
    tag = box.tag()
    with PauseWatch(box.engine) as watch:
        result = sidesnap.create(db.name, tag, "--stopped")
    assert result["consistency"] == "stopped" and not watch.seen
    state = db.state()
    assert state["Running"] and state["StartedAt"] > started
    assert labels(box, tag)["sidesnap.consistency"] == "stopped"


def test_paused_by_a_person_stays_paused(box, sidesnap, db):
    db.pause()
    sidesnap.create(db.name, box.tag())
    assert db.state()["Paused"], "the pause was somebody else's"
    db.unpause()


def test_title_and_labels(box, sidesnap, db):
    """The documented table of labels is what the image has, every one of them, and no other."""
    tag = box.tag()
    result = sidesnap.create(db.name, tag, "-m", 'before "the" upgrade')
    found = labels(box, tag)
    with open(os.path.join(ROOT, "pkg/snapshot/labels.h")) as file:
        text = file.read()
    part = text[text.index("On both") : text.index("Set by people")]
    documented = set(re.findall(r'"(sidesnap\.[a-z.-]+)"', part))
    assert documented - set(found) <= {"sidesnap.notes", "sidesnap.pinned"}, "labels are missing"
    # A commit cannot take the helper's away, only empty them.
    assert {k for k, v in found.items() if k.startswith("sidesnap.") and v} <= documented, "undocumented labels"
    assert found["sidesnap.role"] == "snapshot" and found["sidesnap.kind"] == "user"
    assert found["sidesnap.format"] == "1"
    assert found["sidesnap.title"] == 'before "the" upgrade' == result["title"]
    assert re.fullmatch(r"[0-9a-f]{32}", found["sidesnap.id"])
    assert found["sidesnap.id"] == result["id"]
    assert re.fullmatch(r"[0-9a-f]{32}", found["sidesnap.lineage"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", found["sidesnap.created"])
    assert found["sidesnap.source.container"] == db.name
    assert found["sidesnap.source.id"] == db.id
    assert found["sidesnap.source.image-id"] == db.inspect()["Image"]
    assert json.loads(found["sidesnap.trees"])[0]["paths"] == ["/data"]
    assert "org.opencontainers.image.created" in found
    assert "org.opencontainers.image.title" in found
    with open(os.path.join(ROOT, "docs/reference.md")) as file:
        reference = file.read()
    assert [name for name in documented if name not in reference] == [], "not in docs/reference.md"


def test_lineage_is_the_same_for_one_source_and_another_for_another(box, sidesnap, db):
    other = box.run("other", "busybox", ["sleep", "1000"])
    first, second, third = (
        sidesnap.create(name, box.tag())["lineage"] for name in (db.name, db.name, other.name)
    )
    assert first == second != third


def test_parent_is_the_snapshot_that_the_container_came_from(box, sidesnap, db):
    one, two = box.tag(), box.tag()
    first = sidesnap.create(db.name, one)
    assert first["parent"] in ("", None)
    copy = box.boot("copy", one)
    second = sidesnap.create(copy.name, two)
    assert second["parent"] == first["id"] and second["id"] != first["id"]
    assert labels(box, two)["sidesnap.parent"] == first["id"]
    assert box.boot("again", two).exec("cat /data/file") == "hello\n"


def test_dry_run_touches_nothing(box, sidesnap, db):
    db.exec("echo x >/etc/own")
    tag = box.tag()
    before = box.engine.state()
    with PauseWatch(box.engine) as watch:
        plan = sidesnap.json("create", db.name, "-t", tag, "--dry-run")
        text = sidesnap("create", db.name, "-t", tag, "--dry-run").out
    assert box.engine.state() == before
    assert not watch.seen
    assert plan["would_freeze"] == [db.name] and plan["reference"] == tag
    assert plan["trees"][0]["paths"] == ["/data"] and plan["trees"][0]["bytes"] >= 100000
    assert plan["own"]["files"] >= 1
    assert plan["space_needed"] > 0 and plan["space_free"] > plan["space_needed"]
    for word in ("/data", tag, db.name):
        assert word in text, (word, text)


def test_dry_run_of_a_stopped_target_touches_nothing(box, sidesnap, db):
    db.stop(0)
    before = box.engine.state()
    plan = sidesnap.json("create", db.name, "--dry-run")
    assert box.engine.state() == before and plan["would_freeze"] == []


def test_existing_tag_is_moved_only_with_force(box, sidesnap, db):
    tag = box.tag()
    first = sidesnap.create(db.name, tag)
    identity = box.engine.image(tag)["Id"]
    result = sidesnap.fails(EXISTS, "create", db.name, "-t", tag, says=["--force", tag])
    assert box.engine.image(tag)["Id"] == identity, result
    second = sidesnap.create(db.name, tag, "--force")
    assert second["id"] != first["id"] and box.engine.image(tag)["Id"] != identity
    box.engine.remove_image(identity)


def test_force_allows_nothing_else(box, sidesnap, db):
    """--force only moves a tag: an overlay volume stays refused."""
    os.mknod(os.path.join(box.path(db.volume), "w"), 0o020000, os.makedev(0, 0))
    sidesnap.fails(6, "create", db.name, "-t", box.tag(), "--force", says="--allow-overlay-volume")
    sidesnap.create(db.name, box.tag(), "--allow-overlay-volume")


def test_failed_create_keeps_the_old_tag(box, sidesnap, db):
    tag = box.tag()
    sidesnap.create(db.name, tag)
    identity = box.engine.image(tag)["Id"]
    os.mknod(os.path.join(box.path(db.volume), "w"), 0o020000, os.makedev(0, 0))
    sidesnap("create", db.name, "-t", tag, "--force", code=6)
    assert box.engine.image(tag)["Id"] == identity


def test_target_by_id_and_prefix(box, sidesnap, db):
    assert sidesnap.create(db.id, box.tag())["target"] == db.name
    assert sidesnap.create(db.id[:12], box.tag())["target"] == db.name


def test_target_by_compose_service(box, sidesnap):
    """-p PROJECT names the project; two replicas are ambiguous, and both are named."""
    project = box.name("project").lower()

    def service(word, number):
        return box.run(
            word,
            "busybox",
            ["sleep", "1000"],
            Labels={
                "com.docker.compose.project": project,
                "com.docker.compose.service": "web",
                "com.docker.compose.container-number": str(number),
                "com.docker.compose.oneoff": "False",
            },
        )

    first = service("web1", 1)
    tag = box.tag()
    assert sidesnap.create("web", tag, "-p", project)["target"] == first.name
    assert labels(box, tag)["sidesnap.source.project"] == project
    assert labels(box, tag)["sidesnap.source.service"] == "web"
    second = service("web2", 2)
    sidesnap.fails(USAGE, "create", "web", "-p", project, says=[first.name, second.name])
    sidesnap.fails(NOT_FOUND, "create", "web", "-p", project + "x")


def test_unknown_target_suggests_near_names(box, sidesnap, db):
    sidesnap.fails(NOT_FOUND, "create", db.name[:-1] + "x", says=db.name)


def test_ambiguous_id_prefix(box, sidesnap):
    containers, seen = [], {}
    for number in range(20):
        made = box.create(f"c{number}", "busybox", ["true"])
        containers.append(made)
        if made.id[0] in seen:
            break
        seen[made.id[0]] = made
    result = sidesnap("create", made.id[0], "-t", box.tag(), code=None)
    assert result.code in (USAGE, NOT_FOUND), result  # so short a prefix may not count at all


def test_image_command(box, sidesnap):
    container = box.run("db", "service", ["sleep", "999"], Entrypoint=["/bin/busybox"])
    plain, image = box.tag(), box.tag()
    sidesnap.create(container.name, plain)
    sidesnap.create(container.name, image, "--image-command")
    copy = box.boot("plain", plain)
    assert copy.exec("cat /proc/1/cmdline").split("\0")[:3] == ["/bin/busybox", "sleep", "999"]
    copy = box.boot("image", image)
    assert "entry.sh\0serve" in copy.exec("cat /proc/1/cmdline")


def test_environment_given_at_run_time_stays_out(box, sidesnap):
    """Names in a label and printed at boot, values nowhere; --with-env lets single ones in."""
    container = box.run(
        "db", "busybox", ["sleep", "1000"], Env=["PASSWORD=hunter2", "MODE=fast", "LEVEL=9 and more"]
    )
    tag = box.tag()
    result = sidesnap.create(container.name, tag, "--with-env", "MODE,LEVEL")
    config = box.engine.image(tag)["Config"]
    assert "MODE=fast" in config["Env"] and "LEVEL=9 and more" in config["Env"]
    assert result["omitted_variables"] == ["PASSWORD"]
    assert config["Labels"]["sidesnap.omitted"] == "PASSWORD"
    everything = json.dumps([box.engine.image(tag), box.engine.history(tag)])
    assert "hunter2" not in everything
    copy = box.boot("copy", tag)
    assert "PASSWORD" in copy.logs() and "hunter2" not in copy.logs()
    assert copy.exec("echo $MODE,$PASSWORD") == "fast,\n"


def test_with_env_of_a_variable_that_is_not_there(box, sidesnap, db):
    sidesnap.fails(USAGE, "create", db.name, "--with-env", "NOPE", says="NOPE")


def test_image_environment_is_kept_and_not_listed(box, sidesnap):
    container = box.run("db", "secret")
    tag = box.tag()
    assert sidesnap.create(container.name, tag)["omitted_variables"] == []
    assert "IMAGE_TOKEN=in-the-image" in box.engine.image(tag)["Config"]["Env"]


def test_helper_is_confined(box, sidesnap, db):
    with HelperWatch(box.engine) as watch:
        sidesnap.create(db.name, box.tag())
    for inspect in watch.creating():
        assert_confined(inspect)
        for mount in inspect["Mounts"]:
            assert mount["Type"] == "tmpfs" or not mount["RW"], mount
        assert {"sidesnap.role", "sidesnap.nonce", "sidesnap.freezes"} <= set(inspect["Config"]["Labels"])
    assert watch.volumes == set(), "a helper made volumes"


def test_concurrent_creates_of_one_target(box, db):
    """The helper's name is the lock: one wins, the others wait or say who holds it; all tags are good."""
    results = []
    tags = [box.tag() for _ in range(3)]

    def one(tag):
        results.append((tag, Sidesnap(box.host)("create", db.name, "-t", tag, code=None)))

    threads = [threading.Thread(target=one, args=(tag,)) for tag in tags]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = sorted(r.code for _, r in results)
    assert codes[0] == 0 and set(codes) <= {0, BUSY}, results
    assert not db.state()["Paused"]
    for tag, result in results:
        assert box.engine.has_image(tag) == (result.code == 0)
        if result.code == 0:
            box.sidesnap("verify", tag)
        else:
            assert "cancel" in result.err or "doctor" in result.err or "wait" in result.err, result


def test_creates_with_a_common_writer_do_not_disturb_each_other(box, sidesnap):
    """Two targets share a volume: each freezes the other. Run at once, one after the other wins."""
    volume = box.volume("shared", trees.make_small)
    both = [box.run(w, "busybox", ["sleep", "1000"], [(volume, "/data")]) for w in ("one", "two")]
    tags = [box.tag(), box.tag()]
    processes = [sidesnap.start("create", c.name, "-t", t) for c, t in zip(both, tags)]
    outs = [p.communicate(timeout=120) for p in processes]
    assert [p.returncode for p in processes] == [0, 0], outs
    assert not any(c.state()["Paused"] for c in both)
    for tag in tags:
        assert labels(box, tag)["sidesnap.consistency"] == "frozen"


def test_end_of_stdin_is_no_signal(box, sidesnap, db):
    """cron and `exec -T` give it at once."""
    process = sidesnap.start("create", db.name, "-t", box.tag(), stdin=subprocess.PIPE)
    process.stdin.close()
    process.stdin = None
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)


def test_engine_is_as_before_after_a_create(box, sidesnap, db):
    before = box.engine.state()
    tag = box.tag()
    sidesnap.create(db.name, tag)
    after = box.engine.state()
    assert after["containers"] == before["containers"] and after["volumes"] == before["volumes"]
    new = set(after["images"]) - set(before["images"])
    assert len(new) == 1 and after["images"][new.pop()] == [tag]


def test_ps_shows_driver_volumes_and_last_snapshot(box, sidesnap, db):
    result = sidesnap.create(db.name, box.tag())
    wait_for(lambda: sidesnap.json("ps"), "ps")
    row = next(r for r in sidesnap.json("ps") if r["name"] == db.name)
    assert row["last_snapshot"]["reference"] == result["reference"]
    assert [v["path"] for v in row["volumes"]] == ["/data"]
    text = sidesnap("ps").out
    assert db.name in text


def test_an_image_built_from_a_snapshot_is_no_base(box, sidesnap, db, tmp_path):
    """It has the snapshot's labels, but files of its own, which are not the container's."""
    tag, built, after = box.tag(), box.tag("built"), box.tag("after")
    sidesnap.create(db.name, tag)
    (tmp_path / "Dockerfile").write_text(f"FROM {tag}\nUSER 0\nENTRYPOINT []\nRUN echo built >/etc/built\n")
    box.engine.build(str(tmp_path), built)
    assert labels(box, built)["sidesnap.id"] == labels(box, tag)["sidesnap.id"]
    sidesnap.create(db.name, after)
    layers = [box.engine.image(image)["RootFS"]["Layers"] for image in (tag, built, after)]
    assert layers[2][: len(layers[0])] == layers[0] and layers[1][-1] not in layers[2]
