"""The quantile against SciPy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from trunkline.stats.chi_squared import chi_squared_quantile


@given(st.floats(1e-4, 1 - 1e-6), st.integers(1, 400))
def test_it_is_scipys_quantile(level: float, degrees: int) -> None:
    assert chi_squared_quantile(level, degrees) == pytest.approx(chi2.ppf(level, degrees), rel=1e-8)


@pytest.mark.parametrize(("level", "degrees"), [(0.0, 3), (1.0, 3), (0.5, 0)])
def test_what_has_no_quantile_is_refused(level: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="level"):
        chi_squared_quantile(level, degrees)
