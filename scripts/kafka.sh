#!/bin/sh
# Fetch Apache Kafka, one node's worth of it, for the tests: scripts/maven.sh says how.
exec "$(dirname "$0")/maven.sh" kafka
