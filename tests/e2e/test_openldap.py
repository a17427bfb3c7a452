"""OpenLDAP: two databases in two volumes, cn=config and the entries, of one instant."""

import base64

import pytest

from conftest import Box, booted
from support import ldap, trees
from support.api import wait_for
from support.cli import FAILED
from support.data_diff import assert_tried, differences
from support.images import Images
from support.servers import Writer, address, difference, move

pytestmark = pytest.mark.database
COUNT = 20000
BASE = "dc=example,dc=org"
PASSWORD = "geheim'\"$x"


def ready(container, timeout=60):
    def answers():
        state = container.state()
        assert state["Running"], f"{container.name} ended: {container.logs()[-3000:]}"
        code, out, _ = container.exec(
            ["ldapsearch", "-x", "-LLL", "-H", "ldap:///", "-s", "base", "-b", BASE, "o"], check=False
        )
        return code == 0 and "Example" in out

    wait_for(answers, f"{container.name} gets ready", timeout, 0.2)
    return container


def client(container):
    return ldap.Client(address(container), f"cn=admin,{BASE}", PASSWORD)


def person(number):
    more = {"description": ["d" * 50000]} if number % 4000 == 0 else {}
    return f"uid=u{number},{BASE}", {
        "objectClass": ["inetOrgPerson"],
        "uid": [f"u{number}"],
        "cn": [f"Jürgen {number} 😀"],
        "sn": [f"Groß {number}"],
        "mail": [f"u{number}@example.org", f"{number}@example.org"],
        "jpegPhoto": [bytes(range(256))],
        "userPassword": [f"pw{number}"],
        **more,
    }


def dump(container):
    """Both databases as slapcat prints them, but for what is of the server's run."""
    parts = []
    for number in "0", "1":
        text = container.exec(["slapcat", "-n", number, "-F", "/etc/ldap/slapd.d", "-o", "ldif-wrap=no"], timeout=300)
        parts.append([line for line in text.splitlines() if not line.startswith("contextCSN")])
    return parts


def ldif(count):
    """The same people as a file that the first start loads, which is quicker than one by one."""
    lines = []
    for number in range(1, count + 1):
        name, attributes = person(number)
        lines.append(f"dn: {name}")
        for key, values in attributes.items():
            for value in values:
                data = value if isinstance(value, bytes) else value.encode()
                lines.append(f"{key}:: {base64.b64encode(data).decode()}")
        lines.append("")
    return "\n".join(lines) + "\n"


def start(box, image, files=0, **config):
    """With so many people."""
    mounts = [(box.volume("data"), "/var/lib/ldap"), (box.volume("config"), "/etc/ldap/slapd.d")]
    if files:
        people = box.volume("people", lambda path: trees.write(trees.join(path, "people.ldif"), ldif(files).encode()))
        mounts.append((people, "/docker-entrypoint-initdb.d", "ro"))
    environment = [f"LDAP_ADMIN_PASSWORD={PASSWORD}", *config.pop("Env", [])]
    return ready(box.run("ldap", image, None, mounts, Env=environment, **config))


@pytest.fixture(params=["openldap", "openldap26"])
def server(box, request):
    return start(box, request.param, files=COUNT)


def numbers(copy):
    out = copy.exec(["ldapsearch", "-x", "-LLL", "-H", "ldap:///", "-b", f"ou=w,{BASE}", "-s", "one", "uid"], timeout=300)
    return [int(line[5:]) for line in out.splitlines() if line.startswith("uid: ")]


def test_create_under_load_and_boot_elsewhere(box, sidesnap, server, newer):
    adder = client(server)
    adder.add(f"ou=w,{BASE}", {"objectClass": ["organizationalUnit"], "ou": ["w"]})
    writer = Writer(
        lambda n: adder.add(
            f"uid={n},ou=w,{BASE}", {"objectClass": ["account"], "uid": [str(n)]}
        )
    )
    tag = box.tag()
    result = sidesnap.create(server.name, tag)
    writer.stop()
    assert result["driver"] == "openldap" and result["consistency"] == "frozen" and len(result["trees"]) == 3
    copy = ready(booted(box.boot("copy", tag)))
    assert writer.assert_in(numbers(copy), result["created"]) > 10
    config, entries = dump(server)
    copied = dump(copy)
    assert copied[0] == config
    assert difference(copied[1], entries[: len(copied[1])]) is None
    assert sum(line.startswith("mail: ") for line in copied[1]) == 2 * COUNT
    code, _, err = copy.exec(["ldapwhoami", "-x", "-D", f"uid=u77,{BASE}", "-w", "pw77"], check=False)
    assert code == 0, err
    assert PASSWORD not in str(box.engine.image(tag)) + str(box.engine.history(tag))
    far = Box(newer.engine, Images(newer.engine))
    try:
        move(box.engine, tag, far.engine)
        assert difference(dump(ready(booted(far.boot("ldap", tag)))), copied) is None
    finally:
        far.close()


def test_reset_replace_undo(box, sidesnap, server):
    tag = box.tag()
    sidesnap.create(server.name, tag)
    before = dump(server)
    delete = ["ldapdelete", "-x", "-D", f"cn=admin,{BASE}", "-w", PASSWORD]
    server.exec([*delete, f"uid=u1,{BASE}", f"uid=u2,{BASE}"])
    client(server).add(*person(COUNT + 1))
    assert sidesnap.json("reset", server.name, tag, "--yes")["ready"] is True
    assert difference(dump(server), before) is None
    server.exec([*delete, f"uid=u3,{BASE}"])
    changed = dump(server)
    assert sidesnap.json("replace", server.name, tag, "--yes")["ready"] is True
    assert difference(dump(box.container("ldap")), before) is None
    sidesnap("undo", server.name, "--yes")
    assert difference(dump(ready(box.container("ldap"))), changed) is None


def test_a_changed_entry_costs_pages(box, sidesnap, server):
    sidesnap.create(server.name, box.tag())
    client(server).add(*person(COUNT + 1))
    changed = sidesnap.create(server.name, box.tag())
    print("stored after one entry:", changed["new_bytes"])
    assert changed["new_bytes"] < 300000, changed


def test_written_through_a_mapping(box, sidesnap):
    """With "writemap" the file is sparse, as large as may be, and stores to it leave no trace in its times."""
    server = start(box, "openldap", files=1999, Env=["LDAP_ENVIRONMENT_FLAGS=writemap nosync"])
    adder = client(server)
    writer = Writer(lambda n: adder.add(*person(2000 + n)))
    results = [sidesnap.create(server.name, tag) for tag in (box.tag(), box.tag(), box.tag())]
    writer.stop()
    assert results[0]["bytes"] > 1 << 30 > results[0]["new_bytes"] * 20, "it is sparse"
    for index, result in enumerate(results):
        copy = ready(booted(box.boot(f"copy{index}", result["reference"])))
        assert int(copy.exec("du -k /var/lib/ldap/data.mdb").split()[0]) < 200 << 10, "its holes were filled"
        rows = [int(line[6:]) for line in dump(copy)[1] if line.startswith("uid: u")]
        assert [n for n in sorted(rows) if n < 2000] == list(range(1, 2000))
        writer.assert_in([n - 2000 for n in rows if n > 2000], result["created"])
        copy.remove()


def test_logical_and_onto_a_newer_one(box, sidesnap):
    """slapcat and slapadd, of the configuration and of the entries."""
    server = start(box, "openldap", files=2000)
    before = dump(server)
    tag = box.tag()
    assert sidesnap.create(server.name, tag, "--logical", timeout=300)["consistency"] == "logical"
    copy = ready(booted(box.boot("copy", tag), timeout=120))
    assert difference(dump(copy), before) is None
    code, _, err = copy.exec(["ldapwhoami", "-x", "-D", f"uid=u77,{BASE}", "-w", "pw77"], check=False)
    assert code == 0, err
    onto = box.tag()
    sidesnap.create(server.name, onto, "--logical", "--onto", box.images("openldap26"), timeout=300)
    newer = ready(booted(box.boot("newer", onto), timeout=120))
    assert difference(dump(newer)[1], before[1]) is None


def test_a_dump_is_both_databases_or_none(box, sidesnap, tmp_path):
    server = start(box, "openldap", files=10)
    sidesnap("dump", server.name, "-o", tmp_path / "whole")
    text = (tmp_path / "whole").read_text()
    assert text.startswith("dn: cn=config\n") and text.endswith("# sidesnap: complete\n")
    assert text.count("\nuid: u") == 10
    server.exec("mv /var/lib/ldap/data.mdb /var/lib/ldap/away")
    sidesnap.fails(FAILED, "dump", server.name, "-o", tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize("image", ["openldap", "openldap26"])
def test_diff_data(box, sidesnap, image):
    """Each value of each attribute; a password is seen to be another one, and not which."""
    server = start(box, image, files=2000)
    tags = [box.tag() for _ in range(3)]
    sidesnap.create(server.name, tags[0])
    sidesnap.create(server.name, tags[1])
    assert sidesnap.json("diff", "--data", tags[0], tags[1], timeout=300)["same"] is True
    admin = ["-x", "-D", f"cn=admin,{BASE}", "-w", PASSWORD]
    server.exec(["ldapdelete", *admin, f"uid=u2,{BASE}"])
    change = f"""dn: uid=u1,{BASE}
changetype: modify
replace: sn
sn: Größer
-
add: mail
mail: dritte@example.org
-
replace: userPassword
userPassword: anderes
-
replace: description
description: {'d' * 5000}
"""
    server.exec(["sh", "-c", 'printf %s "$CHANGE" | ldapmodify "$@"', "sh", *admin], env=["CHANGE=" + change])
    name, attributes = f"uid=ü3,{BASE}", {"objectClass": ["account"], "uid": ["ü3"]}
    client(server).add(name, attributes)
    sidesnap.create(server.name, tags[2])
    found, _ = differences(sidesnap, tags[1], tags[2])
    assert {table for table, _ in found} == {"entries"}
    gone = {key[1:] for (_, key), (before, now) in found.items() if key[0] == f"uid=u2,{BASE}" and now is None}
    assert {("uid", "u2"), ("cn", "Jürgen 2 😀"), ("mail", "2@example.org")} < gone and len(gone) >= 8
    new = {key[1:] for (_, key), (before, now) in found.items() if key[0] == name and before is None}
    assert new == {("objectClass", "account"), ("uid", "ü3")}
    of_one = {key[1:]: now is not None for (_, key), (_, now) in found.items() if key[0] == f"uid=u1,{BASE}"}
    passwords = {key: there for key, there in of_one.items() if key[0] == "userPassword"}
    assert sorted(passwords.values()) == [False, True]
    assert all(key[1].startswith("one with fingerprint ") for key in passwords)
    assert {key: there for key, there in of_one.items() if key[0] in ("sn", "mail")} == {
        ("sn", "Groß 1"): False, ("sn", "Größer"): True, ("mail", "dritte@example.org"): True,
    }
    assert [there for key, there in of_one.items() if key[0] == "description"] == [True]
    assert len(found) == len(gone) + len(new) + 6
    assert_tried(sidesnap, "openldap", server.name)
