"""Redis and Valkey: in memory, with RDB and with AOF; dumps of them, and what has changed between two."""

import os
import re
import socket
import threading
import time

import pytest

from conftest import Box, booted
from support.api import wait_for
from support.cli import DAMAGED, FAILED, UNSUPPORTED
from support.images import Images
from support.servers import address

DIFFERENT = 1
PASSWORD = "pass word'%\"secret"
KEYS = 20000


class Server:
    """A container with a Redis or a Valkey in it, and how to talk to it."""

    def __init__(self, container, name="redis", user=None, password=None):
        self.container, self.name, self.user, self.password = container, container.name, user, password
        self.program = "valkey-cli" if name == "valkey" else "redis-cli"

    def environment(self):
        return [f"{n}CLI_AUTH={self.password}" for n in ("REDIS", "VALKEY")] if self.password else None

    def __call__(self, *words, database=0):
        login = ["--user", self.user or "default"] if self.password else []
        command = [self.program, "--raw", *login, "-n", str(database), *[str(w) for w in words]]
        answer = self.container.exec(command, env=self.environment())
        return answer[:-1] if answer.endswith("\n") else answer

    def ready(self):
        def answers():
            state = self.container.state()
            assert state["Running"], f"{self.name} ended: {self.container.logs()[-2000:]}"
            words = [self.program, *(["--user", self.user or "default"] if self.password else []), "INFO", "persistence"]
            return "loading:0" in self.container.exec(words, check=False, env=self.environment())[1]

        wait_for(answers, f"{self.name} answers", 60)
        return self

    def like(self, container):
        other = Server(container, "valkey" if self.program == "valkey-cli" else "redis", self.user, self.password)
        return other.ready()


def start(box, image="redis", command=None, word="db", mounts=None, login=(None, None), **config):
    mounts = [(box.volume(f"{word}-data"), "/data")] if mounts is None else mounts
    return Server(box.run(word, image, command, mounts, **config), image, *login).ready()


FILL = """
for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'key:' .. i, 'Grüße 日本 ' .. i) end
redis.call('SET', 'large', string.rep('x', 3000000))
redis.call('SET', 'binary\\0key\\n\\ttab\\\\', '\\255\\254\\0 \\1')
redis.call('SET', '', 'of an empty key')
redis.call('HSET', 'hash', 'b', '2', 'a', '1', 'ü', '"quoted"')
for i = 1, 3000 do redis.call('HSET', 'wide', 'field' .. i, i) redis.call('SADD', 'many', i) redis.call('ZADD', 'ranks', i, 'm' .. i) redis.call('RPUSH', 'queue', i) end
redis.call('SADD', 'set', 'one', 'two') redis.call('ZADD', 'zset', 1.5, 'one', 2, 'two') redis.call('RPUSH', 'list', 'b', 'a', 'b')
redis.call('XADD', 'stream', '1-1', 'field', 'value') redis.call('XGROUP', 'CREATE', 'stream', 'readers', '0')
redis.call('SET', 'lives', 'long', 'EXAT', 4000000000)
"""


def fill(server, keys=KEYS):
    server("EVAL", FILL, 0, keys)
    server("SET", "elsewhere", "in 3", database=3)
    server("SET", "ten", "in 10", database=10)


def digest(server):
    """Of what every key of every database holds, whatever the version stores it as; independent of the order."""
    script = """
    local function flat(value)
        if type(value) ~= 'table' then return tostring(value) end
        local out = {}
        for i = 1, #value do out[i] = flat(value[i]) end
        return redis.sha1hex(table.concat(out, ' '))
    end
    local function pairs_of(list)
        local out = {}
        for i = 1, #list, 2 do out[#out + 1] = redis.sha1hex(list[i] .. ' ' .. redis.sha1hex(list[i + 1])) end
        table.sort(out)
        return out
    end
    local read = {
        string = function(key) return redis.call('GET', key) end,
        list = function(key) return redis.call('LRANGE', key, 0, -1) end,
        set = function(key) local all = redis.call('SMEMBERS', key) table.sort(all) return all end,
        zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
        hash = function(key) return pairs_of(redis.call('HGETALL', key)) end,
        stream = function(key) return redis.call('XRANGE', key, '-', '+') end,
    }
    local out, cursor = {}, '0'
    repeat
        local answer = redis.call('SCAN', cursor, 'COUNT', 1000)
        for _, key in ipairs(answer[2]) do
            local value = flat(read[redis.call('TYPE', key).ok](key))
            out[#out + 1] = redis.sha1hex(key .. ' ' .. value .. ' ' .. redis.call('PEXPIRETIME', key))
        end
        cursor = answer[1]
    until cursor == '0'
    table.sort(out)
    return redis.sha1hex(table.concat(out)) .. ' ' .. #out
    """
    return [server("EVAL", script, 0, database=n) for n in (0, 3, 10)]


class Connection:
    """From outside: a command that the engine starts in a container while it freezes is no way to write."""

    def __init__(self, container):
        self.socket = socket.create_connection((address(container), 6379), timeout=120)
        self.answers = self.socket.makefile("rb")

    def __call__(self, *words):
        text = [str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(text) + b"".join(b"$%d\r\n%s\r\n" % (len(t), t) for t in text))
        line = self.answers.readline()
        assert line[:1] == b"$", line
        return self.answers.read(int(line[1:]) + 2)[:-2].decode()


def save(container, path, text, user="root"):
    container.exec(["sh", "-c", 'printf %s "$1" >"$0" && chmod 644 "$0"', path, text], user=user)


@pytest.fixture
def redis(box):
    return start(box, command=["--appendonly", "yes"])


def test_appendonly_as_compose_command(box, sidesnap, redis):
    """Booted by plain `docker run`, with the same command, as the same user, in the same directory."""
    fill(redis, 300)
    wanted = digest(redis)
    tag = box.tag()
    result = sidesnap.create(redis.name, tag)
    assert result["driver"] == "redis" and result["consistency"] == "frozen"
    config = box.engine.image(tag)["Config"]
    assert config["Cmd"] == ["--appendonly", "yes"] and config["WorkingDir"] == "/data"
    copy = redis.like(booted(box.boot("copy", tag)))
    assert digest(copy) == wanted
    assert copy("config", "get", "appendonly").split() == ["appendonly", "yes"]
    assert copy("config", "get", "dir").split() == ["dir", "/data"]
    assert copy.container.exec("ps -o user= -p 1 2>/dev/null || stat -c %U /proc/1").strip() == "redis"


def test_replace_waits_until_it_answers(box, sidesnap, redis):
    redis("set", "a", "then")
    tag = box.tag()
    sidesnap.create(redis.name, tag)
    redis("set", "a", "now")
    assert sidesnap.json("replace", redis.name, tag, "--yes")["ready"] is True
    assert redis.like(box.container("db"))("get", "a") == "then"


def test_run_says_ready_when_it_answers(box, sidesnap, redis):
    tag = box.tag()
    sidesnap.create(redis.name, tag)
    sidesnap("run", tag, "--name", box.name("copy"))
    assert box.container("copy").exec(["redis-cli", "ping"]).strip() == "PONG"


# ---- in memory only ----


def files(server):
    return set(server.container.exec("ls -A /data").split())


def test_memory_only_is_saved_and_left_as_it_was(box, sidesnap):
    """The snapshot holds the keys; the target has no file that it would read at its next start."""
    server = start(box, command=["redis-server", "--save", ""])
    server("set", "only", "in-memory")
    tag = box.tag()
    sidesnap.create(server.name, tag)
    assert files(server) == set()
    copy = server.like(box.boot("copy", tag))
    assert copy("get", "only") == "in-memory"
    # what was there before stays
    server("set", "only", "later")
    sidesnap.create(server.name, tag := box.tag())
    assert files(server) == set()
    server("save")
    server("set", "only", "latest")
    sidesnap.create(server.name, tag := box.tag())
    assert files(server) == {"dump.rdb"}
    assert server.like(box.boot("latest", tag))("get", "only") == "latest"


def test_memory_only_reset_and_undo(box, sidesnap):
    server = start(box, command=["redis-server", "--save", ""])
    server("set", "a", "then")
    tag = box.tag()
    sidesnap.create(server.name, tag)
    server("set", "a", "now")
    sidesnap("reset", server.name, tag)
    assert server.ready()("get", "a") == "then"
    sidesnap("undo", server.name)
    assert server.ready()("get", "a") == "now"


def test_save_rules_that_come_too_late(box, sidesnap):
    """BGSAVE by the driver, before the freeze."""
    server = start(box, command=["redis-server", "--save", "3600 1000000"])
    server("set", "only", "in-memory")
    tag = box.tag()
    sidesnap.create(server.name, tag)
    assert "dump.rdb" in files(server)
    assert server.like(box.boot("copy", tag))("get", "only") == "in-memory"


# ---- passwords ----


def test_password_and_settings_of_a_file(box, sidesnap):
    """requirepass, the folder and the name of the dump stand in a configuration file alone."""
    volume = box.volume("conf", lambda path: None)
    with open(os.path.join(box.path(volume), "my.conf"), "w") as file:
        file.write('port 6400\nrequirepass old\nrequirepass "hush-hush"\ndir /data\ndbfilename "other.rdb"\nsave ""\n')
    server = Server(box.run(
        "db", "redis", ["redis-server", "/conf/my.conf"], [(box.volume("data"), "/data"), (volume, "/conf")],
    ), "redis", None, "hush-hush")
    server.program = "redis-cli"
    ask = lambda c, *w: c.exec(["redis-cli", "-p", "6400", *w], env=["REDISCLI_AUTH=hush-hush"]).strip()
    wait_for(lambda: server.container.exec(["redis-cli", "-p", "6400", "ping"], check=False)[1].strip(), "it answers")
    ask(server.container, "set", "only", "here")
    tag = box.tag()
    result = sidesnap("create", server.name, "-t", tag, "-v")
    assert "hush-hush" not in result.out + result.err
    copy = booted(box.boot("copy", tag))
    wait_for(lambda: "PONG" in ask(copy, "ping"), "the copy answers")
    assert ask(copy, "get", "only") == "here"
    dumped = sidesnap.json("dump", server.name, "-o", os.path.join(box.path(volume), "out.rdb"))
    assert dumped["driver"] == "redis" and dumped["bytes"] > 100


def test_acl_users(box, sidesnap):
    """The default user is off; the one to use is told by variables."""
    volume = box.volume("conf")
    with open(os.path.join(box.path(volume), "users.acl"), "w") as file:
        file.write("user default off\nuser backup on >hush-hush ~* &* +@all\nuser app on >other ~app:* +@read\n")
    command = ["redis-server", "--aclfile", "/conf/users.acl"]
    server = start(
        box, command=command, mounts=[(box.volume("data"), "/data"), (volume, "/conf")], login=("backup", "hush-hush"),
        Env=["REDIS_USERNAME=backup", "REDISCLI_AUTH=hush-hush"],
    )
    server("set", "a", "then")
    tag = box.tag()
    result = sidesnap("create", server.name, "-t", tag, "-v")
    assert "hush" not in result.out + result.err + str(box.engine.image(tag))
    server("set", "a", "now")
    sidesnap("reset", server.name, tag)
    assert server.ready()("get", "a") == "then"
    assert "app" in server("acl", "list")


def test_wrong_password_is_told_and_nothing_is_left(box, sidesnap):
    server = start(box, command=["redis-server"], Env=["REDISCLI_AUTH=wrong-word"])
    server("config", "set", "requirepass", "right")
    result = sidesnap("create", server.name, "-t", box.tag(), code=None)
    assert result.code == FAILED and ("WRONGPASS" in result.err or "NOAUTH" in result.err), result
    assert "wrong-word" not in result.err and not server.container.state()["Paused"]
    sidesnap.fails(FAILED, "dump", server.name, says="cannot get into Redis")


# ---- dump ----


def dump(sidesnap, server, tmp_path, name="dump.rdb"):
    path = os.path.join(str(tmp_path), name)
    return path, sidesnap.json("dump", server.name, "-o", path)


def test_dump_is_whole(box, sidesnap, tmp_path):
    server = start(box)
    fill(server, 2000)
    wanted = digest(server)
    path, result = dump(sidesnap, server, tmp_path)
    assert result["driver"] == "redis" and re.match(r"7\.", result["version"])
    with open(path, "rb") as file:
        data = file.read()
    assert data.startswith(b"REDIS00") and result["bytes"] == len(data)
    # as a server's file it gives all of it back
    volume = box.volume("copy", lambda folder: open(os.path.join(folder, "dump.rdb"), "wb").write(data))
    os.chmod(os.path.join(box.path(volume), "dump.rdb"), 0o644)
    assert digest(start(box, word="copy", mounts=[(volume, "/data")])) == wanted


def test_dump_of_an_empty_server(box, sidesnap, tmp_path):
    server = start(box)
    assert dump(sidesnap, server, tmp_path)[1]["bytes"] > 50
    server("set", "ten", "x", database=10)
    dump(sidesnap, server, tmp_path, "ten.rdb")


SHADOW = """#!/bin/sh
# In front of the real one: what a broken tool or a broken pipe gives, with exit code 0.
case "$*" in
*--rdb*) /usr/bin/redis-cli "$@" >/tmp/real 2>/dev/null; %s;;
*) exec /usr/bin/redis-cli "$@";;
esac
"""


@pytest.mark.parametrize(
    "action, says",
    [
        ("head -c 5000 /tmp/real", "not whole"),
        (":", "does not begin as such a dump"),
        ("echo hello", "does not begin as such a dump"),
        ("cat /empty.rdb", "holds nothing"),
        ("cat /tmp/real; exit 1", "exit code 1"),
    ],
)
def test_bad_dumps_fail(box, sidesnap, tmp_path, action, says):
    server = start(box)
    server.container.exec("redis-cli --rdb - >/empty.rdb 2>/dev/null", user="root")
    fill(server, 500)
    save(server.container, "/usr/local/bin/redis-cli", SHADOW % action)
    server.container.exec("chmod 755 /usr/local/bin/redis-cli", user="root")
    path = os.path.join(str(tmp_path), "x.rdb")
    result = sidesnap("dump", server.name, "-o", path, code=None)
    assert result.code in (FAILED, DAMAGED) and says in result.err, result
    assert not os.path.exists(path)


def test_load_into_a_running_server_says_what_to_do(box, sidesnap, tmp_path):
    server = start(box)
    path, _ = dump(sidesnap, server, tmp_path)
    sidesnap.fails(UNSUPPORTED, "load", server.name, "-i", path, "--yes", says=["before it starts", "--logical"])


# ---- compare ----


CHANGE = """
redis.call('SET', 'key:7', 'changed') redis.call('DEL', 'key:8') redis.call('SET', 'new', 'one')
redis.call('HSET', 'wide', 'field2999', 'x') redis.call('SADD', 'many', 'new') redis.call('LSET', 'queue', 5, 'x') redis.call('ZADD', 'ranks', 0.5, 'm2000')
redis.call('SETRANGE', 'large', 2999999, 'y') redis.call('SREM', 'set', 'one') redis.call('XADD', 'stream', '2-1', 'a', 'b')
redis.call('PERSIST', 'lives')
"""


@pytest.mark.parametrize("image", ["redis", pytest.param("redis8", marks=pytest.mark.database), pytest.param("valkey", marks=pytest.mark.database)])
def test_diff_data(box, sidesnap, image):
    server = start(box, image)
    fill(server, 3000)
    first, second, third = box.tag(), box.tag(), box.tag()
    sidesnap.create(server.name, first)
    server("EVAL", CHANGE, 0)
    server("FLUSHDB", database=10)
    sidesnap.create(server.name, second)
    sidesnap.create(server.name, third)
    result = sidesnap("diff", "--data", "--rows", "100", first, second, code=DIFFERENT)
    lines = result.out.splitlines()
    changed = {line.split("key='")[1].split("'")[0] for line in lines if line.startswith("M  key=")}
    assert changed == {"key:7", "wide", "many", "queue", "ranks", "large", "set", "stream", "lives"}, result.out
    assert any(line.startswith("A  key='new'") for line in lines) and any(line.startswith("D  key='key:8'") for line in lines)
    assert "10" in result.out and "3000000 bytes with digest" in result.out
    assert sidesnap.json("diff", "--data", second, third)["same"] is True


# ---- its dump as a snapshot ----


LOGICAL = [
    ("redis", [], "no"),
    pytest.param("redis", ["--appendonly", "yes"], "yes", marks=pytest.mark.database),
    pytest.param("redis", ["--save", ""], "no", marks=pytest.mark.database),
    pytest.param("redis8", ["--appendonly", "yes"], "yes", marks=pytest.mark.database),
    pytest.param("valkey", ["--appendonly", "yes"], "yes", marks=pytest.mark.database),
]


@pytest.mark.parametrize("image, options, appendonly", LOGICAL)
def test_logical_is_there_at_the_second_start(box, sidesnap, image, options, appendonly):
    """A server with an append-only file reads nothing else: it is written before the first start is over."""
    server = start(box, image, [*options] if options else None)
    fill(server, 3000)
    wanted = digest(server)
    tag = box.tag()
    result = sidesnap.create(server.name, tag, "--logical")
    assert result["consistency"] == "logical"
    copy = server.like(booted(box.boot("copy", tag)))
    assert digest(copy) == wanted and copy("config", "get", "appendonly").split()[1] == appendonly
    copy("set", "after", "boot")
    wanted = digest(copy)
    if "--save" in options:
        copy("save")
    for how in ("stop", "kill"):
        copy("save")
        getattr(copy.container, how)()
        copy.container.wait()
        copy.container.start()
        assert digest(copy.ready()) == wanted, how


@pytest.mark.database
def test_logical_of_another_program(box, sidesnap):
    """Redis 7's dump in Valkey, and in Redis 8."""
    server = start(box)
    fill(server, 3000)
    wanted = digest(server)
    for image in ("redis8", "valkey"):
        tag = box.tag()
        sidesnap("create", server.name, "-t", tag, "--logical", "--onto", box.images(image))
        copy = Server(booted(box.boot(image, tag)), "valkey" if image == "valkey" else "redis")
        assert digest(copy.ready()) == wanted


@pytest.mark.database
def test_replica(box, sidesnap):
    """Its snapshot holds what it has; a copy follows the primary again where it can reach it."""
    primary = start(box, word="primary")
    fill(primary, 500)
    replica = start(box, command=["redis-server", "--replicaof", address(primary.container), "6379"])
    wait_for(lambda: "master_link_status:up" in replica("info", "replication"), "it follows")
    wanted = digest(replica)
    tag = box.tag()
    sidesnap.create(replica.name, tag)
    primary("set", "later", "on the primary")
    copy = replica.like(booted(box.boot("copy", tag)))
    wait_for(lambda: copy("get", "later") == "on the primary", "the copy follows")
    primary.container.stop(5)
    alone = replica.like(booted(box.boot("alone", tag)))
    assert digest(alone) == wanted


@pytest.mark.database
@pytest.mark.parametrize("image", ["redis", "redis8", "valkey"])
@pytest.mark.parametrize("options", [[], ["--appendonly", "yes"], ["--appendonly", "yes", "--save", ""], ["--save", ""]])
def test_under_load_and_on_the_newer_engine(box, sidesnap, newer, tmp_path, image, options):
    """Numbered writes while snapshots are made: of each, all up to one number, and nothing behind it."""
    server = start(box, image, options or None)
    fill(server)
    over = threading.Event()
    script = "for i = 1, 20 do local n = redis.call('INCR', 'n') redis.call('SET', 'w:' .. n, n) end return redis.call('GET', 'n')"
    done = []

    connection = Connection(server.container)

    def write():
        while not over.is_set():
            done.append(int(connection("EVAL", script, 0)))
            time.sleep(0.02)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(3):
            wait_for(lambda: len(done) > 5 * (number + 1), "it is written")
            before = done[-1]
            tag = box.tag()
            sidesnap.create(server.name, tag)
            copy = server.like(booted(box.boot(f"copy{number}", tag)))
            last = int(copy("get", "n"))
            # RDB is of the moment of BGSAVE, which came after the create began
            assert last >= before and copy("exists", f"w:{last}", f"w:{last + 1}") == "1", (before, last)
            assert copy("eval", "for i = 1, tonumber(ARGV[1]) do if redis.call('EXISTS', 'w:' .. i) == 0 then return i end end return 'all'", 0, last) == "all"
    finally:
        over.set()
        thread.join()
    path = tmp_path / "image.tar"
    with open(path, "wb") as file:
        box.engine.stream_to(f"/images/{tag}/get", file)
    other = Box(newer.engine, Images(newer.engine))
    try:
        with open(path, "rb") as file:
            newer.engine.load(file)
        there = server.like(booted(other.boot("copy", tag)))
        assert digest(there) == digest(copy)
        # With a container on it the image would only lose its name.
        there.container.remove()
    finally:
        newer.engine.remove_image(tag)
        other.close()
