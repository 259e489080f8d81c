#!/bin/sh
# Install Airflow for the tests into an environment of its own, as it would stand beside Trunkline's on a worker.
#
#   scripts/airflow.sh       makes .venv-airflow; does nothing when it is there as this script makes it
set -eu
cd "$(dirname "$0")/.."

folder=.venv-airflow
uv=${UV:-.venv/bin/uv}
stamp=$folder/.installed-$(cat scripts/airflow.sh constraints.txt | cksum | cut -d ' ' -f 1)
test -f "$stamp" && exit 0
rm -rf "$folder" # half-made, or of other versions
"$uv" venv --quiet --python .venv/bin/python "$folder"
"$uv" pip install --quiet --python "$folder/bin/python" --constraint constraints.txt --compile-bytecode \
  apache-airflow google-cloud-storage google-cloud-dataproc==5.32.0 google-cloud-secret-manager==2.32.0 \
  google-auth-httplib2==0.4.4 google-api-python-client==2.202.0 gcloud-aio-auth==5.5.1
# Google's provider needs all of Google's clients; its operators of Dataproc need those above
"$uv" pip install --quiet --python "$folder/bin/python" --no-deps apache-airflow-providers-google==22.8.0
touch "$stamp"
