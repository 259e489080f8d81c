#!/bin/sh
# Install servers of object stores' protocols for the tests.
#
#   scripts/stores.sh gs       fills .cache/fake-gcs-server: Google Cloud Storage's protocol, built by Go
#   scripts/stores.sh azure    fills .cache/azurite: Azure Blob Storage's, by npm; runs on Node.js
#
# Does nothing when that version is there already. Go verifies what it builds by its checksum database; of Azurite the
# version is exact, and what it depends on is what npm finds for it.
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
  name=fake-gcs-server version=1.52.2 # BSD 2-Clause
  ;;
azure)
  name=azurite version=3.35.0 # MIT; 3.36 wants Node.js 22
  ;;
*)
  echo 'stores.sh: name a store: gs, azure' >&2
  exit 2
  ;;
esac

folder=$cache/$name
test "$(cat "$folder/version" 2>/dev/null)" = "$version" && exit 0
mkdir -p "$cache"
part=$(mktemp -d "$cache/part.XXXXXX")
trap 'rm -rf "$part"' EXIT
case $1 in
gs)
  needs go
  GOBIN=$part CGO_ENABLED=0 go install "github.com/fsouza/fake-gcs-server@v$version"
  ;;
azure)
  needs npm
  npm install --silent --no-audit --no-fund --ignore-scripts --omit=dev --omit=optional --prefix "$part" "azurite@$version"
  ;;
esac
echo "$version" >"$part/version"
rm -rf "$folder"
mv "$part" "$folder"
chmod 755 "$folder"
