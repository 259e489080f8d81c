"""New use cases: a copy of a shipped one under a new name, or a first draft inferred from a file.

Takes a name and a template or a data file; writes a folder of plug-ins that discovery finds. Refuses names that are taken
or malformed. What is inferred is a draft for its author to edit, and says so in its comments.
"""

import keyword
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from trunkline.contracts.kinds import GRAMMAR, WHITE_SPACE, KindName
from trunkline.errors import InputError, SourceError, UnknownNameError
from trunkline.plugins import usecase_names

__all__ = ["Scaffolded", "copy_usecase", "infer_usecase"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SAMPLE_ROWS: Final = 20_000
_MOST_CATEGORIES: Final = 12
_LABELS: Final = ("churn", "churned", "label", "target", "y", "outcome", "class", "default", "upgraded", "price")
_NULLS: Final = frozenset(("", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "?"))


@dataclass(frozen=True)
class Scaffolded:
    """A use case that was made.

    Attributes:
        folder: Where it is.
        notes: What its author should look at.
    """

    folder: Path
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Guess:
    """What a column looks like."""

    source: str
    name: str
    kind: KindName
    nullable: bool
    unique: bool
    values: tuple[str, ...]


def copy_usecase(name: str, *, copy_of: str, into: Path) -> Scaffolded:
    """Copy a shipped use case under a new name.

    Args:
        name: The new name.
        copy_of: A shipped use case.
        into: Folder of plug-ins; made if absent.

    Raises:
        InputError: The name is malformed or taken.
        UnknownNameError: There is no shipped use case ``copy_of``.
    """
    target = _target(name, into)
    template = files("trunkline.usecases") / copy_of
    if copy_of not in usecase_names() or not template.is_dir():
        raise UnknownNameError(f"there is no shipped use case {copy_of!r}", allowed=usecase_names())
    with as_file(template) as source:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for path in sorted(target.rglob("*")):
        if path.suffix not in (".py", ".md"):
            continue
        text = path.read_text(encoding="utf-8")
        # imports of its own modules become relative, so that the copy does not read the original
        text = re.sub(rf"from trunkline\.usecases\.{copy_of}\.", f"from trunkline_plugins_{name}.", text)
        text = text.replace(f"from trunkline_plugins_{name}.", "from .")
        text = re.sub(rf"from trunkline\.usecases\.{copy_of} import", "from . import", text)
        path.write_text(re.sub(rf"\b{copy_of}\b", name, text), encoding="utf-8")
    for test in target.glob(f"test_{copy_of}.py"):
        test.rename(target / f"test_{name}.py")
    return Scaffolded(target, (f"a copy of {copy_of}; its README says what each file is for",))


def infer_usecase(
    name: str, *, source: Path, into: Path, label: str | None = None, key: str | None = None
) -> Scaffolded:
    """Draft a use case from a file: contract, features and task, for its author to edit.

    Args:
        name: The new name.
        source: A CSV, NDJSON or Parquet file; its first 20,000 rows are looked at.
        into: Folder of plug-ins; made if absent.
        label: Column to predict; None guesses by name.
        key: Column that identifies a row; None takes the first without nulls or repetitions.

    Raises:
        InputError: The name is malformed or taken, or no label can be told.
        SourceError: The file cannot be read, or has no rows.
    """
    target = _target(name, into)
    guesses = _guesses(source)
    chosen = _find(guesses, label) if label else _guessed_label(guesses, source)
    identity = _find(guesses, key) if key else next((guess for guess in guesses if guess.unique), None)
    classification = chosen.kind == "flag"
    if not classification and chosen.kind not in ("number", "integer"):
        raise InputError(
            f"the column {chosen.source!r} is neither a yes/no nor a number, so it cannot be predicted",
            where=str(source),
            allowed=[guess.source for guess in guesses if guess.kind in ("flag", "number", "integer")],
            next_step="name the label with --label COLUMN",
        )
    target.mkdir(parents=True)
    (target / "contracts.py").write_text(_contracts(guesses, identity, chosen, source), encoding="utf-8")
    (target / "__init__.py").write_text(_module(name, chosen, classification=classification), encoding="utf-8")
    (target / "README.md").write_text(_readme(name, chosen, identity, source), encoding="utf-8")
    notes = [f"predicts {chosen.source!r} ({'classification' if classification else 'regression'})"]
    notes.append(f"a row is identified by {identity.source!r}" if identity else "no column identifies a row")
    notes.append("check every field: kinds, ranges and units are inferred from the first rows")
    return Scaffolded(target, tuple(notes))


def _target(name: str, into: Path) -> Path:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InputError(
            f"{name[:60]!r} cannot be the name of a use case",
            allowed=("lower-case letters, digits and underscores, beginning with a letter, 40 at most",),
        )
    if name in usecase_names(plugin_dir=into) or (into / name).exists():
        raise InputError(f"the name {name!r} is taken", where=str(into), next_step="choose another name")
    return into / name


def _guesses(source: Path) -> list[_Guess]:
    # the reader of files stands in a layer below and is found when it is needed
    from trunkline.ingest import open_file

    opened = open_file(source)
    texts: dict[str, list[str | None]] = {column: [] for column in opened.header}
    rows = 0
    for batch in opened.batches:
        for column in opened.header:
            texts[column] += batch.column(column).to_pylist()
        rows += batch.num_rows
        if rows >= _SAMPLE_ROWS:
            break
    if rows == 0:
        raise SourceError("the source has a header but no rows", where=str(source))
    taken: set[str] = set()
    return [_guess(column, values, taken) for column, values in texts.items()]


def _guess(column: str, values: Sequence[str | None], taken: set[str]) -> _Guess:
    name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower()).strip("_") or "column"
    name = f"c_{name}" if name[0].isdigit() or keyword.iskeyword(name) or name in ("table", "columns") else name
    while name in taken:
        name += "_"
    taken.add(name)
    trimmed = [value.strip(WHITE_SPACE) if value is not None else "" for value in values]
    present = [value for value in trimmed if value not in _NULLS]
    distinct = set(present)
    kind: KindName = "text"
    for candidate in ("flag", "integer", "number", "day", "instant"):
        pattern = re.compile(GRAMMAR[candidate])
        if present and all(pattern.fullmatch(value) for value in distinct):
            kind = candidate
            break
    if kind == "flag" and len({value.lower() for value in distinct}) != 2:
        kind = "integer" if distinct <= {"0", "1"} else "text"
    closed = kind == "text" and 0 < len(distinct) <= _MOST_CATEGORIES
    return _Guess(
        column,
        name,
        "category" if closed else kind,
        nullable=len(present) < len(trimmed),
        unique=len(present) == len(trimmed) == len(distinct) and kind in ("text", "integer"),
        values=tuple(sorted(distinct)) if closed else (),
    )


def _find(guesses: Sequence[_Guess], column: str) -> _Guess:
    for guess in guesses:
        if column.lower() in (guess.source.lower(), guess.name):
            return guess
    raise InputError(f"the file has no column {column!r}", allowed=[guess.source for guess in guesses])


def _guessed_label(guesses: Sequence[_Guess], source: Path) -> _Guess:
    for label in _LABELS:
        for guess in guesses:
            if guess.name == label:
                return guess
    raise InputError(
        "no column looks like the one to predict",
        where=str(source),
        allowed=[guess.source for guess in guesses],
        next_step="name it with --label COLUMN",
    )


_TYPES: Final = {
    "text": "Text",
    "integer": "Integer",
    "number": "Number",
    "flag": "Flag",
    "instant": "Instant",
    "day": "Day",
}


def _contracts(guesses: Sequence[_Guess], identity: _Guess | None, label: _Guess, source: Path) -> str:
    kinds = sorted({_TYPES[guess.kind] for guess in guesses if guess.kind != "category"})
    literal = ", Literal" if any(guess.kind == "category" for guess in guesses) else ""
    lines = [
        f'"""What a row holds; drafted from {source.name}, to be edited: add units, ranges and meanings."""',
        "",
        f"from typing import ClassVar{literal}",
        "",
        f"from trunkline.contracts import {', '.join(sorted(['Contract', 'Table', 'field', *kinds]))}",
        "",
        "",
        "class Row(Contract):",
        '    """One row of the table."""',
        "",
        f"    table: ClassVar[Table] = Table(key={(identity.name,) if identity else ()!r})",
        "",
    ]
    for guess in guesses:
        kind = (
            f"Literal[{', '.join(repr(value) for value in guess.values)}]"
            if guess.kind == "category"
            else _TYPES[guess.kind]
        )
        # the label is unknown for rows to predict; anything else may be missing where it was missing here
        optional = " | None" if guess.nullable or guess is label else ""
        alias = f'aliases=({guess.source!r},)' if guess.source.lower() != guess.name else ""
        lines.append(f"    {guess.name}: {kind}{optional} = field({alias})")
    return "\n".join(lines) + "\n"


def _module(name: str, label: _Guess, *, classification: bool) -> str:
    task = "Classification" if classification else "Regression"
    metric = "roc_auc" if classification else "r2"
    gates = f'MinimumMetric(metric="{metric}", limit={0.55 if classification else 0.1})'
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
    gates=({gates}, NotWorseThanChampion(metric="{metric}"), OnnxEqual()),
)
'''


def _readme(name: str, label: _Guess, identity: _Guess | None, source: Path) -> str:
    return f"""# {name}

Drafted from `{source.name}` by `trunkline new {name} --from-data`. Fill in before anybody relies on it:

- Question and decision: what is decided by the prediction, and by whom?
- Grain: one row per {identity.source if identity else "?"}.
- Label: `{label.source}`. When is it known, and what does it mean exactly?
- Columns that may be known only after the moment of prediction: leave them out of the features.
"""
