"""Indicators as data: formula, unit, range, which way is good, and where the definition comes from.

Definitions follow TS 32.450 (LTE) and TS 28.554 (NR) where these have one; the others are the plain ratio of the named
counters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["KPIS", "PERIOD", "Formula", "Kpi", "Maximum", "Mean", "Product", "Ratio", "Total"]

PERIOD: Final = "period"
"""Stands for the length of the measurement period, in seconds, where a formula names a counter."""


@dataclass(frozen=True)
class Ratio:
    """Sum of weighted counters by sum of weighted counters, over the periods that have them all."""

    above: Mapping[str, float]
    below: Mapping[str, float]


@dataclass(frozen=True)
class Product:
    """Ratios, each aggregated for itself, then multiplied: the steps that all have to succeed."""

    ratios: tuple[Ratio, ...]


@dataclass(frozen=True)
class Mean:
    """Mean of a counter over time, weighted by the length of its periods; over several objects their mean."""

    counter: str


@dataclass(frozen=True)
class Maximum:
    """Largest value of any period and object."""

    counter: str


@dataclass(frozen=True)
class Total:
    """Sum over periods and objects; null where no period has a value."""

    counters: Mapping[str, float]


Formula = Ratio | Product | Mean | Maximum | Total
"""How an indicator follows from counters."""


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """One indicator.

    Attributes:
        name: Its column.
        title: For people.
        formula: How it is computed.
        scale: What the formula is multiplied by, to give ``unit``.
        unit: Of its values.
        low: Smallest possible value.
        high: Largest possible value; None where there is none.
        better: Which way is good; ``neither`` says load or amount.
        source: Definition, or the counters' specification.
    """

    name: str
    title: str
    formula: Formula
    scale: float = 1.0
    unit: str
    low: float = 0.0
    high: float | None = None
    better: Literal["higher", "lower", "neither"]
    source: str

    @property
    def counters(self) -> tuple[str, ...]:
        """Counters that it reads, each once."""
        return tuple(name for name in dict.fromkeys(_read(self.formula)) if name != PERIOD)


def _read(formula: Formula) -> tuple[str, ...]:
    match formula:
        case Ratio(above, below):
            return (*above, *below)
        case Product(ratios):
            return tuple(name for ratio in ratios for name in _read(ratio))
        case Mean(counter) | Maximum(counter):
            return (counter,)
        case Total(counters):
            return tuple(counters)


def _of(*names: str) -> dict[str, float]:
    return dict.fromkeys(names, 1.0)


def _ratio(above: str, below: str) -> Ratio:
    return Ratio(_of(above), _of(below))


def _success(name: str, title: str, formula: Formula, source: str) -> Kpi:
    return Kpi(
        name=name, title=title, formula=formula, scale=100.0, unit="%", high=100.0, better="higher", source=source
    )


def _failure(name: str, title: str, formula: Formula, source: str) -> Kpi:
    return Kpi(
        name=name, title=title, formula=formula, scale=100.0, unit="%", high=100.0, better="lower", source=source
    )


def _load(name: str, title: str, formula: Formula, scale: float, source: str) -> Kpi:
    return Kpi(
        name=name, title=title, formula=formula, scale=scale, unit="%", high=100.0, better="neither", source=source
    )


_RRC: Final = _ratio("RRC.ConnEstabSucc.sum", "RRC.ConnEstabAtt.sum")
_NG: Final = _ratio("UECNTX.ConnEstabSucc.sum", "UECNTX.ConnEstabAtt.sum")
_DRB: Final = _ratio("DRB.EstabSucc.sum", "DRB.EstabAtt.sum")
_S1: Final = _ratio("S1SIG.ConnEstabSucc", "S1SIG.ConnEstabAtt")
_ERAB: Final = _ratio("ERAB.EstabInitSuccNbr.sum", "ERAB.EstabInitAttNbr.sum")
_VOLUME: Final = ("DRB.PdcpSduVolumeDL.sum", "DRB.PdcpSduVolumeUL.sum")

_NR: Final = (
    _success("nr_rrc_setup_success", "RRC connections set up", _RRC, "TS 28.552 5.1.1.15"),
    _success("nr_ng_setup_success", "NG signalling connections set up", _NG, "TS 28.552 5.1.1.16"),
    _success("nr_drb_setup_success", "Data radio bearers set up", _DRB, "TS 28.552 5.1.1.10"),
    _success("nr_drb_accessibility", "Accessibility of bearers", Product((_RRC, _NG, _DRB)), "TS 28.554 6.2.5"),
    _success(
        "nr_pdu_session_setup_success",
        "PDU sessions set up",
        _ratio("SM.PDUSessionSetupSucc.sum", "SM.PDUSessionSetupReq.sum"),
        "TS 28.552 5.1.1.5",
    ),
    _success(
        "nr_qos_flow_setup_success",
        "QoS flows set up",
        _ratio("QF.EstabSuccNbr.sum", "QF.EstabAttNbr.sum"),
        "TS 28.552 5.1.1.13",
    ),
    Kpi(
        name="nr_qos_flow_drops",
        title="Active QoS flows released abnormally, per hour of session (retainability)",
        formula=_ratio("QF.RelActNbr.sum", "QF.SessionTimeUE"),
        scale=3600.0,
        unit="1/h",
        better="lower",
        source="TS 28.554 6.5.1",
    ),
    _success(
        "nr_rrc_reestablishment_success",
        "RRC connections re-established",
        Ratio(_of("RRC.ReEstabSuccWithUeContext", "RRC.ReEstabSuccWithoutUeContext"), _of("RRC.ReEstabAtt")),
        "TS 28.552 5.1.1.17",
    ),
    _success(
        "nr_rrc_resume_success",
        "RRC connections resumed",
        _ratio("RRC.ResumeSucc.sum", "RRC.ResumeAtt.sum"),
        "TS 28.552 5.1.1.18",
    ),
    _success(
        "nr_ho_preparation_success",
        "Handovers to other gNBs prepared",
        _ratio("MM.HoPrepInterSucc", "MM.HoPrepInterReq"),
        "TS 28.552 5.1.1.6.1",
    ),
    _success(
        "nr_ho_allocation_success",
        "Resources allocated for handovers from other gNBs",
        _ratio("MM.HoResAlloInterSucc", "MM.HoResAlloInterReq"),
        "TS 28.552 5.1.1.6.1",
    ),
    _success(
        "nr_ho_execution_success",
        "Handovers executed, within and between gNBs",
        Ratio(_of("MM.HoExeInterSucc", "MM.HoExeIntraSucc"), _of("MM.HoExeInterReq", "MM.HoExeIntraReq")),
        "TS 28.552 5.1.1.6",
    ),
    _success(
        "nr_ho_success",
        "Handovers to other gNBs prepared and executed",
        Product((_ratio("MM.HoPrepInterSucc", "MM.HoPrepInterReq"), _ratio("MM.HoExeInterSucc", "MM.HoExeInterReq"))),
        "TS 28.554 6.6.1",
    ),
    _load(
        "nr_prb_used_dl",
        "Resource blocks in use, downlink",
        _ratio("RRU.PrbUsedDl", "RRU.PrbAvailDl"),
        100.0,
        "TS 28.552 5.1.1.2",
    ),
    _load(
        "nr_prb_used_ul",
        "Resource blocks in use, uplink",
        _ratio("RRU.PrbUsedUl", "RRU.PrbAvailUl"),
        100.0,
        "TS 28.552 5.1.1.2",
    ),
    _failure(
        "nr_initial_block_errors_dl",
        "First transmissions of blocks in error, downlink",
        _ratio("TB.IntialErrNbrDl", "TB.TotNbrDlInitial"),
        "TS 28.552 5.1.1.7",
    ),
    _failure(
        "nr_initial_block_errors_ul",
        "First transmissions of blocks in error, uplink",
        _ratio("TB.ErrNbrUlInitial", "TB.TotNbrUlInit"),
        "TS 28.552 5.1.1.7",
    ),
    _failure(
        "nr_residual_block_errors_dl",
        "Blocks in error after all repetitions, downlink",
        _ratio("TB.ResidualErrNbrDl", "TB.TotNbrDlInitial"),
        "TS 28.552 5.1.1.7",
    ),
    _failure(
        "nr_residual_block_errors_ul",
        "Blocks in error after all repetitions, uplink",
        _ratio("TB.ResidualErrNbrUl", "TB.TotNbrUlInit"),
        "TS 28.552 5.1.1.7",
    ),
    _failure(
        "nr_paging_discarded",
        "Paging records discarded",
        Ratio(
            _of("PAG.DiscardedNbrCnInitiated", "PAG.DiscardedNbrRanInitiated"),
            _of("PAG.ReceivedNbrCnInitiated", "PAG.ReceivedNbrRanIntiated"),
        ),
        "TS 28.552 5.1.1.27",
    ),
    Kpi(
        name="nr_active_users_dl",
        title="Handsets with data to receive",
        formula=Mean("DRB.MeanActiveUeDl"),
        unit="",
        better="neither",
        source="TS 28.552 5.1.1.23",
    ),
    Kpi(
        name="nr_active_users_ul",
        title="Handsets with data to send",
        formula=Mean("DRB.MeanActiveUeUl"),
        unit="",
        better="neither",
        source="TS 28.552 5.1.1.23",
    ),
    Kpi(
        name="nr_volume",
        title="Volume of both directions",
        formula=Total(_of(*_VOLUME)),
        scale=1 / 8000,
        unit="GB",
        better="neither",
        source="TS 28.552 5.1.2.1",
    ),
    Kpi(
        name="nr_cell_throughput_dl",
        title="Volume of a cell by time, downlink",
        formula=Ratio(_of(_VOLUME[0]), _of(PERIOD)),
        unit="Mbit/s",
        better="neither",
        source="TS 28.552 5.1.2.1",
    ),
    Kpi(
        name="nr_energy_efficiency",
        title="Volume by energy",
        formula=Ratio(_of(*_VOLUME), _of("PEE.Energy")),
        scale=1e6 / 3.6e6,  # Mbit by kWh to bit by joule
        unit="bit/J",
        better="higher",
        source="TS 28.554 6.7.1",
    ),
)

_LTE: Final = (
    _success("lte_rrc_setup_success", "RRC connections set up", _RRC, "TS 32.425 4.1.1"),
    _success("lte_s1_setup_success", "S1 signalling connections set up", _S1, "TS 32.425 4.6.1"),
    _success(
        "lte_erab_setup_success",
        "E-RABs set up, initial and additional",
        Ratio(
            _of("ERAB.EstabInitSuccNbr.sum", "ERAB.EstabAddSuccNbr.sum"),
            _of("ERAB.EstabInitAttNbr.sum", "ERAB.EstabAddAttNbr.sum"),
        ),
        "TS 32.425 4.2.1",
    ),
    _success("lte_erab_accessibility", "Accessibility of E-RABs", Product((_RRC, _S1, _ERAB)), "TS 32.450 6.1.1"),
    Kpi(
        name="lte_erab_drops",
        title="Active E-RABs released abnormally, per hour of session (retainability)",
        formula=_ratio("ERAB.RelActNbr.sum", "ERAB.SessionTimeUE"),
        scale=3600.0,
        unit="1/h",
        better="lower",
        source="TS 32.450 6.2.1",
    ),
    _success(
        "lte_rrc_reestablishment_success",
        "RRC connections re-established",
        _ratio("RRC.ConnReEstabSucc.sum", "RRC.ConnReEstabAtt.sum"),
        "TS 32.425 4.1.2",
    ),
    Kpi(
        name="lte_ip_throughput_dl",
        title="IP throughput of a bearer, downlink",
        formula=_ratio("DRB.IPVolDl.sum", "DRB.IPTimeDl.sum"),  # kbit by ms
        unit="Mbit/s",
        better="higher",
        source="TS 32.450 6.3.1",
    ),
    Kpi(
        name="lte_ip_throughput_ul",
        title="IP throughput of a bearer, uplink",
        formula=_ratio("DRB.IPVolUl.sum", "DRB.IPTimeUl.sum"),
        unit="Mbit/s",
        better="higher",
        source="TS 32.450 6.3.1",
    ),
    _success(
        "lte_cell_availability",
        "Share of the time in which the cell was available",
        Ratio({PERIOD: 1.0, "RRU.CellUnavailableTime.sum": -1.0}, _of(PERIOD)),
        "TS 32.450 6.4.1",
    ),
    _success(
        "lte_ho_success",
        "Outgoing handovers, within and between eNBs",
        Ratio(
            _of("HO.IntraEnbOutSucc.sum", "HO.InterEnbOutSucc.sum"),
            _of("HO.IntraEnbOutAtt.sum", "HO.InterEnbOutAtt.sum"),
        ),
        "TS 32.450 6.5.1",
    ),
    _failure(
        "lte_block_errors_dl",
        "Blocks in error, downlink",
        _ratio("TB.ErrNbrDl.sum", "TB.TotNbrDl.sum"),
        "TS 32.425 4.5.7",
    ),
    _failure(
        "lte_block_errors_ul",
        "Blocks in error, uplink",
        _ratio("TB.ErrNbrUl.sum", "TB.TotNbrUl.sum"),
        "TS 32.425 4.5.7",
    ),
    _failure(
        "lte_paging_discarded",
        "Paging records discarded",
        _ratio("PAG.DiscardedNbr", "PAG.ReceivedNbr"),
        "TS 32.425 4.7",
    ),
)

_ANY: Final = (
    _load("prb_load_dl", "Resource blocks in use, downlink", Mean("RRU.PrbTotDl"), 1.0, "TS 28.552, TS 32.425"),
    _load("prb_load_ul", "Resource blocks in use, uplink", Mean("RRU.PrbTotUl"), 1.0, "TS 28.552, TS 32.425"),
    Kpi(
        name="connected_users",
        title="Connected handsets",
        formula=Mean("RRC.ConnMean"),
        unit="",
        better="neither",
        source="TS 28.552, TS 32.425",
    ),
    Kpi(
        name="connected_users_peak",
        title="Connected handsets, most",
        formula=Maximum("RRC.ConnMax"),
        unit="",
        better="neither",
        source="TS 28.552, TS 32.425",
    ),
)

KPIS: Final[Mapping[str, Kpi]] = {kpi.name: kpi for kpi in (*_NR, *_LTE, *_ANY)}
"""All indicators, by name."""
