#!/bin/sh
# Fetch archives of Java for servers of the tests and for Spark: those that scripts/NAME-jars.txt lists.
#
#   scripts/maven.sh kafka          fills .cache/kafka (KAFKA_CACHE names another folder); does nothing when all is there
#   scripts/maven.sh opensearch     likewise (OPENSEARCH_CACHE)
#   scripts/maven.sh mongodb        likewise (MONGODB_CACHE): a server of its protocol, mongo-java-server
#   scripts/maven.sh spark_kafka    likewise (SPARK_KAFKA_CACHE): what Spark reads Kafka with
#   scripts/maven.sh spark_delta    likewise (SPARK_DELTA_CACHE): what Spark reads Delta tables with
#
# From $MAVEN_CENTRAL, the address of a Maven repository, where it is set (curl); else by Maven and its own settings
# (mvn). Each archive must have the SHA-256 that the list says.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
name=${1:?name a list: kafka, opensearch, mongodb, spark_kafka, spark_delta}
list=$here/$name-jars.txt
eval "folder=\${$(echo "$name" | tr a-z A-Z)_CACHE:-$here/../.cache/$name}"
mkdir -p "$folder"

sums() {
  sed -E '/^#/d; s/^[^:]+:([^:]+):([^ ]+) (.+)$/\3  \1-\2.jar/' "$list"
}

whole() {
  (cd "$folder" && sums | sha256sum --check --status 2>/dev/null)
}

whole && exit 0

part=$(mktemp -d "$folder/part.XXXXXX")
trap 'rm -rf "$part"' EXIT
if [ -n "${MAVEN_CENTRAL:-}" ]; then
  sed '/^#/d; s/ .*//' "$list" | while IFS=: read -r group artifact version; do
    path=$(echo "$group" | tr . /)/$artifact/$version/$artifact-$version.jar
    curl --fail --silent --show-error --location --retry 3 --max-time 120 --output "$part/$artifact-$version.jar" "${MAVEN_CENTRAL%/}/$path"
  done
elif command -v mvn >/dev/null; then
  {
    echo "<project><modelVersion>4.0.0</modelVersion><groupId>trunkline</groupId><artifactId>$name</artifactId>"
    echo '<version>1</version><dependencies>'
    sed -E '/^#/d; s|^([^:]+):([^:]+):([^ ]+) .*$|<dependency><groupId>\1</groupId><artifactId>\2</artifactId><version>\3</version><exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>|' "$list"
    echo '</dependencies></project>'
  } >"$part/pom.xml"
  (cd "$part" && mvn --batch-mode --quiet dependency:copy-dependencies -DoutputDirectory="$part")
else
  echo 'maven.sh: set MAVEN_CENTRAL to the address of a Maven repository, or install maven' >&2
  exit 2
fi
mv "$part"/*.jar "$folder/"
whole || {
  echo 'maven.sh: an archive is missing, or is not the one that is listed' >&2
  exit 1
}
