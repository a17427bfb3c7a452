"""What `diff --data` tells, in a form that tests can compare."""

DIFFERENT = 1


def value_of(item, name="value"):
    """Base64 where it is no text."""
    return item[name] if name in item else "base64 " + item[name + "64"]


def differences(sidesnap, first, second):
    """
    {(table, key): (before, now)}: each a {column: value}, of a changed row of the columns that differ;
    None: not there. Without a key its place is taken by all values. And the states of all definitions.
    """
    result = sidesnap("diff", "--data", "--json", "--rows", "1000", first, second, code=DIFFERENT, timeout=900).json()
    found = {}
    for row in result["rows"]:
        values = {v["column"]: value_of(v) for v in row.get("values", ())}
        key = tuple(value_of(v) for v in row["key"]) or tuple(values.values())
        if row["change"] == "changed":
            columns = row["columns"]
            change = tuple({c["column"]: value_of(c, side) for c in columns} for side in ("from", "to"))
        else:
            change = (None, values) if row["change"] == "added" else (values, None)
        assert (row["table"], key) not in found
        found[row["table"], key] = change
    schema = {(o["name"], o["change"]) for d in result["databases"] for o in d["schema"]}
    return found, schema


def assert_tried(sidesnap, driver, container):
    """`drivers test`: what was loaded from the dump has the same rows."""
    tried = sidesnap.json("drivers", "test", driver, container, timeout=900)
    assert tried["ok"] is True, tried
    steps = {step["step"]: step["result"] for step in tried["steps"]}
    assert steps["compare"] == "ok" and steps["load"] == "ok", tried
