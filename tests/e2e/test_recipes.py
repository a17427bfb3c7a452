"""
docs/recipes.md: its YAML parses, the shell steps of its CI examples do what they say with a registry of
our own, and what it says of rights is so.
"""

import os
import re
import shutil
import subprocess
import tempfile

import pytest
import yaml

from conftest import Box, booted
from support import trees
from support.cli import FAILED, REFUSED, ROOT, binary
from support.registry import PASSWORD, USER, Registry, docker_config
from test_postgres import sql, start

DATA = "/var/lib/postgresql/data"
HOST = "registry.example"
ROWS = 1000


def blocks():
    """(language, name of the block to be run or "", text) of each fenced block."""
    with open(os.path.join(ROOT, "docs/recipes.md")) as file:
        pattern = r"(?:<!-- run: ([^>]*) -->\n)?^```(\w+)\n(.*?)^```$"
        return [(m[2], m[1] or "", m[3]) for m in re.finditer(pattern, file.read(), re.M | re.S)]


def block(name):
    return next(text for _, found, text in blocks() if found == name)


def recipe(key):
    """The first YAML document that has this at its top."""
    documents = [yaml.safe_load(text) for language, _, text in blocks() if language == "yaml"]
    return next(document for document in documents if key in document)


def pods():
    documents = [yaml.safe_load(text) for language, _, text in blocks() if language == "yaml"]
    for document in documents:
        if "apiVersion" in document:
            yield document["spec"]["template"]["spec"] if document["kind"] == "StatefulSet" else document["spec"]


def test_kubernetes_objects_hold_together():
    """As far as can be told without a cluster: volumes are there, users are numbers, boot is called right."""
    known = {"name", "image", "command", "env", "ports", "volumeMounts", "startupProbe", "readinessProbe", "securityContext"}
    found = list(pods())
    assert len(found) == 3
    for pod in found:
        volumes = {volume["name"] for volume in pod.get("volumes", [])} or {"data"}
        for container in pod["containers"] + pod.get("initContainers", []):
            assert set(container) <= known, container
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert container["volumeMounts"][0]["mountPath"] == DATA
            assert container.get("command", ["/.sidesnap/agent", "boot", "--"])[:3] == ["/.sidesnap/agent", "boot", "--"]


# ---- rights ----

NEEDED = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"]
NO_MORE = {"SecurityOpt": ["no-new-privileges"]}
NONE = {"CapDrop": ["ALL"]}
READ_ONLY = {"ReadonlyRootfs": True}
RESTORE = ["/.sidesnap/agent", "boot", "--", "/bin/true"]


def test_the_docs_name_the_same_capabilities():
    restore = next(pod for pod in pods() if pod["containers"][0].get("securityContext"))["initContainers"][0]
    assert restore["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": NEEDED}
    assert restore["command"] == RESTORE


@pytest.fixture
def tag(box, sidesnap):
    def fill(path):
        trees.make_small(path)
        trees.write(trees.join(path, "of-app"), b"app's\n")
        os.chown(trees.join(path, "of-app"), 1000, 1000)

    box.sleeper(fill)
    tag = box.tag()
    sidesnap.create(box.name("db"), tag)
    return tag


def test_rights(box, tag):
    """The table: user, capabilities and read-only roots, of the first start and of a later one."""

    def outcome(word, host, **config):
        container = box.create(word, tag, None, (), host, **config)
        container.start()
        if "Entrypoint" in config:
            code = container.wait()
            return code, container.logs()
        try:
            booted(container)
        except AssertionError:
            return container.state()["ExitCode"], container.logs()
        assert container.exec("cat /data/of-app") == "app's\n"
        return None, container.logs()

    added = {**NONE, "CapAdd": NEEDED}
    assert outcome("plain", {})[0] is None
    assert outcome("read-only", READ_ONLY)[0] is None
    assert outcome("user", {}, User="1000")[0] is None
    code, log = outcome("user-no-more", NO_MORE, User="1000")
    assert code == FAILED and "as user 1000 without more rights because of no-new-privileges" in log, (code, log)
    code, log = outcome("dropped", NONE)
    assert code == REFUSED and all(name in log for name in NEEDED), (code, log)
    assert outcome("added", added)[0] is None
    assert outcome("added-no-more", {**added, **NO_MORE, **READ_ONLY}, Entrypoint=RESTORE)[0] == 0


def test_init_container(box, tag):
    """What the init container has restored, a service without any right starts on; another image, too."""
    volume = box.volume("claim", lambda path: os.mkdir(trees.join(path, "lost+found")))
    mounts = [(volume, "/data", "nocopy")]
    host = {**NONE, "CapAdd": NEEDED, **NO_MORE, **READ_ONLY}
    for word in ("first", "again"):
        init = box.create(word, tag, None, mounts, dict(host), Entrypoint=RESTORE, User="0")
        init.start()
        assert init.wait() == 0, init.logs()
    hard = {**NONE, **NO_MORE, **READ_ONLY}
    service = box.create("service", tag, None, mounts, hard, User="1000")
    service.start()
    booted(service)
    assert service.exec("cat /data/of-app") == "app's\n"
    other = box.run("other", "busybox", ["sleep", "1000"], [(volume, "/data")])
    assert other.exec("cat /data/of-app; ls /data").startswith("app's\n")
    taken = box.volume("taken", lambda path: trees.write(trees.join(path, "other"), b"x"))
    refused = box.create("refused", tag, None, [(taken, "/data")])
    refused.start()
    assert refused.wait() == REFUSED and "SIDESNAP_RESTORE=replace" in refused.logs()


# ---- continuous integration ----


class Runner:
    """A machine for jobs: the command and a few stand-ins on its PATH, logged in at our registry."""

    def __init__(self, engine, registry, directory):
        self.engine, self.registry, self.directory = engine, registry, directory
        self.bin = os.path.join(directory, "bin")
        os.mkdir(self.bin)
        self.program("sudo", 'exec "$@"')
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "SIDESNAP_"))},
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "DOCKER_HOST": engine.host,
            "DOCKER_CONFIG": directory,
            "RUNNER_TEMP": directory,
            "GITHUB_SHA": "0123abc",
            "CI_COMMIT_SHA": "0123abc",
            "REGISTRY_PASSWORD": PASSWORD,
            "SNAPSHOT": f"{registry.host}/team/db:before",
            "FAILED": f"{registry.host}/team/db:failed",
        }

    def program(self, name, text):
        path = os.path.join(self.directory, "bin" if name == "sudo" else "", name)
        with open(path, "w") as file:
            file.write(f"#!/bin/sh -e\n{text}\n")
        os.chmod(path, 0o755)

    def here(self, text):
        """With our registry, our folder for programs, and a port that is free."""
        text = text.replace(HOST, self.registry.host).replace("/usr/local/bin/", self.bin + "/")
        return text.replace("5432:5432", "127.0.0.1::5432").replace("--username ci", f"--username {USER}")

    def run(self, text, shell=("bash", "-e"), **environment):
        command = [*shell, "-c", self.here(text)]
        done = subprocess.run(
            command, cwd=self.directory, env={**self.environment, **environment}, capture_output=True, text=True, timeout=180
        )
        return done.returncode, done.stdout, done.stderr

    def must(self, text, **more):
        code, out, err = self.run(text, **more)
        assert code == 0, f"{text} -> {code}\n{out}\n{err}"
        return out


@pytest.fixture(scope="module")
def runner(private_engine, images):
    if not private_engine:
        pytest.skip("needs a private engine, whose machine this is")
    engine = private_engine.engine
    registry = Registry(f"10.{213 + private_engine.number}.0.1")
    registry.be_trusted()
    box = Box(engine, images)
    directory = tempfile.mkdtemp()
    docker_config(directory, **{registry.host: (USER, PASSWORD)})
    runner = Runner(engine, registry, directory)
    db = start(box, mounts=[(box.volume("data"), DATA)])
    sql(db, f"create table orders as select generate_series(1, {ROWS}) id")
    runner.environment["POSTGRES_PASSWORD"] = "x"
    box.sidesnap.create(db.name, runner.environment["SNAPSHOT"])
    runner.must(f"{binary()} push $SNAPSHOT")
    tool = box.create("tool", "busybox")
    engine.call("PUT", f"/containers/{tool.id}/archive", {"path": "/usr/bin"}, trees_tar(binary()))
    engine.json("POST", "/commit", {"container": tool.id, "repo": f"{registry.host}/team/sidesnap"}, {})
    runner.before = {c["Id"] for c in engine.containers()}
    yield runner
    engine.remove_image(f"{registry.host}/team/sidesnap:latest")
    box.close()
    registry.stop()
    shutil.rmtree(directory)


def trees_tar(program):
    done = subprocess.run(
        ["tar", "-c", "--transform", "s,.*,sidesnap,", "-C", os.path.dirname(program), os.path.basename(program)],
        check=True, capture_output=True,
    )
    return done.stdout


@pytest.fixture
def job(runner):
    """One job: tests of which the slow ones fail, after having left a row; all is removed after it."""
    runner.must(f"{binary()} rm $SNAPSHOT || true")
    check = f'docker exec db psql -XqAt -U postgres -c "select count(*) from orders" | grep -qx {ROWS}'
    drop = 'docker exec db psql -Xq -U postgres -c "delete from orders where id > 10"'
    runner.program("run-tests", f'{check}\n{drop}\ntest "$1" != --slow')
    yield runner
    for container in runner.engine.containers():
        if container["Id"] not in runner.before:
            runner.engine.remove_container(container["Id"])
    runner.must(f"{binary()} rm --force $FAILED || true")


def check_failure(job):
    """The state in which the tests failed has arrived, and somebody else can look into it."""
    assert "failed" in job.registry.tags("team/db")
    job.must("docker rm -fv db; sidesnap rm $FAILED")
    out = job.must(block("look into a failure"))
    assert "tests of 0123abc failed" in out, out
    assert job.must('docker exec look psql -XqAt -U postgres -c "select count(*) from orders"') == "10\n"


def test_github(job):
    workflow = recipe("jobs")
    assert workflow["env"].keys() == {"SNAPSHOT", "FAILED"}
    has_failed = False
    for step in workflow["jobs"]["test"]["steps"]:
        if "run" not in step or has_failed != (step.get("if") == "failure()"):
            continue
        code, out, err = job.run(step["run"])
        assert (code == 0) == (step["name"] != "Test"), (step, out, err)
        has_failed |= code != 0
    assert has_failed
    check_failure(job)


def test_gitlab(job):
    test = recipe("test")["test"]
    # One shell runs both lists, another one the last.
    script = "\n".join(test["before_script"] + test["script"])
    code, out, err = job.run(script, ("sh", "-e"))
    assert code == 1, (out, err)
    job.must("\n".join(test["after_script"]), shell=("sh", "-e"), CI_JOB_STATUS="failed")
    check_failure(job)


def test_without_a_library(job):
    job.must(f"{binary()} pull $SNAPSHOT; ln -sf {binary()} {job.bin}/sidesnap")
    out = job.must(block("without a library"))
    assert out.splitlines()[-1] == str(ROWS), out
    assert {c["Id"] for c in job.engine.containers()} == job.before
    assert block("reset between tests").strip() in block("without a library")
