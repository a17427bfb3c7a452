"""docker-compose 1.29 as Debian ships it, and compose v2 from the package of Debian sid, unpacked beside."""

import hashlib
import lzma
import os
import shutil
import subprocess
import tempfile
import urllib.request

from support.images import cache_directory


def mirror():
    out = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"],
        capture_output=True,
        text=True,
    ).stdout.split()
    return out[0].rstrip("/") if out else None


def version_two():
    """Path of the program, or the reason why there is none."""
    place = os.path.join(cache_directory(), "compose-v2")
    program = os.path.join(place, "docker-compose")
    if os.path.exists(program):
        return program, None
    base = mirror()
    if not base:
        return None, "apt knows no mirror of Debian"
    try:
        with urllib.request.urlopen(f"{base}/dists/sid/main/binary-amd64/Packages.xz", timeout=60) as answer:
            index = lzma.decompress(answer.read()).decode()
        start = index.index("Package: docker-compose\n")
        fields = dict(
            line.split(": ", 1) for line in index[start : index.index("\n\n", start)].split("\n") if ": " in line
        )
        with urllib.request.urlopen(f"{base}/{fields['Filename']}", timeout=120) as answer:
            package = answer.read()
    except (OSError, ValueError) as error:
        return None, f"the package docker-compose of sid cannot be had: {error}"
    assert hashlib.sha256(package).hexdigest() == fields["SHA256"]
    with tempfile.TemporaryDirectory(dir=cache_directory()) as directory:
        deb = os.path.join(directory, "compose.deb")
        with open(deb, "wb") as file:
            file.write(package)
        subprocess.run(["dpkg-deb", "-x", deb, directory + "/x"], check=True)
        found = subprocess.run(
            ["find", directory + "/x", "-type", "f", "-name", "docker-compose"], check=True, capture_output=True, text=True
        ).stdout.split()[0]
        os.makedirs(place, exist_ok=True)
        os.replace(found, program)
    return program, None


def version_one():
    program = shutil.which("docker-compose")
    if not program:
        return None, "no docker-compose"
    out = subprocess.run([program, "version", "--short"], capture_output=True, text=True).stdout
    return (program, None) if out.startswith("1.") else (None, f"docker-compose is {out.strip()}")


class Compose:
    def __init__(self, program, host, directory, project):
        self.program, self.host, self.directory, self.project = program, host, directory, project

    def __call__(self, *arguments, check=True, timeout=180, input=b""):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "COMPOSE_"))}
        environment["DOCKER_HOST"] = self.host
        done = subprocess.run(
            [self.program, "-p", self.project, "-f", os.path.join(self.directory, "compose.yml"), *arguments],
            env=environment,
            cwd=self.directory,
            input=input,
            capture_output=True,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done.returncode, done.stdout.decode(), done.stderr.decode()
