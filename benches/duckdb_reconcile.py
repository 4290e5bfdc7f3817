#!/usr/bin/env python3
"""Reconciles the benchmark's files with DuckDB: attribution, team months, reconciliation and drift as CSV,
with the same rows, sums, reasons and variances as `tieout run` gives for them.

It knows what these files hold: one provider, one account, one currency, money and quantity by request, one
meter for each endpoint, everything settled. What needs more rules than that is not in it.

    python3 benches/duckdb_reconcile.py [--shape group|join] [--threads 2] FOLDER OUT

Two shapes of the match were tried: `group` puts both sides under each other and groups by request, `join`
joins them in full. The faster one is the default.
"""

import argparse
import os
import sys
import tomllib
from datetime import date, timedelta

import duckdb

ALWAYS = "0001-01-01"
FOREVER = "9999-12-31"

LEDGER = """
SELECT
    provider_request_id AS id, file_row_number AS row, request_id AS call, started_at::DATE AS day, model,
    api_key_id, team, feature, funding, status, coalesce(images, video_seconds) AS quantity, expected_cost
FROM read_parquet('{folder}/ledger.parquet', file_row_number = true)
WHERE started_at >= TIMESTAMP '{first}' AND started_at < TIMESTAMP '{end}'
"""

EVENTS = """
SELECT
    request_id AS id, file_row_number AS row, "timestamp"::DATE AS day, endpoint_id AS model, api_key_id,
    output_units AS quantity, cost_subtotal AS list_cost, cost_total AS cost
FROM read_parquet('{folder}/events.parquet', file_row_number = true)
WHERE "timestamp" >= TIMESTAMP '{first}' AND "timestamp" < TIMESTAMP '{end}'
"""

# One row for each call: what the provider billed for it (several lines summed), and the first ledger row.
# A second ledger row of a call is a duplicate and stands in `copies`.
JOIN = """
CREATE TEMP TABLE repeated AS
    SELECT provider_request_id AS id, min(file_row_number) AS first_row
    FROM read_parquet('{folder}/ledger.parquet', file_row_number = true)
    GROUP BY provider_request_id HAVING count(*) > 1;
CREATE TEMP TABLE repeated_rows AS
    SELECT l.*, l.row > r.first_row AS is_copy FROM ({ledger}) l JOIN repeated r USING (id);
CREATE TEMP TABLE copies AS SELECT * EXCLUDE (is_copy) FROM repeated_rows WHERE is_copy;
CREATE TEMP TABLE several AS
    SELECT request_id AS id FROM read_parquet('{folder}/events.parquet') GROUP BY request_id HAVING count(*) > 1;
CREATE TEMP TABLE calls AS
WITH provider AS (
    SELECT id, row, 1 AS lines, day, model, api_key_id, quantity, list_cost, cost
    FROM ({events}) ANTI JOIN several USING (id)
    UNION ALL
    SELECT
        id, min(row), count(*), min(day), any_value(model), any_value(api_key_id), sum(quantity), sum(list_cost), sum(cost)
    FROM ({events}) SEMI JOIN several USING (id) GROUP BY id
),
own AS (
    SELECT * FROM ({ledger}) ANTI JOIN copies USING (row)
)
SELECT
    coalesce(p.id, l.id) AS id,
    p.row AS p_row, p.day AS p_day, p.model AS p_model, p.api_key_id AS p_key, p.lines AS lines,
    p.quantity AS billed_quantity, p.list_cost, p.cost,
    l.row AS l_row, l.call, l.day AS l_day, l.model AS l_model, l.api_key_id AS l_key, l.team, l.feature, l.funding, l.status,
    l.quantity, l.expected_cost
FROM provider p FULL JOIN own l ON p.id = l.id
"""

GROUP = """
CREATE TEMP TABLE both_sides AS
SELECT
    id,
    min(row) FILTER (is_provider) AS p_row, any_value(day) FILTER (is_provider) AS p_day,
    any_value(model) FILTER (is_provider) AS p_model, any_value(api_key_id) FILTER (is_provider) AS p_key,
    count(*) FILTER (is_provider) AS lines,
    sum(quantity) FILTER (is_provider) AS billed_quantity, sum(list_cost) AS list_cost, sum(cost) AS cost,
    min(row) FILTER (NOT is_provider) AS l_row, arg_min(call, row) FILTER (NOT is_provider) AS call,
    any_value(day) FILTER (NOT is_provider) AS l_day, any_value(model) FILTER (NOT is_provider) AS l_model,
    any_value(api_key_id) FILTER (NOT is_provider) AS l_key, any_value(team) AS team, any_value(feature) AS feature,
    any_value(funding) AS funding, any_value(status) AS status,
    arg_min(quantity, row) FILTER (NOT is_provider) AS quantity,
    arg_min(expected_cost, row) FILTER (NOT is_provider) AS expected_cost,
    count(*) FILTER (NOT is_provider) AS rows
FROM (
    SELECT true AS is_provider, * FROM ({events})
    UNION ALL BY NAME
    SELECT false AS is_provider, * FROM ({ledger})
)
GROUP BY id;
CREATE TEMP TABLE copies AS
    SELECT l.* FROM ({ledger}) l JOIN (SELECT id, l_row FROM both_sides WHERE rows > 1) b ON l.id = b.id AND l.row > b.l_row;
CREATE TEMP TABLE calls AS SELECT * EXCLUDE (rows) FROM both_sides
"""

# The reason of each call whose sides differ, in the order of the rules; the copies beside them.
ITEMS = """
CREATE TEMP TABLE items AS
SELECT
    CASE
        WHEN l_row IS NULL THEN 'missing_in_ledger'
        WHEN p_row IS NULL THEN 'missing_at_provider'
        WHEN status <> 'ok' THEN 'billed_failure'
        WHEN billed_quantity = quantity THEN 'price'
        ELSE 'quantity'
    END AS reason,
    *, 1 AS entries
FROM (
    SELECT
        *, coalesce(cost, 0)::DECIMAL(38,18) AS billed,
        CASE WHEN status = 'ok' THEN expected_cost ELSE 0 END::DECIMAL(38,18) AS expected
    FROM calls
)
WHERE billed <> expected
UNION ALL BY NAME
SELECT
    'duplicate_in_ledger' AS reason, id, row AS l_row, call, day AS l_day, model AS l_model, api_key_id AS l_key, team, feature,
    funding, status, quantity, expected_cost, 0::DECIMAL(38,18) AS billed, expected_cost AS expected, 1 AS entries
FROM copies WHERE status = 'ok'
"""

# The ledger's own implied price, else the book's; integers of 10^-9 money and 10^-3 units, because a
# quotient of decimals would be a binary float. Rounded half away from zero like every quotient of money.
DRIFT = """
CREATE TEMP TABLE drift AS
WITH placed AS (
    SELECT
        i.*,
        coalesce(p_day, l_day) AS charge_date,
        coalesce(p_key, l_key) AS api_key_id,
        coalesce(p_model, l_model) AS model,
        CASE WHEN status = 'ok' THEN quantity END AS ledger_quantity,
        billed - expected AS difference
    FROM items i
),
varied AS (
    SELECT
        p.*, n.meter,
        CASE
            WHEN p_row IS NULL THEN difference
            WHEN ledger_quantity IS NULL THEN (billed_quantity::DECIMAL(12,3) * b.contracted)::DECIMAL(38,18)
            ELSE (
                (expected * 1000000000::DECIMAL(10,0))::HUGEINT * ((billed_quantity - ledger_quantity) * 1000)::HUGEINT * 2
                + (ledger_quantity * 1000)::HUGEINT * sign(billed_quantity - ledger_quantity)::HUGEINT
            ) // ((ledger_quantity * 1000)::HUGEINT * 2) * 0.000000001::DECIMAL(18,9)
        END::DECIMAL(38,18) AS quantity_variance
    FROM placed p
    LEFT JOIN meters n ON n.model = p.model
    LEFT JOIN book b ON b.model = p.model AND b.meter = n.meter
)
SELECT
    left(sha256(concat_ws('|', 'fal', 'acme', charge_date, 'USD', id,
        CASE WHEN p_row IS NULL THEN call END, CASE v.reason WHEN 'duplicate_in_ledger' THEN v.reason END)), 16) AS drift_id,
    charge_date, 'fal' AS provider, 'acme' AS account, '' AS sub_account, api_key_id, coalesce(team, '') AS team, model, meter,
    'request' AS grain, v.reason, r.assertion, billed_quantity AS provider_quantity, ledger_quantity,
    billed AS provider_cost, expected AS ledger_cost, quantity_variance,
    (difference - quantity_variance)::DECIMAL(38,18) AS price_variance,
    0::DECIMAL(38,18) AS other_variance,
    difference, 'USD' AS currency, DATE '{today}' AS first_seen, DATE '{today}' - charge_date AS age_days,
    CASE
        WHEN age_days <= 1 THEN '0-1' WHEN age_days <= 7 THEN '2-7' WHEN age_days <= 30 THEN '8-30'
        WHEN age_days <= 60 THEN '31-60' WHEN age_days <= 90 THEN '61-90' ELSE 'over_90'
    END AS bucket,
    'open' AS status, '' AS pair_id, false AS restated,
    coalesce(lines, 0) + CASE WHEN l_row IS NULL THEN 0 ELSE entries END AS items,
    concat_ws('; ', 'events.parquet row ' || (p_row + 1)::VARCHAR || ' (' || id || ')', 'app ' || call) AS evidence,
    r.action
FROM varied v JOIN reasons r ON r.reason = v.reason
"""

# Every billed line: to the ledger row's team, else to the key's owner.
ATTRIBUTION = """
CREATE TEMP TABLE attribution AS
WITH shares AS (
    SELECT
        p_day AS charge_date, p_key AS api_key_id, p_model AS model,
        team, feature, funding, l_row IS NOT NULL AS is_matched,
        sum(lines) AS requests, sum(billed_quantity) AS quantity, sum(list_cost) AS list_cost, sum(cost) AS cost
    FROM calls
    WHERE p_row IS NOT NULL
    GROUP BY ALL
),
placed AS (
    SELECT
        s.charge_date, s.api_key_id, s.model,
        CASE WHEN is_matched THEN s.team ELSE coalesce(o.team, 'unattributed') END AS team,
        coalesce(feature, '') AS feature,
        coalesce(s.funding, o.funding) AS funding,
        CASE WHEN is_matched THEN 'request' WHEN o.team IS NOT NULL THEN 'key_owner' ELSE 'unattributed' END AS basis,
        requests, quantity, list_cost, cost
    FROM shares s
    LEFT JOIN owners o ON o.name = s.api_key_id AND s.charge_date >= o.first_day AND s.charge_date < o.end_day
)
SELECT
    charge_date, 'fal' AS provider, 'acme' AS account, '' AS sub_account, api_key_id, p.team, coalesce(t.cost_centre, '') AS cost_centre,
    feature, '' AS client, p.model, '' AS service_tier, n.meter, 'Usage' AS charge_category, funding, basis, 'billed' AS cost_basis,
    requests, quantity AS consumed_quantity, CASE n.meter WHEN 'video_seconds' THEN 'seconds' ELSE n.meter END AS consumed_unit,
    list_cost::DECIMAL(38,18) AS list_cost,
    (quantity::DECIMAL(18,3) * b.contracted)::DECIMAL(38,18) AS contracted_cost,
    cost::DECIMAL(38,18) AS billed_cost, 'USD' AS currency, cost::DECIMAL(38,18) AS reporting_cost, 'USD' AS reporting_currency,
    1 AS fx_rate, true AS settled, charge_date AS local_date
FROM placed p
LEFT JOIN team_map t ON t.name = p.team
LEFT JOIN meters n ON n.model = p.model
LEFT JOIN book b ON b.model = p.model AND b.meter = n.meter AND p.charge_date >= b.first_day AND p.charge_date < b.end_day
"""

# Cents by largest remainder inside each month, so that the rounded rows sum to the rounded total.
TEAM_MONTH = """
CREATE TEMP TABLE team_month AS
WITH parts AS (
    SELECT
        date_trunc('month', charge_date)::DATE AS period_start, team, cost_centre, provider, funding,
        sum(requests) AS requests, sum(billed_cost) AS billed_cost, currency
    FROM attribution GROUP BY ALL
),
cut AS (
    SELECT
        *,
        trunc(billed_cost * 100)::HUGEINT AS cents,
        billed_cost * 100 - trunc(billed_cost * 100) AS remainder,
        sum(billed_cost) OVER month AS whole
    FROM parts
    WINDOW month AS (PARTITION BY period_start, provider, currency)
),
ranked AS (
    SELECT
        *,
        round(whole * 100)::HUGEINT - sum(cents) OVER (PARTITION BY period_start, provider, currency) AS cents_left,
        row_number() OVER (
            PARTITION BY period_start, provider, currency ORDER BY remainder DESC, team, funding
        ) AS place
    FROM cut
)
SELECT
    r.period_start, r.team, r.cost_centre, r.provider, r.funding, r.requests, r.billed_cost,
    ((cents + CASE WHEN place <= cents_left THEN 1 ELSE 0 END)::DECIMAL(20,0) * 0.01)::DECIMAL(20,2) AS billed_cost_rounded,
    r.currency, (r.billed_cost / r.whole) AS share_ratio, b.billed_cost AS prior_month, r.billed_cost - b.billed_cost AS change
FROM ranked r
LEFT JOIN parts b ON b.period_start = r.period_start - INTERVAL 1 MONTH AND b.team = r.team AND b.provider = r.provider
    AND b.funding IS NOT DISTINCT FROM r.funding AND b.currency = r.currency
"""

REASONS = [
    "missing_in_ledger", "missing_at_provider", "unknown_key", "billed_failure", "duplicate_in_ledger", "duplicate_at_provider",
    "retry_double_charge", "cut_off", "timing", "quantity", "cache_class", "reasoning_tokens", "price", "stale_price", "discount",
    "tier", "model", "funding", "unpriced", "fx", "unit_suspect", "non_usage", "rounding", "unexplained",
]

RECONCILIATION = """
CREATE TEMP TABLE reconciliation AS
WITH copied AS (
    SELECT day, sum(CASE WHEN status = 'ok' THEN expected_cost ELSE 0 END) AS expected FROM copies GROUP BY day
),
days AS (
    SELECT
        day, sum(billed)::DECIMAL(38,18) AS provider_total, sum(expected)::DECIMAL(38,18) AS ledger_total,
        sum(matched)::DECIMAL(38,18) AS matched
    FROM (
        SELECT
            p_day AS day, cost AS billed, 0 AS expected,
            CASE WHEN cost = CASE WHEN status = 'ok' THEN expected_cost ELSE 0 END THEN cost ELSE 0 END AS matched
        FROM calls WHERE p_row IS NOT NULL
        UNION ALL
        SELECT l_day, 0, CASE WHEN status = 'ok' THEN expected_cost ELSE 0 END, 0 FROM calls WHERE l_row IS NOT NULL
        UNION ALL
        SELECT day, 0, expected, 0 FROM copied
    )
    GROUP BY day
),
reasons_by_day AS (
    SELECT charge_date AS day, {pivot} FROM drift GROUP BY charge_date
)
SELECT
    day AS charge_date, 'fal' AS provider, 'acme' AS account, 'USD' AS currency, provider_total, ledger_total,
    provider_total - ledger_total AS difference, matched, {columns},
    1 AS explained_ratio, CASE WHEN r.day IS NULL THEN 'tied' ELSE 'explained' END AS status
FROM days LEFT JOIN reasons_by_day r USING (day)
"""


def load(database, folder):
    """The job's reference files as small tables."""
    def read(name):
        with open(os.path.join(folder, name), "rb") as file:
            return tomllib.load(file)

    def table(name, columns, rows):
        database.execute(f"CREATE TEMP TABLE {name} ({columns})")
        if rows:
            database.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    job, prices, names, teams = read("job.toml"), read("prices.toml"), read("names.toml"), read("teams.toml")
    off = {discount["model"]: discount["percent"] for discount in prices.get("discount", [])}
    table(
        "list_prices", "model VARCHAR, meter VARCHAR, list DECIMAL(12,6), off DECIMAL(5,2), first_day DATE, end_day DATE",
        [(price["model"], meter, value, off.get(price["model"], "0"), price["from"], price.get("to", FOREVER))
         for price in prices["price"] for meter, value in price["meters"].items()],
    )
    database.execute("CREATE TEMP TABLE book AS SELECT *, (list * (100 - off) * 0.01)::DECIMAL(18,10) AS contracted FROM list_prices")
    table("meters", "model VARCHAR, meter VARCHAR", [(name["name"], name["is"]) for name in names["name"]])
    table("team_map", "name VARCHAR, cost_centre VARCHAR", [(team["name"], team.get("cost_centre", "")) for team in teams["team"]])
    table(
        "owners", "name VARCHAR, team VARCHAR, funding VARCHAR, first_day DATE, end_day DATE",
        [(owner["name"], owner["team"], owner.get("funding"), owner.get("from", ALWAYS), owner.get("to", FOREVER))
         for owner in teams["owner"] if owner["kind"] == "api_key"],
    )
    table("reasons", "reason VARCHAR, assertion VARCHAR, action VARCHAR", [
        ("missing_in_ledger", "completeness", "find the caller that bypasses the ledger"),
        ("missing_at_provider", "completeness", "ask the provider, or correct the ledger row"),
        ("billed_failure", "completeness", "check whether the provider owes a refund for failed calls"),
        ("duplicate_in_ledger", "occurrence", "make the ledger write each call once"),
        ("quantity", "accuracy", "compare the usage object of one call with what the ledger stored"),
        ("price", "valuation", "check the price book against the provider's price list"),
    ])
    return job


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", help="what benches/generate.py wrote")
    arguments.add_argument("out", help="where the CSV files go; made if it is not there")
    arguments.add_argument("--shape", choices=["group", "join"], default="join")
    arguments.add_argument("--threads", type=int, default=2)
    asked = arguments.parse_args()
    os.makedirs(asked.out, exist_ok=True)

    database = duckdb.connect()
    database.execute(f"SET threads = {asked.threads}")
    database.execute("SET preserve_insertion_order = false")
    job = load(database, asked.folder)
    values = {"folder": asked.folder.replace("'", "''"), "first": job["window"]["from"], "end": job["window"]["to"]}
    sides = {"folder": values["folder"], "ledger": LEDGER.format(**values), "events": EVENTS.format(**values)}
    database.execute((GROUP if asked.shape == "group" else JOIN).format(**sides))
    database.execute(ITEMS)
    # The day that the run speaks for: the last of the window.
    today = date.fromisoformat(job["window"]["to"]) - timedelta(days=1)
    database.execute(DRIFT.format(today=today))
    database.execute(ATTRIBUTION)
    database.execute(TEAM_MONTH)
    database.execute(RECONCILIATION.format(
        pivot=", ".join(f"sum(difference) FILTER (reason = '{reason}') AS {reason}" for reason in REASONS),
        columns=", ".join(f"coalesce(r.{reason}, 0) AS {reason}" for reason in REASONS),
    ))
    for name in ["attribution", "team_month", "reconciliation", "drift"]:
        path = os.path.join(asked.out, f"{name}.csv").replace("'", "''")
        database.execute(f"COPY (SELECT * FROM {name} ORDER BY ALL) TO '{path}' (FORMAT csv, HEADER)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
