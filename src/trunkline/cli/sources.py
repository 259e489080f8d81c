"""``sources``: how the sources of data stand."""

from typing import TYPE_CHECKING

from cyclopts import App

from trunkline.cli.output import Common, emit, opened, table

if TYPE_CHECKING:
    from trunkline.monitor import SourceHealth

app = App(name="sources", help="Say how sources stand, and raise alerts of what is wrong.")


@app.command
def check(usecase: str | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Judge every source by what came of it, declared or not, and raise an alert of each problem that was not told yet.

    No model is needed. A declared source is known from its first check on, so that it can be late without ever having
    delivered. What is wrong with a source does not make the command fail.

    Args:
        usecase: Only sources of this use case; those of all by default.
        common: Options of every command.
    """
    from trunkline.run.source_health import checked_sources

    with opened(common) as workspace:
        found = checked_sources(workspace, workspace.usecases() if usecase is None else (usecase,))
    emit({"sources": [_document(one) for one in found]}, common=common, text=lambda: _show(found))
    return 0


def _document(one: "SourceHealth") -> dict[str, object]:
    return {
        "usecase": one.key.usecase,
        "dataset": one.key.dataset,
        "source": one.key.source,
        "declared": one.is_declared,
        "last_batch_at": one.newest.at.isoformat() if one.newest else None,
        "heard_at": one.heard_at.isoformat() if one.heard_at else None,
        "due_at": one.due_at.isoformat() if one.due_at else None,
        "problems": [{"problem": finding.problem, "text": finding.text} for finding in one.findings],
    }


def _show(found: "tuple[SourceHealth, ...]") -> None:
    if not found:
        print("nothing has come yet, and no source is declared; docs/sources.md says how to declare one")
        return
    table(
        "sources, times in UTC",
        ["use case", "dataset", "source", "last batch", "due", "what is wrong"],
        [
            [
                one.key.usecase,
                one.key.dataset,
                one.key.label,
                f"{one.newest.at:%Y-%m-%d %H:%M:%S}" if one.newest else None,
                f"{one.due_at:%Y-%m-%d %H:%M:%S}" if one.due_at else None,
                "; ".join(f"{finding.problem}: {finding.text}" for finding in one.findings) or None,
            ]
            for one in found
        ],
    )
