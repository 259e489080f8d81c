"""Counters of the 3GPP specifications, as data: what each counts, its unit, how it adds up over time.

Names are those of the specifications, their spelling mistakes included, without a subcounter of cause, 5QI or slice;
``.sum`` stands where the specification has only subcounters, for their sum.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["COUNTERS", "UNITS", "Counter", "column_of"]

Technology = Literal["LTE", "NR"]

_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def column_of(counter: str) -> str:
    """Give the column of a counter.

    >>> column_of("RRC.ConnEstabAtt.sum"), column_of("DRB.IPVolDl.sum"), column_of("S1SIG.ConnEstabAtt")
    ('rrc_conn_estab_att', 'drb_ip_vol_dl', 's1sig_conn_estab_att')
    """
    parts = counter.removesuffix(".sum").split(".")
    return "_".join([parts[0].lower(), *(_WORD.sub("_", part).lower() for part in parts[1:])])


@dataclass(frozen=True)
class Counter:
    """One counter.

    Attributes:
        name: In the specification.
        source: Specifications and clauses.
        unit: Empty for events.
        kind: ``count`` adds up over periods; ``mean`` and ``max`` are of the period and do not.
    """

    name: str
    source: str
    unit: str = ""
    kind: Literal["count", "mean", "max"] = "count"

    @property
    def column(self) -> str:
        """Its column."""
        return column_of(self.name)


_BOTH: Final = "TS 28.552 {}, TS 32.425 {}"

_ALL: Final = (
    # connections
    Counter("RRC.ConnEstabAtt.sum", _BOTH.format("5.1.1.15", "4.1.1")),
    Counter("RRC.ConnEstabSucc.sum", _BOTH.format("5.1.1.15", "4.1.1")),
    Counter("RRC.ConnMean", _BOTH.format("5.1.1.4", "4.1.3"), kind="mean"),
    Counter("RRC.ConnMax", _BOTH.format("5.1.1.4", "4.1.3"), kind="max"),
    Counter("RRC.ReEstabAtt", "TS 28.552 5.1.1.17"),
    Counter("RRC.ReEstabSuccWithUeContext", "TS 28.552 5.1.1.17"),
    Counter("RRC.ReEstabSuccWithoutUeContext", "TS 28.552 5.1.1.17"),
    Counter("RRC.ResumeAtt.sum", "TS 28.552 5.1.1.18"),
    Counter("RRC.ResumeSucc.sum", "TS 28.552 5.1.1.18"),
    Counter("RRC.ConnReEstabAtt.sum", "TS 32.425 4.1.2"),
    Counter("RRC.ConnReEstabSucc.sum", "TS 32.425 4.1.2"),
    Counter("UECNTX.ConnEstabAtt.sum", "TS 28.552 5.1.1.16"),
    Counter("UECNTX.ConnEstabSucc.sum", "TS 28.552 5.1.1.16"),
    Counter("S1SIG.ConnEstabAtt", "TS 32.425 4.6.1"),
    Counter("S1SIG.ConnEstabSucc", "TS 32.425 4.6.1"),
    # sessions, flows, bearers
    Counter("SM.PDUSessionSetupReq.sum", "TS 28.552 5.1.1.5"),
    Counter("SM.PDUSessionSetupSucc.sum", "TS 28.552 5.1.1.5"),
    Counter("QF.EstabAttNbr.sum", "TS 28.552 5.1.1.13"),
    Counter("QF.EstabSuccNbr.sum", "TS 28.552 5.1.1.13"),
    Counter("QF.RelActNbr.sum", "TS 28.552 5.1.1.13"),
    Counter("QF.SessionTimeUE", "TS 28.552 5.1.1.13", "s"),
    Counter("DRB.EstabAtt.sum", "TS 28.552 5.1.1.10"),
    Counter("DRB.EstabSucc.sum", "TS 28.552 5.1.1.10"),
    Counter("ERAB.EstabInitAttNbr.sum", "TS 32.425 4.2.1"),
    Counter("ERAB.EstabInitSuccNbr.sum", "TS 32.425 4.2.1"),
    Counter("ERAB.EstabAddAttNbr.sum", "TS 32.425 4.2.1"),
    Counter("ERAB.EstabAddSuccNbr.sum", "TS 32.425 4.2.1"),
    Counter("ERAB.RelActNbr.sum", "TS 32.425 4.2.2"),
    Counter("ERAB.SessionTimeUE", "TS 32.425 4.2.4", "s"),
    # handovers
    Counter("MM.HoPrepInterReq", "TS 28.552 5.1.1.6.1"),
    Counter("MM.HoPrepInterSucc", "TS 28.552 5.1.1.6.1"),
    Counter("MM.HoResAlloInterReq", "TS 28.552 5.1.1.6.1"),
    Counter("MM.HoResAlloInterSucc", "TS 28.552 5.1.1.6.1"),
    Counter("MM.HoExeInterReq", "TS 28.552 5.1.1.6.1"),
    Counter("MM.HoExeInterSucc", "TS 28.552 5.1.1.6.1"),
    Counter("MM.HoExeIntraReq", "TS 28.552 5.1.1.6.2"),
    Counter("MM.HoExeIntraSucc", "TS 28.552 5.1.1.6.2"),
    Counter("HO.IntraEnbOutAtt.sum", "TS 32.425 4.3.1"),
    Counter("HO.IntraEnbOutSucc.sum", "TS 32.425 4.3.1"),
    Counter("HO.InterEnbOutAtt.sum", "TS 32.425 4.3.1"),
    Counter("HO.InterEnbOutSucc.sum", "TS 32.425 4.3.1"),
    # radio resources
    Counter("RRU.PrbTotDl", _BOTH.format("5.1.1.2.1", "4.5.3"), "%", "mean"),
    Counter("RRU.PrbTotUl", _BOTH.format("5.1.1.2.2", "4.5.4"), "%", "mean"),
    Counter("RRU.PrbUsedDl", "TS 28.552 5.1.1.2.5", kind="mean"),
    Counter("RRU.PrbAvailDl", "TS 28.552 5.1.1.2.6", kind="mean"),
    Counter("RRU.PrbUsedUl", "TS 28.552 5.1.1.2.7", kind="mean"),
    Counter("RRU.PrbAvailUl", "TS 28.552 5.1.1.2.8", kind="mean"),
    Counter("RRU.CellUnavailableTime.sum", "TS 32.425 4.5.6", "s"),
    # transport blocks
    Counter("TB.TotNbrDlInitial", "TS 28.552 5.1.1.7"),
    Counter("TB.IntialErrNbrDl", "TS 28.552 5.1.1.7"),
    Counter("TB.ResidualErrNbrDl", "TS 28.552 5.1.1.7"),
    Counter("TB.TotNbrUlInit", "TS 28.552 5.1.1.7"),
    Counter("TB.ErrNbrUlInitial", "TS 28.552 5.1.1.7"),
    Counter("TB.ResidualErrNbrUl", "TS 28.552 5.1.1.7"),
    Counter("TB.TotNbrDl.sum", "TS 32.425 4.5.7"),
    Counter("TB.ErrNbrDl.sum", "TS 32.425 4.5.7"),
    Counter("TB.TotNbrUl.sum", "TS 32.425 4.5.7"),
    Counter("TB.ErrNbrUl.sum", "TS 32.425 4.5.7"),
    # paging
    Counter("PAG.ReceivedNbrCnInitiated", "TS 28.552 5.1.1.27"),
    Counter("PAG.ReceivedNbrRanIntiated", "TS 28.552 5.1.1.27"),
    Counter("PAG.DiscardedNbrCnInitiated", "TS 28.552 5.1.1.27"),
    Counter("PAG.DiscardedNbrRanInitiated", "TS 28.552 5.1.1.27"),
    Counter("PAG.ReceivedNbr", "TS 32.425 4.7"),
    Counter("PAG.DiscardedNbr", "TS 32.425 4.7"),
    # volume, throughput, users, energy
    Counter("DRB.PdcpSduVolumeDL.sum", "TS 28.552 5.1.2.1", "Mbit"),
    Counter("DRB.PdcpSduVolumeUL.sum", "TS 28.552 5.1.2.1", "Mbit"),
    Counter("DRB.IPVolDl.sum", "TS 32.425 4.4.6", "kbit"),
    Counter("DRB.IPVolUl.sum", "TS 32.425 4.4.6", "kbit"),
    Counter("DRB.IPTimeDl.sum", "TS 32.425 4.4.6", "ms"),
    Counter("DRB.IPTimeUl.sum", "TS 32.425 4.4.6", "ms"),
    Counter("DRB.MeanActiveUeDl", "TS 28.552 5.1.1.23", kind="mean"),
    Counter("DRB.MeanActiveUeUl", "TS 28.552 5.1.1.23", kind="mean"),
    Counter("PEE.Energy", "TS 28.552 5.1.1.19", "kWh"),
)

COUNTERS: Final[Mapping[str, Counter]] = {counter.name: counter for counter in _ALL}
"""All counters, by name."""

UNITS: Final[Mapping[str, tuple[str, float]]] = {
    "bit": ("bit", 1.0),
    "kbit": ("bit", 1e3),
    "Mbit": ("bit", 1e6),
    "Gbit": ("bit", 1e9),
    "byte": ("bit", 8.0),
    "kB": ("bit", 8e3),
    "MB": ("bit", 8e6),
    "GB": ("bit", 8e9),
    "ms": ("s", 1e-3),
    "s": ("s", 1.0),
    "min": ("s", 60.0),
    "h": ("s", 3600.0),
    "J": ("J", 1.0),
    "Wh": ("J", 3.6e3),
    "kWh": ("J", 3.6e6),
    "share": ("share", 1.0),
    "%": ("share", 0.01),
    "": ("", 1.0),
    "thousands": ("", 1e3),
}
"""What vendors count in: unit to what it measures and its size."""
