"""What do handsets and network equipment sense right now? Readings of phones and equipment, as they come in.

Messages come over the HTTP edge or a broker, are checked row by row, and are in the lake within seconds; windows of
each device are computed of them, scored, and announced where a rule says so.
"""

from trunkline.spec import LiveChart, Publication, UseCase
from trunkline.usecases.sensors.contracts import Device, Reading, Site, Subscriber
from trunkline.usecases.sensors.envelope import unwrap
from trunkline.usecases.sensors.recordings import RECORDING
from trunkline.usecases.sensors.simulate import simulate
from trunkline.usecases.sensors.windows import movement, travel

usecase = UseCase(
    name="sensors",
    title="Sensors",
    question="What do handsets and network equipment sense right now?",
    datasets={"readings": Reading, "devices": Device, "sites": Site, "subscribers": Subscriber},
    windows={"movement": movement, "travel": travel},
    main="readings",
    task=None,
    metric="",
    simulate=simulate,
    simulated_rows=100,
    envelopes={"readings": unwrap},
    recordings={"readings": RECORDING},
    live=(
        LiveChart(
            dataset="readings",
            by=("device_id",),
            kind="sensor",
            values=("x", "y", "z", "speed_mps", "battery_level"),
        ),
    ),
    publish=(
        Publication(
            name="sensor_movement",
            table="movement",
            mode="daily",
            dated_by="window_start_at",
            view="sensor_movement_today",
        ),
        Publication(
            name="sensor_travel", table="travel", mode="daily", dated_by="window_start_at", view="sensor_travel_today"
        ),
        Publication(name="sensor_alerts", table="platform.alerts", mode="upsert"),
        Publication(
            name="sensor_readings",
            table="readings",
            mode="daily",
            dated_by="read_at",
            view="sensor_readings_today",
            by_name=True,
        ),
    ),
)
