"""Looking in the background at what an engine or a command does meanwhile."""

import threading

from support.api import EngineError


class Watch:
    """watch() runs in a thread until self.ending is set, which the end of the block does."""

    def __init__(self, engine):
        self.engine = engine
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


class PauseWatch(Watch):
    """Notes which containers were seen paused."""

    def __init__(self, engine):
        super().__init__(engine)
        self.seen = set()

    def watch(self):
        while not self.ending.wait(0.005):
            for container in self.engine.containers(status="paused"):
                self.seen.add(container["Names"][0].lstrip("/"))


class HelperWatch(Watch):
    """Collects the inspect of every helper seen, and the volumes that appeared meanwhile."""

    def __init__(self, engine):
        super().__init__(engine)
        self.inspects = {}
        self.volumes = set()
        self.before = set(engine.volumes())

    def watch(self):
        while not self.ending.wait(0.01):
            try:
                for found in self.engine.containers(label="sidesnap.role=helper"):
                    self.inspects[found["Id"]] = self.engine.json(
                        "GET", f"/containers/{found['Id']}/json"
                    )
                self.volumes |= set(self.engine.volumes()) - self.before
            except EngineError:
                pass

    def creating(self):
        """The helpers that had a tree mounted, or all."""
        found = list(self.inspects.values())
        assert found, "no helper was seen"
        return found


def assert_confined(inspect):
    """design.md, "Confinement": what a helper never has, whatever its target has."""
    host, config = inspect["HostConfig"], inspect["Config"]
    assert not host.get("Privileged")
    assert not host.get("VolumesFrom"), "VolumesFrom hands over the engine's socket"
    assert not host.get("Binds"), "mounts are explicit"
    assert host["NetworkMode"] == "none"
    assert "ALL" in [c.upper() for c in host["CapDrop"]]
    assert any(o.startswith("no-new-privileges") for o in host["SecurityOpt"])
    assert host["LogConfig"]["Type"] == "none"
    assert not host["AutoRemove"]
    assert config["User"] in ("0", "0:0", "root")
    assert config["Healthcheck"]["Test"] == ["NONE"]
    assert not config.get("Env") or all(
        e.partition("=")[0] in ("PATH", "container", "TERM") or "SIDESNAP" in e for e in config["Env"]
    )
    assert ".sidesnap" not in config["Entrypoint"][0], "the program is ours, not the image's"
    for mount in inspect["Mounts"]:
        if mount["Type"] == "tmpfs":
            continue
        assert mount["Destination"].startswith("/dev/sidesnap/"), mount
        assert not mount.get("Source", "").endswith(".sock"), mount
