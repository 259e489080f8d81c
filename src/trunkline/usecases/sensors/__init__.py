"""What do handsets and network equipment sense right now? Readings of phones and equipment, as they come in.

Messages come over the HTTP edge or a broker, are checked row by row, and are in the lake within seconds; windows of
each device are computed of them, scored, and announced where a rule says so.
"""

from trunkline.spec import Publication, UseCase
from trunkline.usecases.sensors.contracts import Device, Reading
from trunkline.usecases.sensors.envelope import unwrap
from trunkline.usecases.sensors.recordings import RECORDING
from trunkline.usecases.sensors.windows import movement, travel

usecase = UseCase(
    name="sensors",
    title="Sensors",
    question="What do handsets and network equipment sense right now?",
    datasets={"readings": Reading, "devices": Device},
    windows={"movement": movement, "travel": travel},
    main="readings",
    task=None,
    metric="",
    envelopes={"readings": unwrap},
    recordings={"readings": RECORDING},
    publish=(
        Publication(
            name="sensor_movement",
            table="movement",
            mode="dated",
            dated_by="window_start_at",
            view="sensor_movement_today",
        ),
        Publication(
            name="sensor_travel", table="travel", mode="dated", dated_by="window_start_at", view="sensor_travel_today"
        ),
        Publication(name="sensor_alerts", table="platform.alerts", mode="upsert"),
    ),
)
