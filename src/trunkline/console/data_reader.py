"""The half of the console's reader that is about data: its quality, its sources, the rows of tables."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from trunkline.console.alarms import CellDay, FleetAlarms, cell_day, fleet_alarms
from trunkline.console.forecasts import ForecastList, ServerForecast, forecast_list, server_forecast
from trunkline.console.intake import Intake, SourceState
from trunkline.console.lake_thread import LakeThread
from trunkline.console.live import Live, live_of
from trunkline.console.paging import Page
from trunkline.console.quality import DatasetQuality
from trunkline.console.tables import ExportedFile, Form, TablePage, TableRow, export_table, table_page
from trunkline.contracts import Contract
from trunkline.errors import UnknownNameError
from trunkline.lake import Stock
from trunkline.serve import Holder
from trunkline.spec import UseCase
from trunkline.tasks import Forecasting

if TYPE_CHECKING:
    from trunkline.lake import Lake
    from trunkline.run.topic_lags import TopicLags

__all__ = ["DataReader"]


class DataReader(LakeThread):
    """Reads data and its quality.

    Args:
        lake: Opens the lake; called once, in a thread of its own.
        usecases: Installed use cases by name.
        intake: Looks at what came in.
        clock: Gives the current instant, UTC.
        export_rows: Most rows of an exported file.
        lags: Asks how far the declared topics are ahead of the lake; None asks nobody.
    """

    def __init__(
        self,
        lake: "Callable[[], Lake]",
        *,
        usecases: Mapping[str, UseCase],
        intake: Intake,
        clock: Callable[[], datetime],
        export_rows: int,
        lags: "TopicLags | None",
    ) -> None:
        super().__init__(lake)
        self._usecases = dict(usecases)
        self._intake = intake
        self._clock = clock
        self._export_rows = export_rows
        self._lags = lags

    def close(self) -> None:
        """Let go of lake and brokers; pages asked for afterwards fail."""
        super().close()
        if self._lags is not None:
            self._lags.close()

    def quality(self, *, days: int) -> tuple[DatasetQuality, ...]:
        """Judge the quality of every dataset over the last days."""
        return self._in_thread(lambda lake: self._intake.quality(lake, days=days, now=self._clock()))

    def quality_of(self, usecase: str, dataset: str, *, days: int) -> DatasetQuality:
        """Judge the quality of one dataset over the last days.

        Raises:
            UnknownNameError: There is no such use case or dataset.
        """
        self._contract(usecase, dataset)
        only = (usecase, dataset)
        found = self._in_thread(lambda lake: self._intake.quality(lake, days=days, now=self._clock(), only=only))
        if not found:
            raise UnknownNameError(f"nothing comes into {usecase}.{dataset} from outside: it is derived")
        return found[0]

    def sources(self) -> tuple[SourceState, ...]:
        """Give the state of every source."""
        return self._in_thread(lambda lake: self._intake.sources(lake, now=self._clock()))

    def live(self) -> Live:
        """Read what comes in right now."""
        usecases = {usecase.name: usecase for usecase in self._sorted()}
        lags = self._lags.look() if self._lags else ()
        return self._in_thread(lambda lake: live_of(lake, usecases, now=self._clock(), lags=lags))

    def tables(self) -> tuple[TableRow, ...]:
        """List the tables of the installed use cases."""

        def read(lake: "Lake") -> tuple[TableRow, ...]:
            return tuple(
                _table_row(lake, usecase.name, dataset, contract)
                for usecase in self._sorted()
                for dataset, contract in usecase.contracts.items()
            )

        return self._in_thread(read)

    def stocks(self) -> Mapping[str, tuple[Stock, float]]:
        """Measure every table of the lake, the platform's own too: what it takes, and what that costs a month."""

        def read(lake: "Lake") -> Mapping[str, tuple[Stock, float]]:
            price = lake.settings.price_per_gb_month
            found = {name: lake.stock(name) for name in lake.tables()}
            return {name: (stock, stock.cost_per_month(price)) for name, stock in found.items()}

        return self._in_thread(read)

    def table(self, usecase: str, dataset: str, *, holder: Holder, page: Page) -> TablePage:
        """Give a page of the current rows of a table, masked for who asks.

        Raises:
            UnknownNameError: There is no such use case or table.
        """
        contract = self._contract(usecase, dataset)
        return self._in_thread(
            lambda lake: table_page(lake, usecase, dataset, contract=contract, holder=holder, page=page)
        )

    def export(self, usecase: str, dataset: str, *, holder: Holder, form: Form) -> ExportedFile:
        """Make a file of the current rows of a table, masked for who asks, and note it in ``platform.exports``.

        Raises:
            UnknownNameError: There is no such use case or table, or it has no rows yet.
        """
        contract = self._contract(usecase, dataset)
        return self._in_thread(
            lambda lake: export_table(
                lake,
                usecase,
                dataset,
                contract=contract,
                holder=holder,
                form=form,
                most_rows=self._export_rows,
                now=self._clock(),
            )
        )

    def alarms_by_severity(self) -> tuple[FleetAlarms, ...]:
        """Count the fleets of all use cases that watch series by severity."""
        watching = [usecase for usecase in self._sorted() if usecase.watched is not None]
        return self._in_thread(lambda lake: tuple(fleet_alarms(lake, usecase) for usecase in watching))

    def cell_day(self, usecase: str, object_id: str) -> CellDay:
        """Hold one object's last day beside what is usual for it.

        Raises:
            UnknownNameError: There is no such use case or object, or it watches nothing.
        """
        known = self._known(usecase)
        return self._in_thread(lambda lake: cell_day(lake, known, object_id))

    def forecasts(self) -> tuple[ForecastList, ...]:
        """List the newest forecasts of all use cases that forecast series."""
        forecasting = [usecase for usecase in self._sorted() if isinstance(usecase.task, Forecasting)]
        return self._in_thread(lambda lake: tuple(forecast_list(lake, usecase) for usecase in forecasting))

    def server_forecast(self, usecase: str, server: str) -> ServerForecast:
        """Show one server: its last week, the hours ahead, and its accuracy.

        Raises:
            UnknownNameError: There is no such use case or server, or it forecasts nothing.
        """
        known = self._known(usecase)
        return self._in_thread(lambda lake: server_forecast(lake, known, server))

    def _known(self, usecase: str) -> UseCase:
        known = self._usecases.get(usecase)
        if known is None:
            raise UnknownNameError(f"there is no use case {usecase[:40]!r}", allowed=self._usecases)
        return known

    def _contract(self, usecase: str, dataset: str) -> type[Contract]:
        known = self._known(usecase)
        if dataset not in known.contracts:
            raise UnknownNameError(f"{usecase!r} has no table {dataset[:60]!r}", allowed=known.contracts)
        return known.contracts[dataset]

    def _sorted(self) -> list[UseCase]:
        return [self._usecases[name] for name in sorted(self._usecases)]


def _table_row(lake: "Lake", usecase: str, dataset: str, contract: type[Contract]) -> TableRow:
    name = f"{usecase}.{dataset}"
    version = lake.version(name)
    rows, stock, cost = None, None, None
    if version is not None:
        counted = lake.collect(lambda table: table.aggregate(rows=table.count()), name)
        rows = int(counted.column("rows")[0].as_py())
        stock = lake.stock(name)
        cost = stock.cost_per_month(lake.settings.price_per_gb_month)
    personal = tuple(column.name for column in contract.columns if column.pii)
    return TableRow(usecase, dataset, version, rows, personal, stock, cost)
