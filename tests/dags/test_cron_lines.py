"""Cron lines are written as Airflow has to read them; ``test_schedules`` asks Airflow itself."""

import pytest

from trunkline.dags.cron_lines import airflow_line


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 6 1-31 * 1", "0 6 * * *"),
        ("0 6 13 * */1", "0 6 13 * *"),
        ("0 6 * * 5-7", "0 6 * * 0,5,6"),
        ("5-5 */4 * 1,7 *", "5 */4 * 1,7 *"),
        ("0 6 13 * 5", "0 6 13 * 5"),
    ],
)
def test_a_cron_line_that_airflow_reads_otherwise_is_written_for_it(line: str, told: str) -> None:
    assert airflow_line(line, where="here") == told
