#!/usr/bin/python3
"""
Results as people read them: text, a page with a table, and a plot.

usage: tests/bench/report.py FILE.json [README]

Writes FILE.md and FILE.svg beside it and, unless the machine was busy, the first figure of every
case into README.
"""

import json
import os
import sys
from xml.sax.saxutils import escape

KIB, MIB = 1 << 10, 1 << 20


def amount(value, unit):
    if value is None:
        return ""
    if unit == "s":
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    if unit == "ms":
        return f"{value:.0f} ms"
    if value < MIB:
        return f"{value / KIB:.1f} KiB"
    return f"{value / MIB:.1f} MiB"


def ratio(line):
    """As the aim is worded: how much faster, or how many times as much."""
    if "ratio" not in line:
        return ""
    if not line.get("aim", "").endswith(("faster", "less")):
        return f"{line['ratio']:.2f}x"
    words = ("less", "more") if line["unit"] == "bytes" else ("faster", "slower")
    return f"{1 / line['ratio']:.2f}x {words[0]}" if line["ratio"] <= 1 else f"{line['ratio']:.2f}x {words[1]}"


def verdict(line):
    """By how much an aim is missed is said in the unit of the figure."""
    if "aim" not in line:
        return ""
    if line["met"]:
        return "met"
    return f"missed by {amount(line['ours'] - line['allowed'], line['unit'])}"


def lines(result):
    for case in result["cases"]:
        yield from case.get("lines", [])


def unmeasured(result):
    for case in result["cases"]:
        if "lines" not in case:
            yield case["name"], case.get("absent") or "failed: " + case.get("failed", "")


def rounds(result):
    """How many of each case, and where its time was up before there were as many as wanted."""
    words = []
    for case in result["cases"]:
        if "rounds" in case:
            cut = f" of {case['rounds_wanted']}, its time was up" if case["rounds"] < case["rounds_wanted"] else ""
            words.append(f"{case['name']} {case['rounds']}{cut}")
    return ", ".join(words)


def later(result):
    """The cases that were measured with another version than the rest."""
    return [f"{case['name']} at {case['at']} with {case['sidesnap']}" for case in result["cases"] if "sidesnap" in case]


def text(result):
    rows = [("", "sidesnap", "compared with", "", "ratio", "aim", "")]
    for line in lines(result):
        theirs = amount(line["theirs"], line["unit"])
        rows.append(
            (line["what"], amount(line["ours"], line["unit"]), line["with"], theirs, ratio(line), line.get("aim", ""), verdict(line))
        )
    widths = [max(len(row[i]) for row in rows) for i in range(7)]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    out += [f"not measured: {name}: {reason}" for name, reason in unmeasured(result)]
    out.append(f"medians; rounds: {rounds(result)}")
    if result["noisy"]:
        out.append("NOISY: the machine was busy with other work")
    return "\n".join(out)


def page(result, plot):
    """The whole of docs/bench.md: made from the results, by nobody's hand."""
    machine, versions = result["machine"], result["versions"]
    out = [
        "# Benchmarks",
        "",
        f"Made by `make bench-docs` from [the results]({os.path.splitext(plot)[0]}.json), which hold every sample.",
        "",
        f"{machine['processors']} processors ({machine['model']}), {machine['memory_bytes'] / (1 << 30):.0f} GiB of memory,"
        f" Linux {machine['kernel']}, {machine['file_system']}; engine {versions['engine']}; {versions['sidesnap']};"
        f" {versions['tar']}; {versions['borg']}; {versions['restic']}. {result['at']}, in {result['seconds'] / 60:.0f} minutes."
        + (" **The machine was busy with other work: only the ratios say something, and those roughly.**" if result["noisy"] else ""),
        "",
        f"![what takes how long]({plot})",
        "",
        "| | sidesnap | compared with | | ratio | aim | |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines(result):
        cells = (
            line["what"],
            amount(line["ours"], line["unit"]),
            line["with"].replace("|", "\\|"),
            amount(line["theirs"], line["unit"]),
            ratio(line),
            line.get("aim", ""),
            verdict(line),
        )
        out.append("| " + " | ".join(cells) + " |")
    out += ["", f"Medians of rounds in which both sides take turns: {rounds(result)}."]
    if later(result):
        out += ["", f"Measured by themselves: {'; '.join(later(result))}."]
    for name, reason in unmeasured(result):
        out += ["", f"Not measured: {name}: {reason}."]
    return "\n".join(out) + "\n" + EXPLANATION


EXPLANATION = """
What is compared:

- `tar`, `borg` and `restic` read the volume of the running, idle database, with their caches warm. borg 1 has no encryption and its default lz4, restic a repository of version 2 with its defaults. In the real world none of them gets files of one instant; what it costs to give them that is in the rows of the stall.
- A "row in every 100th page": an update of every 6100th `aid` of pgbench_accounts, other rows every round. PostgreSQL changes about as many index pages and writes whole pages into its log as well. "The changed 8 KiB blocks alone" are all blocks of all files that differ between two creates, through one `zstd -1`.
- Stall: `pgbench --rate=100`, latencies from the instant that each transaction was due. The window is the whole create; "before the freeze" are those answered before the engine reported the pause, and idle the 4 seconds before the create.
- Restore: until `psql` in the container answers a query; a dropped page cache is that of the whole machine.
- Memory: private memory (RssAnon) of the agent and of the command, looked at 100 times a second.
- Autovacuum is off, so that nothing changes between two measurements but what is meant to. Before each measurement all dirty pages are written out, so that nothing is paid for twice.
"""


# -- the plot: one group of bars a figure, each group with a scale of its own

WIDTH, LEFT, BAR, GAP, RIGHT = 1000, 400, 16, 12, 150
OURS, THEIRS, MISSED, INK = "#2a7f62", "#b7bcc4", "#c0492f", "#22262b"


def groups(result):
    """Figures with a baseline, together where they are one figure of ours."""
    found = {}
    for line in lines(result):
        if line["theirs"] is not None:
            found.setdefault((line["what"], line["unit"]), []).append(line)
    return found.items()


def bar(y, value, longest, colour, label, number, mark=None):
    width, at = ((WIDTH - LEFT - RIGHT) * length / longest for length in (value, mark or 0))
    out = [
        f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>',
        f'<rect x="{LEFT}" y="{y}" width="{max(width, 1):.1f}" height="{BAR - 2}" fill="{colour}"/>',
        f'<text x="{LEFT + max(width, at) + 6:.1f}" y="{y + 12}">{escape(number)}</text>',
    ]
    if mark is not None:
        out.append(f'<path d="M{LEFT + at:.1f} {y - 1}v{BAR}" stroke="{INK}" stroke-width="2"/>')
    return out


def plot(result):
    body, y = [], 40
    for (what, unit), members in groups(result):
        ours = members[0]["ours"]
        longest = max([ours] + [line["theirs"] for line in members] + [line.get("allowed", 0) for line in members])
        body.append(f'<text x="8" y="{y + 10}" font-weight="bold">{escape(what)}</text>')
        y += 18
        colour = OURS if all(line.get("met", True) for line in members) else MISSED
        body += bar(y, ours, longest, colour, "sidesnap", amount(ours, unit))
        y += BAR
        for line in members:
            body += bar(y, line["theirs"], longest, THEIRS, line["with"], amount(line["theirs"], unit), line.get("allowed"))
            y += BAR
        y += GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
        f' font-family="sans-serif" font-size="12" fill="{INK}"><rect width="{WIDTH}" height="{y}" fill="#fff"/>'
        '<text x="8" y="18">Shorter is better. Each group has its own scale. The black mark is where the aim against that'
        " baseline lets our bar end; red: one is missed.</text>"
    )
    return "\n".join([head, *body, "</svg>"]) + "\n"


BEGIN, END = "<!-- begin: make bench-docs -->\n", "<!-- end -->\n"


def summary(result):
    """The first figure of every case."""
    out = ["| | sidesnap | compared with | | ratio | aim |", "|---|---|---|---|---|---|"]
    for case in result["cases"]:
        for line in case.get("lines", [])[:1]:
            ours, theirs = amount(line["ours"], line["unit"]), amount(line["theirs"], line["unit"])
            name = line["with"].replace("|", "\\|")
            out.append(f"| {line['what']} | {ours} | {name} | {theirs} | {ratio(line)} | {line.get('aim', '')} |")
    out += ["", "All figures, with their aims and how they are measured: [bench.md](docs/bench.md)."]
    return "\n".join(out) + "\n"


def put_into(path, words):
    with open(path) as file:
        content = file.read()
    head, rest = content.split(BEGIN)
    with open(path, "w") as file:
        file.write(head + BEGIN + words + END + rest.split(END, 1)[1])


def main():
    path = sys.argv[1]
    with open(path) as file:
        result = json.load(file)
    stem = os.path.splitext(path)[0]
    with open(f"{stem}.svg", "w") as file:
        file.write(plot(result))
    with open(f"{stem}.md", "w") as file:
        file.write(page(result, os.path.basename(stem) + ".svg"))
    if len(sys.argv) > 2 and not result["noisy"]:
        put_into(sys.argv[2], summary(result))


if __name__ == "__main__":
    main()
