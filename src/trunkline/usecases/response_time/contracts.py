"""What monitoring tells of servers: hours in wide tables, and metrics in long form.

The wide contract has a main server, seven sub-servers and loads; its aliases are column names met in real tables. The
long one takes any server and any metric, at any pace: several values of an hour are averaged.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from trunkline.contracts import Contract, Instant, Integer, Number, Table, Text, field

__all__ = ["APPLICATION", "COLUMNS", "RESPONSE_TIME", "ResponsePercentiles", "ServerHour", "ServerMetric"]

RESPONSE_TIME: Final = "response_time_ms"
"""The metric that is forecast."""

APPLICATION: Final = "all"
"""Servers of a source that names no application belong together."""

_SPELLED: Final = {
    "Average Response Time (ms)": RESPONSE_TIME,
    "Calls per Minute": "calls_per_minute",
    "Errors per Minute": "errors_per_minute",
    "Exceptions per Minute": "exceptions_per_minute",
    "Number of Slow Calls": "slow_calls_per_minute",
    "Number of Very Slow Calls": "very_slow_calls_per_minute",
    "%Busy": "cpu_busy_percent",
    "Used %": "memory_used_percent",
}
"""Names of metrics as AppDynamics has them."""


class ServerMetric(Contract):
    """One row per server, metric and instant."""

    table: ClassVar[Table] = Table(key=("server", "metric", "at"), event_at="at")

    server: Text = field("The server or tier", max_length=200, aliases=("tier", "Server", "host"))
    metric: Text = field(
        "What was measured, with its unit; response_time_ms is forecast",
        max_length=200,
        aliases=("metricName", "Metric"),
        mapping=_SPELLED,
    )
    at: Instant = field(
        "Begin of the hour, or of the shorter interval, that the value stands for",
        zone="UTC",
        aliases=("timestamp", "time", "ts_utc"),
    )
    value: Number = field("The mean over the interval, in the metric's unit", aliases=("Value",))
    application: Text = field(
        "Servers of one application see each other's metrics", max_length=200, impute=APPLICATION, aliases=("app",)
    )


class ServerHour(Contract):
    """One row per hour: response times of a main server and seven sub-servers, and what moves beside them."""

    table: ClassVar[Table] = Table(key=("at",), event_at="at")

    at: Instant = field("Begin of the hour", zone="UTC", aliases=("hour_utc", "hour", "timestamp"))
    main_ms: Number | None = field(
        "Mean response time of the main server", unit="ms", minimum=0, aliases=("ART_SN00", "SN1_main", "srv1_art_avg")
    )
    sub_1_ms: Number | None = field(
        "Mean response time of a sub-server", unit="ms", minimum=0, aliases=("ART_SN01", "SN2", "srv2_art_avg")
    )
    sub_2_ms: Number | None = field(unit="ms", minimum=0, aliases=("ART_SN02", "SN3"))
    sub_3_ms: Number | None = field(unit="ms", minimum=0, aliases=("ART_SN03", "SN4"))
    sub_4_ms: Number | None = field(unit="ms", minimum=0, aliases=("ART_SN04", "SN5"))
    sub_5_ms: Number | None = field(unit="ms", minimum=0, aliases=("ART_SN05", "SN6"))
    sub_6_ms: Number | None = field(unit="ms", minimum=0, aliases=("ART_SN06", "SN7"))
    sub_7_ms: Number | None = field(unit="ms", minimum=0, aliases=("ART_SNCS", "SN8"))
    load_a: Number | None = field("A load, e.g. calls per minute", minimum=0, aliases=("CPM_A", "srv1_tc_cnt"))
    load_b: Number | None = field("A load", minimum=0, aliases=("CPM_B", "srv1_usr_cnt"))
    load_c: Number | None = field("A load", minimum=0, aliases=("CPM_C", "srv2_tc_cnt"))
    load_d: Number | None = field("A load", minimum=0, aliases=("CPM_D", "srv2_usr_cnt"))
    main_p99_ms: Number | None = field(
        "99th percentile of the main server's response times", unit="ms", minimum=0, aliases=("srv1_art_p99",)
    )
    main_network_ms: Number | None = field("Network time", unit="ms", minimum=0, aliases=("srv1_ntt_avg",))
    main_bytes: Number | None = field("Mean size of a transaction", minimum=0, aliases=("srv1_ts_avg",))
    sub_1_p99_ms: Number | None = field(unit="ms", minimum=0, aliases=("srv2_art_p99",))
    sub_1_network_ms: Number | None = field(unit="ms", minimum=0, aliases=("srv2_ntt_avg",))
    sub_1_bytes: Number | None = field(minimum=0, aliases=("srv2_ts_avg",))


COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "main_ms": ("main", RESPONSE_TIME),
    **{f"sub_{number}_ms": (f"sub_{number}", RESPONSE_TIME) for number in range(1, 8)},
    **{f"load_{letter}": (f"load_{letter}", "load") for letter in "abcd"},
    "main_p99_ms": ("main", "response_time_p99_ms"),
    "main_network_ms": ("main", "network_time_ms"),
    "main_bytes": ("main", "bytes"),
    "sub_1_p99_ms": ("sub_1", "response_time_p99_ms"),
    "sub_1_network_ms": ("sub_1", "network_time_ms"),
    "sub_1_bytes": ("sub_1", "bytes"),
}
"""Server and metric of each column of the wide form."""


class ResponsePercentiles(Contract):
    """One row per server and hour of the day (UTC): how its response times are spread."""

    table: ClassVar[Table] = Table(key=("application", "server", "hour_of_day"))

    application: Text = field(max_length=200)
    server: Text = field(max_length=200)
    hour_of_day: Integer = field(unit="h", minimum=0, maximum=23)
    hours: Integer = field("Values that it rests on", minimum=1)
    p50_ms: Number = field("Half of the values lie below", unit="ms")
    p60_ms: Number = field(unit="ms")
    p75_ms: Number = field(unit="ms")
    p90_ms: Number = field(unit="ms")
    p99_ms: Number = field(unit="ms")
