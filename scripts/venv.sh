#!/bin/sh
# Make .venv with pip and uv in it, from the first Python >= 3.11 found ($PYTHON goes first).
set -eu
cd "$(dirname "$0")/.."

[ -x .venv/bin/uv ] && .venv/bin/python -c '' 2>/dev/null && exit 0

found=
for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    found=$candidate
    break
  fi
done
if [ -z "$found" ]; then
  echo "venv.sh: no Python >= 3.11 on the PATH; install one, or name it: make PYTHON=/path/to/python3.11" >&2
  exit 1
fi

PYTHON=$found scripts/system.sh venv openmp
rm -rf .venv # half-made, or its Python is gone
"$found" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
