"""
create --mask: what the statements have removed is nowhere in the image, and a statement that fails ends it.
"""

import io
import re
import subprocess
import tarfile

import pytest

from support.cli import FAILED, UNSUPPORTED, USAGE
from test_logical import DATA, loaded
from test_postgres import sql, start

ZSTD = b"\x28\xb5\x2f\xfd"
SECRETS = [f"geheim-{i:03d}-ä".encode() for i in range(50)]
MASK = "update person set name = 'Person ' || id;\ndrop table card;\n\\c shop\nupdate buyer set mail = 'x@example.org';\n"


def contents(engine, reference):
    """Every byte of an image's layers, and what its compressed frames hold."""
    saved = io.BytesIO(engine.call("GET", f"/images/{reference}/get"))
    found = []
    with tarfile.open(fileobj=saved) as image:
        for member in image:
            data = image.extractfile(member).read() if member.isfile() else b""
            found.append(data)
            if not member.name.endswith("layer.tar"):
                continue
            with tarfile.open(fileobj=io.BytesIO(data)) as layer:
                for file in layer:
                    if file.isfile() and "/packs/" in f"/{file.name}":
                        found += frames(layer.extractfile(file).read())
    return found


def frames(pack):
    for at in re.finditer(re.escape(ZSTD), pack):
        yield subprocess.run(["zstd", "-dcq"], input=pack[at.start() :], capture_output=True).stdout


def planted(engine, reference):
    """Which of the secrets are in an image, in whatever way."""
    everything = contents(engine, reference)
    return {secret for secret in SECRETS if any(secret in data for data in everything)}


@pytest.fixture
def db(box):
    made = start(box, mounts=[(box.volume("data"), DATA)])
    sql(made, "create database shop")
    for i, secret in enumerate(SECRETS):
        table = ["person", "card", "gone"][i % 3]
        sql(made, f"create table if not exists {table} (id int, name text)")
        sql(made, f"insert into {table} values ({i}, '{secret.decode()}')")
    sql(made, "drop table gone")
    sql(made, f"create table buyer (mail text); insert into buyer values ('{SECRETS[0].decode()}')", database="shop")
    return made


@pytest.fixture
def mask(tmp_path):
    def write(text):
        path = tmp_path / "mask.sql"
        path.write_text(text)
        return path

    return write


def test_nothing_of_what_was_there_is_in_the_image(box, db, mask):
    plain = box.sidesnap.create(db.name, box.tag(), "--logical")
    assert len(planted(box.engine, plain["reference"])) > 20, "the search finds what is there"
    # the container's own files are not masked either, so they stay out
    db.exec(["sh", "-c", f"echo {SECRETS[1].decode()} >/etc/own.conf"])
    made = box.sidesnap.create(db.name, box.tag(), "--mask", mask(MASK))
    assert made["masked"] == "mask.sql" and made["consistency"] == "logical" and made["parent"] == ""
    assert planted(box.engine, made["reference"]) == set()
    labels = box.engine.image(made["reference"])["Config"]["Labels"]
    assert labels["sidesnap.masked"] == "mask.sql" and labels["sidesnap.source.id"] == ""
    assert labels["sidesnap.lineage"] != box.engine.image(plain["reference"])["Config"]["Labels"]["sidesnap.lineage"]
    # the original is as it was
    assert sql(db, "select count(*) from card") == "17"
    copy = box.create("copy", made["reference"], None, [(box.volume("copy"), DATA)])
    copy.start()
    loaded(copy)
    assert sql(copy, "select count(*) from person where name like 'Person %'") == "17"
    assert sql(copy, "select mail from buyer", database="shop") == "x@example.org"
    assert sql(copy, "select to_regclass('card') is null") == "t"


def test_what_comes_after_it_does_not_stand_on_it(box, db, mask):
    first = box.sidesnap.create(db.name, box.tag())
    box.sidesnap.create(db.name, box.tag(), "--mask", mask(MASK))
    after = box.sidesnap.create(db.name, box.tag())
    assert after["parent"] == first["id"] and after["lineage"] == first["lineage"]


def test_of_a_container_that_was_booted_from_a_snapshot(box, db, mask):
    """Its image holds the data: the masked one stands on what is below."""
    tag = box.sidesnap.create(db.name, box.tag())["reference"]
    copy = box.create("second", tag, None, [(box.volume("second"), DATA)])
    copy.start()
    loaded(copy)
    made = box.sidesnap.create(copy.name, box.tag(), "--mask", mask(MASK))
    assert planted(box.engine, made["reference"]) == set()


@pytest.mark.parametrize("text", [MASK + "update nowhere set a = 1;\n", "begin; update person set name = '';\nselect 1/0;", ""])
def test_a_statement_that_fails_ends_it(box, db, mask, text):
    before = set(box.engine.tags())
    code = FAILED if text else USAGE
    box.sidesnap.fails(code, "create", db.name, "-t", box.tag(), "--mask", mask(text), says=["mask.sql"])
    assert set(box.engine.tags()) == before
    assert sql(db, "select count(*) from card") == "17"


def test_refusals(box, db, mask):
    box.sidesnap.fails(USAGE, "create", db.name, "--mask", mask(MASK), "--dry-run")
    box.sidesnap.fails(USAGE, "create", db.name, "--mask", mask(""), says="is empty")
    box.sidesnap.fails(USAGE, "create", db.name, "--mask", mask(MASK).parent, says="is a folder")
    box.sidesnap.fails(None, "create", db.name, "--mask", "/nowhere.sql", says=["/nowhere.sql"])
    plain = box.run("plain", "busybox", ["sleep", "1000"])
    box.sidesnap.fails(UNSUPPORTED, "create", plain.name, "--mask", mask(MASK), says=["no database"])
