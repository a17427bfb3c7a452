"""Calling the product as people do, and judging what it answers."""

import json
import os
import pty
import select
import signal
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("SIDESNAP_BUILD") or os.path.join(ROOT, "build")

# docs/reference.md has the same table.
DAMAGED, FAILED, USAGE, NOT_FOUND, EXISTS, REFUSED, ENGINE, NO_SPACE, BUSY, UNSUPPORTED, UNFINISHED = range(1, 12)
CANCELLED = 130


def binary(name="sidesnap", variant=""):
    return os.path.join(BUILD, variant, name)


class Result:
    def __init__(self, command, code, out, err):
        self.command, self.code, self.out, self.err = command, code, out, err

    def __repr__(self):
        return f"{' '.join(self.command)} -> {self.code}\nstdout: {self.out}\nstderr: {self.err}"

    def json(self):
        return json.loads(self.out)


class Sidesnap:
    """The command on one engine. Called with arguments it gives a Result and insists on success."""

    def __init__(self, host, variant="", env=None):
        self.host = host
        self.variant = variant
        self.extra = dict(env or {})

    def environment(self, env=None):
        base = {
            k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "SIDESNAP_", "COMPOSE_"))
        }
        if self.host:
            base["DOCKER_HOST"] = self.host
        base.update(self.extra)
        base.update(env or {})
        return base

    def command(self, *arguments):
        return [binary("sidesnap", self.variant), *[str(a) for a in arguments]]

    def __call__(self, *arguments, code=0, env=None, timeout=180, input=None):
        command = self.command(*arguments)
        done = subprocess.run(
            command,
            env=self.environment(env),
            stdin=subprocess.DEVNULL if input is None else None,
            input=input,
            capture_output=True,
            timeout=timeout,
        )
        result = Result(
            command,
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="surrogateescape"),
        )
        if code is not None:
            assert result.code == code, f"expected exit code {code}: {result!r}"
        return result

    def json(self, *arguments, **more):
        """The result of a verb with --json."""
        return self(*arguments, "--json", **more).json()

    def fails(self, code, *arguments, says=(), **more):
        """It ends with this code, an "error" on stderr that holds these words, and no stdout."""
        result = self(*arguments, code=code, **more)
        words = [says] if isinstance(says, str) else says
        for word in words:
            assert word.lower() in result.err.lower(), f'no "{word}" in: {result!r}'
        assert result.err.strip(), f"silent failure: {result!r}"
        assert "--json" in arguments or not result.out.strip(), f"output on stdout: {result!r}"
        return result

    def start(self, *arguments, env=None, **more):
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(*arguments), env=self.environment(env), **more)

    def at(self, point, action="kill"):
        """The build with failpoints, stopping at a named step."""
        return Sidesnap(
            self.host, "failpoints", {**self.extra, "SIDESNAP_FAILPOINT": f"{point}={action}"}
        )

    def create(self, target, reference, *options, **more):
        return self.json("create", target, "-t", reference, *options, **more)


def await_stop(process):
    """Return when a failpoint has stopped it ("stop"); False when it has ended instead."""
    status = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if status.si_code != os.CLD_STOPPED:
        return False
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    return True


def go_on(process, timeout=60):
    """Let it run to its end, which must be a success."""
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, (out, err)
    return out


class Terminal:
    """A command on a pseudo terminal."""

    def __init__(self, sidesnap, *arguments, env=None):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            sidesnap.command(*arguments),
            env={**sidesnap.environment(env), "TERM": "xterm", "COLUMNS": "100"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, 0x540E, 0),
        )
        os.close(slave)
        self.output = b""

    def read(self, seconds=0.1):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return self.output
            if not data:
                return self.output
            self.output += data
        return self.output

    def type(self, text):
        os.write(self.master, text)

    def wait(self, timeout=120):
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < deadline, self.output
        self.read()
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


def family(process):
    """The ids of a process and of what it has started, the watchdog included."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
    found = [process.pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one and child not in found]
    return found


def interrupt(process, number=signal.SIGINT, timeout=30):
    """Send a signal and wait: (exit code, stdout, stderr)."""
    process.send_signal(number)
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out.decode(), err.decode()
