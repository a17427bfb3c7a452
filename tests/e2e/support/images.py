"""
The images that the tests run: written as archives by ourselves, or built by the engine from a
Dockerfile; kept between sessions as tars named by the hash of what they are made from.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

from support.api import EngineError

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SOURCES = os.path.join(ROOT, "tests", "images")
PREFIX = "sidesnap-test/"
CREATED = "2026-01-01T00:00:00Z"


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.path.join(base, "sidesnap", "test-images")
    os.makedirs(path, exist_ok=True)
    return path


class Layer:
    """A layer's tar, file by file. Everything is of root's and of one date unless told."""

    def __init__(self):
        self.data = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.data, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind=tarfile.REGTYPE, content=b"", mode=0o644, uid=0, gid=0, link="", **more):
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.uid, member.gid = kind, mode, uid, gid
        member.linkname, member.size, member.mtime = link, len(content), 1700000000
        for key, value in more.items():
            setattr(member, key, value)
        self.tar.addfile(member, io.BytesIO(content))
        return self

    def directory(self, name, mode=0o755, uid=0, gid=0):
        return self.add(name, tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid)

    def symlink(self, name, target):
        return self.add(name, tarfile.SYMTYPE, link=target, mode=0o777)

    def program(self, name, content):
        return self.add(name, content=content, mode=0o755)

    def bytes(self):
        self.tar.close()
        return self.data.getvalue()


def archive(path, tag, layers, config):
    """A docker-archive of these layers (bytes) with this image configuration."""
    digests = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    body = {
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": digests},
        "history": [{"created": CREATED, "created_by": f"layer {i}"} for i in range(len(layers))],
    }
    packed = json.dumps(body, sort_keys=True).encode()
    name = hashlib.sha256(packed).hexdigest() + ".json"
    manifest = [
        {"Config": name, "RepoTags": [tag], "Layers": [d[7:] + "/layer.tar" for d in digests]}
    ]
    out = Layer()
    out.add(name, content=packed)
    for digest, layer in zip(digests, layers):
        if digest[7:] + "/layer.tar" not in out.tar.getnames():
            out.add(digest[7:] + "/layer.tar", content=layer)
    out.add("manifest.json", content=json.dumps(manifest).encode())
    with open(path, "wb") as file:
        file.write(out.bytes())


def busybox_layer():
    program = "/bin/busybox"
    with open(program, "rb") as file:
        binary = file.read()
    assert b"/lib64/ld-linux" not in binary[:4096], "busybox-static is needed, not busybox"
    layer = Layer()
    for name in ("bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "home", "root", "var", "proc", "sys", "dev"):
        layer.directory(name)
    layer.directory("tmp", 0o1777)
    layer.program("bin/busybox", binary)
    names = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout
    for name in names.split():
        if name != "busybox":
            layer.symlink("bin/" + name, "busybox")
    layer.add("etc/passwd", content=b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n")
    layer.add("etc/group", content=b"root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
    layer.add("etc/base.conf", content=b"as in the image\n", mode=0o640, gid=1000)
    layer.add("etc/extra.conf", content=b"becomes a directory\n")
    layer.directory("etc/old", 0o755)
    layer.add("etc/old/gone", content=b"will be deleted\n")
    layer.add("etc/old/kept", content=b"stays\n")
    return layer.bytes()


def service_program():
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "service")
        sources = [os.path.join(SOURCES, "service", name) for name in ("service.c", "churn.c")]
        subprocess.run(["gcc", "-O1", "-static", "-s", "-o", out, *sources], check=True)
        with open(out, "rb") as file:
            return file.read()


ENTRY = b"""#!/bin/sh
# The shape of an official image's entrypoint: root hands over to a user, by its own path.
[ -z "$TRACE" ] || echo "entry: pid $$ uid $(id -u) argv $*"
if [ "$1" = serve ]; then
	trap 'echo usr1; exit 5' USR1
	trap 'echo term; exit 0' TERM
	echo "serving as $$"
	while :; do sleep 0.1; done
fi
exec "$@"
"""

COMMON = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}


def made_images():
    """name -> function giving (layers, configuration). Called once a cache miss."""

    def on_busybox(config, fill=None):
        def make():
            layers = [busybox_layer()]
            if fill:
                layer = Layer()
                fill(layer)
                layers.append(layer.bytes())
            return layers, {**COMMON, **config}

        return make

    def seeded(layer):
        layer.directory("data", 0o750, 1000, 1000)
        layer.add("data/seed.txt", content=b"from the image\n", uid=1000, gid=1000)
        layer.directory("data/inner")
        layer.add("data/inner/more.txt", content=b"also from the image\n")

    def service(layer):
        layer.directory("srv")
        layer.directory("usr/local/bin")
        layer.program("usr/local/bin/entry.sh", ENTRY)
        layer.program("usr/local/bin/service", service_program())

    def scratch():
        layer = Layer()
        layer.program("service", service_program())
        layer.directory("data")
        return [layer.bytes()], {"Entrypoint": ["/service"], "Cmd": ["wait"], "Volumes": {"/data": {}}}

    def nonroot(layer):
        service(layer)
        layer.directory("data", 0o755)

    return {
        "busybox": on_busybox({"Cmd": ["sh"]}),
        "scratch": scratch,
        "seeded": on_busybox({"Cmd": ["sleep", "1000"], "Volumes": {"/data": {}}}, seeded),
        "service": on_busybox(
            {
                "Env": COMMON["Env"] + ["FROM_IMAGE=1"],
                "Entrypoint": ["entry.sh"],
                "Cmd": ["serve"],
                "WorkingDir": "/srv",
                "StopSignal": "SIGUSR1",
                "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
                "Labels": {"maker": "test", "org.opencontainers.image.title": "service"},
                "Volumes": {"/data": {}},
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "test -e /data"],
                    "Interval": 1000000000,
                    "Retries": 3,
                },
            },
            service,
        ),
        "health": on_busybox(
            {
                "Cmd": ["sleep", "1000"],
                "Volumes": {"/data": {}},
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "date >>/data/health; date >>/health; id >>/health"],
                    "Interval": 300000000,
                },
            },
            lambda layer: layer.directory("data"),
        ),
        "symlink": on_busybox(
            {"Cmd": ["sleep", "1000"], "Volumes": {"/data": {}}},
            lambda layer: layer.symlink(".sidesnap", "etc").directory("data"),
        ),
        "nonroot": on_busybox(
            {
                "User": "app",
                "Entrypoint": ["entry.sh"],
                "Cmd": ["serve"],
                "Volumes": {"/data": {}},
            },
            nonroot,
        ),
        # Two layers are enough to see which base a helper was made from.
        "secret": on_busybox(
            {"Env": COMMON["Env"] + ["IMAGE_TOKEN=in-the-image"], "Cmd": ["sleep", "1000"]},
            lambda layer: layer.directory("data"),
        ),
    }


# Images of one folder that differ in the release they stand on, or in what is built: name -> (folder,
# release, arguments of the build). What is not named here stands on bookworm.
POSTGRES_18 = {"MAJOR": "18", "DATA": "/var/lib/postgresql/18/docker", "STATE": "/var/lib/postgresql"}
VARIANTS = {
    "postgres17": ("postgres", "trixie", {"MAJOR": "17"}),
    "postgres18": ("postgres", "sid", POSTGRES_18),
    "postgis": ("postgres", "bookworm", {"PACKAGES": "postgresql-15-postgis-3"}),
    "postgres17-extensions": (
        "postgres",
        "trixie",
        {"MAJOR": "17", "PACKAGES": "postgresql-17-timescaledb postgresql-17-pgvector", "PRELOAD": "timescaledb"},
    ),
    "redis8": ("redis", "trixie", {}),
    "valkey": ("valkey", "trixie", {}),
    "etcd35": ("etcd", "trixie", {}),
    "etcd-bare": ("etcd-bare", "trixie", {}),
    "rabbitmq4": ("rabbitmq", "trixie", {}),
    "openldap26": ("openldap", "trixie", {}),
    "mariadb11": ("mariadb", "trixie", {}),
    "mysql9": ("mysql", "sid", {}),
}
RELEASE = "bookworm"


def debian_base(path, tag, release):
    """A minimal Debian as an archive, from the tree that scripts/base-image makes."""
    made = subprocess.run(
        [os.path.join(ROOT, "scripts", "base-image"), "--tar", release], stdout=subprocess.PIPE, text=True
    )
    assert made.returncode == 0, f"scripts/base-image --tar {release} failed"
    with open(made.stdout.strip(), "rb") as file:
        archive(path, tag, [file.read()], {**COMMON, "Cmd": ["bash"]})


def hash_directory(directory):
    digest = hashlib.sha256()
    for folder, folders, files in sorted(os.walk(directory)):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            digest.update(os.path.relpath(path, directory).encode() + b"\0")
            with open(path, "rb") as file:
                digest.update(file.read() + b"\0")
    return digest.hexdigest()


class Images:
    """Loads what a test names, once a session."""

    def __init__(self, engine):
        self.engine = engine
        self.loaded = {}
        self.makers = made_images()
        with open(__file__, "rb") as file:
            recipes = file.read()
        with open("/bin/busybox", "rb") as file:
            recipes += file.read()
        self.recipes = hashlib.sha256(recipes).hexdigest() + hash_directory(SOURCES + "/service")

    def __call__(self, name):
        if name not in self.loaded:
            tag = f"{PREFIX}{name}:1"
            path = self.cached(name, tag)
            with open(path, "rb") as file:
                self.loaded[name] = self.load(file, name, tag)
        return self.loaded[name]

    def load(self, file, name, tag):
        """The tag to use: on an engine that is shared another run must not take ours away."""
        if self.engine.exclusive:
            self.engine.load(file)
            return tag
        own = f"{PREFIX}{name}:{os.getpid()}"
        with open(os.path.join(cache_directory(), ".load.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.engine.load(file)
            repository, _, version = own.partition(":")
            self.engine.call("POST", f"/images/{tag}/tag", {"repo": repository, "tag": version})
            self.engine.remove_image(tag)
        return own

    def cached(self, name, tag):
        if name in self.makers:
            key, make = self.recipes, self.write_made
        elif name.startswith("debian-"):
            key, make = "minbase 4", self.write_debian
        else:
            key, make = hash_directory(self.source(name)) + str(VARIANTS.get(name)), self.write_built
        digest = hashlib.sha256(f"{name} {tag} {key}".encode()).hexdigest()[:24]
        path = os.path.join(cache_directory(), f"{name}-{digest}.tar")
        with open(os.path.join(cache_directory(), f".{name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(path):
                self.make_cached(make, path, name, tag)
        return path

    def make_cached(self, make, path, name, tag):
        part = f"{path}.{os.getpid()}"
        try:
            make(part, name, tag)
            os.rename(part, path)
        finally:
            if os.path.exists(part):
                os.unlink(part)
        self.forget_old(name, path)

    @staticmethod
    def forget_old(name, current):
        for other in os.listdir(cache_directory()):
            path = os.path.join(cache_directory(), other)
            if other.startswith(name + "-") and other.endswith(".tar") and path != current:
                os.unlink(path)

    def write_made(self, path, name, tag):
        layers, config = self.makers[name]()
        archive(path, tag, layers, config)

    @staticmethod
    def write_debian(path, name, tag):
        debian_base(path, tag, name.partition("-")[2])

    @staticmethod
    def source(name):
        """The folder that an image is built from."""
        folder = VARIANTS.get(name, (name,))[0]
        source = os.path.join(SOURCES, folder)
        return source if os.path.isdir(source) else os.path.join(ROOT, "images", folder)

    def write_built(self, path, name, tag):
        """
        By the engine, from a Dockerfile whose base becomes ours: no registry is asked. What it copies and
        is no source of ours is made by the folder's "prepare", in a copy of it.
        """
        _, release, arguments = VARIANTS.get(name, (name, RELEASE, {}))
        base = self(f"debian-{release}")
        with tempfile.TemporaryDirectory() as directory:
            context = os.path.join(directory, "context")
            shutil.copytree(self.source(name), context)
            if os.path.exists(os.path.join(context, "prepare")):
                made = subprocess.run([os.path.join(context, "prepare")], capture_output=True, text=True)
                assert made.returncode == 0, f"cannot prepare the image {name}: {made.stderr[-2000:]}"
            dockerfile = os.path.join(context, "Dockerfile")
            with open(dockerfile) as file:
                text = file.read().replace(f"FROM debian:{RELEASE}-slim", f"FROM {base}")
            with open(dockerfile, "w") as file:
                file.write(text)
            given = {"BASE": base} if "ARG BASE" in text else {}
            try:
                self.engine.build(context, tag, {**given, **arguments} or None)
            except EngineError as error:
                raise AssertionError(f"cannot build the image {name}: {error}") from error
        with open(path, "wb") as file:
            self.engine.stream_to(f"/images/{tag}/get", file)

    def tags(self):
        return set(self.loaded.values())
