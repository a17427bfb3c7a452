"""A small client of the Engine API, so that the tests judge the product by other code than its own."""

import http.client
import io
import json
import os
import socket
import struct
import tarfile
import time
import urllib.parse


class EngineError(Exception):
    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("engine", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def demultiplex(data):
    """The multiplexed attach stream as (stdout, stderr)."""
    streams = {1: b"", 2: b""}
    while len(data) >= 8:
        kind, size = data[0], struct.unpack(">I", data[4:8])[0]
        streams[kind] = streams.get(kind, b"") + data[8 : 8 + size]
        data = data[8 + size :]
    return streams[1], streams[2]


class Engine:
    """One engine behind a unix socket."""

    def __init__(self, host, exclusive=False):
        assert host.startswith("unix://"), host
        self.host = host
        self.path = host[len("unix://") :]
        self.exclusive = exclusive

    # -- transport

    def call(self, method, path, query=None, body=None, headers=None, timeout=120):
        """The answer's body as bytes; EngineError from status 400 on."""
        if query:
            pairs = {k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in query.items()}
            path += "?" + urllib.parse.urlencode(pairs)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = UnixConnection(self.path, timeout)
        try:
            connection.request(method, path, body, headers, encode_chunked=False)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status >= 400:
                try:
                    message = json.loads(data)["message"]
                except (ValueError, KeyError, TypeError):
                    message = data.decode(errors="replace")
                raise EngineError(answer.status, message)
            return data
        finally:
            connection.close()

    def json(self, method, path, query=None, body=None, **more):
        data = self.call(method, path, query, body, **more)
        return json.loads(data) if data.strip() else None

    def stream_to(self, path, file):
        """GET into a file."""
        connection = UnixConnection(self.path, 600)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise EngineError(answer.status, answer.read().decode(errors="replace"))
            while True:
                part = answer.read(1 << 20)
                if not part:
                    return
                file.write(part)
        finally:
            connection.close()

    def ping(self):
        try:
            return self.call("GET", "/_ping", timeout=5) == b"OK"
        except (OSError, EngineError, http.client.HTTPException):
            return False

    def info(self):
        return self.json("GET", "/info")

    # -- lists

    def containers(self, **filters):
        query = {"all": "1"}
        if filters:
            query["filters"] = {k: v if isinstance(v, list) else [v] for k, v in filters.items()}
        return self.json("GET", "/containers/json", query)

    def volumes(self):
        return [v["Name"] for v in self.json("GET", "/volumes").get("Volumes") or []]

    def images(self):
        """id -> list of tags (empty when untagged)."""
        found = {}
        for image in self.json("GET", "/images/json"):
            tags = [t for t in image.get("RepoTags") or [] if t != "<none>:<none>"]
            found[image["Id"]] = tags
        return found

    def tags(self):
        return sorted(t for tags in self.images().values() for t in tags)

    def networks(self):
        return {n["Id"]: n["Name"] for n in self.json("GET", "/networks")}

    def image(self, reference):
        return self.json("GET", f"/images/{reference}/json")

    def history(self, reference):
        return self.json("GET", f"/images/{reference}/history")

    def has_image(self, reference):
        try:
            self.image(reference)
            return True
        except EngineError as error:
            if error.status in (404, 500):
                return False
            raise

    def state(self):
        """Everything that a dry run must not change."""
        containers = {
            c["Id"]: self.json("GET", f"/containers/{c['Id']}/json") for c in self.containers()
        }
        return {
            "containers": {
                i: (c["Name"], c["State"]["Status"], c["State"]["StartedAt"], c["State"]["Pid"])
                for i, c in containers.items()
            },
            "images": self.images(),
            "volumes": sorted(self.volumes()),
            "networks": self.networks(),
        }

    # -- doing

    def remove_container(self, name):
        try:
            try:
                self.call("POST", f"/containers/{name}/unpause")
            except EngineError:
                pass
            self.call("DELETE", f"/containers/{name}", {"force": "1", "v": "1"})
        except EngineError as error:
            if error.status not in (404, 409):
                raise

    def remove_image(self, reference):
        try:
            self.call("DELETE", f"/images/{reference}", {"force": "1"})
        except EngineError as error:
            if error.status not in (404, 409):
                raise

    def load(self, file):
        size = os.fstat(file.fileno()).st_size
        answer = self.call(
            "POST",
            "/images/load",
            {"quiet": "1"},
            file,
            {"Content-Type": "application/x-tar", "Content-Length": str(size)},
            timeout=600,
        )
        assert b'"error"' not in answer, answer

    def build(self, context, tag, arguments=None):
        """POST /build with the classic builder; the context is a directory."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(context, arcname=".")
        query = {"t": tag, "rm": "1", "forcerm": "1", "version": "1"}
        if arguments:
            query["buildargs"] = arguments
        answer = self.call(
            "POST",
            "/build",
            query,
            packed.getvalue(),
            {"Content-Type": "application/x-tar"},
            timeout=900,
        ).decode()
        if '"error"' in answer:
            lines = [json.loads(line) for line in answer.splitlines() if line.strip()]
            text = "".join(line.get("stream", "") + line.get("error", "") for line in lines)
            raise EngineError(500, "build failed: " + text[-4000:])

    def create(self, name, image, command=None, host=None, platform=None, **config):
        body = {"Image": image, "HostConfig": host or {}}
        if command is not None:
            body["Cmd"] = command
        body.update(config)
        made = self.json("POST", "/containers/create", {"name": name}, body)
        return Container(self, made["Id"], name)

    def run(self, name, image, command=None, host=None, **config):
        container = self.create(name, image, command, host, **config)
        container.start()
        return container

    def container(self, name):
        found = self.json("GET", f"/containers/{name}/json")
        return Container(self, found["Id"], found["Name"].lstrip("/"))

    def volume(self, name, **body):
        return self.json("POST", "/volumes/create", None, {"Name": name, **body})

    def volume_path(self, name):
        return self.json("GET", f"/volumes/{name}")["Mountpoint"]


class Container:
    def __init__(self, engine, identity, name):
        self.engine = engine
        self.id = identity
        self.name = name

    def __repr__(self):
        return f"Container({self.name})"

    def post(self, what, query=None, **more):
        return self.engine.call("POST", f"/containers/{self.id}/{what}", query, **more)

    def start(self):
        self.post("start")

    def stop(self, seconds=10):
        self.post("stop", {"t": str(seconds)})

    def kill(self, signal="KILL"):
        self.post("kill", {"signal": signal})

    def pause(self):
        self.post("pause")

    def unpause(self):
        self.post("unpause")

    def inspect(self):
        return self.engine.json("GET", f"/containers/{self.id}/json")

    def state(self):
        return self.inspect()["State"]

    def status(self):
        return self.state()["Status"]

    def exists(self):
        try:
            self.inspect()
            return True
        except EngineError as error:
            if error.status in (404, 500):
                return False
            raise

    def wait(self, timeout=60):
        """Its exit code, once it has ended."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            state = self.state()
            if state["Status"] in ("exited", "dead"):
                return state["ExitCode"]
            time.sleep(0.05)
        raise AssertionError(f"{self.name} still runs after {timeout} s: {self.logs()}")

    def output(self):
        """Its stdout alone: what boot says goes to stderr."""
        data = self.engine.call("GET", f"/containers/{self.id}/logs", {"stdout": "1"})
        return demultiplex(data)[0].decode(errors="replace")

    def logs(self):
        tty = self.inspect()["Config"]["Tty"]
        data = self.engine.call(
            "GET", f"/containers/{self.id}/logs", {"stdout": "1", "stderr": "1"}
        )
        if tty:
            return data.decode(errors="replace")
        out, err = demultiplex(data)
        return (out + err).decode(errors="replace")

    def exec(self, command, check=True, user=None, env=None, timeout=120):
        """Output (stdout) of a command; with check=False (exit code, stdout, stderr)."""
        if isinstance(command, str):
            command = ["/bin/sh", "-c", command]
        body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
        if user is not None:
            body["User"] = user
        if env:
            body["Env"] = env
        made = self.engine.json("POST", f"/containers/{self.id}/exec", None, body)
        data = self.engine.call(
            "POST",
            f"/exec/{made['Id']}/start",
            None,
            {"Detach": False, "Tty": False},
            timeout=timeout,
        )
        out, err = demultiplex(data)
        code = None
        for _ in range(100):
            code = self.engine.json("GET", f"/exec/{made['Id']}/json")["ExitCode"]
            if code is not None:
                break
            time.sleep(0.02)
        out, err = out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape")
        if not check:
            return code, out, err
        assert code == 0, f"{command} in {self.name} exited {code}: {out}{err}"
        return out

    def archive(self, path):
        data = self.engine.call("GET", f"/containers/{self.id}/archive", {"path": path})
        return tarfile.open(fileobj=io.BytesIO(data))

    def remove(self):
        self.engine.remove_container(self.id)


def wait_for(condition, what, timeout=30, interval=0.05):
    """The first true value of condition(); an assertion that names what was awaited otherwise."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(interval)
