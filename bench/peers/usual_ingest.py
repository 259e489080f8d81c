"""How readings are usually taken in: FastAPI, a Pydantic model, one row inserted and committed per record.

``POST /readings`` is what FastAPI's own tutorial on SQL databases does: one record a request, validated by Pydantic,
added to a session of SQLAlchemy, committed. ``POST /batches`` takes a list of records and inserts them one by one with
one commit, which is more than most do. Synchronous routes on uvicorn, SQLite with a write-ahead log, as fast as the
tutorial's design goes. Run as a program: ``usual_ingest.py DATABASE PORT``.
"""

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field
from sqlalchemy import String, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Reading(BaseModel):
    """A reading as it is sent."""

    device_id: str = Field(max_length=64)
    session_id: str = Field(max_length=64)
    message_id: int | None = Field(default=None, ge=0)
    sensor: str = Field(max_length=40, pattern=r"^[a-z][a-z0-9_]*$")
    read_at: datetime
    x: float | None = None
    y: float | None = None
    z: float | None = None
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    altitude_m: float | None = None
    horizontal_accuracy_m: float | None = None
    vertical_accuracy_m: float | None = None
    speed_mps: float | None = None
    speed_accuracy_mps: float | None = None
    bearing_deg: float | None = None
    bearing_accuracy_deg: float | None = None
    battery_level: float | None = Field(default=None, ge=0, le=1)
    battery_state: str | None = None
    low_power_mode: bool | None = None


class Base(DeclarativeBase):
    """All tables."""


class Row(Base):
    """A reading as it is kept."""

    __tablename__ = "readings"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(String(64))
    session_id: Mapped[str] = mapped_column(String(64))
    message_id: Mapped[int | None]
    sensor: Mapped[str] = mapped_column(String(40))
    read_at: Mapped[datetime]
    x: Mapped[float | None]
    y: Mapped[float | None]
    z: Mapped[float | None]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    altitude_m: Mapped[float | None]
    horizontal_accuracy_m: Mapped[float | None]
    vertical_accuracy_m: Mapped[float | None]
    speed_mps: Mapped[float | None]
    speed_accuracy_mps: Mapped[float | None]
    bearing_deg: Mapped[float | None]
    bearing_accuracy_deg: Mapped[float | None]
    battery_level: Mapped[float | None]
    battery_state: Mapped[str | None]
    low_power_mode: Mapped[bool | None]


engine = create_engine(f"sqlite:///{sys.argv[1]}", connect_args={"check_same_thread": False, "timeout": 30})


@event.listens_for(engine, "connect")
def _durable(connection: object, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]  # SQLite's own


def opened() -> Iterator[Session]:
    """Lend a session to a request."""
    with Session(engine) as session:
        yield session


app = FastAPI()


@app.post("/readings")
def one(reading: Reading, session: Annotated[Session, Depends(opened)]) -> dict[str, int]:
    """Keep one reading."""
    row = Row(**reading.model_dump())
    session.add(row)
    session.commit()
    session.refresh(row)
    return {"id": row.id}


@app.post("/batches")
def many(readings: list[Reading], session: Annotated[Session, Depends(opened)]) -> dict[str, int]:
    """Keep some readings, inserted one by one."""
    for reading in readings:
        session.add(Row(**reading.model_dump()))
        session.flush()
    session.commit()
    return {"kept": len(readings)}


if __name__ == "__main__":
    Base.metadata.create_all(engine)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
