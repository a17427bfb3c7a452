"""What the tests of databases share: a writer that notes what was confirmed, and moves between engines."""

import datetime
import tempfile
import threading
import time

from support.api import wait_for


def address(container):
    return next(iter(container.inspect()["NetworkSettings"]["Networks"].values()))["IPAddress"]


def seconds_of(created):
    """RFC 3339 as seconds since 1970."""
    return datetime.datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp()


def difference(left, right):
    """None, or the first place where two dumps differ: pytest's own answer takes minutes for large ones."""
    if left == right:
        return None
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        for index, (one, other) in enumerate(zip(left, right)):
            if one != other:
                return index, difference(one, other)
        return f"{len(left)} and {len(right)} long"
    return str(left)[:300], str(right)[:300]


class Writer:
    """Calls put(1), put(2)... in a thread and notes when each had been confirmed."""

    def __init__(self, put):
        self.put, self.confirmed, self.problem, self.stopping = put, [], None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        wait_for(lambda: self.problem or len(self.confirmed) > 20, "the writer's first rows", 60)

    def run(self):
        try:
            while not self.stopping:
                self.put(len(self.confirmed) + 1)
                self.confirmed.append(time.time())
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = problem

    def before(self, created):
        """How many had been confirmed before this instant, which is cut to milliseconds."""
        return sum(t < seconds_of(created) for t in self.confirmed)

    def until(self, created):
        """The highest that can be in a copy: confirmed by the end of that millisecond, or in flight."""
        return sum(t < seconds_of(created) + 0.002 for t in self.confirmed) + 1

    def stop(self):
        self.stopping = True
        self.thread.join(60)
        assert not self.problem and not self.thread.is_alive(), self.problem

    def assert_in(self, numbers, created):
        """What a copy has of it: all that was confirmed, without gaps, and at most the one in flight."""
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), "rows are missing in between"
        wanted, most = self.before(created), self.until(created)
        assert wanted <= len(numbers) <= most, f"{len(numbers)} rows, confirmed before the freeze: {wanted}"
        return wanted


def move(engine, tag, other):
    """By save and load, as people do who have no registry."""
    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        engine.stream_to(f"/images/{tag}/get", file)
        file.seek(0)
        other.load(file)
