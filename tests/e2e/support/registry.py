"""
A registry of our own: Debian's docker-registry with TLS and passwords, in a process of its own, and a
proxy before it that loses, refuses and damages what it is told to.
"""

import base64
import hashlib
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from support.api import wait_for
from support.private_engine import STATE_PARENT, end_with_parent

USER, PASSWORD = "ada", "correct horse"
# bcrypt of PASSWORD, cheap: the registry asks for it with every request.
HTPASSWD = "ada:$2b$05$AX6MIQhjI4at5e/Kdq4zm.18DgwbpNdgdlWrJOjDAsrS6PIP3/wh2\n"
UNAUTHORIZED = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}'
CERTIFICATES = "/etc/docker/certs.d"


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Registry:
    """On an address that engines do not trust unless they are told to, as 127.0.0.1 is not."""

    def __init__(self, address):
        program = shutil.which("docker-registry")
        assert program, "docker-registry is missing: run make setup"
        self.directory = tempfile.mkdtemp(prefix="sidesnap-registry.", dir=STATE_PARENT)
        self.address, self.port = address, free_port(address)
        self.host = f"{address}:{self.port}"
        self.trust = os.path.join(CERTIFICATES, self.host)
        self.make_certificate()
        with open(self.path("htpasswd"), "w") as file:
            file.write(HTPASSWD)
        with open(self.path("config.yml"), "w") as file:
            file.write(
                f"""version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {self.path("data")}}}, delete: {{enabled: true}}}}
auth: {{htpasswd: {{realm: tests, path: {self.path("htpasswd")}}}}}
http:
  addr: "{self.host}"
  relativeurls: true
  tls: {{certificate: {self.path("cert.pem")}, key: {self.path("key.pem")}}}
"""
            )
        with open(self.path("log"), "wb") as log:
            self.process = subprocess.Popen(
                [program, "serve", self.path("config.yml")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_parent,
            )
        wait_for(self.answers, "the registry")

    def path(self, name):
        return os.path.join(self.directory, name)

    def make_certificate(self):
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", "/CN=sidesnap tests", "-addext", f"subjectAltName=IP:{self.address}",
                "-keyout", self.path("key.pem"), "-out", self.path("cert.pem"),
            ],
            check=True, capture_output=True,
        )

    def be_trusted(self, trusted=True):
        """By engines of this machine: they look at each connection."""
        shutil.rmtree(self.trust, ignore_errors=True)
        if not trusted and os.path.isdir(CERTIFICATES) and not os.listdir(CERTIFICATES):
            os.rmdir(CERTIFICATES)
        if trusted:
            os.makedirs(self.trust)
            shutil.copy(self.path("cert.pem"), os.path.join(self.trust, "ca.crt"))

    def context(self):
        return ssl.create_default_context(cafile=self.path("cert.pem"))

    def answers(self):
        assert self.process.poll() is None, open(self.path("log")).read()
        try:
            self.get("/v2/")
            return True
        except (ConnectionError, urllib.error.URLError):
            return False

    def get(self, path):
        return self.request(path).read()

    def fetch(self, path, headers):
        """Status, headers and body of whatever it answers to Accept and Range."""
        kept = {k: v for k, v in headers.items() if k.lower() in ("accept", "range")}
        try:
            answer = self.request(path, kept)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, dict(answer.headers.items()), answer.read()

    def put_blob(self, repository, data):
        """Its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        where = self.request(f"/v2/{repository}/blobs/uploads/", {}, b"", "POST").headers["Location"]
        self.request(f"{where}&digest={digest}", {"Content-Type": "application/octet-stream"}, data, "PUT")
        return digest

    def put_manifest(self, repository, tag, manifest):
        kind = {"Content-Type": manifest["mediaType"]}
        self.request(f"/v2/{repository}/manifests/{tag}", kind, json.dumps(manifest).encode(), "PUT")

    def request(self, path, headers=None, data=None, method="GET"):
        url = f"https://{self.host}{path}"
        request = urllib.request.Request(url, headers=headers or {}, data=data, method=method)
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context())
        )
        return direct.open(request, timeout=10)

    def tags(self, repository):
        try:
            return sorted(json.loads(self.get(f"/v2/{repository}/tags/list"))["tags"] or [])
        except urllib.error.HTTPError as error:
            assert error.code == 404, error
            return []

    def stored(self):
        """Bytes of all blobs, manifests included."""
        total = 0
        for folder, _, files in os.walk(self.path("data/docker/registry/v2/blobs")):
            total += sum(os.path.getsize(os.path.join(folder, name)) for name in files)
        return total

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.be_trusted(False)
        shutil.rmtree(self.directory)


class Fault:
    """What becomes of requests: the first `times` of a method whose path has the pattern."""

    def __init__(self, method, pattern, action, value=None, times=1):
        self.method, self.pattern, self.times = method, re.compile(pattern), times
        self.action, self.value = action, value


class Proxy:
    """
    Plain HTTP on 127.0.0.1, which engines accept, before a registry. Actions: "status" (answers value),
    "cut" (closes without an answer), "cut-answer" (closes after value bytes of it), "short" (an answer of
    value bytes, as if that were all), "flip" (changes a byte of the answer, at value or in the middle),
    "flip-request" (of what is sent), "stall" (waits value seconds, then closes).
    """

    def __init__(self, registry):
        self.registry = registry
        self.faults = []
        self.seen = []
        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def fault(self, *arguments, **more):
        self.faults.append(Fault(*arguments, **more))
        return self.faults[-1]

    def clear(self):
        self.faults, self.seen = [], []

    def take(self, method, path):
        with self.lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.times and fault.method == method and fault.pattern.search(path):
                    fault.times -= 1
                    return fault
        return None

    def count(self, method, pattern):
        return sum(m == method and bool(re.search(pattern, p)) for m, p in self.seen)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def handler(proxy):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle(self):
                # Engines try TLS first; a hello has no line end to wait for.
                if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
                    self.connection.recv(65536)
                    self.connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    return
                try:
                    super().handle()
                except (ConnectionError, ValueError):
                    pass  # whoever asked is gone

            def body(self):
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                data = b""
                while True:
                    size = int(self.rfile.readline().split(b";")[0] or b"0", 16)
                    data += self.rfile.read(size)
                    self.rfile.readline()
                    if not size:
                        return data

            def forward(self):
                fault = proxy.take(self.command, self.path)
                action = fault.action if fault else None
                if action == "stall":
                    time.sleep(fault.value)
                    return self.hang_up()
                body = self.body()
                if action == "cut":
                    return self.hang_up()
                if action == "status":
                    return self.answer(fault.value, {}, UNAUTHORIZED if fault.value == 401 else b"busy\n")
                if action == "flip-request":
                    body = flip(body)
                link = http.client.HTTPSConnection(
                    proxy.registry.address, proxy.registry.port, context=proxy.registry.context(), timeout=60
                )
                link.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for key, value in self.headers.items():  # some several times
                    if key.lower() not in ("connection", "transfer-encoding", "content-length"):
                        link.putheader(key, value)
                link.putheader("Content-Length", str(len(body)))
                link.endheaders(body)
                found = link.getresponse()
                data = found.read()
                if action == "flip":
                    data = flip(data, fault.value)
                if action == "short":
                    data = data[: fault.value]
                cut = fault.value if action == "cut-answer" else None
                self.answer(found.status, dict(found.getheaders()), data, cut)
                link.close()
                return None

            def answer(self, status, headers, data, cut=None):
                self.send_response_only(status)
                if status == 401:
                    headers = {**headers, "Www-Authenticate": 'Basic realm="tests"'}
                if self.command != "HEAD":
                    headers = {**headers, "Content-Length": str(len(data))}
                for key, value in headers.items():
                    if key.lower() not in ("connection", "transfer-encoding"):
                        self.send_header(key, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data if cut is None else data[:cut])
                if cut is not None:
                    self.hang_up()

            def hang_up(self):
                self.close_connection = True
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.forward)
        return Handler


def flip(data, at=None):
    at = len(data) // 2 if at is None else min(at, len(data) - 1)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if data else data


def docker_config(directory, **auths):
    """A DOCKER_CONFIG folder: host -> (user, password)."""
    entries = {h: {"auth": base64.b64encode(f"{u}:{p}".encode()).decode()} for h, (u, p) in auths.items()}
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump({"auths": entries}, file)
    return directory
