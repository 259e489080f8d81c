#!/bin/sh
# Install Airflow for the tests into an environment of its own, as it would stand beside Trunkline's on a worker.
#
#   scripts/airflow.sh       makes .venv-airflow; does nothing when it is there in the pinned version
set -eu
cd "$(dirname "$0")/.."

folder=.venv-airflow
uv=${UV:-.venv/bin/uv}
wanted=$(sed -n 's/^apache-airflow==//p' constraints.txt)
test -f "$folder/.installed-$wanted" && exit 0
rm -rf "$folder" # half-made, or of another version
"$uv" venv --quiet --python .venv/bin/python "$folder"
"$uv" pip install --quiet --python "$folder/bin/python" --constraint constraints.txt --compile-bytecode apache-airflow
touch "$folder/.installed-$wanted"
