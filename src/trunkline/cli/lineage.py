"""``lineage``: what an answer, a version, a run, a table or a row rests on."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from trunkline.cli.output import Common, emit, opened, table


def lineage(
    identity: str | None = None,
    /,
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1), help="Without an id: most of each kind to list.")] = 10,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Say which version answered, what it was trained on, and who approved it; or where a row came from.

    Args:
        identity: A prediction or request id, a run id, a batch id, USECASE/VERSION, a row as BATCH/RECORD or
            USECASE.DATASET#KEY=VALUE, or a version of a table as USECASE.DATASET@VERSION. Without one, the newest
            runs, batches (with their receipts) and versions are listed.
        limit: Without an id: most of each kind to list.
        common: Options of every command.
    """
    if identity is None:
        return _recent(limit, common)
    from trunkline.run.tracing import trace

    with opened(common) as workspace:
        found = trace(workspace, identity)

    def text() -> None:
        for link in found:
            print(f"{link.kind} {link.identity}")
            for name, value in link.facts.items():
                print(f"  {name:<22} {value}")

    emit({"lineage": [link.model_dump(mode="json") for link in found]}, common=common, text=text)
    return 0


def _recent(limit: int, common: Common) -> int:
    from trunkline.run.recent import recent

    with opened(common) as workspace:
        found = recent(workspace, limit=limit)
    emit(
        {"recent": [one.model_dump(mode="json") for one in found]},
        common=common,
        text=lambda: table(
            "the newest ids",
            ["kind", "id", "use case", "at (UTC)", ""],
            [[one.kind, one.identity, one.usecase, f"{one.at:%Y-%m-%d %H:%M:%S}", one.about] for one in found],
        ),
    )
    return 0
