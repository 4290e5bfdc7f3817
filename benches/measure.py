#!/usr/bin/env python3
"""Runs tieout and the DuckDB script in turn on the same files, compares what they wrote, and prints time and
memory of both. Called by benches/run.sh.

    python3 benches/measure.py TIEOUT FOLDER [--rounds 5]

Ends with 1 when the outputs differ, when two runs of tieout differ, or when tieout needs 1.5 GiB or more.
Times are printed and never judged here: they are only good beside each other.
"""

import argparse
import csv
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from decimal import Decimal

MEMORY_LIMIT = 1.5 * 2**30
TABLES = ["attribution.csv", "team_month.csv", "reconciliation.csv", "drift.csv"]
# What the two cannot have in common: each makes its own ids and words its own evidence, and the quotient of
# two decimals is a binary float in DuckDB.
NOT_COMPARED = {"drift_id", "evidence", "share_ratio"}
SUMS = {
    "drift.csv": ("reason", ["quantity_variance", "price_variance", "other_variance", "difference"]),
    "team_month.csv": ("team", ["requests", "billed_cost", "billed_cost_rounded"]),
}


def run(command, quiet):
    """Wall seconds, CPU seconds, peak bytes of one run and all it starts."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if quiet else None)
    said = process.stderr.read() if quiet else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        sys.stderr.buffer.write(said)
        sys.exit(f"{' '.join(command)}: ended with {code}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def cell(text):
    """A number by its value, everything else as it stands."""
    digits = text.removeprefix("-")
    if digits[:1].isdigit() and digits.replace(".", "", 1).isdigit():
        return Decimal(text).normalize()
    return text


def rows(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        return header, list(reader)


def differences(ours, theirs):
    """What differs between two folders of tables, one sentence each."""
    found = []
    for table in TABLES:
        (columns, mine), (others, yours) = rows(os.path.join(ours, table)), rows(os.path.join(theirs, table))
        if columns != others:
            found.append(f"{table}: other columns: {sorted(set(columns) ^ set(others))}")
            continue
        if len(mine) != len(yours):
            found.append(f"{table}: {len(mine)} rows and {len(yours)} rows")
        if table in SUMS:
            by, names = SUMS[table]
            if sums(columns, mine, by, names) != sums(columns, yours, by, names):
                found.append(f"{table}: other sums by {by}")
        kept = [at for at, name in enumerate(columns) if name not in NOT_COMPARED]
        shape = lambda table: sorted(tuple(str(cell(row[at])) for at in kept) for row in table)
        for a, b in zip(shape(mine), shape(yours)):
            if a != b:
                apart = [(columns[at], x, y) for at, x, y in zip(kept, a, b) if x != y]
                found.append(f"{table}: first other row: {apart[:4]}")
                break
    return found


def sums(columns, table, by, names):
    totals = {}
    for row in table:
        one = totals.setdefault(row[columns.index(by)], [0] + [Decimal(0)] * len(names))
        one[0] += 1
        for place, name in enumerate(names, 1):
            one[place] += Decimal(row[columns.index(name)])
    return totals


def digest(folder):
    whole = hashlib.sha256()
    for table in TABLES:
        with open(os.path.join(folder, table), "rb") as file:
            whole.update(file.read())
    return whole.hexdigest()


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("tieout")
    arguments.add_argument("folder")
    arguments.add_argument("--rounds", type=int, default=5)
    asked = arguments.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.abspath(asked.folder)
    theirs = os.path.join(folder, "duckdb")
    contenders = {
        "tieout": [asked.tieout, "run", os.path.join(folder, "job.toml")],
        "DuckDB": [sys.executable, os.path.join(here, "duckdb_reconcile.py"), folder, theirs],
    }
    taken = {name: [] for name in contenders}
    failed = False
    seen = set()
    for number in range(asked.rounds):
        # In turn, and the other one first every second time.
        for name in sorted(contenders, reverse=number % 2 == 0):
            for old in ["out", "state"] if name == "tieout" else ["duckdb"]:
                shutil.rmtree(os.path.join(folder, old), ignore_errors=True)
            taken[name].append(run(contenders[name], quiet=True))
        ours = os.path.join(folder, "out", "latest")
        seen.add(digest(ours))
        if number == 0:
            for difference in differences(ours, theirs):
                print(f"outputs differ: {difference}")
                failed = True
    if len(seen) > 1:
        print("outputs differ: two runs of tieout wrote other bytes")
        failed = True

    def line(name, values):
        print(f"{name:24}" + "".join(f"{value:>12}" for value in values))

    line("", ["wall s", "CPU s", "peak MiB"])
    for number in range(asked.rounds):
        for name in contenders:
            wall, cpu, peak = taken[name][number]
            line(f"round {number + 1}  {name}", [f"{wall:.2f}", f"{cpu:.2f}", f"{peak / 2**20:.0f}"])
    middle = {name: [statistics.median(runs[at] for runs in taken[name]) for at in range(3)] for name in contenders}
    for name, (wall, cpu, peak) in middle.items():
        line(f"median   {name}", [f"{wall:.2f}", f"{cpu:.2f}", f"{peak / 2**20:.0f}"])
    line("ratio", [f"{a / b:.2f}" for a, b in zip(middle["tieout"], middle["DuckDB"])])
    most = max(peak for _, _, peak in taken["tieout"])
    if most >= MEMORY_LIMIT:
        print(f"memory: {most / 2**30:.2f} GiB; the limit is 1.5 GiB")
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
