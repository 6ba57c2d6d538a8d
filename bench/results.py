"""Figures: medians with their range, one CSV per machine, and a table for people."""

import csv
import datetime
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ["date", "commit", "cpu", "cores", "model", "figure", "unit", "hearth", "hearth_min", "hearth_max",
           "peer", "peer_value", "ratio", "roof", "of_roof_percent"]


def exit_with(broken):
    """Ends the program: 1 where bars were broken, which it names."""
    for bar in broken:
        print(f"BROKEN: {bar}", file=sys.stderr)
    print("all bars hold" if not broken else f"{len(broken)} bars broken")
    sys.exit(1 if broken else 0)


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Hardware", "CPU part")):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def cpu_stepping():
    """Tells machines apart whose maker gives all of them one name."""
    facts = dict.fromkeys(("cpu family", "model", "stepping"), "")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in facts:
            facts[name.strip()] = value.strip()
    return "-".join(v for v in facts.values() if v)


def cores():
    return len(os.sched_getaffinity(0))


def machine_slug():
    name = re.sub(r"\((R|TM|tm)\)|CPU|Processor|@.*", " ", cpu_name())
    slug = re.sub(r"[^a-z0-9]+", "-", f"{name} {cpu_stepping()}".lower()).strip("-")
    return f"{slug}-{cores()}c"


def commit():
    def git(*args):
        return subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True).stdout.strip()
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if git("status", "--porcelain", "src") else "")


class Results:
    """Collects rows; `write` appends those that are new to this machine's file."""

    def __init__(self, out=None):
        self.path = Path(out) if out else ROOT / "bench/results" / f"{machine_slug()}.csv"
        self.rows, self.n_written = [], 0
        self.head = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
                     "commit": commit(), "cpu": cpu_name(), "cores": cores()}

    def add(self, model, figure, unit, ours, peers=None, roof="", of_roof=None):
        """`ours` and each of `peers` {name: values} hold a value per round; ratios are taken round by round."""
        row = {**self.head, "model": model, "figure": figure, "unit": unit, "hearth": number(statistics.median(ours)),
               "hearth_min": number(min(ours)), "hearth_max": number(max(ours)), "roof": roof,
               "of_roof_percent": number(100 * of_roof) if of_roof is not None else ""}
        for name, values in (peers or {"": None}).items():
            compared = {"peer": name}
            if values:
                ratios = [a / b for a, b in zip(ours, values) if b]
                compared |= {"peer_value": number(statistics.median(values)),
                             "ratio": number(statistics.median(ratios)) if ratios else ""}
            self.rows.append({**row, **compared})

    def write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerows(self.rows[self.n_written:])
        self.n_written = len(self.rows)

    def table(self, model):
        lines = [["", "HEARTH", "", "OF ROOF", "PEER", "", "RATIO"]]
        last = None
        for row in self.rows:
            if row["model"] != model:
                continue
            first = row["figure"] != last
            last = row["figure"]
            lines.append([
                row["figure"] if first else "",
                f"{row['hearth']} ({row['hearth_min']}-{row['hearth_max']})" if first else "",
                row["unit"] if first else "",
                f"{float(row['of_roof_percent']):.0f} % ({row['roof']})" if first and row["of_roof_percent"] != "" else "",
                row.get("peer", ""), str(row.get("peer_value", "")), str(row.get("ratio", ""))])
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def number(value):
    """Four digits that count."""
    return float(f"{value:.4g}")
