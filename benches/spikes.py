#!/usr/bin/env python3
"""Judges `tieout backtest --series` on synthetic series with labelled spikes, and beside two published detectors on
labelled public series. docs/spikes.md has the figures that it printed.

    python3 benches/spikes.py synthetic [--seed NUMBER]            # spend and traffic, made up and labelled
    python3 benches/spikes.py public NAB [--cloud FOLDER] [--job] [--rcf] [--only GROUP]...

NAB is a checkout of the Numenta Anomaly Benchmark (github.com/numenta/NAB), FOLDER one of the Cloud Monitoring Dataset
(github.com/microsoft/cloud-monitoring-dataset); both are taken as hourly means. tieout runs online with its defaults,
or with --job with those of a job. Of the detectors that NAB publishes results of, two are graded beside it, at the
threshold that is published with them (the best of all series, standard profile). Two more see each series as a
whole and get the setting that is best in hindsight for the group: seasonal hybrid ESD (Hochenbaum, Vallis and Kejariwal 2017, arXiv:1704.07706) as written below, and with
--rcf the robust random cut forest (Guha, Mishra, Roy and Schrijvers 2016) of the package rrcf. `public` needs numpy.
The forest takes about a second for a hundred hours of a series. Methods and defaults were searched for on half of
every collection and on seed 1; the other half and other seeds are held out of the search. TIEOUT names the binary; the default
is target/release/tieout.
"""

import argparse
import collections
import csv
import datetime
import functools
import glob
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
JOB = ["--score-alone", "0", "--adapt-hours", "168"]


# Synthetic spend.


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


def spend(folder, seed):
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
    for name, options in (("defaults of a job", JOB), ("defaults of --series", [])):
        begin = time.monotonic()
        command = [TIEOUT, "backtest", "--series", f"{folder}/series.csv", "--labels", f"{folder}/labels.csv", *options]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        seconds = time.monotonic() - begin
        print(f"== spend, {name}: {rows / seconds:,.0f} series-hours a second, reading and writing included")
        print(done.stderr)


# Synthetic traffic.

KINDS = ("spike", "dip", "high hours", "low hours", "slightly off", "new level", "stuck", "wrong time", "backwards", "silence")


def week(draw, shape):
    """Relative traffic by hour of the week, 1 on average."""
    phase, wide, narrow, weekend = draw.uniform(0, 24), draw.uniform(0.2, 0.8), draw.uniform(0, 0.35), draw.uniform(0.4, 1.5)
    found = []
    for at in range(168):
        hour, free = at % 24, at >= 120
        if shape == "flat":
            value = 1.0
        elif shape == "office":
            value = (0.15 + (1.2 if 8 <= hour < 18 else 0.3 if 6 <= hour < 21 else 0)) * (0.3 if free else 1)
        elif shape == "rush" and free:
            value = 0.3 + 0.6 * math.exp(-(((hour - 14) / 4) ** 2))
        elif shape == "rush":
            value = 0.3 + 0.9 * math.exp(-(((hour - 8) / 1.8) ** 2)) + 0.8 * math.exp(-(((hour - 17.5) / 2) ** 2))
        else:
            wave = wide * math.sin((hour - phase) / 12 * math.pi) + narrow * math.sin((hour - 1.7 * phase) / 6 * math.pi)
            value = max(0.03, 1 + wave) * (weekend if shape == "weekly" and free else 1)
        found.append(value)
    return [value / statistics.fmean(found) for value in found]


def traffic_series(draw, days):
    """Hours of one series: start, values, windows of labelled hours (last one included), their kinds."""
    shape = draw.choice(["flat", "wave", "wave", "weekly", "office", "rush"])
    style = draw.choice(["times", "times", "plus", "counts", "ratio"])
    noise, tail, keeps = draw.choice([0.03, 0.06, 0.1, 0.15, 0.25]), draw.random() < 0.3, draw.choice([0.2, 0.5, 0.8])
    level, growth, calls = 10 ** draw.uniform(0, 5), draw.choice([0, 0, 0, 0.1, -0.05, 0.3]), draw.uniform(3, 60)
    start, by_hour = MONDAY + 86_400 * draw.randrange(300), week(draw, shape)
    values, sizes, near = [], [], 0.0
    for hour in range(days * 24):
        at = start // HOUR + hour
        season, trend = by_hour[(at // 24 + 3) % 7 * 24 + at % 24], 1 + growth * hour / 672
        near = keeps * near + draw.gauss(0, math.sqrt(1 - keeps * keeps))
        off = near + (draw.gauss(0, 2) if tail and draw.random() < 0.02 else 0)
        if style == "times":
            values.append(level * season * trend * math.exp(noise * off))
            sizes.append(level * season * trend * noise)
        elif style == "plus":
            values.append(level * (0.5 * season * trend + 1 + 0.7 * noise * off))
            sizes.append(level * noise * 0.7)
        elif style == "counts":
            mean = calls * season * trend
            values.append(float(poisson(draw, mean * math.exp(0.5 * noise * off))))
            sizes.append(math.sqrt(max(1, mean)))
        else:
            values.append(level * (1 + 0.15 * (season - 1)) * math.exp(noise * off))
            sizes.append(level * noise)
    calm, windows, last, shifted = list(values), [], -999, False
    wanted = max(2, days // draw.choice([4, 7, 10]))
    places = list(range(24 * 5, len(values) - 30, 6))
    for place in sorted(draw.sample(places, min(3 * wanted, len(places)))):
        if len(windows) >= wanted or place - last < 60:
            continue
        kind = draw.choice(KINDS)
        if kind == "new level" and shifted:
            kind = "spike"
        length = draw.choice({
            "spike": [1, 1, 2], "dip": [1, 1, 2], "high hours": [3, 6, 12], "low hours": [3, 6, 12], "slightly off": [8, 12, 24],
            "new level": [12], "stuck": [6, 10, 18], "wrong time": [2, 4, 6], "backwards": [6, 12], "silence": [1, 3, 6],
        }[kind])
        span = range(place, place + length)
        if kind in ("spike", "dip", "high hours", "low hours", "slightly off"):
            times = draw.choice([4, 6, 8, 12, 20] if kind in ("spike", "dip") else [3, 4, 6, 10] if "hours" in kind else [2, 2.5, 3])
            sign = {"spike": 1, "high hours": 1, "slightly off": draw.choice([1, -1])}.get(kind, -1)
            for at in span:
                values[at] += sign * times * sizes[at]
        elif kind == "new level":
            shifted, times = True, draw.choice([0.4, 0.6, 1.6, 2.5])
            step = (1 if times > 1 else -1) * draw.choice([4, 6, 10])
            for at in range(place, len(values)):
                values[at] = values[at] + step * sizes[at] if style == "plus" else values[at] * times
                sizes[at] *= 1 if style == "plus" else times
        elif kind == "stuck":
            for at in span:
                values[at] = values[place]
        elif kind == "wrong time":
            for at in span:
                values[at] = calm[at - 12]
        elif kind == "backwards":
            values[place : place + length] = values[place : place + length][::-1] if shape != "flat" else [1.5 * values[at] for at in span]
        else:
            for at in span:
                values[at] = 0.0
        if style != "plus":
            values = [max(0.0, value) for value in values]
        last = place + length
        windows.append((start + HOUR * place, start + HOUR * (last - 1), kind))
    gone = draw.choice([0, 0, 0, 0.02])
    rows = [(start + HOUR * hour, value) for hour, value in enumerate(values) if draw.random() >= gone]
    return f"{shape}-{style}-{noise}-{days}", rows, windows


def traffic(seed, count):
    """Series of two weeks to three months: rows and windows by name, and the kind of each window."""
    draw, series, windows, kinds = random.Random(seed), {}, {}, {}
    for number in range(count):
        name, rows, found = traffic_series(draw, draw.choice([14, 14, 21, 30, 45, 60, 90]))
        name = f"{name}-{number}"
        series[name], windows[name] = rows, [(begin, end) for begin, end, _ in found]
        kinds[name] = [kind for _, _, kind in found]
    return series, windows, kinds


# Public series.


def unix(text):
    return int(datetime.datetime.fromisoformat(text[:19]).replace(tzinfo=datetime.timezone.utc).timestamp())


def hourly(rows):
    """Means by hour."""
    hours = collections.defaultdict(list)
    for at, value in rows:
        hours[at // HOUR * HOUR].append(value)
    return [(at, statistics.fmean(values)) for at, values in sorted(hours.items())]


def numenta(folder, group):
    """Hourly means of a group of series, and their labelled windows."""
    series, windows = {}, {}
    for name, spans in sorted(json.load(open(f"{folder}/labels/combined_windows.json")).items()):
        if name.startswith(group + "/"):
            series[name] = hourly((unix(row["timestamp"]), float(row["value"])) for row in csv.DictReader(open(f"{folder}/data/{name}")))
            windows[name] = [(unix(begin) // HOUR * HOUR, unix(end)) for begin, end in spans]
    return series, windows


PUBLISHED = ("twitterADVec", "randomCutForest")


def published(folder, detector, names):
    """Flagged times by series, as a detector's published scores and threshold say; by the step of the data."""
    limit = json.load(open(f"{folder}/config/thresholds.json"))[detector]["standard"]["threshold"]
    flags = {}
    for name in names:
        group, file = name.split("/")
        rows = csv.DictReader(open(f"{folder}/results/{detector}/{group}/{detector}_{file}"))
        flags[name] = [unix(row["timestamp"]) for row in rows if float(row["anomaly_score"]) >= limit]
    return flags


CLOUD = {"crash": "application-crash-rate", "purchases": "purchase-rate|ecommerce", "latency": "latency", "rates": ""}


def cloud(folder, group):
    """The same of the cloud monitoring dataset; an hour is labelled where a tenth of its minutes is."""
    series, windows = {}, {}
    for path in sorted(glob.glob(f"{folder}/data/*/*.csv")):
        own = next(name for name, parts in CLOUD.items() if any(part in path for part in parts.split("|")))
        if own != group:
            continue
        values, labels = [], []
        for row in csv.reader(open(path)):
            if row[0] != "TimeStamp" and row[1]:
                values.append((unix(row[0]), float(row[1])))
                labels.append((unix(row[0]), float(row[2] or 0)))
        name, hours = os.path.basename(path), hourly(values)
        series[name], windows[name] = hours, []
        for place, (at, part) in enumerate(hourly(labels)):
            if part < 0.1:
                continue
            if windows[name] and windows[name][-1][1] == hours[place - 1][0]:
                windows[name][-1] = (windows[name][-1][0], at)
            else:
                windows[name].append((at, at))
    return series, windows


def held_out(group, names):
    """The half of a collection that did not count in the search for the method."""
    apart = {"realAdExchange": ["exchange-3"], "realTraffic": ["TravelTime_451", "t4013"]}.get(group)
    if apart:
        return {name for name in names if any(part in name for part in apart)}
    return set(sorted(names)[1::2])


# The others.


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


def hybrid_scores(values, period):
    """What it tests first: distances from the medians by hour of the day, in median absolute deviations."""
    import numpy as np

    rest = np.array(values)
    for place in range(period):
        rest[place::period] -= np.median(rest[place::period])
    distances = np.abs(rest - np.median(rest))
    return list(distances / max(1e-12, np.median(distances)))


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


# Grading.


def judged(series, folder, options=()):
    """Flagged times and all scores by series."""
    with open(f"{folder}/judged.csv", "w") as out:
        out.write("series,timestamp,value\n")
        for name, rows in series.items():
            out.writelines(f"{name},{at},{value:.9f}\n" for at, value in rows)
    command = [TIEOUT, "backtest", "--series", f"{folder}/judged.csv", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    flags, scores = collections.defaultdict(list), collections.defaultdict(list)
    for row in csv.DictReader(done.stdout.splitlines()):
        scores[row["series"]].append(abs(float(row["score"])))
        if row["flag"] == "1":
            flags[row["series"]].append(int(row["timestamp"]))
    return flags, scores


def grade(flags, windows):
    """F1, precision, recall, false alarms. A window is caught by any flag in it; flags outside within 12 hours of each other are
    one false alarm."""
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
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall, alarms


def best_in_hindsight(series, scores, windows):
    """The best F1 that any limit on the scores would have had."""
    every = sorted((score for own in scores.values() for score in own), reverse=True)
    limits = {every[min(len(every) - 1, int(len(every) * 0.0005 * 600 ** (step / 39)))] for step in range(40)}
    flags = lambda limit: {name: [at for (at, _), score in zip(rows, scores[name]) if score >= limit] for name, rows in series.items()}
    return max(grade(flags(limit), windows)[0] for limit in limits)


def average_precision(series, scores, windows):
    """Mean over the series of the area under precision and recall by the hour."""
    found = []
    for name, rows in series.items():
        labelled = [any(begin <= at <= end for begin, end in windows[name]) for at, _ in rows]
        if not any(labelled):
            continue
        ranked, area, true, count = sorted(zip(scores[name], labelled), reverse=True), 0.0, 0, 0
        while count < len(ranked):
            # What has the same score counts at once.
            same = count
            while same < len(ranked) and ranked[same][0] == ranked[count][0]:
                same += 1
            more = sum(label for _, label in ranked[count:same])
            true, count = true + more, same
            area += true / count * more
        found.append(area / true)
    return statistics.fmean(found) if found else float("nan")


def compare(name, series, windows, folder, forest, options, nab=None):
    weeks = sum(len(rows) for rows in series.values()) / 168
    print(f"== {name}: {len(series)} series, {weeks:.0f} weeks, {sum(map(len, windows.values()))} labelled windows")

    def show(who, scores, flags):
        graded = grade(flags, windows)
        print(
            f"  {who:32} F1 {graded[0]:.2f} (precision {graded[1]:.2f}, recall {graded[2]:.2f}, {graded[3] / weeks:.2f} false alarms a week)"
            f"  best F1 in hindsight {best_in_hindsight(series, scores, windows):.2f}"
            f"  average precision {average_precision(series, scores, windows):.2f}",
            flush=True,
        )

    flags, scores = judged(series, folder, options)
    show("tieout, online", scores, flags)
    for detector in PUBLISHED if nab else ():
        graded = grade(published(nab, detector, series), windows)
        print(f"  {detector + ', published':32} F1 {graded[0]:.2f} (precision {graded[1]:.2f}, recall {graded[2]:.2f}, {graded[3] / weeks:.2f} false alarms a week)")
    values = {name: [value for _, value in rows] for name, rows in series.items()}
    scores = {name: hybrid_scores(own, 24) for name, own in values.items()}
    tried = []
    for most in (0.002, 0.005, 0.01, 0.02, 0.05):
        flags = {name: [rows[at][0] for at in seasonal_hybrid_esd(values[name], 24, most)] for name, rows in series.items()}
        tried.append((grade(flags, windows)[0], most, flags))
    _, most, flags = max(tried, key=lambda one: one[0])
    show(f"S-H-ESD, best share ({most})", scores, flags)
    if forest is None:
        return
    # A limit by sigma is one on scores less their mean, in standard deviations.
    scores, tried = {}, []
    for name, own in values.items():
        raw = forest(tuple(own))
        known = raw[min(256, len(raw) // 4) :]
        middle, spread = statistics.fmean(known), max(1e-9, statistics.pstdev(known))
        scores[name] = [(score - middle) / spread if at >= 36 else -1e9 for at, score in enumerate(raw)]
    for limit in (2, 2.5, 3, 3.5, 4, 5, 6, 8):
        flags = {name: [at for (at, _), score in zip(rows, scores[name]) if score > limit] for name, rows in series.items()}
        tried.append((grade(flags, windows)[0], limit, flags))
    _, limit, flags = max(tried, key=lambda one: one[0])
    show(f"random cut forest, best limit ({limit} sigma)", scores, flags)


def public(nab, cloud_folder, folder, forest, only, options):
    groups = [(group, *numenta(nab, group)) for group in ("realAdExchange", "realTraffic", "realAWSCloudwatch", "realKnownCause", "realTweets")]
    if cloud_folder:
        groups += [(f"cloud {group}", *cloud(cloud_folder, group)) for group in CLOUD]
    groups = [one for one in groups if not only or one[0] in only]
    for group, series, windows in groups:
        out = held_out(group, series)
        for half, names in (("held out", sorted(out)), ("searched on", sorted(set(series) - out)), ("all", sorted(series))):
            pick = lambda found: {name: found[name] for name in names}
            own = nab if group.startswith("real") and os.path.isdir(f"{nab}/results") else None
            compare(f"{group}, {half}", pick(series), pick(windows), folder, forest, options, own)
    if not only or "traffic" in only:
        series, windows, _ = traffic(2, 40)
        compare("synthetic traffic, held out", series, windows, folder, forest, options)


def synthetic(folder, seed):
    spend(folder, seed)
    series, windows, kinds = traffic(seed, 200)
    for name, options in (("defaults of --series", []), ("defaults of a job", JOB)):
        flags, scores = judged(series, folder, options)
        graded, weeks = grade(flags, windows), sum(len(rows) for rows in series.values()) / 168
        print(f"== traffic, {name}: F1 {graded[0]:.3f}, {graded[3] / weeks:.3f} false alarms a week, "
              f"average precision {average_precision(series, scores, windows):.3f}")
        caught, all_of = collections.Counter(), collections.Counter()
        for one, spans in windows.items():
            for (begin, end), kind in zip(spans, kinds[one]):
                all_of[kind] += 1
                caught[kind] += any(begin <= at <= end for at in flags[one])
        print("   caught: " + ", ".join(f"{kind} {caught[kind]} of {all_of[kind]}" for kind in KINDS))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("synthetic").add_argument("--seed", type=int, default=1)
    known = kinds.add_parser("public")
    known.add_argument("nab")
    known.add_argument("--cloud")
    known.add_argument("--rcf", action="store_true")
    known.add_argument("--job", action="store_true")
    known.add_argument("--only", action="append", default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.kind == "synthetic":
            synthetic(folder, arguments.seed)
        else:
            forest = functools.cache(random_cut_forest) if arguments.rcf else None
            public(arguments.nab, arguments.cloud, folder, forest, arguments.only, JOB if arguments.job else [])


if __name__ == "__main__":
    sys.exit(main())
