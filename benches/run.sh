#!/usr/bin/env bash
# Builds tieout for release, makes the files if they are not there, and runs tieout and the DuckDB script in
# turn on them. See benches/README.md.
#
#   benches/run.sh [FOLDER]      default: a folder in the system's temporary folder
#   ROWS=10000000 ROUNDS=3 PYTHON=… benches/run.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
rows=${ROWS:-1000000}
rounds=${ROUNDS:-5}
python=${PYTHON:-python3}
folder=${1:-${TMPDIR:-/tmp}/tieout-bench-$rows}

"$python" -c "import duckdb" 2>/dev/null || {
    echo "the Python package duckdb is not there: $python -m pip install duckdb" >&2
    exit 1
}
cargo build --release --manifest-path "$here/../Cargo.toml"
target=${CARGO_TARGET_DIR:-$here/../target}

# The job is written last: a folder without it is not complete.
if [ ! -e "$folder/job.toml" ]; then
    "$python" "$here/generate.py" --rows "$rows" "$folder"
fi
exec "$python" "$here/measure.py" "$target/release/tieout" "$folder" --rounds "$rounds"
