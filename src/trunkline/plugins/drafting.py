"""The files of a drafted use case, as text: contract, task, README.

Takes what the columns look like, gives file name to content. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from trunkline.plugins.guessing import Guess

__all__ = ["drafted"]

_TYPES: Final = {
    "text": "Text",
    "integer": "Integer",
    "number": "Number",
    "flag": "Flag",
    "instant": "Instant",
    "day": "Day",
}


def drafted(
    name: str,
    found: Sequence[Guess],
    *,
    identity: Sequence[Guess],
    label: Guess | None,
    source: str,
    null_tokens: Sequence[str] | None = None,
) -> Mapping[str, str]:
    """Write the files of a use case.

    Args:
        name: Its name.
        found: One guess per column.
        identity: The columns that identify a row together; none where none do.
        label: The column to predict: a flag, or a number; None for pure ingestion.
        source: Name of the file it was inferred from.
        null_tokens: Texts that mean null; None for those that every table has.

    Returns:
        File name to content.
    """
    return {
        "contracts.py": _contracts(found, identity, label, source, null_tokens),
        "__init__.py": _taking_in(name) if label is None else _module(name, label),
        "README.md": _readme(name, label, identity, source),
    }


def _contracts(
    found: Sequence[Guess],
    identity: Sequence[Guess],
    label: Guess | None,
    source: str,
    null_tokens: Sequence[str] | None,
) -> str:
    kinds = sorted({_TYPES[guess.kind] for guess in found if guess.kind != "category"})
    literal = ", Literal" if any(guess.kind == "category" for guess in found) else ""
    names = ", ".join(sorted(["Contract", "Table", "field", *kinds]))
    nulls = "" if null_tokens is None else f", null_tokens={tuple(null_tokens)!r}"
    lines = [
        f'"""What a row holds; drafted from {_in_docstring(source)}, to be edited: add units, ranges and meanings."""',
        "",
        f"from typing import ClassVar{literal}",
        "",
        f"from trunkline.contracts import {names}",
        "",
        "",
        "class Row(Contract):",
        '    """One row of the table."""',
        "",
        f"    table: ClassVar[Table] = Table(key={tuple(guess.name for guess in identity)!r}{nulls})",
        "",
    ]
    for guess in found:
        values = ", ".join(repr(value) for value in guess.values)
        kind = f"Literal[{values}]" if guess.kind == "category" else _TYPES[guess.kind]
        # the label is unknown for rows to predict; anything else may be missing where it was missing here
        optional = " | None" if guess.nullable or guess is label else ""
        said = [repr(guess.description)] * bool(guess.description)
        said += [f"aliases=({guess.source!r},)"] * (guess.source.strip().lower() != guess.name.lower())
        forms = {"written": guess.written, "decimal": guess.decimal, "thousands": guess.thousands}
        said += [f'{option}="{value}"' for option, value in forms.items() if value is not None]
        said += ['zone="UTC"'] * guess.is_local
        said += [f"{option}={value!r}" for option, value in guess.said.items()]
        said += [f'pii="{guess.personal}"'] * (bool(guess.personal) and guess is not label)
        if guess.unsure:
            lines.append(f"    # may be written {guess.unsure}; say which: field(written=...) or field(decimal=...)")
        elif guess.form:
            lines.append(f"    # recognised by its values: {guess.form}")
        lines.append(f"    {guess.name}: {kind}{optional} = field({', '.join(said)})")
    return "\n".join(lines) + "\n"


def _in_docstring(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'")


def _module(name: str, label: Guess) -> str:
    is_classification = label.kind == "flag"
    task = "Classification" if is_classification else "Regression"
    metric, floor = ("roc_auc", 0.55) if is_classification else ("r2", 0.1)
    return f'''"""{name}: a draft, to be edited."""

from trunkline.spec import MinimumMetric, NotWorseThanChampion, OnnxEqual, UseCase
from trunkline.tasks import {task}, features_of

from .contracts import Row

usecase = UseCase(
    name="{name}",
    title="{name.replace("_", " ").capitalize()}",
    question="What will {label.name} be?",
    datasets={{"rows": Row}},
    main="rows",
    task={task}(
        label="{label.name}",
        # leave out what is known only after the moment of prediction
        features=features_of(Row, without=("{label.name}",), minimum_count=10),
    ),
    metric="{metric}",
    gates=(
        MinimumMetric(metric="{metric}", limit={floor}),
        NotWorseThanChampion(metric="{metric}"),
        OnnxEqual(),
    ),
)
'''


def _taking_in(name: str) -> str:
    title = name.replace("_", " ").capitalize()
    return f'''"""{name}: a draft of pure ingestion, to be edited."""

from trunkline.spec import UseCase

from .contracts import Row

usecase = UseCase(
    name="{name}",
    title="{title}",
    question="What do the rows say?",
    datasets={{"rows": Row}},
    main="rows",
    task=None,
    metric="",
)
'''


def _readme(name: str, label: Guess | None, identity: Sequence[Guess], source: str) -> str:
    grain = " and ".join(f"`{guess.source}`" for guess in identity) or "?"
    if label is None:
        return f"""# {name}

Drafted from `{source}` by `trunkline new {name} --from-data`: its rows are taken in, nothing is predicted. Fill in
before anybody relies on it:

- Question: who reads the rows, and what for?
- Grain: one row per {grain}.
- Categories are closed: a value that the first rows did not have is quarantined until the contract names it.
"""
    return f"""# {name}

Drafted from `{source}` by `trunkline new {name} --from-data`. Fill in before anybody relies on it:

- Question and decision: what is decided by the prediction, and by whom?
- Grain: one row per {grain}.
- Label: `{label.source}`. When is it known, and what does it mean exactly?
- Columns that may be known only after the moment of prediction: leave them out of the features.
- Categories are closed: a value that the first rows did not have is quarantined until the contract names it.
"""
