#!/bin/sh
# Install servers of object stores' protocols for the tests.
#
#   scripts/stores.sh gs       fills .cache/fake-gcs-server: Google Cloud Storage's protocol, built by Go
#   scripts/stores.sh azure    fills .cache/azurite: Azure Blob Storage's, by npm; runs on Node.js
#
# Does nothing when it is there already, and gives up after four minutes. Versions are exact; Go verifies what it builds by its checksum database.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../.cache
needs() {
  command -v "$1" >/dev/null || {
    echo "stores.sh: $1 is not installed" >&2
    exit 2
  }
}

case ${1:-} in
gs)
  folder=$cache/fake-gcs-server
  test -x "$folder/fake-gcs-server" && exit 0
  needs go
  ;;
azure)
  folder=$cache/azurite
  test -e "$folder/node_modules/azurite" && exit 0
  needs npm
  ;;
*)
  echo 'stores.sh: name a store: gs, azure' >&2
  exit 2
  ;;
esac

mkdir -p "$cache"
part=$(mktemp -d "$cache/part.XXXXXX")
trap 'rm -rf "$part"' EXIT
case $1 in
gs) GOBIN=$part CGO_ENABLED=0 timeout 240 go install github.com/fsouza/fake-gcs-server@v1.52.2 ;; # BSD 2-Clause
azure) timeout 240 npm install --silent --no-audit --no-fund --ignore-scripts --omit=dev --omit=optional --prefix "$part" azurite@3.35.0 ;; # MIT; 3.36 wants Node.js 22
esac
rm -rf "$folder"
mv "$part" "$folder"
chmod 755 "$folder"
