"""Servers for tests: each starts once a process, or once a test that kills it, on 127.0.0.1, in a folder of its own.

Databases refuse to run as root: root lends them a user without rights. A test whose server is not installed is
skipped, with the command that installs it.
"""

from tests.servers.certificates import make_certificates
from tests.servers.databases import mariadb_server, mariadb_url, mysql_url, postgres_server, postgres_url
from tests.servers.google import bigquery_emulator, bigquery_program, kept_bigquery, pubsub_emulator
from tests.servers.kafka import closed_kafka, kafka_node, kafka_servers
from tests.servers.mongodb import mongodb_url
from tests.servers.mosquitto import mosquitto
from tests.servers.opensearch import opensearch, opensearch_url
from tests.servers.rabbitmq import rabbitmq
from tests.servers.stores import azure_endpoint, bucket, gcs_endpoint, s3_endpoint

__all__ = [
    "azure_endpoint",
    "bigquery_emulator",
    "bigquery_program",
    "bucket",
    "closed_kafka",
    "gcs_endpoint",
    "kafka_node",
    "kafka_servers",
    "kept_bigquery",
    "make_certificates",
    "mariadb_server",
    "mariadb_url",
    "mongodb_url",
    "mosquitto",
    "mysql_url",
    "opensearch",
    "opensearch_url",
    "postgres_server",
    "postgres_url",
    "pubsub_emulator",
    "rabbitmq",
    "s3_endpoint",
]
