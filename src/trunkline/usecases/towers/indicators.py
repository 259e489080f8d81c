"""The indicators of the performance tables as data: what is averaged, what raises a flag, on which side of the mean.

Names are those that network teams know from their tables, so that a query of theirs finds its columns. To watch another
indicator, add a line; a source without its column raises no flag and is named in the receipt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from trunkline.errors import UseCaseError

__all__ = [
    "COUNT_DIFFERENCES",
    "INDICATORS",
    "MEASURES",
    "RATIOS",
    "Indicator",
    "Measure",
    "Profile",
    "Side",
    "watched",
]

Side = Literal["above", "below"]
"""On which side of the fleet's mean a value is a defect."""

Profile = Literal["usual", "corrected"]
"""Which directions count: as the usual job has them, or with its contradiction mended."""


@dataclass(frozen=True)
class Measure:
    """A column that is averaged, as ``avg_NAME``.

    Attributes:
        name: As network teams write it.
        dataset: The dataset that it comes from.
        field: Its field there.
        unit: Empty for pure numbers.
    """

    name: str
    dataset: Literal["thresholds", "usage"]
    field: str
    unit: str = ""

    @property
    def column(self) -> str:
        """The averaged column."""
        return f"avg_{self.name}"


@dataclass(frozen=True)
class Indicator:
    """A column whose distance from the fleet's mean may be a defect, told by the flag ``NAME_Thrsld``.

    Attributes:
        name: A measure or a ratio.
        defect: The side of the mean on which a value is a defect.
    """

    name: str
    defect: Side

    @property
    def source(self) -> str:
        """The column that is compared with its mean."""
        return self.name if self.name in RATIOS else f"avg_{self.name}"

    @property
    def flag(self) -> str:
        """The column with 1 for a defect, 0 for none or for no value."""
        return f"{self.name}_Thrsld"


MEASURES: Final = (
    Measure("PRBUsageUL", "thresholds", "prb_usage_ul", "%"),
    Measure("PRBUsageDL", "thresholds", "prb_usage_dl", "%"),
    Measure("meanThr_DL", "thresholds", "mean_throughput_dl_mbps", "Mbit/s"),
    Measure("meanThr_UL", "thresholds", "mean_throughput_ul_mbps", "Mbit/s"),
    Measure("maxThr_DL", "thresholds", "max_throughput_dl_mbps", "Mbit/s"),
    Measure("maxThr_UL", "thresholds", "max_throughput_ul_mbps", "Mbit/s"),
    Measure("meanUE_DL", "thresholds", "mean_users_dl"),
    Measure("meanUE_UL", "thresholds", "mean_users_ul"),
    Measure("maxUE_DL", "thresholds", "max_users_dl"),
    Measure("maxUE_UL", "thresholds", "max_users_ul"),
    Measure("maxUE_UL_DL", "thresholds", "max_users_ul_dl"),
    Measure("Unusual", "thresholds", "is_unusual"),
    Measure("roam_Mean", "usage", "roam_mean", "1/month"),
    Measure("change_mou", "usage", "change_mou", "min/month"),
    Measure("drop_vce_Mean", "usage", "drop_vce_mean", "1/month"),
    Measure("drop_dat_Mean", "usage", "drop_dat_mean", "1/month"),
    Measure("blck_vce_Mean", "usage", "blck_vce_mean", "1/month"),
    Measure("blck_dat_Mean", "usage", "blck_dat_mean", "1/month"),
    Measure("plcd_vce_Mean", "usage", "plcd_vce_mean", "1/month"),
    Measure("plcd_dat_Mean", "usage", "plcd_dat_mean", "1/month"),
    Measure("comp_vce_Mean", "usage", "comp_vce_mean", "1/month"),
    Measure("comp_dat_Mean", "usage", "comp_dat_mean", "1/month"),
    Measure("peak_vce_Mean", "usage", "peak_vce_mean", "1/month"),
    Measure("peak_dat_Mean", "usage", "peak_dat_mean", "1/month"),
    Measure("mou_peav_Mean", "usage", "mou_peav_mean", "min/month"),
    Measure("mou_pead_Mean", "usage", "mou_pead_mean", "min/month"),
    Measure("opk_vce_Mean", "usage", "opk_vce_mean", "1/month"),
    Measure("opk_dat_Mean", "usage", "opk_dat_mean", "1/month"),
    Measure("mou_opkv_Mean", "usage", "mou_opkv_mean", "min/month"),
    Measure("mou_opkd_Mean", "usage", "mou_opkd_mean", "min/month"),
    Measure("drop_blk_Mean", "usage", "drop_blk_mean", "1/month"),
    Measure("callfwdv_Mean", "usage", "callfwdv_mean", "1/month"),
    Measure("callwait_Mean", "usage", "callwait_mean", "1/month"),
)
"""Everything that is averaged, the indicators among it."""

COUNT_DIFFERENCES: Final[Mapping[str, tuple[str, str]]] = {
    "incomplete_voice_calls": ("avg_plcd_vce_Mean", "avg_comp_vce_Mean"),
    "incomplete_data_calls": ("avg_plcd_dat_Mean", "avg_comp_dat_Mean"),
}
"""Placed less completed calls."""

RATIOS: Final[Mapping[str, tuple[str, str]]] = {
    "service_stability_voice_calls": ("avg_peak_vce_Mean", "avg_opk_vce_Mean"),
    "service_stability_data_calls": ("avg_peak_dat_Mean", "avg_opk_dat_Mean"),
}
"""Peak by off-peak; null where nothing is off-peak."""

INDICATORS: Final = (
    Indicator("PRBUsageUL", "above"),
    Indicator("PRBUsageDL", "above"),
    Indicator("meanThr_DL", "below"),
    Indicator("meanThr_UL", "below"),
    Indicator("maxThr_DL", "above"),
    Indicator("maxThr_UL", "above"),
    Indicator("meanUE_DL", "above"),
    Indicator("meanUE_UL", "above"),
    Indicator("maxUE_DL", "above"),
    Indicator("maxUE_UL", "above"),
    Indicator("maxUE_UL_DL", "above"),
    Indicator("roam_Mean", "below"),
    Indicator("change_mou", "below"),
    Indicator("drop_vce_Mean", "above"),
    Indicator("drop_dat_Mean", "above"),
    Indicator("blck_vce_Mean", "above"),
    Indicator("blck_dat_Mean", "above"),
    Indicator("peak_vce_Mean", "below"),
    Indicator("peak_dat_Mean", "below"),
    Indicator("opk_vce_Mean", "below"),
    Indicator("opk_dat_Mean", "below"),
    Indicator("drop_blk_Mean", "below"),  # at odds with drop_vce_Mean and drop_dat_Mean: see CORRECTED
    Indicator("callfwdv_Mean", "below"),
    Indicator("service_stability_voice_calls", "below"),
    Indicator("service_stability_data_calls", "below"),
)
"""The 25 flags, with the directions of the usual job."""

CORRECTED: Final[Mapping[str, Side]] = {"drop_blk_Mean": "above"}
"""What the profile ``corrected`` has otherwise: few dropped or blocked calls are no defect."""


def watched(profile: Profile) -> tuple[Indicator, ...]:
    """Give the indicators of a profile.

    Args:
        profile: Which directions count.

    Raises:
        UseCaseError: An indicator has no column, or is there twice.

    >>> [one.defect for one in watched("corrected") if one.name == "drop_blk_Mean"]
    ['above']
    """
    known = {measure.name for measure in MEASURES} | set(RATIOS)
    names = [one.name for one in INDICATORS]
    if unknown := [name for name in names if name not in known or names.count(name) > 1]:
        raise UseCaseError(f"the indicator {unknown[0]!r} has no column of its own", where="towers", allowed=known)
    changed = CORRECTED if profile == "corrected" else {}
    return tuple(Indicator(one.name, changed.get(one.name, one.defect)) for one in INDICATORS)
