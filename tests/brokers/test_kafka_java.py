"""An address of Kafka says the same to Java's client."""

import pytest

from trunkline.brokers.kafka_address import kafka_address
from trunkline.brokers.kafka_java import java_options
from trunkline.errors import InputError


def test_a_user_and_a_password_become_a_login_that_quotes_them() -> None:
    said = java_options(kafka_address("kafka://one:9092,two/readings?sasl.mechanism=SCRAM-SHA-512&sasl.username=u"))
    assert said["bootstrap.servers"] == "one:9092,two:9092"
    assert said["sasl.jaas.config"].endswith('ScramLoginModule required username="u" password="";')
    quoted = java_options(kafka_address(r"kafka://me:p%22w\d@one/readings"))["sasl.jaas.config"]
    assert quoted.endswith(r'PlainLoginModule required username="me" password="p\"w\\d";')


@pytest.mark.parametrize("option", ["ssl.key.location=/key.pem", "sasl.mechanism=GSSAPI", "linger.ms=5"])
def test_what_java_cannot_be_told_is_refused_by_name(option: str) -> None:
    with pytest.raises(InputError) as refused:
        java_options(kafka_address(f"kafka://one/readings?{option}"))
    assert refused.value.allowed


def test_records_of_aborted_transactions_are_not_asked_for() -> None:
    assert java_options(kafka_address("kafka://one/readings"))["isolation.level"] == "read_committed"
