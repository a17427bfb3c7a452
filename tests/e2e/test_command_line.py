"""What needs no engine: words on the command line, exit codes, help, and engines that do not answer."""

import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import threading

import pytest

from support.cli import BUILD, ENGINE, UNSUPPORTED, USAGE, Sidesnap, binary

VERBS = "cancel create doctor ls prune ps replace reset restore rm run show undo verify version".split()


@pytest.fixture(scope="module")
def sidesnap():
    """Nobody listens where it looks for an engine."""
    return Sidesnap("unix:///var/tmp/sidesnap-test-no-such-engine.sock")


def test_help_names_every_verb(sidesnap):
    text = sidesnap("--help").out
    assert [v for v in VERBS if not re.search(rf"^\s+{v}\b", text, re.M)] == []
    assert sidesnap("help").out == text


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb(sidesnap, verb):
    text = sidesnap(verb, "--help").out
    assert text.startswith(f"sidesnap {verb}"), text
    assert sidesnap("help", verb).out == text


def test_help_of_create_says_how_to_cancel(sidesnap):
    """Through `docker exec -T` no signal arrives; people must be told."""
    text = sidesnap("create", "--help").out
    assert "cancel" in text
    for option in (
        "-t", "-m", "--stopped", "--live", "--image-command", "--with-env", "--include", "--exclude",
        "--min-free", "--allow-overlay-volume", "--dry-run", "--force", "--json", "-p",
    ):
        assert option in text, option


def test_version(sidesnap):
    text = sidesnap("version").out
    assert re.search(r"\d+\.\d+", text)
    assert "version" in sidesnap("version", "--json").json()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("--fly",),
        ("create",),
        ("create", "a", "--all"),
        ("create", "a", "b", "--logical"),
        ("create", "a", "--fly"),
        ("create", "a", "-t"),
        ("create", "a", "--min-free", "lots"),
        ("create", "a", "--min-free", "-1"),
        ("create", "a", "--include", "relative/path"),
        ("create", "a", "--exclude", "../up"),
        ("verify",),
        ("show",),
        ("replace", "a"),
        ("run",),
        ("rm",),
        ("cancel",),
    ],
    ids=" ".join,
)
def test_usage_errors(sidesnap, arguments):
    """The message names the word that is wrong, or a hint says how to go on."""
    result = sidesnap.fails(USAGE, *arguments)
    assert "hint:" in result.err or (arguments and arguments[-1] in result.err), result


@pytest.mark.parametrize("words", [("--host", "a\nb", "ls"), ("--project", "a\nb", "ls"), ("show", "a\nb")], ids=" ".join)
def test_line_ends_are_not_printed(sidesnap, words):
    result = sidesnap.fails(USAGE, *words, says="a\\x0ab")
    assert len(result.err.splitlines()) == 1, result


def test_no_engine(sidesnap):
    result = sidesnap.fails(ENGINE, "create", "db", says="sidesnap-test-no-such-engine.sock")
    assert "hint" in result.err.lower() or "docker_host" in result.err.lower() or "mount" in result.err.lower(), result


@pytest.mark.parametrize("verb", ["ls", "ps", "doctor", "show x", "verify x", "rm x", "cancel x", "replace x y"])
def test_no_engine_for_every_verb(sidesnap, verb):
    sidesnap.fails(ENGINE, *verb.split())


def test_json_errors_are_json(sidesnap):
    """Who reads --json can read the failure as well."""
    result = sidesnap("ls", "--json", code=ENGINE)
    said = result.json()["error"]
    assert said["kind"] == "engine" and said["message"] and said["hint"], said


@pytest.mark.parametrize(
    "host", ["nonsense", "ftp://x", "unix://", "tcp://127.0.0.1:1", "tcp://host.invalid:2375", "ssh://x"]
)
def test_hosts_that_cannot_be_reached(host):
    result = Sidesnap(host)("ls", code=None, timeout=60)
    assert result.code in (ENGINE, USAGE, UNSUPPORTED), result
    assert result.err.strip() and not result.out, result


def test_socket_without_permission(scratch):
    """The most frequent first failure: say what to do, not "connection failed"."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    path = os.path.join(scratch, "docker.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    os.chmod(path, 0o600)
    os.chmod(scratch, 0o755)
    program = os.path.join(scratch, "sidesnap")
    shutil.copy(binary(), program)
    nobody = pwd.getpwnam("nobody")
    done = subprocess.run(
        [program, "ls"],
        env={"DOCKER_HOST": "unix://" + path, "PATH": "/usr/bin:/bin"},
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=30,
    )
    server.close()
    assert done.returncode == ENGINE, done
    assert "permission" in done.stderr.lower(), done
    assert "group" in done.stderr or "root" in done.stderr or "sudo" in done.stderr, done


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nApi-Version: 1.41\r\n\r\n{]x[}",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 18\r\n\r\n{\"message\":\"oops\"}",
    ],
    ids=["nothing", "garbage", "cut", "bad json", "error"],
)
def test_engine_that_answers_nonsense(scratch, answer):
    """Never a crash or an endless wait."""
    path = os.path.join(scratch, "d.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve():
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                try:
                    client.recv(65536)
                    client.sendall(answer)
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    result = Sidesnap("unix://" + path)("ls", code=None, timeout=60)
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    assert result.code in (ENGINE, 2), result
    assert result.err.strip(), result


def test_docker_plugin_metadata():
    """Installed as docker-sidesnap it answers what the Docker CLI asks of plugins."""
    link = os.path.join("/var/tmp", f"docker-sidesnap.{os.getpid()}")
    os.makedirs(link)
    program = os.path.join(link, "docker-sidesnap")
    os.symlink(binary(), program)
    try:
        done = subprocess.run([program, "docker-cli-plugin-metadata"], capture_output=True, text=True)
        assert done.returncode == 0, done
        said = json.loads(done.stdout)
        assert said["SchemaVersion"] == "0.1.0" and said["Vendor"] and said["ShortDescription"], said
        done = subprocess.run([program, "sidesnap", "version"], capture_output=True, text=True)
        assert done.returncode == 0, done
    finally:
        shutil.rmtree(link)


@pytest.mark.parametrize("shell", ["bash"])
def test_completion_knows_verbs_and_options(sidesnap, shell):
    script = sidesnap("completion", shell).out
    probe = f"""
{script}
COMP_WORDS=(sidesnap cre); COMP_CWORD=1; COMP_LINE="sidesnap cre"; COMP_POINT=12
f=$(complete -p sidesnap | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$f sidesnap cre sidesnap
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", probe], capture_output=True, text=True, env={"PATH": f"{BUILD}:/usr/bin:/bin"}
    )
    assert "create" in done.stdout, done


def test_programs_are_static_and_small():
    """One file that runs on any image; the agent is carried by every chain of snapshots."""
    for name, limit in (("sidesnap", 8 << 20), ("sidesnap-agent", 1536 << 10)):
        with open(binary(name), "rb") as file:
            data = file.read()
        assert b"/lib64/ld-linux" not in data and b"ld-musl" not in data, f"{name} is not static"
        assert len(data) < limit, f"{name} has {len(data)} bytes"


def test_agent_run_by_hand_explains_itself():
    done = subprocess.run([binary("sidesnap-agent")], capture_output=True, text=True, timeout=10)
    assert done.returncode >= 2 and "usage" in done.stderr.lower(), done


def test_closed_stdout_is_an_error_not_a_signal(sidesnap):
    """`sidesnap ls | head -0`: an ordinary end."""
    read, write = os.pipe()
    os.close(read)
    process = sidesnap.start("--help", stdout=write)
    os.close(write)
    _out, err = process.communicate(timeout=10)
    assert process.returncode >= 0, err
