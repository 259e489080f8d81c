#!/bin/sh
# Resolve every extra but `vision` together and write constraints.txt: exact versions, no addresses.
# Existing pins are kept where they still fit; UPGRADE=1 takes the newest versions instead.
set -eu
cd "$(dirname "$0")/.."

new=$(mktemp)
trap 'rm -f "$new"' EXIT
cp constraints.txt "$new" # uv reads its own output as preferences
.venv/bin/uv pip compile pyproject.toml --extra dev --extra all --output-file "$new" ${UPGRADE:+--upgrade} \
  --universal --python-version 3.11 --quiet \
  --no-annotate --no-header --no-emit-index-url --no-emit-find-links

if grep -nE '://|@|^-' "$new" >&2; then
  echo "constraints.sh: the lines above hold more than a name and a version; nothing was written" >&2
  exit 1
fi
{
  echo "# Written by 'make constraints': the versions that the tests run with. Do not edit."
  cat "$new"
} >constraints.txt
echo "constraints.txt: $(grep -c == constraints.txt) pins"
