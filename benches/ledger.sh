#!/usr/bin/env bash
# How fast ledgers are read from databases: the program's own reader beside `sqlite3` and `psql` printing the same
# columns of the same rows to /dev/null, in turn. See benches/README.md.
#
#   benches/ledger.sh [FOLDER]      default: a folder in the system's temporary folder
#   ROWS=1000000 ROUNDS=3 benches/ledger.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
rows=${ROWS:-10000000}
rounds=${ROUNDS:-5}
folder=${1:-${TMPDIR:-/tmp}/tieout-ledger-$rows}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
target=${CARGO_TARGET_DIR:-$here/../target}
columns="request_id, attempt, started_at, provider, model, provider_request_id, api_key_id, team, input_tokens, expected_cost"

program() { # the newest server's program, or the one in the path
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin/"$1" 2>/dev/null | tail -1)
    echo "${found:-$(command -v "$1")}"
}
# A server does not run as root.
as_server() { if [ "$(id -u)" = 0 ]; then runuser -u nobody -- "$@"; else "$@"; fi; }

cargo build --release --bench ledger --manifest-path "$here/../Cargo.toml"
reader=$(ls -t "$target"/release/deps/ledger-* | grep -v '\.d$' | head -1)

# Five weeks in order of time, 4 providers, 20 models, 60 keys, 12 teams; the number of a row decides everything.
if [ ! -e "$folder/ledger.db" ]; then
    rm -f "$folder/making.db"
    sqlite3 -cmd "PRAGMA journal_mode=OFF" -cmd "PRAGMA synchronous=OFF" "$folder/making.db" >/dev/null <<SQL
CREATE TABLE request_ledger (request_id TEXT, attempt INTEGER, started_at TEXT, provider TEXT, model TEXT,
    provider_request_id TEXT, api_key_id TEXT, team TEXT, input_tokens INTEGER, expected_cost TEXT);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $rows - 1)
INSERT INTO request_ledger SELECT
    printf('req-%08x-%08x', (i * 2654435761) & 4294967295, i), 1,
    strftime('%Y-%m-%dT%H:%M:%SZ', 1791849600 + i * 3024000 / $rows, 'unixepoch'),
    CASE i % 4 WHEN 0 THEN 'openai' WHEN 1 THEN 'anthropic' WHEN 2 THEN 'fal' ELSE 'openrouter' END,
    'model-' || (i % 20), printf('prov-%08x-%08x', (i * 40503) & 4294967295, i), 'key-' || (i % 60), 'team-' || (i % 12),
    1000 + i % 5000, printf('0.%06d', (i * 37) % 1000000)
FROM n;
SQL
    mv "$folder/making.db" "$folder/ledger.db"
fi

server=$(mktemp -d)
port=54987
[ "$(id -u)" = 0 ] && chown nobody "$server"
cd /
as_server "$(program initdb)" -D "$server/data" -U postgres -A trust -E UTF8 --locale=C >"$server.log" 2>&1
as_server "$(program postgres)" -D "$server/data" -c port=$port -c unix_socket_directories="$server" -c listen_addresses= \
    -c fsync=off -c full_page_writes=off -c shared_buffers=512MB -c max_wal_size=8GB >>"$server.log" 2>&1 &
started=$!
trap 'kill -INT $started; wait $started || true; rm -rf "$server" "$server.log"' EXIT
ask() { psql -h "$server" -p $port -U postgres -q "$@"; }
until ask -c "SELECT 1" >/dev/null 2>&1; do sleep 0.2; done
ask -c "CREATE TABLE request_ledger (request_id text, attempt integer, started_at timestamptz, provider text, model text,
    provider_request_id text, api_key_id text, team text, input_tokens bigint, expected_cost numeric)"
sqlite3 -csv "$folder/ledger.db" "SELECT * FROM request_ledger" | ask -c "COPY request_ledger FROM STDIN (FORMAT csv)"
ask -c "CREATE INDEX ON request_ledger (started_at)" -c "VACUUM ANALYZE request_ledger"

job() { # name, place
    cat >"$folder/$1.toml" <<TOML
name = "bench"
output = "out"
state = "state"
window = { from = "2026-10-13", to = "2026-11-17" }
[[ledger]]
name = "$1"
$2
[[source]]
provider = "fal"
account = "none"
pull = [{ files = ["none.json"] }]
TOML
}
job sqlite "sqlite = \"ledger.db\""
job postgres "postgres = { host = \"$server\", port = $port, database = \"postgres\", user = \"postgres\" }"

ms() { local from; from=$(date +%s%N); "$@" >/dev/null; echo $((($(date +%s%N) - from) / 1000000)); }
span="started_at >= '2026-10-13' AND started_at < '2026-11-17'"
for round in $(seq "$rounds"); do
    echo "shell-sqlite $(ms sqlite3 "$folder/ledger.db" "SELECT $columns FROM request_ledger WHERE $span")"
    "$reader" "$folder/sqlite.toml"
    echo "shell-postgres $(ms ask -c "COPY (SELECT $columns FROM request_ledger WHERE $span) TO STDOUT")"
    "$reader" "$folder/postgres.toml"
done | tee "$folder/rounds.txt"

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for engine in sqlite postgres; do
    shell=$(awk -v name="shell-$engine" '$1 == name { print $2 }' "$folder/rounds.txt" | median)
    ours=$(sed -n "s/^$engine .* \([0-9]*\) ms.*/\1/p" "$folder/rounds.txt" | median)
    echo "$engine: shell $shell ms, tieout $ours ms, ratio $((ours * 100 / shell)) per cent"
done
