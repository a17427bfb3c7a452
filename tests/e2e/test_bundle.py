"""
Support bundles: everything that is needed to find a fault, and none of two hundred secrets that were
planted where secrets are found in practice.
"""

import base64
import html.parser
import io
import json
import os
import random
import string
import subprocess
import tarfile
import urllib.parse

import pytest

from support.api import wait_for
from support.cli import CANCELLED, NOT_FOUND, UNFINISHED, UNSUPPORTED, USAGE, Terminal, interrupt
from test_compose import sidecar  # noqa: F401
from test_postgres import sql, start

PROJECT = "shop"


def labels(service, **more):
    return {"com.docker.compose.project": PROJECT, "com.docker.compose.service": service, **more}


def unpacked(file):
    """The whole tar, by the program that everybody has."""
    return subprocess.run(["zstd", "-dcq", str(file)], check=True, capture_output=True).stdout


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive.getmembers()}


# ---- secrets -----------------------------------------------------------------------------------------------------


class Planter:
    """Secrets of many shapes, each used once."""

    def __init__(self):
        self.random = random.Random(17)
        self.all = []

    def word(self, alphabet, size):
        return "".join(self.random.choice(alphabet) for _ in range(size))

    def __call__(self):
        shapes = [
            lambda: self.word(string.ascii_letters + string.digits, 24),
            lambda: "-".join(self.word(string.ascii_lowercase, 6) for _ in range(3)),
            lambda: self.word(string.ascii_lowercase + string.digits, 9),
            lambda: self.word("0123456789abcdef", 32),
            lambda: self.word(string.ascii_letters, 8) + self.word("!%&*+=?^~.;", 3) + self.word(string.ascii_letters, 3),
        ]
        self.all.append(shapes[len(self.all) % len(shapes)]())
        return self.all[-1]


def forms(secret):
    """What must not be found of it."""
    raw = secret.encode()
    yield raw
    for quoted in (urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret), urllib.parse.quote(secret)):
        yield quoted.encode()
        yield quoted.lower().encode() if quoted != secret else raw
    for before in range(3):
        first, end = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        yield base64.b64encode(b"\0" * before + raw)[first:end]
        yield base64.urlsafe_b64encode(b"\0" * before + raw)[first:end]
    yield raw.hex().encode()
    yield json.dumps(secret)[1:-1].encode()


def key_block(body, kind="RSA PRIVATE KEY"):
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


def in_environment(plant):
    names = ["DB_PASSWORD", "API_TOKEN", "SECRET_KEY", "SENTRY_DSN", "MYSQL_PWD", "apiKey", "JWT_SIGNING_KEY", "SMTP_PASS"]
    found = [f"{n}={plant()}" for n in names]
    found += [f"AUTH_TOKEN_{i}={plant()}" for i in range(24)]
    found += [f"DATABASE_URL_{i}=postgres://app:{urllib.parse.quote(plant(), safe='')}@db/shop" for i in range(14)]
    found += [f"JAVA_OPTS_{i}=-Xmx1g -Dspring.datasource.password={plant()} -Dx=y" for i in range(4)]
    found.append("SERVER_PEM=" + key_block(plant()))
    found.append(f'SETTINGS={{"auth":{{"user":"a","password":"{plant()}"}}}}')
    return found


def in_labels(plant):
    found = {f"app.{n}": plant() for n in ("password", "token", "api-key", "secret", "auth")}
    found["app.url"] = f"redis://:{urllib.parse.quote(plant(), safe='')}@cache:6379/0"
    found["traefik.http.middlewares.a.basicauth.users"] = f"admin:{plant()}@x"
    return found


def in_configuration(plant):
    return "\n".join(
        [
            "[database]",
            "host = db",
            *[f"{n} = {plant()}" for n in ("password", "user_password", "token", "secret_key", "api.key")],
            f"requirepass {plant()}",
            f'masterauth "{plant()}"',
            f"dsn: host=db password={plant()} dbname=shop",
            f"url: amqp://app:{urllib.parse.quote(plant(), safe='')}@mq:5672/",
            "nested:",
            "  passwords:",
            f"    one: {plant()}",
            f"    two: '{plant()}'",
            "  note: |",
            "    plain",
            "token: >-",
            f"  {plant()}",
            f'{{"client_secret": "{plant()}", "mode": "fast"}}',
            f"<password>{plant()}</password>",
            f'<add key="password" value="{plant()}"/>',
            f"# old_password = {plant()}",
            key_block(plant() + "\n" + plant(), "PRIVATE KEY"),
            key_block(plant(), "OPENSSH PRIVATE KEY"),
            "mode = fast",
            "",
        ]
    )


def in_logs(plant, known):
    """Some that only the log has, and those of the environment in every coding."""
    lines = [
        *[f"connecting with password={plant()}" for _ in range(16)],
        *[f"login failed, Password: {plant()}" for _ in range(4)],
        *[f'{{"level":"info","msg":"config","secret":"{plant()}","port":1}}' for _ in range(8)],
        *[f"GET /x?api_key={urllib.parse.quote(plant(), safe='')} 200" for _ in range(6)],
        *[f"Authorization: Bearer {plant()}" for _ in range(4)],
        *["Authorization: Basic " + base64.b64encode(f"bob:{plant()}".encode()).decode() for _ in range(4)],
        *[f"open mysql://root:{urllib.parse.quote(plant(), safe='')}@db/shop" for _ in range(6)],
        *[f"exec: tool --db-password {plant()} --verbose" for _ in range(4)],
        *[f"ALTER ROLE app PASSWORD '{plant()}'" for _ in range(4)],
        *key_block(plant() + "\n" + plant()).split("\n"),
        "key is " + key_block(plant(), "EC PRIVATE KEY").replace("\n", "\\n"),
        "\x1b[31mpassword\x1b[0m=\x1b[32m" + plant() + "\x1b[0m",
    ]
    # where the engine cuts a long line into messages
    lines.append("-" * (16384 - 7) + known[0] + "-" * 20000)
    for number, secret in enumerate(known):
        lines.append(f"plain words around {secret} of no name")
        lines.append("in base64 " + base64.b64encode(b"x" * (number % 3) + secret.encode() + b"yz").decode())
        lines.append("in a URL " + urllib.parse.quote(secret, safe=""))
        lines.append("in JSON " + json.dumps({"a": secret}))
        lines.append("in hex " + secret.encode().hex())
    return "\n".join(lines) + "\nthe last line\n"


@pytest.fixture
def planted(box, scratch):
    """A stack whose every corner holds a secret: (planter, options for the bundle)."""
    plant = Planter()
    files = os.path.join(scratch, "secrets")
    os.mkdir(files)
    for name in range(36):
        with open(os.path.join(files, f"s{name}"), "w") as file:
            file.write(plant() + "\n")
    with open(os.path.join(files, "multi"), "w") as file:
        file.write(f"user=app\npassword={plant()}\n{plant()}\n")
    elsewhere = plant()
    with open(os.path.join(scratch, "elsewhere"), "w") as file:
        file.write(elsewhere)
    environment = in_environment(plant)
    known = list(plant.all)
    with open(os.path.join(scratch, "app.conf"), "w") as file:
        file.write(in_configuration(plant))
    with open(os.path.join(scratch, "log"), "w") as file:
        file.write(in_logs(plant, known))
    with open(os.path.join(scratch, "compose.yml"), "w") as file:
        file.write("services:\n  web:\n    image: x\n    environment:\n")
        file.writelines(f"      TOKEN_{i}: {json.dumps(plant())}\n" for i in range(12))
        file.writelines(f'      - "PASSWORD_{i}={plant()}"\n' for i in range(6))
    extra = plant()
    with open(os.path.join(scratch, "extra"), "w") as file:
        file.write(extra + "\n")
    health = [plant(), plant()]
    monitor = [plant(), plant()]
    arguments = [plant() for _ in range(6)]
    box.run(
        "web",
        "busybox",
        [
            "sh",
            "-c",
            'cat /log; echo "$1"; exec sleep 1000',
            f"--password={arguments[0]}",
            f"the extra one is {extra}",
            "--token",
            arguments[1],
            f"redis://:{urllib.parse.quote(arguments[2], safe='')}@r",
            f"secret={arguments[3]}",
            "--api-key",
            arguments[4],
            f"--header=Authorization: Bearer {arguments[5]}",
        ],
        [
            (files, "/run/secrets", "ro"),
            (os.path.join(scratch, "elsewhere"), "/etc/token", "ro"),
            (os.path.join(scratch, "app.conf"), "/etc/app.conf", "ro"),
            (os.path.join(scratch, "log"), "/log", "ro"),
        ],
        Env=[*environment, "THE_TOKEN_FILE=/etc/token", "MODE=fast"],
        Healthcheck={
            "Test": ["CMD-SHELL", f"echo 'token: {health[0]}' 'password={health[1]}'"],
            "Interval": 1000000000,
        },
        Labels=labels(
            "web",
            **in_labels(plant),
            **{
                "sidesnap.bundle.config": "/etc/app.conf",
                "sidesnap.bundle.monitor": f"cat /run/secrets/s3 /etc/token; echo 'secret: {monitor[0]}' 'password {monitor[1]}'",
            },
        ),
    )
    web = box.container("web")
    wait_for(lambda: (web.state().get("Health") or {}).get("Log"), "the health check has run")
    options = ["--compose", os.path.join(scratch, "compose.yml"), "--redact-extra", os.path.join(scratch, "extra")]
    return plant, options


def assert_hidden(data, secrets):
    leaks = []
    for secret in secrets:
        for form in set(forms(secret)):
            at = data.find(form)
            if at >= 0:
                leaks.append((secret, form, data[max(0, at - 60) : at + 60]))
    assert not leaks, f"{len(leaks)} leaks: {leaks[:5]}"


def test_two_hundred_secrets_are_hidden(box, planted, tmp_path):
    plant, options = planted
    password = plant()
    db = start(box, "db", [(box.volume("data"), "/var/lib/postgresql/data")], Env=[f"POSTGRES_PASSWORD={password}"], Labels=labels("db"))
    role = plant()
    sql(db, f"SET log_statement = 'all'; SET password_encryption = 'scram-sha-256'; ALTER ROLE postgres PASSWORD '{role}'")
    assert len(plant.all) >= 200
    result = box.sidesnap.json("bundle", "-p", PROJECT, tmp_path / "out", *options)
    assert result["file"] == str(tmp_path / "out.tar.zst") and os.listdir(tmp_path) == ["out.tar.zst"]
    assert sorted(result["services"]) == ["db", "web"] and not result["failed"]
    data = unpacked(result["file"])
    assert_hidden(data, plant.all)
    files = members(data)
    # what is no secret is still there
    assert b"the last line" in files["services/web/log.txt"] and b"plain words around [hidden:known] of no name" in files["services/web/log.txt"]
    assert b"mode = fast" in files["services/web/config/etc/app.conf"]
    assert '"MODE=fast"' in files["services/web/inspect.json"].decode()
    assert b"PostgreSQL database cluster dump complete" in files["services/db/data/dump.sql"]
    assert {f"services/db/monitor/{n}.txt" for n in ("activity", "databases", "locks", "replication")} <= set(files)
    assert b"max_connections = 100" in files["services/db/config/var/lib/postgresql/data/postgresql.conf"]
    # and what was hidden is told, never its value
    assert {"file": "services/web/log.txt", "line": 1, "rule": "name", "count": 1} in result["redactions"]
    told = box.sidesnap("bundle", "-p", PROJECT, tmp_path / "two", "--no-data", "--show-redactions", *options)
    assert "services/web/config/etc/app.conf" in told.out and "known" in told.out
    assert_hidden(told.out.encode() + told.err.encode(), plant.all)


# ---- what is in it -----------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    VOID = {"meta", "br", "link", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.tags = [], [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert name not in ("src", "onclick", "onload"), (tag, attrs)
            if name == "href":
                self.links.append(value)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def test_what_is_in_it(box, tmp_path):
    monitor = "echo '<script>alert(1)</script>' >&2; exit 3"
    (tmp_path / "c.yml").write_text("services:\n  web:\n    environment:\n      PASSWORD: hello\n")
    web = box.run("web", "busybox", ["sh", "-c", "echo say hello; exec sleep 1000"], Labels=labels("web", **{
        "sidesnap.bundle.monitor": monitor, "org.opencontainers.image.revision": "0123abcd",
        "com.docker.compose.project.config_files": "c.yml,gone.yml", "com.docker.compose.project.working_dir": str(tmp_path)}), Env=["TZ=CET-1"])
    box.run("idle", "busybox", ["true"], Labels=labels("idle")).wait()
    web.exec("mkdir -p /lib/apk/db && printf 'P:musl\\nV:1.2\\nA:x86_64\\n\\nP:busybox\\nV:1.3\\n\\n' >/lib/apk/db/installed")
    done = box.sidesnap("bundle", "-p", PROJECT, tmp_path / "b.tar", "--no-data", code=UNFINISHED)
    assert "not collected: monitor of web" in done.err
    with open(tmp_path / "b.tar", "rb") as file:
        files = members(file.read())
    index = json.loads(files["index.json"])
    assert [(f["collector"], f["service"]) for f in index["failed"]] == [("monitor", "web")]
    assert index["services"]["idle"]["state"] == "exited" and index["services"]["web"]["revision"] == "0123abcd"
    assert abs(index["services"]["web"]["skew_seconds"]) <= 5
    assert files["services/web/packages.txt"] == b"musl 1.2 x86_64\nbusybox 1.3 \n"
    assert files["compose/c.yml"] == b"services:\n  web:\n    environment:\n      PASSWORD: [hidden:known]\n"
    assert len([n for n in index["notes"] if "gone.yml is not here" in n]) == 1
    assert files["services/web/log.txt"].endswith(b"Z say [hidden:known]\n"), "what the compose file tells is known"
    assert json.loads(files["services/web/clock.json"])["date"].split()[1] == "+0100"
    assert any("sleep 1000" in row[-1] for row in json.loads(files["services/web/processes.json"])["processes"])
    assert len(json.loads(files["services/web/stats.json"])) == 4
    assert json.loads(files["engine/version.json"])["ApiVersion"]
    assert any(e["Action"] == "start" for e in json.loads(files["engine/events.json"]))
    assert json.loads(files["compose/resolved.json"])["services"]["web"]["image"]
    page = Page(files["index.html"].decode())
    assert not page.open and "script" not in page.tags and "&lt;script&gt;" in files["index.html"].decode()
    for link in page.links:
        assert urllib.parse.unquote(link[2:]) in files, link
    # every file but the manifest itself is in it
    manifest = json.loads(files["manifest.json"])
    assert set(manifest) == set(files) - {"manifest.json"}
    assert all(entry["bytes"] == len(files[name]) for name, entry in manifest.items())


def test_monitoring_data_of_redis(box, tmp_path):
    """By its password, which is in neither the figures nor the command lines."""
    password = "wirklich geheim"
    db = box.run("db", "redis", ["redis-server", "--requirepass", password], Labels=labels("db"))
    wait_for(lambda: "PONG" in db.exec(["redis-cli", "-a", password, "PING"], check=False)[1], "redis answers")
    result = box.sidesnap.json("bundle", "-p", PROJECT, tmp_path / "b", "--no-data")
    data = unpacked(result["file"])
    assert_hidden(data, [password])
    files = members(data)
    assert b"redis_version:" in files["services/db/monitor/info.txt"]
    assert b"name=" in files["services/db/monitor/clients.txt"] and files["services/db/monitor/memory.txt"]


def test_a_collector_has_its_time(box, tmp_path):
    box.run("web", "busybox", ["sleep", "1000"], Labels=labels("web", **{"sidesnap.bundle.monitor": "sleep 60"}))
    result = box.sidesnap.json("bundle", "-p", PROJECT, tmp_path / "b", "--no-data", "--time-limit", "8s", code=UNFINISHED)
    assert [f["collector"] for f in result["failed"]] == ["monitor"] and os.path.exists(result["file"])


def test_secrets_that_cannot_be_read_silence_their_container(box, tmp_path):
    """A secret below a tmpfs, and no shell to read it with: its words cannot be told from others."""
    secret = "zufallswort"
    web = box.run("web", "busybox", ["sh", "-c", f"printf {secret} >/run/secrets/x; rm /bin/sh /bin/cat; echo {secret} is mine; exec sleep 1000"],
                  host={"Tmpfs": {"/run/secrets": ""}}, Labels=labels("web"))
    wait_for(lambda: secret in web.logs(), "it has spoken")
    result = box.sidesnap.json("bundle", "-p", PROJECT, tmp_path / "b", "--no-data", code=UNFINISHED)
    assert {("secrets", "web"), ("logs", "web")} <= {(f["collector"], f["service"]) for f in result["failed"]}
    assert not any(name.endswith("log.txt") for name in members(unpacked(result["file"])))


def test_files_of_a_database_without_a_dump(box, tmp_path):
    """A stopped server is no server to ask: its files come by a snapshot, of which nothing stays."""
    db = start(box, "db", [(box.volume("data"), "/var/lib/postgresql/data")], Labels=labels("db"))
    db.stop()
    result = box.sidesnap.json("bundle", "-p", PROJECT, tmp_path / "b")
    assert [d["file"] for d in result["data"]] == ["services/db/data/var/lib/postgresql/data.tar"]
    inner = members_of_tar(members(unpacked(result["file"]))[result["data"][0]["file"]])
    assert any(name.endswith("PG_VERSION") for name in inner)
    assert not [t for t in box.engine.tags() if "sidesnap/bundle" in t]


def members_of_tar(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


# ---- where it goes to --------------------------------------------------------------------------------------------


def test_bad_calls(box, tmp_path):
    box.run("web", "busybox", ["sleep", "1000"], Labels=labels("web"))
    box.sidesnap.fails(UNSUPPORTED, "bundle", "-p", PROJECT, tmp_path / "b.tar.gz", says="zstd")
    box.sidesnap.fails(NOT_FOUND, "bundle", "-p", "nothing", tmp_path / "b", says="no container of project")
    box.sidesnap.fails(NOT_FOUND, "bundle", "-p", PROJECT, tmp_path / "b", "--config", "nope:/x", says="no service")
    box.sidesnap.fails(USAGE, "bundle", "-p", PROJECT, tmp_path / "b", "--config", "web:x", says="absolute")
    box.sidesnap.fails(USAGE, "bundle", "-p", PROJECT, "-", "--json", says="standard output")
    (tmp_path / "extra").write_text("ab\n")
    box.sidesnap.fails(USAGE, "bundle", "-p", PROJECT, tmp_path / "b", "--redact-extra", tmp_path / "extra", says="too short")
    assert os.listdir(tmp_path) == ["extra"]
    terminal = Terminal(box.sidesnap, "bundle", "-p", PROJECT, "-")
    assert terminal.wait() == USAGE and b"nothing for a terminal" in terminal.output
    terminal.close()


def test_interrupted(box, tmp_path):
    box.run("web", "busybox", ["sleep", "1000"], Labels=labels("web", **{"sidesnap.bundle.monitor": "sleep 60"}))
    process = box.sidesnap.start("bundle", "-p", PROJECT, tmp_path / "b", "--no-data")
    wait_for(lambda: os.listdir(tmp_path), "it writes", 30)
    code, _out, _err = interrupt(process)
    assert code == CANCELLED and os.listdir(tmp_path) == []


def test_from_the_sidecar(box, sidecar):  # noqa: F811
    """It has neither a place for files nor a compose file, and knows its project."""
    box.run("web", "busybox", ["sh", "-c", "echo hello; exec sleep 1000"], Labels=labels("web"))
    made = box.run("side", sidecar, None, [(box.engine.path, "/var/run/docker.sock")], Labels=labels("sidesnap"))
    wait_for(lambda: made.state()["Running"], "the sidecar runs")
    command = ["docker", "-H", box.host, "exec", made.name, "sidesnap", "bundle", "--no-data", "-"]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, done.stderr
    data = subprocess.run(["zstd", "-dcq"], input=done.stdout, check=True, capture_output=True).stdout
    assert b"hello" in members(data)["services/web/log.txt"]


# ---- looking into one --------------------------------------------------------------------------------------------


def test_open(box, tmp_path):
    box.run("web", "busybox", ["sh", "-c", "echo hello there; exec sleep 1000"], Labels=labels("web"))
    box.sidesnap("bundle", "-p", PROJECT, tmp_path / "b", "--no-data")
    file = tmp_path / "b.tar.zst"
    away = box.sidesnap
    assert "services/web/log.txt" in away("bundle", "open", file).out
    assert away("bundle", "open", file, "services/web/log.txt").out.endswith("hello there\n")
    away.fails(NOT_FOUND, "bundle", "open", file, "services/x", says="no file")
    assert "services/web/log.txt:1:" in away("bundle", "open", file, "--grep", "hello t.ere").out
    out = tmp_path / "out"
    away("bundle", "open", file, "--extract", "services/**", "-C", out)
    assert (out / "services/web/log.txt").read_text().endswith("hello there\n") and not (out / "engine").exists()
    away.fails(NOT_FOUND, "bundle", "open", file, "--extract", "x*", "-C", out, says="no file in it fits")
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[:-100])
    assert away("bundle", "open", cut, code=None).code != 0


def test_a_hostile_bundle(box, tmp_path):
    """Nothing leads out of the directory: no name, no link, no link that an earlier member has made."""
    outside = tmp_path / "outside"
    outside.mkdir()
    file = tmp_path / "b.tar"
    with tarfile.open(file, "w") as archive:
        for name in ("../up", "/tmp/absolute", "a/../../up", "link/inside", "ok"):
            if name.startswith("link"):
                link = tarfile.TarInfo("link")
                link.type, link.linkname = tarfile.SYMTYPE, str(outside)
                archive.addfile(link)
                hard = tarfile.TarInfo("hard")
                hard.type, hard.linkname = tarfile.LNKTYPE, "/etc/passwd"
                archive.addfile(hard)
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
    out = tmp_path / "out"
    result = box.sidesnap.json("bundle", "open", file, "--extract", "**", "-C", out)
    assert sorted(result["extracted"]) == ["link/inside", "ok"]
    assert sorted(result["skipped"]) == ["../up", "/tmp/absolute", "a/../../up", "hard", "link"]
    assert os.listdir(outside) == [] and (out / "link/inside").read_text() == "evil" and not (out / "link").is_symlink()
    # a link that was there before is not followed either
    os.symlink(outside, tmp_path / "out2")
    (tmp_path / "out3").mkdir()
    os.symlink(outside, tmp_path / "out3" / "link")
    assert box.sidesnap("bundle", "open", file, "--extract", "link/*", "-C", tmp_path / "out3", code=None).code != 0
    assert os.listdir(outside) == []
