#!/bin/sh
# Install an emulator of BigQuery for the tests into an environment of its own: it needs another DuckDB than the package.
#
#   scripts/bigquery.sh      makes .venv-bigquery; does nothing when it is there
set -eu

folder=.venv-bigquery
uv=${UV:-.venv/bin/uv}
test -x "$folder/bin/bqemulator" && exit 0
"$uv" venv --quiet "$folder"
"$uv" pip install --quiet --python "$folder/bin/python" \
  bqemulator==1.4.0 duckdb==1.5.5 duckdb-extension-spatial==1.5.5 numpy
# the emulator asks DuckDB for its extension `spatial`, which lies in a package instead of being fetched
packages=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
platform=$("$folder/bin/python" -c 'import duckdb; print(duckdb.sql("PRAGMA platform").fetchone()[0])')
mkdir -p "$folder/home/.duckdb/extensions/v1.5.5/$platform"
cp "$packages"/duckdb_extension_spatial/extensions/v1.5.5/spatial.duckdb_extension \
  "$folder/home/.duckdb/extensions/v1.5.5/$platform/"
