"""New use cases: a copy of a shipped one under a new name, or a first draft inferred from a file.

Takes a name and a template or a data file; writes a folder of plug-ins that discovery finds. Refuses names that are
taken or malformed. The folder appears whole or not at all. What is inferred is a draft for its author to edit, and
says so.
"""

import keyword
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from trunkline.errors import InputError, UnknownNameError
from trunkline.plugins import usecase_names
from trunkline.plugins.drafting import drafted
from trunkline.plugins.guessing import SAMPLE_ROWS, Guess, guesses
from trunkline.plugins.profiling import profile_columns
from trunkline.report.profile import SourceProfile, render_profile

__all__ = ["PROFILE_PAGE", "Scaffolded", "copy_usecase", "infer_usecase"]

PROFILE_PAGE: Final = "profile.html"
"""The page of a drafted use case's source."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LABELS: Final = ("churn", "churned", "label", "target", "y", "outcome", "class", "default", "upgraded", "price")


@dataclass(frozen=True)
class Scaffolded:
    """A use case that was made.

    Attributes:
        folder: Where it is.
        notes: What its author should look at.
    """

    folder: Path
    notes: tuple[str, ...]


def copy_usecase(name: str, *, copy_of: str, into: Path) -> Scaffolded:
    """Copy a shipped use case under a new name.

    Its modules read each other by relative imports afterwards, so that the copy stands alone.

    Args:
        name: The new name.
        copy_of: A shipped use case.
        into: Folder of plug-ins; made if absent.

    Raises:
        InputError: The name is malformed or taken, or the folder cannot be written.
        UnknownNameError: There is no shipped use case ``copy_of``.
    """
    target = _target(name, into)
    shipped = usecase_names()
    template = files("trunkline.usecases") / copy_of
    if copy_of not in shipped or not template.is_dir():
        raise UnknownNameError(
            f"there is no shipped use case {copy_of[:60]!r}", allowed=shipped, next_step="see `trunkline usecases`"
        )

    def fill(folder: Path) -> None:
        with as_file(template) as source:
            shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True)
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".md"):
                text = _renamed(path.read_text(encoding="utf-8"), copy_of, name, is_code=path.suffix == ".py")
                path.write_text(text, encoding="utf-8")
        for test in folder.glob(f"test_{copy_of}.py"):
            test.rename(folder / f"test_{name}.py")

    _make(target, fill)
    return Scaffolded(target, (f"a copy of {copy_of}; its README says what each file is for",))


def infer_usecase(
    name: str, *, source: Path, into: Path, label: str | None = None, key: str | None = None
) -> Scaffolded:
    """Draft a use case from a file: contract, features and task, for its author to edit, and a page of what it holds.

    Args:
        name: The new name.
        source: A file of a known form; kinds are told from its first 20,000 rows, the page is about all of them.
        into: Folder of plug-ins; made if absent.
        label: Column to predict; None guesses by name.
        key: Column that identifies a row; None takes the first without nulls or repetitions.

    Raises:
        InputError: The name is malformed or taken, no label can be told, or the folder cannot be written.
        SourceError: The file cannot be read, or has no rows.
    """
    target = _target(name, into)
    found = guesses(source)
    chosen = _find(found, label, source) if label else _guessed_label(found, source)
    identity = _find(found, key, source) if key else _guessed_key(found, chosen)
    if identity is chosen:
        raise InputError(f"{chosen.source!r} cannot be both the label and the key", where=str(source))
    if identity is not None and identity.nullable:
        raise InputError(
            f"the column {identity.source!r} has nulls, so it cannot identify a row",
            where=str(source),
            allowed=[guess.source for guess in found if guess.unique],
            next_step="name another one with --key COLUMN",
        )
    if chosen.kind not in ("flag", "number", "integer"):
        raise InputError(
            f"the column {chosen.source!r} is neither a yes/no nor a number, so it cannot be predicted",
            where=str(source),
            allowed=[guess.source for guess in found if guess.kind in ("flag", "number", "integer")],
            next_step="name the label with --label COLUMN",
        )

    files = drafted(name, found, identity=identity, label=chosen, source=source.name)
    profiled = profile_columns(source, found)
    page = render_profile(
        SourceProfile(
            source=source.name,
            rows=profiled.rows,
            malformed=profiled.malformed,
            sampled=profiled.sampled,
            guessed=min(profiled.rows, SAMPLE_ROWS),
            columns=profiled.columns,
            keys=profiled.keys,
            label=chosen.source,
            contract=files["contracts.py"],
        )
    )

    def fill(folder: Path) -> None:
        for file, text in {**files, PROFILE_PAGE: page}.items():
            (folder / file).write_text(text, encoding="utf-8")

    _make(target, fill)
    notes = [f"predicts {chosen.source!r} ({'classification' if chosen.kind == 'flag' else 'regression'})"]
    notes.append(f"a row is identified by {identity.source!r}" if identity else "no column identifies a row")
    if identity is not None and identity.source not in profiled.keys:
        notes.append(f"{identity.source!r} identifies the first rows, but repeats or lacks values further on")
    notes += [f"{guess.source!r} looks personal ({guess.personal}): marked as pii" for guess in found if guess.personal]
    notes += [f"{guess.source!r} states no time zone; UTC is assumed" for guess in found if guess.is_local]
    notes += [
        f"{guess.source!r} holds days written {guess.written}; a contract reads 2026-11-22, so it is drafted as Text"
        for guess in found
        if guess.written
    ]
    notes.append(f"check every field: kinds and nulls are inferred from the first {SAMPLE_ROWS:,} rows")
    notes.append(f"see {PROFILE_PAGE} for what all {profiled.rows:,} rows hold")
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


def _make(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder beside the target and rename it, so that a failure leaves nothing."""
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        fill(part)
        part.rename(target)
    except OSError as error:
        raise InputError(
            "the folder of the use case cannot be written",
            where=f"{target} ({error.strerror or type(error).__name__})",
            next_step="check the path (setting plugin_dir) and its permissions",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _renamed(text: str, old: str, new: str, *, is_code: bool) -> str:
    """Rename what means the use case; a word of prose or a column of that name is left alone in code."""
    if not is_code:
        return re.sub(rf"\b{old}\b", new, text).replace(f"test_{old}.py", f"test_{new}.py")
    text = re.sub(rf"from trunkline\.usecases\.{old}((?:\.\w+)*) import", r"from .\1 import", text)
    text = re.sub(r"from \.\.(\w)", r"from .\1", text)
    return re.sub(rf"""(["'/]){old}(?=["'/])""", rf"\g<1>{new}", text)


def _find(found: Sequence[Guess], column: str, source: Path) -> Guess:
    for guess in found:
        if column.strip().lower() in (guess.source.strip().lower(), guess.name):
            return guess
    raise InputError(
        f"the file has no column {column[:60]!r}", where=str(source), allowed=[guess.source for guess in found]
    )


def _guessed_label(found: Sequence[Guess], source: Path) -> Guess:
    for label in _LABELS:
        for guess in found:
            if guess.name == label:
                return guess
    raise InputError(
        "no column looks like the one to predict",
        where=str(source),
        allowed=[guess.source for guess in found],
        next_step="name it with --label COLUMN",
    )


def _guessed_key(found: Sequence[Guess], label: Guess) -> Guess | None:
    return next((guess for guess in found if guess.unique and guess is not label), None)
