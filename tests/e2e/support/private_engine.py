"""
A Docker engine of our own, beside whatever else runs on the machine: own containerd,
own bridge, own firewall rules (two daemons that both manage iptables delete each other's chains),
own data. What a killed run left is cleaned by the next one.
"""

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time

from support.api import Engine

OVERLAY_MAGIC = 0x794C7630
HERE = os.path.dirname(os.path.abspath(__file__))
STATE_PARENT = os.environ.get("SIDESNAP_TEST_STATE", "/var/tmp")


class NotPossible(Exception):
    pass


def run(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


def filesystem_type(path):
    return run("stat", "-f", "-c", "%t", path).stdout.strip()


def end_with_parent():
    """In the child: SIGTERM when the test run dies, however it dies."""
    os.setsid()
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM, 0, 0, 0)


def newer_engine():
    """PrivateEngine's tree of Docker of Debian's testing; made on first use."""
    made = run(os.path.join(HERE, "newer-engine"), check=False)
    if made.returncode:
        raise NotPossible(made.stderr)
    return made.stdout.strip()


class PrivateEngine:
    """
    The machine's Docker with overlay2, or the one in a tree with the containerd image store: its usr/ is
    mounted over /usr for the daemons alone.
    number: which of the sixteen slots (device name, subnet, directory) it has taken.
    disk_bytes: the data root is a file system of that size of its own, so that it can be filled.
    """

    def __init__(self, disk_bytes=None, tree=None):
        if os.geteuid() != 0:
            raise NotPossible("not root")
        for program in ("ip", "iptables") if tree else ("dockerd", "containerd", "ip", "iptables"):
            if not shutil.which(program):
                raise NotPossible(f"no {program}")
        self.disk_bytes = disk_bytes
        self.tree = tree
        self.processes = []
        self.take_slot()
        self.state = f"{STATE_PARENT}/sidesnap-test.{self.number}"
        self.device = f"sidesnapt{self.number}"
        self.subnet = f"10.{213 + self.number}.0.0/16"
        self.clean()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def take_slot(self):
        for number in range(16):
            lock = open(f"{STATE_PARENT}/sidesnap-test.{number}.lock", "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            self.number, self.lock = number, lock
            return
        raise NotPossible("sixteen test engines at once")

    # -- starting

    def start(self):
        for part in ("", "/data", "/run"):
            os.makedirs(self.state + part, exist_ok=True)
        self.make_disk()
        self.make_network()
        self.make_containerd()
        socket = f"{self.state}/run/docker.sock"
        config = {
            "data-root": f"{self.state}/data",
            "exec-root": f"{self.state}/run/exec",
            "pidfile": f"{self.state}/run/dockerd.pid",
            "hosts": [f"unix://{socket}"],
            "containerd": f"{self.state}/run/containerd.sock",
            "storage-driver": "overlay2",
            "bridge": self.device,
            "fixed-cidr": f"10.{213 + self.number}.0.0/17",
            # No default-address-pools: with them a dockerd that starts again deletes the link docker0,
            # whoever's it is (moby: initNetworkController calls removeDefaultBridgeInterface).
            "iptables": False,
            "ip-masq": False,
            "shutdown-timeout": 3,
            "log-level": "warn",
        }
        if self.tree:
            newer = {"storage-driver": "overlayfs", "features": {"containerd-snapshotter": True}, "ip6tables": False}
            config.update(newer)
        path = f"{self.state}/daemon.json"
        with open(path, "w") as file:
            json.dump(config, file)
        self.spawn("dockerd", "--config-file", path)
        self.engine = Engine(f"unix://{socket}", exclusive=True)
        self.await_or_fail(self.engine.ping, "dockerd")

    def spawn(self, *command):
        log = open(f"{self.state}/{command[0]}.log", "ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        process = subprocess.Popen(
            [*self.entrance(), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            preexec_fn=end_with_parent,
        )
        log.close()
        self.processes.append(process)
        return process

    def entrance(self):
        """What puts a daemon where its tree is /usr: all of them into one mount namespace."""
        if not self.tree:
            return []
        if self.processes:
            return ["nsenter", f"--mount=/proc/{self.processes[0].pid}/ns/mnt"]
        mount = 'mount --bind "$0/usr" /usr && exec "$@"'
        return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", mount, self.tree]

    def await_or_fail(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            if self.processes[-1].poll() is not None or time.monotonic() > deadline:
                with open(f"{self.state}/{what}.log", errors="replace") as log:
                    raise NotPossible(f"{what} does not start: {log.read()[-2000:]}")
            time.sleep(0.05)

    def make_containerd(self):
        socket = f"{self.state}/run/containerd.sock"
        config = f"{self.state}/containerd.toml"
        with open(config, "w") as file:
            file.write(
                f'version = 2\nroot = "{self.state}/data/containerd-root"\n'
                f'state = "{self.state}/run/containerd"\n'
                'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs",'
                ' "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",'
                ' "io.containerd.snapshotter.v1.devmapper"]\n'
                f'[grpc]\n  address = "{socket}"\n'
            )
        self.spawn("containerd", "--config", config)
        self.await_or_fail(lambda: os.path.exists(socket), "containerd")

    def make_disk(self):
        size = self.disk_bytes
        if size is None:
            if filesystem_type(self.state) != f"{OVERLAY_MAGIC:x}":
                return
            size = 24 << 30  # overlay2 does not work on overlay: bring a file system of our own
        image = f"{self.state}/disk"
        with open(image, "wb") as file:
            file.truncate(size)
        made = run("mkfs.ext4", "-q", "-m", "0", image, check=False)
        mounted = run("mount", "-o", "loop", image, f"{self.state}/data", check=False)
        if made.returncode or mounted.returncode:
            raise NotPossible(f"no loop file system: {made.stderr}{mounted.stderr}")

    def rules(self):
        yield ("nat", "POSTROUTING", "-s", self.subnet, "!", "-d", self.subnet, "-j", "MASQUERADE")
        yield ("filter", "FORWARD", "-s", self.subnet, "-j", "ACCEPT")
        yield ("filter", "FORWARD", "-d", self.subnet, "-j", "ACCEPT")

    def make_network(self):
        run("ip", "link", "add", self.device, "type", "bridge")
        run("ip", "address", "add", f"10.{213 + self.number}.0.1/17", "dev", self.device)
        run("ip", "link", "set", self.device, "up")
        with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")
        for table, chain, *rule in self.rules():
            run("iptables", "-w", "-t", table, "-I", chain, *rule)

    def restart(self, number=signal.SIGKILL):
        """The daemon ends, and all containers with it; it comes back as after a crash of the machine."""
        process = self.processes.pop()
        process.send_signal(number)
        process.wait(60)
        if os.path.exists(f"{self.state}/run/dockerd.pid"):
            os.unlink(f"{self.state}/run/dockerd.pid")
        self.spawn("dockerd", "--config-file", f"{self.state}/daemon.json")
        self.await_or_fail(self.engine.ping, "dockerd")

    # -- ending

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.processes = []
        self.clean()
        self.lock.close()

    def clean(self):
        """Remove whatever this slot's present or past engine left."""
        self.kill_processes()
        for table, chain, *rule in self.rules():
            while run("iptables", "-w", "-t", table, "-D", chain, *rule, check=False).returncode == 0:
                pass
        self.remove_bridges()
        self.unmount_all()
        if os.path.isdir(self.state):
            shutil.rmtree(self.state)

    def kill_processes(self):
        """Daemons and shims by their command line, containers by their root file system."""
        ours = self.state.encode() + b"/"
        for _ in range(100):
            found = [int(p) for p in os.listdir("/proc") if p.isdigit() and self.is_ours(int(p), ours)]
            if not found:
                return
            for process in found:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    @staticmethod
    def is_ours(process, ours):
        if process == os.getpid():
            return False
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
                    return False
            with open(f"/proc/{process}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            name = os.path.basename(words[0])
            if name in (b"dockerd", b"containerd", b"docker-proxy", b"docker-init") or name.startswith(
                b"containerd-shim"
            ):
                return any(ours in word for word in words)
            with open(f"/proc/{process}/mountinfo", "rb") as file:
                for line in file:
                    if line.split()[4] == b"/":
                        return b"upperdir=" + ours in line
        except (OSError, IndexError):
            pass
        return False

    def remove_bridges(self):
        """Ours, and those of the engine's own networks: br- and what its database says of their ids."""
        networks = b""
        if os.path.exists(f"{self.state}/data/network/files/local-kv.db"):
            with open(f"{self.state}/data/network/files/local-kv.db", "rb") as file:
                networks = file.read()
        for name in os.listdir("/sys/class/net"):
            if name.startswith("br-") and name[3:].encode() in networks:
                run("ip", "link", "delete", name, check=False)
        run("ip", "link", "delete", self.device, check=False)

    def unmount_all(self):
        with open("/proc/self/mountinfo", "rb") as file:
            points = [line.split()[4].decode("unicode_escape") for line in file]
        for point in reversed(points):
            if point.startswith(self.state + "/"):
                run("umount", "-l", point, check=False)
