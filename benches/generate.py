#!/usr/bin/env python3
"""Writes the made-up month that the benchmark reconciles: a request ledger and fal billing events, each
as one Parquet file, with the job and the reference files.

The same number of rows always gives the same content: nothing is drawn, everything follows from the
number of the call. Both files are in order of time, as a database and a provider would export them.

    python3 benches/generate.py [--rows 1000000] FOLDER

Needs the Python package duckdb.
"""

import argparse
import os
import sys

import duckdb

FIRST_DAY = "2026-10-20"
DAYS = 30
END_DAY = "2026-11-19"
# Late enough for every day to be settled.
AS_OF = "2026-12-01T06:00:00Z"
TEAMS = 12
KEYS = 60
# The last keys have no owner in the team map: what is billed on them without a ledger row stays unattributed.
UNOWNED_KEYS = 2
FEATURES = 9

# Endpoint, meter, list price of one unit, contracted discount in per cent, weight.
ENDPOINTS = [
    ("fal-ai/flux/schnell", "images", "0.003", 0, 18),
    ("fal-ai/flux/dev", "images", "0.025", 0, 14),
    ("fal-ai/flux-pro/v1.1", "images", "0.04", 0, 9),
    ("fal-ai/flux-pro/v1.1-ultra", "images", "0.06", 0, 5),
    ("fal-ai/flux-pro/kontext", "images", "0.04", 0, 7),
    ("fal-ai/flux-pro/kontext/max", "images", "0.08", 0, 3),
    ("fal-ai/qwen-image", "images", "0.02", 10, 6),
    ("fal-ai/bytedance/seedream/v4/text-to-image", "images", "0.03", 0, 6),
    ("fal-ai/bytedance/seedream/v4/edit", "images", "0.03", 0, 4),
    ("fal-ai/nano-banana/edit", "images", "0.039", 0, 6),
    ("fal-ai/recraft/v3/text-to-image", "images", "0.045", 0, 2),
    ("fal-ai/ideogram/v3", "images", "0.061", 0, 2),
    ("fal-ai/kling-video/v2.5-turbo/pro/image-to-video", "video_seconds", "0.07", 10, 5),
    ("fal-ai/kling-video/v2.5-turbo/pro/text-to-video", "video_seconds", "0.07", 10, 3),
    ("fal-ai/kling-video/v3/standard/image-to-video", "video_seconds", "0.112", 0, 2),
    ("fal-ai/veo3", "video_seconds", "0.4", 0, 1),
    ("fal-ai/veo3.1/fast", "video_seconds", "0.1", 0, 2),
    ("fal-ai/wan/v2.2-a14b/image-to-video", "video_seconds", "0.08", 0, 3),
    ("fal-ai/ltx-video-13b-distilled", "video_seconds", "0.02", 0, 1),
    ("fal-ai/minimax/hailuo-02/standard/image-to-video", "video_seconds", "0.045", 0, 1),
]

# What happens to a call, by its number (scattered) modulo 10,000; to all others, nothing.
#   0- 49  billed, but not in the ledger            0.5  %
#  50- 99  in the ledger, but not billed            0.5  %
# 100-149  another quantity billed                  0.5  %
# 150-169  another price billed                     0.2  %
# 170-179  twice in the ledger under two ids        0.1  %
# 180-181  failed in the ledger, billed all the same 0.02 %
CALLS = """
CREATE TEMP TABLE calls AS
WITH drawn AS (
    SELECT
        i,
        (i * 7919) % 10000 AS fate,
        md5_number_upper(i::VARCHAR || ':call') AS a,
        md5_number_lower(i::VARCHAR || ':call') AS b
    FROM range($calls) t(i)
),
placed AS (
    SELECT
        i, fate,
        md5(i::VARCHAR || ':request') AS request_hash,
        'req_' || left(md5(i::VARCHAR || ':own'), 24) AS own_id,
        -- Even over the month, with some disorder inside half a minute.
        TIMESTAMP '{first_day} 00:00:00'
            + to_microseconds((i::HUGEINT * {days}::HUGEINT * 86370000000 // $calls + (a % 30000000)::HUGEINT)::BIGINT) AS moment,
        ((a >> 25) % {weights})::INTEGER AS wheel,
        ((b >> 3) % {keys})::INTEGER AS key_number,
        (b >> 20) % 16 AS size
    FROM drawn
)
SELECT
    i, fate, own_id, moment, key_number,
    left(request_hash, 8) || '-' || substr(request_hash, 9, 4) || '-' || substr(request_hash, 13, 4) || '-'
        || substr(request_hash, 17, 4) || '-' || right(request_hash, 12) AS request_id,
    endpoint, meter, price, percent,
    CASE
        WHEN meter = 'images' THEN (1 + size % 4)::DECIMAL(12,3)
        WHEN size < 12 THEN (5 + 5 * (size % 2))::DECIMAL(12,3)
        ELSE (3.008 + size * 0.125)::DECIMAL(12,3)
    END AS units
FROM placed JOIN endpoints ON wheel >= low AND wheel < high
"""

# The key and the endpoint say who calls and for what; a service has its own key.
OWNERS = """
CREATE TEMP TABLE keys AS
SELECT
    k AS key_number,
    'key_' || left(md5(k::VARCHAR || ':key'), 20) AS api_key_id,
    'team-' || lpad(((k % {teams}) + 1)::VARCHAR, 2, '0') AS team,
    CASE WHEN k % 3 = 0 THEN 'byok' ELSE 'credits' END AS funding
FROM range({keys}) t(k)
"""

LEDGER = """
COPY (
    SELECT
        CASE copy WHEN 1 THEN own_id ELSE replace(own_id, 'req_', 'dup_') END AS request_id,
        1::INTEGER AS attempt,
        moment AS started_at,
        'fal' AS provider,
        endpoint AS model,
        c.request_id AS provider_request_id,
        'acme' AS account,
        k.api_key_id,
        k.team,
        'feature-' || ((c.key_number * 7 + length(endpoint)) % {features} + 1)::VARCHAR AS feature,
        k.funding,
        CASE WHEN fate BETWEEN 180 AND 181 THEN 'error' ELSE 'ok' END AS status,
        CASE WHEN meter = 'images' THEN units END AS images,
        CASE WHEN meter = 'video_seconds' THEN units END AS video_seconds,
        (units * price * (100 - percent)::DECIMAL(3,0) * 0.01)::DECIMAL(38,18) AS expected_cost
    FROM calls c JOIN keys k USING (key_number),
        LATERAL (SELECT unnest(CASE WHEN fate BETWEEN 170 AND 179 THEN [1, 2] ELSE [1] END) AS copy)
    WHERE fate >= 50
    ORDER BY started_at, request_id
) TO '{folder}/ledger.parquet' (FORMAT parquet)
"""

EVENTS = """
COPY (
    WITH billed AS (
        SELECT
            *,
            CASE
                WHEN fate BETWEEN 100 AND 149 THEN units + CASE meter WHEN 'images' THEN 1 ELSE 0.5 END
                ELSE units
            END::DECIMAL(12,3) AS billed_units,
            CASE WHEN fate BETWEEN 150 AND 169 THEN price * 1.25 ELSE price END::DECIMAL(12,6) AS billed_price
        FROM calls
        WHERE fate < 50 OR fate >= 100
    ),
    money AS (
        SELECT
            *,
            (billed_units * billed_price)::DECIMAL(18,9) AS subtotal,
            (billed_units * billed_price * (100 - percent)::DECIMAL(3,0) * 0.01)::DECIMAL(18,9) AS total
        FROM billed
    )
    SELECT
        request_id,
        endpoint AS endpoint_id,
        -- The provider's clock stands a little later, but never on another day.
        least(moment + to_milliseconds(40 + i % 400), date_trunc('day', moment) + INTERVAL '86399999 milliseconds') AS timestamp,
        billed_units AS output_units,
        billed_price AS unit_price,
        CASE WHEN percent > 0 THEN percent::DECIMAL(5,2) END AS percent_discount,
        subtotal AS cost_subtotal,
        (subtotal - total)::DECIMAL(18,9) AS cost_discount,
        total AS cost_total,
        (total::DECIMAL(38,9) * 1000000000::DECIMAL(10,0))::BIGINT AS cost_estimate_nano_usd,
        team || '-service-' || k.key_number::VARCHAR AS auth_method,
        k.api_key_id,
        NULL::VARCHAR AS login_username
    FROM money m JOIN keys k USING (key_number)
    ORDER BY timestamp, request_id
) TO '{folder}/events.parquet' (FORMAT parquet)
"""


def job() -> str:
    return f"""# The benchmark's job; written by benches/generate.py.
name = "bench"
time_zone = "UTC"
as_of = "{AS_OF}"
output = "out"
state = "state"
teams = "teams.toml"
prices = ["prices.toml"]
names = "names.toml"

[window]
from = "{FIRST_DAY}"
to = "{END_DAY}"

[[ledger]]
name = "app"
files = ["ledger.parquet"]

[[source]]
provider = "fal"
account = "acme"

[[source.pull]]
files = ["events.parquet"]
report = "billing_events_csv"
"""


def prices() -> str:
    parts = [f'provider = "fal"\ncurrency = "USD"\nchecked = "{FIRST_DAY}"\n']
    for endpoint, meter, price, _, _ in ENDPOINTS:
        parts.append(f'[[price]]\nmodel = "{endpoint}"\nfrom = "2026-01-01"\nmeters = {{ {meter} = "{price}" }}\n')
    for endpoint, _, _, percent, _ in ENDPOINTS:
        if percent:
            parts.append(f'[[discount]]\nmodel = "{endpoint}"\nfrom = "2026-01-01"\npercent = "{percent}"\n')
    return "\n".join(parts)


def names() -> str:
    entry = '[[name]]\nkind = "meter"\nprovider = "fal"\nname = "{}"\nis = "{}"\n'
    return "\n".join(entry.format(endpoint, meter) for endpoint, meter, _, _, _ in ENDPOINTS)


def teams(keys) -> str:
    parts = [f'[[team]]\nname = "team-{n:02}"\ncost_centre = "CC-{n * 100}"\n' for n in range(1, TEAMS + 1)]
    for number, key, team, funding in keys:
        if number < KEYS - UNOWNED_KEYS:
            parts.append(
                f'[[owner]]\nkind = "api_key"\nprovider = "fal"\nname = "{key}"\nteam = "{team}"\nfunding = "{funding}"\n'
            )
    return "\n".join(parts)


def write(folder: str, name: str, text: str) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", help="where the files go; made if it is not there")
    arguments.add_argument("--rows", type=int, default=1_000_000, help="rows of each file (default: 1,000,000)")
    asked = arguments.parse_args()
    if asked.rows < 10_000:
        arguments.error("--rows: at least 10000, so that every kind of difference occurs")
    folder = os.path.abspath(asked.folder)
    os.makedirs(folder, exist_ok=True)

    database = duckdb.connect()
    database.execute("CREATE TEMP TABLE endpoints (endpoint VARCHAR, meter VARCHAR, price DECIMAL(9,4), percent INTEGER, low INTEGER, high INTEGER)")
    low = 0
    for endpoint, meter, price, percent, weight in ENDPOINTS:
        database.execute("INSERT INTO endpoints VALUES (?, ?, ?, ?, ?, ?)", [endpoint, meter, price, percent, low, low + weight])
        low += weight
    # One call in 200 is in only one of the files, so that each file has as many rows as asked for.
    calls = asked.rows * 1000 // 995
    values = {
        "first_day": FIRST_DAY, "days": DAYS, "weights": low, "keys": KEYS, "teams": TEAMS, "features": FEATURES,
        "folder": folder.replace("'", "''"),
    }
    database.execute(OWNERS.format(**values))
    database.execute(CALLS.format(**values).replace("$calls", str(calls)))
    database.execute(LEDGER.format(**values))
    database.execute(EVENTS.format(**values))
    keys = database.execute("SELECT key_number, api_key_id, team, funding FROM keys ORDER BY key_number").fetchall()
    for name, text in [("prices.toml", prices()), ("names.toml", names()), ("teams.toml", teams(keys)), ("job.toml", job())]:
        write(folder, name, text)
    for name in ["ledger.parquet", "events.parquet"]:
        path = os.path.join(folder, name)
        rows = database.execute(f"SELECT count(*) FROM '{path.replace(chr(39), chr(39) * 2)}'").fetchone()[0]
        print(f"{path}: {rows:,} rows, {os.path.getsize(path):,} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
