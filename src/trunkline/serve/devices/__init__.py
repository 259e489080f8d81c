"""Devices that may write: who they are, by what they are known, and lists for a broker that asks them itself."""

from trunkline.serve.devices.mosquitto import mosquitto_lists
from trunkline.serve.devices.registry import Added, Device, DeviceRegistry

__all__ = ["Added", "Device", "DeviceRegistry", "mosquitto_lists"]
