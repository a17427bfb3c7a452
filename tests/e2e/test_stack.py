"""Day-to-day work on a compose stack: up, stop, restart, logs, shell, debug and doctor -p."""

import json
import os
import signal
import subprocess
import time

import pytest

import test_influxdb as influxdb
from conftest import Box
from support import compose as programs
from support.api import wait_for
from support.cli import FAILED, NOT_FOUND, REFUSED, UNSUPPORTED, USAGE, Terminal

PASSWORD = "pass word'%\"secret"
WORD = "another-secret"

# The order of names is not the one in which they start.
STACK = """version: "2.4"
services:
  app:
    image: {service}
    depends_on:
      cache: {{condition: service_started}}
      db: {{condition: service_healthy}}
      job: {{condition: service_completed_successfully}}
  cache:
    image: {service}
    stop_grace_period: 1s
  db:
    image: {postgres}
    environment: {{POSTGRES_PASSWORD: "{password}", POSTGRES_USER: owner, POSTGRES_DB: shop}}
    volumes: ["state:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U owner"]
      interval: 0.5s
      retries: 60
  job:
    image: {busybox}
    command: ["sh", "-c", "echo 'job done'"]
    depends_on: [cache]
  store:
    image: {redis}
    command: ["redis-server", "--requirepass", "{word}"]
  sidekick:
    image: {busybox}
    command: ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]
    network_mode: service:cache
volumes:
  state: {{}}
"""


@pytest.fixture(scope="module")
def stack(engine, images, tmp_path_factory):
    """One for all tests of this file, each of which leaves it running."""
    program, reason = programs.version_one()
    if not program:
        pytest.skip(reason)
    box = Box(engine, images)
    directory = str(tmp_path_factory.mktemp("stack"))
    made = programs.Compose(program, box.host, directory, box.name("s").replace("-", ""))
    made.box, made.sidesnap = box, box.sidesnap
    names = {name: images(name) for name in ("postgres", "redis", "service", "busybox")}
    with open(os.path.join(directory, "compose.yml"), "w") as file:
        file.write(STACK.format(password=PASSWORD.replace('"', '\\"'), word=WORD, **names))
    try:
        made("up", "-d")
        made.sidesnap("up", "-p", made.project)
        yield made
    finally:
        made("down", "-v", "-t", "0", check=False)
        box.close()


def member(stack, service):
    found = stack.box.engine.containers(
        label=[f"com.docker.compose.project={stack.project}", f"com.docker.compose.service={service}"]
    )
    assert len(found) == 1, found
    return stack.box.engine.container(found[0]["Id"])


def started(stack, service):
    return member(stack, service).inspect()["State"]["StartedAt"]


def actions(result):
    return {entry["service"]: entry["action"] for entry in result["services"]}


# ---- up, stop, restart ----


def test_order_and_nothing_twice(stack):
    p = ["-p", stack.project]
    stopped = stack.sidesnap.json("stop", *p, "-t", "1s")
    order = [e["service"] for e in stopped["services"]]
    assert order.index("app") > order.index("job") > order.index("cache")
    running = ["app", "cache", "db", "sidekick", "store"]
    assert actions(stopped) == {**dict.fromkeys(running, "stopped"), "job": "none"}
    assert set(actions(stack.sidesnap.json("stop", *p)).values()) == {"none"}
    up = stack.sidesnap.json("up", *p)
    # The job had ended well, so it is as app wants it.
    assert actions(up) == {**dict.fromkeys(running, "started"), "job": "none"}
    assert {e["state"] for e in up["services"] if e["service"] != "job"} == {"ready"}
    assert started(stack, "cache") < started(stack, "app") and started(stack, "db") < started(stack, "app")
    assert member(stack, "db").inspect()["State"]["Health"]["Status"] == "healthy"
    before = {s: started(stack, s) for s in running}
    assert set(actions(stack.sidesnap.json("up", *p)).values()) == {"none"}
    assert before == {s: started(stack, s) for s in before}


def test_one_service_with_what_it_needs(stack):
    p = ["-p", stack.project]
    stack.sidesnap("stop", *p, "-t", "1s")
    try:
        assert set(actions(stack.sidesnap.json("up", *p, "sidekick"))) == {"cache", "sidekick"}
        assert member(stack, "db").status() == "exited"
    finally:
        stack.sidesnap("up", *p)


def test_restart_takes_those_in_its_network_along(stack):
    before = {s: started(stack, s) for s in ("app", "cache", "db", "sidekick")}
    result = stack.sidesnap.json("restart", "-p", stack.project, "cache")
    assert actions(result) == {"cache": "restarted", "sidekick": "restarted"}
    after = {s: started(stack, s) for s in before}
    assert {s for s in before if before[s] != after[s]} == {"cache", "sidekick"}


def test_one_that_fails_says_why(stack):
    box = stack.box
    labels = {"com.docker.compose.project": stack.project + "x", "com.docker.compose.service": "bad"}
    bad = box.create("bad", "busybox", ["sh", "-c", "echo the reason; exit 3"], Labels=labels)
    try:
        failed = stack.sidesnap.fails(FAILED, "up", "-p", stack.project + "x", says=["the reason", "exit code 3"])
        assert bad.name in failed.err
    finally:
        bad.remove()


def test_wrong_words(stack):
    stack.sidesnap.fails(NOT_FOUND, "up", "-p", "nosuchproject", says=stack.project)
    stack.sidesnap.fails(NOT_FOUND, "stop", "-p", stack.project, "nosuch", says="sidekick")
    stack.sidesnap.fails(USAGE, "up", says="-p")
    db = member(stack, "db")
    cache = member(stack, "cache")
    cache.pause()
    try:
        stack.sidesnap.fails(REFUSED, "up", "-p", stack.project, "cache", says="paused")
    finally:
        cache.unpause()
    assert db.status() == "running"


# ---- logs ----


def lines(stack, *arguments):
    return [json.loads(line) for line in stack.sidesnap("logs", "-p", stack.project, "--json", *arguments).out.splitlines()]


def test_logs_in_the_order_of_time(stack):
    found = lines(stack)
    assert {e["service"] for e in found} >= {"app", "cache", "db", "job"}
    assert [e["time"] for e in found] == sorted(e["time"] for e in found)
    assert [e["text"] for e in found if e["service"] == "job"] == ["job done"]
    assert {e["stream"] for e in found if e["service"] == "db"} >= {"stderr"}
    assert len(lines(stack, "db", "--tail", "2")) == 2
    wanted = lines(stack, "--grep", "ready to accept|job (done|gone)")
    assert {e["service"] for e in wanted} == {"db", "job"}
    stack.sidesnap.fails(USAGE, "logs", "-p", stack.project, "--grep", "(", says="--grep")
    stack.sidesnap.fails(USAGE, "logs", "-p", stack.project, "--since", "yesterday", says="--since")
    middle = found[len(found) // 2]["time"]
    late = lines(stack, "--since", middle)
    assert late and all(e["time"] >= middle for e in late)
    assert all(e["time"] <= middle for e in lines(stack, "--until", middle))


def test_what_a_log_may_not_do_to_a_terminal(stack):
    box = stack.box
    script = r"printf 'a\033[2Jb\033[31mred\033[0m\tc\r\n'; printf 'no end'; exit"
    bad = box.run("escapes", "busybox", ["sh", "-c", script])
    long = box.run("long", "busybox", ["sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo next"])
    tty = box.run("tty", "busybox", ["sh", "-c", "echo one; echo two"], Tty=True)
    silent = box.run("silent", "busybox", ["true"], host={"LogConfig": {"Type": "none"}})
    try:
        for container in (bad, long, tty, silent):
            container.wait()
        both = stack.sidesnap("logs", silent.name, tty.name)
        assert silent.name in both.err and len(both.out.splitlines()) == 2
        out = stack.sidesnap("logs", bad.name).out
        assert out.splitlines() == [f"{bad.name} | a\\x1b[2Jbred c", f"{bad.name} | no end"]
        text = [json.loads(line)["text"] for line in stack.sidesnap("logs", long.name, "--json").out.splitlines()]
        assert text == ["x" * 40000, "next"]
        text = [json.loads(line)["text"] for line in stack.sidesnap("logs", tty.name, "--json").out.splitlines()]
        assert text == ["one", "two"]
    finally:
        for container in (bad, long, tty, silent):
            container.remove()


def test_following_over_a_restart(stack):
    process = stack.sidesnap.start("logs", "-p", stack.project, "-f", "--since", "1s", "cache", "sidekick")
    cache = member(stack, "cache")
    try:
        time.sleep(1.5)
        cache.post("restart", {"t": "1"})
        wait_for(lambda: cache.status() == "running", "cache runs again")
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
        stack.sidesnap("restart", "-p", stack.project, "cache")
    # To end it is no failure.
    assert process.returncode == 0, err
    assert b"serving as" in out, (out, err)


def test_following_ends_with_the_last_container(stack):
    box = stack.box
    short = box.run("short", "busybox", ["sh", "-c", "echo begin; sleep 1; echo end"])
    try:
        out = stack.sidesnap("logs", "-f", short.name, timeout=30).out
        assert [line.split("|")[1].strip() for line in out.splitlines()] == ["begin", "end"]
    finally:
        short.remove()


# ---- shell ----


def scratch_left(stack):
    return stack.box.engine.containers(label=["sidesnap.role=scratch"])


def test_the_client_of_the_database(stack):
    db = member(stack, "db").name
    out = stack.sidesnap("shell", db, input=b"select 40 + 2 as answer, current_database(), current_user;\n").out
    assert "42" in out and "shop" in out and "owner" in out
    assert stack.sidesnap("shell", db, "--", "-At", "-c", "select 1").out == "1\n"
    failed = stack.sidesnap("shell", db, "--", "-c", "select nosuch", code=1)
    assert "nosuch" in failed.err
    assert not scratch_left(stack)
    # More than any buffer holds, both ways.
    rows = "".join(f"{i}\n" for i in range(200000))
    script = f"create temp table t(i int);\ncopy t from stdin;\n{rows}\\.\nselect i from t order by 1;\n"
    out = stack.sidesnap("shell", db, "--", "-Atq", input=script.encode()).out
    assert out == rows


def test_the_client_of_another_database(stack):
    store = member(stack, "store").name
    assert stack.sidesnap("shell", store, "--", "PING").out == "PONG\n"
    assert stack.sidesnap("shell", store, input=b"SET k 'v w'\nGET k\n").out.splitlines() == ["OK", "v w"]
    assert not scratch_left(stack)


def test_a_shell_on_a_terminal(stack):
    terminal = Terminal(stack.sidesnap, "shell", member(stack, "db").name)
    try:
        wait_for(lambda: b"shop=#" in terminal.read(), "psql asks", 30)
        [made] = scratch_left(stack)
        inspect = stack.box.engine.container(made["Id"]).inspect()
        assert PASSWORD not in json.dumps([inspect["Config"]["Entrypoint"], inspect["Config"]["Cmd"], inspect["Args"]])
        assert inspect["HostConfig"]["LogConfig"]["Type"] == "none" and not inspect["Mounts"]
        terminal.type(b"\\pset pager off\r")
        wait_for(lambda: b"usage is off" in terminal.read(), "no pager", 20)
        terminal.type(b"select 6 * 7;\r")
        wait_for(lambda: b"42" in terminal.read(), "an answer", 20)
        terminal.type(b"\\q\r")
        assert terminal.wait(30) == 0
    finally:
        terminal.close()
    assert not scratch_left(stack)


def test_a_shell_that_is_interrupted(stack):
    process = stack.sidesnap.start("shell", member(stack, "db").name, stdin=subprocess.PIPE)
    wait_for(lambda: scratch_left(stack), "the client runs", 30)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    assert process.returncode == 130
    assert not scratch_left(stack)


def test_a_shell_that_is_killed(stack):
    process = stack.sidesnap.start("shell", member(stack, "db").name, stdin=subprocess.PIPE)
    wait_for(lambda: scratch_left(stack), "the client is made", 30)
    process.kill()
    process.wait()
    stack.sidesnap("doctor")
    assert not scratch_left(stack)


def test_no_client(stack):
    stack.sidesnap.fails(UNSUPPORTED, "shell", member(stack, "cache").name, says="docker exec")
    stack.sidesnap.fails(FAILED, "shell", member(stack, "job").name, says="does not run")


# ---- debug ----


def test_a_copy_of_one_that_crashes(stack):
    box = stack.box
    volume = box.volume("crash")
    bad = box.run("crash", "busybox", ["sh", "-c", "exit 3"], [(volume, "/data")], Env=["WORD=given"])
    try:
        bad.wait()
        out = stack.sidesnap("debug", bad.name, "--", "-c", "echo $WORD; ls -d /data; hostname; exit 7", code=7).out
        assert out.splitlines()[:2] == ["given", "/data"]
        stack.sidesnap.fails(UNSUPPORTED, "debug", bad.name, "--entrypoint", "/no/such", says="--entrypoint")
        assert bad.inspect()["State"]["ExitCode"] == 3 and not scratch_left(stack)
    finally:
        bad.remove()
        box.engine.call("DELETE", f"/volumes/{volume}")


def test_a_copy_beside_one_that_runs(stack):
    box = stack.box
    volume = box.volume("shared")
    alive = box.run("alive", "busybox", ["sh", "-c", "echo old >/data/file; sleep 1000"], [(volume, "/data")],
                    host={"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]}})
    script = ["--", "-c", "cat /data/file; echo new >/data/file; cat /data/file"]
    try:
        wait_for(lambda: alive.exec(["cat", "/data/file"], check=False)[1] == "old\n", "it has written")
        stack.sidesnap.fails(REFUSED, "debug", alive.name, *script, says=["--snapshot", "--yes"])
        before = set(box.engine.volumes()), set(box.engine.images())
        assert stack.sidesnap("debug", alive.name, "--snapshot", *script).out == "old\nnew\n"
        assert alive.exec(["cat", "/data/file"]) == "old\n"
        assert before == (set(box.engine.volumes()), set(box.engine.images())) and not scratch_left(stack)
        terminal = Terminal(stack.sidesnap, "debug", alive.name)
        try:
            wait_for(lambda: b"[y/N]" in terminal.read(), "a snapshot is offered", 30)
            terminal.type(b"y\r")
            wait_for(lambda: b"/ #" in terminal.read(), "the shell asks", 60)
            terminal.type(b"echo other >/data/file; exit 4\r")
            assert terminal.wait(30) == 4
        finally:
            terminal.close()
        assert alive.exec(["cat", "/data/file"]) == "old\n" and not scratch_left(stack)
        assert stack.sidesnap("debug", alive.name, "--yes", *script).out == "old\nnew\n"
        assert alive.exec(["cat", "/data/file"]) == "new\n"
    finally:
        alive.remove()
        box.engine.call("DELETE", f"/volumes/{volume}")


def test_no_shell(stack):
    bare = stack.box.run("bare", "scratch")
    try:
        stack.sidesnap.fails(UNSUPPORTED, "debug", bare.name, "--yes", says=["no shell", "--entrypoint"])
    finally:
        bare.remove()


# ---- doctor -p ----


def findings(stack, project, code):
    return {(e["kind"], e["service"]): e for e in stack.sidesnap.json("doctor", "-p", project, code=code)["findings"]}


def test_nothing_wrong(stack):
    stack.sidesnap("up", "-p", stack.project)
    assert findings(stack, stack.project, 0) == {}
    assert "nothing found" in stack.sidesnap("doctor", "-p", stack.project).out


def test_what_is_wrong(stack):
    box = stack.box
    project = stack.project + "y"

    def make(service, command, **more):
        labels = {"com.docker.compose.project": project, "com.docker.compose.service": service, **more.pop("labels", {})}
        return box.create(service, "busybox", ["sh", "-c", command], Labels=labels, **more)

    health = {"Test": ["CMD-SHELL", "echo the reason; exit 4"], "Interval": 300000000, "Retries": 1}
    made = [
        make("broken", "exit 3"),
        make("loop", "exit 5", host={"RestartPolicy": {"Name": "always"}}),
        make("sick", "sleep 1000", Healthcheck=health),
        make("needy", "sleep 1000", labels={"com.docker.compose.depends_on": "broken:service_started:false,gone:service_healthy:false"}),
        make("never", "exit 0"),
    ]
    try:
        for container in made[:-1]:
            container.start()
        wait_for(lambda: made[1].inspect()["RestartCount"] >= 3, "it was restarted", 60)
        wait_for(lambda: made[2].inspect()["State"]["Health"]["Status"] == "unhealthy", "it is unhealthy", 60)
        found = findings(stack, project, FAILED)
        assert "exit code 3" in found["exited", "broken"]["detail"]
        assert "exit code 5" in found["restarting", "loop"]["detail"]
        assert "the reason" in found["unhealthy", "sick"]["detail"]
        assert ("dependency", "needy") in found and ("not_started", "never") in found
        assert all(e["advice"] for e in found.values())
        out = stack.sidesnap("doctor", "-p", project, code=FAILED).out
        assert "service gone" in out and "sidesnap logs" in out
    finally:
        for container in made:
            container.remove()


# The last one: its box removes all that is on the engine.


@pytest.mark.database
@pytest.mark.parametrize(
    "image, environment, words, answer",
    [
        ("mysql9", ["MYSQL_ROOT_PASSWORD=" + PASSWORD], ["-N", "-e", "select concat(6 * 7, user())"], "42root@"),
        ("mariadb", ["MARIADB_ROOT_PASSWORD=" + PASSWORD], ["-N", "-e", "select concat(6 * 7, user())"], "42root@"),
        ("clickhouse", [], ["--query", "SELECT 6 * 7"], "42"),
        ("influxdb", influxdb.ENVIRONMENT, ["-execute", "SHOW USERS"], "boss"),
    ],
)
def test_the_clients_of_others(box, image, environment, words, answer):
    db = box.run("db", image, Env=environment)
    wait_for(lambda: answer in box.sidesnap("shell", db.name, "--", *words, code=None).out, "an answer", 120, 1)
    assert not box.engine.containers(label=["sidesnap.role=scratch"])
