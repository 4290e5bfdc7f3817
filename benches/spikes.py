#!/usr/bin/env python3
"""Judges `tieout backtest --series` on synthetic spend with labelled spikes, and beside two published
detectors on labelled public series. docs/spikes.md has the figures that it printed.

    python3 benches/spikes.py synthetic                      # writes series and labels, runs tieout, prints its summary
    python3 benches/spikes.py public NAB [--rcf]             # NAB is a checkout of the Numenta Anomaly Benchmark

`public` compares hourly means of realAdExchange and realTraffic. tieout runs online with its defaults. The other two
see each series as a whole and get the setting that turns out best in hindsight. It needs numpy, and with --rcf the
package rrcf, which takes some minutes. TIEOUT names the binary; the default is target/release/tieout.
"""

import argparse
import collections
import csv
import datetime
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

TIEOUT = os.environ.get("TIEOUT", "target/release/tieout")
HOUR = 3600
MONDAY = 1_767_571_200  # 2026-01-05


def usual(shape, hour, weekend):
    if shape == "office":
        by_day = [0.5, 0.9, 1.2, 1.3, 1.3, 1.1, 1.2, 1.3, 1.3, 1.2, 0.9, 0.6]
        return (by_day[hour - 7] if 7 <= hour < 19 else 0.2) * (0.25 if weekend else 1)
    if shape == "consumer":
        return (0.6 + 0.5 * math.sin((hour - 10) / 12 * math.pi)) * (1.3 if weekend else 1)
    if shape == "night":
        return 3.0 if hour in (2, 3) else 0.2
    if shape == "sparse":
        return (1.0 if 8 <= hour < 18 else 0.3) * (0.3 if weekend else 1)
    return 1.0


def poisson(draw, mean):
    count, product, limit = 0, draw.random(), math.exp(-mean)
    while product > limit:
        count, product = count + 1, product * draw.random()
    return count


def series_with_spikes(draw, days, shape, noise, level, growth):
    start = MONDAY + 86_400 * draw.randrange(200)

    def expected(hour):
        at = start // HOUR + hour
        return level * usual(shape, at % 24, (at // 24 + 3) % 7 >= 5) * (1 + growth * hour / 168)

    values, near = [], 0.0
    for hour in range(days * 24):
        near = 0.5 * near + draw.gauss(0, noise * math.sqrt(0.75))
        if shape == "sparse":
            each = level * 0.15
            values.append(sum(each * draw.lognormvariate(0, noise) for _ in range(poisson(draw, expected(hour) / each))))
        else:
            values.append(expected(hour) * math.exp(near))
    labels, hour = [], 24 * 7 + draw.randrange(48)
    while hour + 64 < len(values):
        length = draw.choice([1, 2, 3, 6, 12, 24, 61])
        times = draw.choice([1.2, 1.5, 2, 3, 4, 6, 10, 20])
        form = draw.choice(["box", "rising", "falling"]) if length > 2 else "box"
        for step in range(length):
            part = {"box": 1, "rising": (step + 1) / length, "falling": (length - step) / length}[form]
            values[hour + step] += expected(hour + step) * (times - 1) * part
        labels.append((start + HOUR * hour, start + HOUR * (hour + length), times))
        hour += length + 72 + draw.randrange(240)
    return start, values, labels


def synthetic(folder, seed):
    draw = random.Random(seed)
    with open(f"{folder}/series.csv", "w") as series, open(f"{folder}/labels.csv", "w") as labels:
        series.write("series,timestamp,value\n")
        labels.write("series,start,end,size\n")
        for days in (10, 14, 21, 35, 60, 90, 120):
            for shape in ("office", "consumer", "flat", "night", "sparse"):
                for noise in (0.1, 0.25, 0.4):
                    for level in (2, 8, 40):
                        name = f"{shape}-{noise}-{level}-{days}"
                        start, values, spikes = series_with_spikes(draw, days, shape, noise, level, draw.choice([0, 0, 0.05]))
                        for hour, value in enumerate(values):
                            series.write(f"{name},{start + HOUR * hour},{value:.6f}\n")
                        for begin, end, times in spikes:
                            labels.write(f"{name},{begin},{end},{times}\n")
    rows = sum(1 for _ in open(f"{folder}/series.csv")) - 1
    for name, options in (
        ("defaults of --series", []),
        ("defaults of a job", ["--score-alone", "0", "--adapt-hours", "168"]),
    ):
        begin = time.monotonic()
        command = [TIEOUT, "backtest", "--series", f"{folder}/series.csv", "--labels", f"{folder}/labels.csv", *options]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        seconds = time.monotonic() - begin
        print(f"== {name}: {rows / seconds:,.0f} series-hours a second, reading and writing included")
        print(done.stderr)


def unix(text):
    return int(datetime.datetime.fromisoformat(text[:19]).replace(tzinfo=datetime.timezone.utc).timestamp())


def public(nab, group):
    """Hourly means of a group of series, and their labelled windows."""
    found, windows = {}, {}
    for name, spans in json.load(open(f"{nab}/labels/combined_windows.json")).items():
        if not name.startswith(group + "/"):
            continue
        hours = collections.OrderedDict()
        for row in csv.DictReader(open(f"{nab}/data/{name}")):
            hours.setdefault(unix(row["timestamp"]) // HOUR * HOUR, []).append(float(row["value"]))
        found[name] = [(at, sum(values) / len(values)) for at, values in sorted(hours.items())]
        windows[name] = [(unix(begin) // HOUR * HOUR, unix(end)) for begin, end in spans]
    return found, windows


def grade(flags, windows):
    """A window is caught by any flag in it; flags outside within 12 hours of each other are one false alarm."""
    caught = missed = alarms = 0
    for name, spans in windows.items():
        hit, last = [False] * len(spans), None
        for at in flags.get(name, []):
            inside = [place for place, (begin, end) in enumerate(spans) if begin <= at <= end]
            for place in inside:
                hit[place] = True
            if not inside:
                alarms += last is None or at - last > 12 * HOUR
                last = at
        caught += sum(hit)
        missed += len(hit) - sum(hit)
    precision, recall = caught / max(1, caught + alarms), caught / max(1, caught + missed)
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall


def tieout_flags(series, folder, options):
    with open(f"{folder}/public.csv", "w") as out:
        out.write("series,timestamp,value\n")
        for name, rows in series.items():
            out.writelines(f"{name},{at},{value!r}\n" for at, value in rows)
    command = [TIEOUT, "backtest", "--series", f"{folder}/public.csv", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    flags = collections.defaultdict(list)
    for row in csv.DictReader(done.stdout.splitlines()):
        if row["flag"] == "1":
            flags[row["series"]].append(int(row["timestamp"]))
    return flags


def seasonal_hybrid_esd(values, period, most):
    """Median by hour of the day taken off, then generalised ESD with median and MAD; alpha 0.05."""
    import numpy as np

    values = np.array(values)
    rest = values - np.median(values)
    for place in range(period):
        rest[place::period] = values[place::period] - np.median(values[place::period])
    places, count, out, best = np.arange(len(rest)), len(rest), [], 0
    for step in range(1, int(most * count) + 1):
        middle = np.median(rest)
        spread = np.median(np.abs(rest - middle)) * 1.4826
        if spread == 0:
            break
        worst = np.argmax(np.abs(rest - middle))
        out.append(int(places[worst]))
        t = statistics.NormalDist().inv_cdf(1 - 0.05 / (2 * (count - step + 1)))
        limit = (count - step) * t / math.sqrt((count - step - 1 + t * t) * (count - step + 1))
        if abs(rest[worst] - middle) / spread > limit:
            best = step
        rest, places = np.delete(rest, worst), np.delete(places, worst)
    return sorted(out[:best])


def random_cut_forest(values, shingle=4, trees=40, size=256):
    import numpy as np
    import rrcf

    np.random.seed(0)
    forest, scores = [rrcf.RCTree() for _ in range(trees)], [0.0] * (shingle - 1)
    for index, point in enumerate(rrcf.shingle(np.array(values), size=shingle)):
        total = 0.0
        for tree in forest:
            if len(tree.leaves) > size:
                tree.forget_point(index - size)
            tree.insert_point(np.array(point) + np.random.randn(shingle) * 1e-9, index=index)
            total += tree.codisp(index)
        scores.append(total / trees)
    return scores


def compare(nab, folder, with_rcf):
    for group in ("realAdExchange", "realTraffic"):
        series, windows = public(nab, group)
        show = lambda name, found: print(f"{group:16} {name:44} F1 {found[0]:.2f}  precision {found[1]:.2f}  recall {found[2]:.2f}")
        show("tieout, defaults, online", grade(tieout_flags(series, folder, []), windows))
        best = max(
            (grade(tieout_flags(series, folder, ["--score-alone", str(score)]), windows), score) for score in (5, 6, 7, 8, 9, 10, 12)
        )
        show(f"tieout, best score in hindsight ({best[1]})", best[0])
        best = (0, 0, 0), None
        for most in (0.002, 0.005, 0.01, 0.02, 0.05):
            flags = {
                name: [rows[at][0] for at in seasonal_hybrid_esd([value for _, value in rows], 24, most)] for name, rows in series.items()
            }
            best = max(best, (grade(flags, windows), most), key=lambda one: one[0])
        show(f"S-H-ESD, best share in hindsight ({best[1]})", best[0])
        if not with_rcf:
            continue
        scores = {name: random_cut_forest([value for _, value in rows]) for name, rows in series.items()}
        best = (0, 0, 0), None
        for times in (2, 2.5, 3, 3.5, 4, 5, 6, 8):
            flags = {}
            for name, rows in series.items():
                warm = min(256, len(rows) // 4)
                known = scores[name][warm:]
                limit = statistics.fmean(known) + times * statistics.pstdev(known)
                flags[name] = [rows[at][0] for at in range(warm, len(rows)) if scores[name][at] > limit]
            best = max(best, (grade(flags, windows), times), key=lambda one: one[0])
        show(f"RCF, best limit in hindsight ({best[1]} sigma)", best[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("synthetic").add_argument("--seed", type=int, default=1)
    known = kinds.add_parser("public")
    known.add_argument("nab")
    known.add_argument("--rcf", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.kind == "synthetic":
            synthetic(folder, arguments.seed)
        else:
            compare(arguments.nab, folder, arguments.rcf)


if __name__ == "__main__":
    sys.exit(main())
