"""MQTT 5: messages of devices, acknowledged by hand once they are durable here."""

from trunkline.brokers.mqtt.receiving import MqttReceiver, Received

__all__ = ["MqttReceiver", "Received"]
