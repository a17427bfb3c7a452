"""The first start of a snapshot: plain `docker run` in every shape, and the service that comes after."""

import json
import os
import time

import pytest

from conftest import booted
from support import trees
from support.api import wait_for

CLEAN = {"CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]}


@pytest.fixture
def snapshot(box, sidesnap):
    """make(image, command, ...) -> tag of a snapshot of a running container with /data filled."""

    def make(image, command=None, fill=trees.make_small, word="source", **config):
        volume = box.volume(word + "-data")
        fill(box.path(volume))
        container = box.run(word, image, command, [(volume, "/data")], **config)
        tag = box.tag()
        sidesnap.create(container.name, tag)
        make.container, make.path = container, box.path(volume)
        return tag

    return make


def copy_path(box, container, target="/data"):
    return next(m["Source"] for m in container.inspect()["Mounts"] if m["Destination"] == target)


def test_anonymous_volume(box, snapshot):
    copy = box.boot("copy", snapshot("busybox", ["sleep", "1000"]))
    trees.assert_same(snapshot.path, copy_path(box, copy))


def test_image_without_shell_or_libc(box, snapshot):
    tag = snapshot("scratch")
    copy = box.boot("copy", tag)
    trees.assert_same(snapshot.path, copy_path(box, copy))
    wait_for(lambda: "ready as 1" in copy.logs(), "the service")


def test_entrypoint_is_process_one_with_exact_arguments(box, snapshot):
    words = ["arguments", "two words", "", "ümlaut", "a\nb", "$HOME", "'\"\\", "--help", "-c"]
    container = box.run("keep", "scratch", words)
    container.wait()
    tag = box.tag()
    box.sidesnap.create(container.name, tag)
    copy = box.boot("copy", tag, wait=False)
    assert copy.wait() == 0
    assert copy.output() == container.output()
    assert copy.output().startswith('pid 1\n"/service"\n"arguments"\n"two words"\n""\n')


def test_arguments_override_the_command(box, snapshot):
    tag = snapshot("scratch")
    copy = box.boot("copy", tag, ["arguments", "other"], wait=False)
    assert copy.wait() == 0
    assert copy.output() == 'pid 1\n"/service"\n"arguments"\n"other"\n'
    assert os.path.exists(os.path.join(copy_path(box, copy), "file")), "restored all the same"


@pytest.mark.parametrize("number,name", [(10, "USR1"), (12, "USR2"), (1, "HUP"), (2, "INT")])
def test_signals_reach_the_service(box, snapshot, number, name):
    copy = box.boot("copy", snapshot("scratch"))
    wait_for(lambda: "ready" in copy.logs(), "the service")
    copy.kill("SIG" + name)
    wait_for(lambda: f"signal {number}" in copy.logs(), f"signal {name}", 10)


def test_stop_uses_the_images_stop_signal(box, snapshot):
    copy = box.boot("copy", snapshot("service"))
    wait_for(lambda: "serving" in copy.logs(), "the service")
    began = time.monotonic()
    copy.stop(20)
    assert time.monotonic() - began < 10
    assert copy.state()["ExitCode"] == 5, "its own handler of USR1 ended it"


def test_exit_code_is_the_services(box, snapshot):
    copy = box.boot("copy", snapshot("scratch"))
    wait_for(lambda: "ready" in copy.logs(), "the service")
    copy.kill("SIGTERM")
    assert copy.wait() == 7


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_signals_during_the_restore_end_it(box, snapshot, signal):
    """Nobody waits ten seconds for a container that is still restoring."""

    def fill(path):
        for number in range(15):
            trees.write(trees.join(path, f"f{number}"), trees.noise(4 << 20, number))
        trees.make_contents(path)

    tag = snapshot("scratch", fill=fill)
    copy = box.boot("copy", tag, wait=False)
    copy.kill(signal)
    began = time.monotonic()
    copy.wait(20)
    assert time.monotonic() - began < 8
    again = box.boot("again", tag, mounts=[(os.path.basename(os.path.dirname(copy_path(box, copy))), "/data")])
    trees.assert_same(snapshot.path, copy_path(box, again))


def test_stop_signal_of_the_image_during_the_restore(box, snapshot):
    def fill(path):
        for number in range(15):
            trees.write(trees.join(path, f"f{number}"), trees.noise(4 << 20, number))

    tag = snapshot("service", fill=fill)
    copy = box.boot("copy", tag, wait=False)
    began = time.monotonic()
    copy.stop(20)
    assert time.monotonic() - began < 10


def test_init_option(box, snapshot):
    """--init puts a process before ours."""
    copy = box.boot("copy", snapshot("scratch"), host={"Init": True})
    trees.assert_same(snapshot.path, copy_path(box, copy))
    wait_for(lambda: "ready" in copy.logs(), "the service")
    assert "ready as 1\n" not in copy.logs()


def test_read_only_root_with_volumes(box, snapshot):
    copy = box.boot("copy", snapshot("scratch"), host={"ReadonlyRootfs": True})
    trees.assert_same(snapshot.path, copy_path(box, copy))


def test_second_start_restores_nothing(box, snapshot):
    copy = box.boot("copy", snapshot("busybox", ["sleep", "1000"]))
    copy.exec("echo later >/data/file; rm /data/dir/inner; echo own >/etc/base.conf")
    copy.stop(0)
    copy.start()
    booted(copy)
    assert copy.exec("cat /data/file /etc/base.conf; ls /data/dir") == "later\nown\n"


def test_new_container_on_a_restored_volume_restores_nothing(box, snapshot):
    """compose makes containers again and again on one volume."""
    tag = snapshot("busybox", ["sleep", "1000"])
    volume = box.volume("copy")
    first = box.boot("first", tag, mounts=[(volume, "/data")])
    first.exec("echo later >/data/file")
    first.remove()
    second = box.boot("second", tag, mounts=[(volume, "/data")])
    assert second.exec("cat /data/file") == "later\n"


def test_content_of_the_image_at_the_volumes_path(box, sidesnap):
    """Docker seeds a fresh volume from the image; what equals that counts as absent."""
    volume = box.volume("data")
    container = box.run("source", "seeded", None, [(volume, "/data")])
    container.exec("rm -r /data/inner; echo mine >/data/mine")
    tag = box.tag()
    sidesnap.create(container.name, tag)
    fresh = box.volume("fresh")
    copy = box.boot("copy", tag, mounts=[(fresh, "/data")])
    assert copy.exec("ls /data").split() == ["mine", "seed.txt"]
    trees.assert_same(box.path(volume), box.path(fresh))


def test_seed_that_was_changed_is_foreign(box, sidesnap):
    volume = box.volume("data")
    container = box.run("source", "seeded", None, [(volume, "/data")])
    tag = box.tag()
    sidesnap.create(container.name, tag)
    other = box.volume("other")
    box.run("seeder", "seeded", ["sh", "-c", "echo other >/data/seed.txt"], [(other, "/data")]).wait()
    copy = box.boot("copy", tag, mounts=[(other, "/data")], wait=False)
    assert copy.wait() != 0
    assert open(box.path(other) + "/seed.txt").read() == "other\n"


def test_volume_with_other_data_is_refused_with_the_ways_on(box, snapshot):
    tag = snapshot("busybox", ["sleep", "1000"])
    volume = box.volume("copy")
    trees.write(trees.join(box.path(volume), "precious"), b"theirs\n")
    copy = box.boot("refused", tag, mounts=[(volume, "/data")], wait=False)
    assert copy.wait() != 0
    log = copy.logs()
    assert "SIDESNAP_RESTORE=keep" in log and "SIDESNAP_RESTORE=replace" in log and "/data" in log, log
    assert os.listdir(box.path(volume)) == ["precious"]


def test_restore_keep(box, snapshot):
    tag = snapshot("busybox", ["sleep", "1000"])
    volume = box.volume("copy")
    trees.write(trees.join(box.path(volume), "precious"), b"theirs\n")
    copy = box.boot("keep", tag, mounts=[(volume, "/data")], Env=["SIDESNAP_RESTORE=keep"])
    assert copy.exec("ls /data") == "precious\n"


def test_restore_replace_acts_once(box, snapshot):
    tag = snapshot("busybox", ["sleep", "1000"])
    volume = box.volume("copy")
    trees.write(trees.join(box.path(volume), "precious"), b"theirs\n")
    copy = box.boot("copy", tag, mounts=[(volume, "/data")], Env=["SIDESNAP_RESTORE=replace"])
    trees.assert_same(snapshot.path, box.path(volume))
    copy.exec("echo later >/data/file")
    copy.stop(0)
    copy.start()
    booted(copy)
    assert copy.exec("cat /data/file") == "later\n"


def test_restore_with_a_word_that_is_none(box, snapshot):
    tag = snapshot("busybox", ["sleep", "1000"])
    copy = box.boot("copy", tag, Env=["SIDESNAP_RESTORE=maybe"], wait=False)
    assert copy.wait() != 0 and "SIDESNAP_RESTORE" in copy.logs()


def test_lost_and_found_counts_as_absent(box, snapshot):
    tag = snapshot("busybox", ["sleep", "1000"])
    volume = box.volume("copy")
    os.mkdir(os.path.join(box.path(volume), "lost+found"), 0o700)
    copy = box.boot("copy", tag, mounts=[(volume, "/data")])
    assert copy.exec("cat /data/file") == "hello\n"


def test_bind_mount_at_the_path(box, snapshot, scratch):
    copy = box.boot("copy", snapshot("busybox", ["sleep", "1000"]), mounts=[(scratch, "/data")])
    assert copy.exec("cat /data/file") == "hello\n"
    trees.assert_same(snapshot.path, scratch)


def test_tmpfs_at_the_path(box, snapshot):
    copy = box.boot("copy", snapshot("busybox", ["sleep", "1000"]), host={"Tmpfs": {"/data": "size=10m,mode=755"}})
    assert copy.exec("cat /data/file") == "hello\n"


def test_interrupted_boot_converges(box, snapshot):
    """SIGKILL in the middle of the first restore, then the same container again."""
    tag = snapshot("busybox", ["sleep", "1000"], fill=trees.make_hostile)
    for moment in (0.0, 0.05, 0.2):
        copy = box.boot(f"copy{moment}", tag, wait=False)
        time.sleep(moment)
        try:
            copy.kill("KILL")
        except Exception as error:  # it may not have been running yet
            assert "not running" in str(error)
        copy.wait()
        copy.start()
        booted(copy)
        trees.assert_same(snapshot.path, copy_path(box, copy))


def test_shared_by_two_members_is_restored_once(box, snapshot):
    """compose scale=2: both start at once on one volume."""
    tag = snapshot("busybox", ["sleep", "1000"], fill=trees.make_hostile)
    volume = box.volume("copy")
    members = [box.boot(f"member{n}", tag, mounts=[(volume, "/data")], wait=False) for n in range(3)]
    for member in members:
        booted(member)
    trees.assert_same(snapshot.path, box.path(volume))
    logs = [m.logs() for m in members]
    assert sum("restored" in log for log in logs) <= 1 or len(set(logs)) > 1, logs


def test_read_only_member_never_writes_and_waits(box, snapshot):
    tag = snapshot("busybox", ["sleep", "1000"])
    volume = box.volume("copy")
    reader = box.boot("reader", tag, mounts=[(volume, "/data", "ro")], wait=False)
    writer = box.boot("writer", tag, mounts=[(volume, "/data")])
    booted(reader)
    assert writer.exec("cat /data/file") == "hello\n"
    assert reader.exec("cat /data/file") == "hello\n"
    trees.assert_same(snapshot.path, box.path(volume))


@pytest.mark.parametrize("host", [{}, CLEAN], ids=["default", "no-new-privileges"])
def test_user_that_is_not_root(box, snapshot, host):
    """USER app with content of root's and others' in the volume: file capabilities of the agent."""
    tag = snapshot("nonroot", fill=trees.make_small)
    assert box.engine.image(tag)["Config"]["User"] == "app"
    volume = box.volume("copy")
    copy = box.boot("copy", tag, mounts=[(volume, "/data")], host=host, wait=False)
    if not host:
        booted(copy)
        trees.assert_same(snapshot.path, box.path(volume))
        assert copy.exec("id -u") == "1000\n", "docker exec has the user that it had"
        assert copy.exec("grep -E '^Cap(Eff|Prm|Inh)' /proc/1/status").split()[1::2] == ["0" * 16] * 3
    else:
        # No privilege to be had: refused with the option to change, or restored as far as the uid may.
        code = None
        try:
            booted(copy)
        except AssertionError:
            code = copy.wait()
        log = copy.logs()
        assert code != 0
        assert "privileg" in log or "capabilit" in log or "root" in log, log


def test_user_option(box, snapshot):
    tag = snapshot("scratch")
    copy = box.boot("copy", tag, User="4321:8765")
    trees.assert_same(snapshot.path, copy_path(box, copy))
    assert copy.inspect()["Config"]["User"] == "4321:8765"


def test_all_privileges_are_gone_in_the_service(box, snapshot):
    """Uids, groups and capabilities of the service are what they are without us."""
    volume = box.volume("data", trees.make_small)
    for number, user in enumerate(("", "app", "4321", "app:extra", "0:1000")):
        plain = box.run(f"plain{number}", "service", ["service", "identity"], User=user)
        plain.wait()
        source = box.run(f"source{number}", "service", ["service", "identity"], [(volume, "/data")], User=user)
        source.wait()
        tag = box.tag()
        box.sidesnap.create(source.name, tag)
        copy = box.boot(f"copy{number}", tag, wait=False)
        assert copy.wait() == 0, copy.logs()
        identity = [l for l in copy.logs().splitlines() if l[:3] in ("Uid", "Gid", "Gro", "Cap", "NoN")]
        assert identity == plain.logs().splitlines(), user


def test_exec_and_health_check_work(box, snapshot):
    tag = snapshot("service")
    copy = box.boot("copy", tag)
    assert copy.exec("echo $FROM_IMAGE; pwd") == "1\n/srv\n"
    wait_for(lambda: copy.state()["Health"]["Status"] == "healthy", "healthy", 20)


def test_capture_of_a_snapshot_container_beside_doctor(box, sidesnap, snapshot):
    """Containers inherit image labels: doctor must not take one for a helper."""
    tag = snapshot("busybox", ["sleep", "1000"])
    copy = box.boot("copy", tag)
    before = box.engine.state()
    result = sidesnap.json("doctor")
    assert box.engine.state() == before and result["actions"] == [], result
    copy.pause()
    sidesnap.json("doctor")
    assert copy.state()["Paused"], "a person's pause was undone"
    copy.unpause()


def test_forged_labels_do_not_make_a_helper(box, sidesnap):
    """Role alone proves nothing: name form and nonce belong to it."""
    container = box.run("forged", "busybox", ["sleep", "1000"], Labels={"sidesnap.role": "helper", "sidesnap.nonce": "x"})
    sidesnap.json("doctor")
    assert container.status() == "running"
    container.remove()


def test_boot_says_what_it_does(box, snapshot):
    log = box.boot("copy", snapshot("busybox", ["sleep", "1000"])).logs()
    assert "sidesnap: restored 1 volume" in log, log


def test_path_of_the_entrypoint_is_searched_as_docker_does(box, snapshot):
    """entry.sh is a bare word in the image: found by the container's PATH."""
    tag = snapshot("service")
    assert "serving as 1" in wait_for(lambda: box.boot("copy", tag).logs(), "log")


def test_missing_entrypoint_is_126_or_127(box, snapshot):
    tag = snapshot("busybox", ["sleep", "1000"])
    copy = box.boot("copy", tag, ["no-such-program"], wait=False)
    assert copy.wait() == 127
    assert "no-such-program" in copy.logs()
    copy = box.boot("copy2", tag, ["/etc/passwd"], wait=False)
    assert copy.wait() == 126


def test_labels_are_json_where_they_say_so(box, snapshot):
    found = box.engine.image(snapshot("busybox", ["sleep", "1000"]))["Config"]["Labels"]
    for name in ("sidesnap.trees", "sidesnap.not-captured"):
        json.loads(found[name] or "[]")
