"""What do handsets and network equipment sense right now? Readings of phones and equipment, as they come in.

A use case of pure ingestion: messages come over the HTTP edge or a broker, are checked row by row, and are in the lake
within seconds.
"""

from trunkline.spec import UseCase
from trunkline.usecases.sensors.contracts import Reading
from trunkline.usecases.sensors.envelope import unwrap

usecase = UseCase(
    name="sensors",
    title="Sensors",
    question="What do handsets and network equipment sense right now?",
    datasets={"readings": Reading},
    main="readings",
    task=None,
    metric="",
    envelopes={"readings": unwrap},
)
