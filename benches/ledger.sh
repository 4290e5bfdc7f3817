#!/usr/bin/env bash
# How fast ledgers are read from databases: the program's own reader beside `sqlite3` and `psql` printing the same
# columns of the same rows to /dev/null, in turn. See benches/README.md.
#
#   benches/ledger.sh [FOLDER]      default: a folder in the system's temporary folder
#   ROWS=1000000 ROUNDS=3 benches/ledger.sh
#
# Ends with 1 when rows or their sum are not those of the database, or when the reader needs 1 GiB or more. Times are
# printed and never judged.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
rows=${ROWS:-10000000}
rounds=${ROUNDS:-5}
folder=${1:-${TMPDIR:-/tmp}/tieout-ledger-$rows}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
columns="request_id, attempt, started_at, provider, model, provider_request_id, api_key_id, team, input_tokens, expected_cost"
span="started_at >= '2026-10-13' AND started_at < '2026-11-17'"

program() { # the newest server's program, or the one in the path
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin/"$1" 2>/dev/null | sort -V | tail -1)
    echo "${found:-$(command -v "$1")}"
}
# A server does not run as root.
as_server() { (cd / && if [ "$(id -u)" = 0 ]; then exec runuser -u nobody -- "$@"; else exec "$@"; fi); }

reader=$(cargo build --release --bench ledger --manifest-path "$here/../Cargo.toml" --message-format json |
    grep '"kind":\["bench"\]' | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

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
trap 'as_server "$(program pg_ctl)" -D "$server/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$server"' EXIT
as_server "$(program initdb)" -D "$server/data" -U postgres -A trust -E UTF8 --locale=C >/dev/null
as_server "$(program pg_ctl)" -D "$server/data" -l "$server/log" -w start -o "-c port=$port -c listen_addresses= \
    -c unix_socket_directories=$server -c timezone=UTC -c fsync=off -c full_page_writes=off -c autovacuum=off \
    -c shared_buffers=512MB -c max_wal_size=8GB" >/dev/null
postmaster=$(head -1 "$server/data/postmaster.pid")
ask() { psql -h "$server" -p $port -U postgres -d postgres -q "$@"; }
ask -c "CREATE TABLE request_ledger (request_id text, attempt integer, started_at timestamptz, provider text, model text,
    provider_request_id text, api_key_id text, team text, input_tokens bigint, expected_cost numeric)"
sqlite3 -csv "$folder/ledger.db" "SELECT * FROM request_ledger" | ask -c "COPY request_ledger FROM STDIN (FORMAT csv)"
ask -c "CREATE INDEX ON request_ledger (started_at)" -c "VACUUM ANALYZE request_ledger"
expected=$(ask -At -c "SELECT 'cost ' || trim_scale(sum(expected_cost)) FROM request_ledger")

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

# CPU of the database server so far, in clock ticks: its backends count once they are over.
ticks() { sleep 0.2; awk '{ print $14 + $15 + $16 + $17 }' "/proc/$postmaster/stat"; }
second=$(getconf CLK_TCK)
# One line for each run: who, wall seconds, CPU seconds of the program, CPU seconds of the database server.
measured() { # who, what it says goes to the screen
    local who=$1 before after
    shift
    before=$(ticks)
    TIMEFORMAT='%R %U %S'
    { time "$@" >"$folder/said.txt" 2>"$folder/errors.txt"; } 2>"$folder/time.txt" ||
        { cat "$folder/errors.txt" >&2; exit 1; }
    after=$(ticks)
    awk -v who="$who" -v ticks=$((after - before)) -v second="$second" \
        '{ printf "%s wall %.2f cpu %.2f server %.2f\n", who, $1, $2 + $3, ticks / second }' "$folder/time.txt"
}
ours() {
    measured "$1" "$reader" "$folder/$1.toml"
    cat "$folder/said.txt"
    grep -q "^$1 $rows rows, 0 set aside, $expected, " "$folder/said.txt" ||
        { echo "$1: expected $rows rows, $expected" >&2; exit 1; }
}
silent() { "$@" >/dev/null; }
for _ in $(seq "$rounds"); do
    measured shell-sqlite silent sqlite3 "$folder/ledger.db" "SELECT $columns FROM request_ledger WHERE $span"
    ours sqlite
    measured shell-postgres silent ask -c "COPY (SELECT $columns FROM request_ledger WHERE $span) TO STDOUT"
    ours postgres
done | tee "$folder/rounds.txt"

median() { # who, column
    awk -v who="$1" -v column="$2" '$1 == who && $2 == "wall" { print $column }' "$folder/rounds.txt" | sort -n |
        awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
echo
echo "medians of $rounds rounds, $rows rows; seconds"
for engine in sqlite postgres; do
    for who in "shell-$engine" "$engine"; do
        echo "$who: wall $(median "$who" 3), CPU $(median "$who" 5), of the server $(median "$who" 7)"
    done
    awk -v engine=$engine -v shell="$(median "shell-$engine" 3)" -v ours="$(median $engine 3)" \
        'BEGIN { printf "%s: %.2f times the shell (at most 1.60)\n", engine, ours / shell }'
    awk -v engine=$engine '$1 == engine && /peak/ { sub(/.*peak /, ""); if ($1 > most) most = $1 }
        END { printf "%s: peak %.0f MiB (below 1024)\n", engine, most / 1024; exit most >= 1048576 }' "$folder/rounds.txt"
done
