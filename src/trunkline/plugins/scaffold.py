"""New use cases: a copy of another one under a new name, or a first draft inferred from a file.

Takes a name and a template or a data file; writes a folder of plug-ins that discovery finds. Refuses names that are
taken or malformed. The folder appears whole or not at all. What is inferred is a draft for its author to edit, and
says so.
"""

import ast
import keyword
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from trunkline.errors import InputError, UnknownNameError
from trunkline.plugins import SHIPPED, usecase_names
from trunkline.plugins.drafting import drafted
from trunkline.plugins.guessing import SAMPLE_ROWS, Guess, first_rows, guesses
from trunkline.plugins.keys import guessed_key
from trunkline.plugins.profiling import Profiled, profile_columns
from trunkline.plugins.schemas import members, schema_of
from trunkline.report.profile import SourceProfile, render_profile

__all__ = ["PROFILE_PAGE", "Scaffolded", "copy_usecase", "infer_usecase"]

PROFILE_PAGE: Final = "profile.html"
"""The page of a drafted use case's source."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LABELS: Final = ("churn", "churned", "label", "target", "y", "outcome", "class", "default", "upgraded", "price")

_NO_KEY: Final = "no column identifies a row: rows that repeat are all kept; name the key with --key COLUMN"


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
    """Copy a use case under a new name, which its title and the head of its README tell as well.

    Its modules read each other by relative imports afterwards, so that the copy stands alone.

    Args:
        name: The new name.
        copy_of: A shipped use case, or one of ``into``.
        into: Folder of plug-ins; made if absent.

    Raises:
        InputError: The name is malformed or taken, or the folder cannot be written.
        UnknownNameError: There is no such use case, or it is part of another package.
    """
    target = _target(name, into)
    templates = _templates(into)
    if copy_of not in templates:
        raise UnknownNameError(
            f"there is no use case {copy_of[:60]!r} to copy",
            allowed=sorted(templates),
            next_step="see `trunkline usecases`",
        )
    template, title = templates[copy_of], name.replace("_", " ").capitalize()

    def fill(folder: Path) -> None:
        with as_file(template) as source:
            shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True)
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".md"):
                text = path.read_text(encoding="utf-8")
                text = _renamed(text, copy_of, name) if path.suffix == ".py" else _renamed_prose(text, copy_of, name)
                if path == folder / "__init__.py":
                    text = _titled(text, title)
                elif path == folder / "README.md":
                    text = _headed(text, title, copy_of)
                path.write_text(text, encoding="utf-8")
        for test in folder.glob(f"test_{copy_of}.py"):
            test.rename(folder / f"test_{name}.py")

    _make(target, fill)
    return Scaffolded(target, (f"a copy of {copy_of}; its README says what each file is for",))


def infer_usecase(
    name: str,
    *,
    source: Path,
    into: Path,
    label: str | None = None,
    key: Sequence[str] = (),
    predicts: bool = True,
    scratch: Path | None = None,
) -> Scaffolded:
    """Draft a use case from a file: contract, features and task, for its author to edit, and a page of what it holds.

    A JSON Schema (``*.schema.json``, or a document that calls itself one) has no rows: its members become the fields.

    Args:
        name: The new name.
        source: A file of a known form; kinds are told from its first 20,000 rows, nulls and the page from all. Of an
            archive the first file, or the one that ``ARCHIVE#FILE`` names.
        into: Folder of plug-ins; made if absent.
        label: Column to predict; None guesses by name.
        key: Columns that identify a row together; none takes the first without nulls or repetitions, or an instant and
            the columns that say whose it is.
        predicts: Whether something is to be predicted; otherwise a use case of pure ingestion is drafted.
        scratch: Where the file of an archive is unpacked, and the engine puts what does not fit in memory; None takes
            the system's folder for what is temporary.

    Raises:
        ContractError: The JSON Schema demands what a contract cannot say.
        InputError: The name is malformed or taken, no label can be told, or the folder cannot be written.
        SourceError: The file cannot be read, or has no rows.
    """
    from trunkline.ingest.archives import first_file
    from trunkline.ingest.files import DEFAULT_LIMITS

    target = _target(name, into)
    with first_file(source, limits=DEFAULT_LIMITS, folder=scratch) as (file, member):
        files, notes = _inferred(name, file, label=label, key=key, predicts=predicts, scratch=scratch)
    if member:
        notes.append(f"told from {member!r}, one file of the archive: name another one with {source.name}#FILE")

    def fill(folder: Path) -> None:
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")

    _make(target, fill)
    return Scaffolded(target, tuple(notes))


def _inferred(
    name: str, source: Path, *, label: str | None, key: Sequence[str], predicts: bool, scratch: Path | None
) -> tuple[dict[str, str], list[str]]:
    """The files of a draft, and what its author should know."""
    schema = schema_of(source)
    texts = first_rows(source) if schema is None else {}
    found = guesses(texts) if schema is None else members(schema, source=source)
    chosen = None
    if predicts:
        chosen = _find(found, label, source) if label else _guessed_label(found, source)
    identity = tuple(_find(found, column, source) for column in key)
    if not identity and texts:
        identity = guessed_key(found, list(texts.values()), label=chosen)
    _refuse_as_key(identity, found, chosen, source)
    if chosen is not None and chosen.kind not in ("flag", "number", "integer"):
        raise InputError(
            f"the column {chosen.source!r} is neither a yes/no nor a number, so it cannot be predicted",
            where=str(source),
            allowed=[guess.source for guess in found if guess.kind in ("flag", "number", "integer")],
            next_step="name the label with --label COLUMN",
        )
    notes = _notes(found, identity, chosen, is_told=label is not None, has_key=bool(key))
    if schema is not None:
        notes.append('texts are what they are: for CSV files say null_tokens=("",) in the contract')
        return dict(drafted(name, found, identity=identity, label=chosen, source=source.name, null_tokens=())), notes
    profiled = profile_columns(source, found, key=identity, scratch=scratch)
    lacking = {column.source for column in profiled.columns if column.nulls}
    fields = [  # rows that lack a part of the key are refused
        replace(guess, nullable=True) if guess.source in lacking and guess not in identity else guess for guess in found
    ]
    target = None if chosen is None else fields[found.index(chosen)]
    files = dict(drafted(name, fields, identity=identity, label=target, source=source.name))
    files[PROFILE_PAGE] = _page(source, profiled, identity, chosen, contract=files["contracts.py"])
    return files, notes + _noted_of_all(profiled, identity)


def _refuse_as_key(identity: Sequence[Guess], found: Sequence[Guess], label: Guess | None, source: Path) -> None:
    for place, guess in enumerate(identity):
        if guess in identity[:place]:
            raise InputError(f"the key names {guess.source!r} twice", where=str(source), next_step="name it once")
        if guess is label:
            raise InputError(f"{guess.source!r} cannot be both the label and the key", where=str(source))
        if guess.nullable:
            raise InputError(
                f"the column {guess.source!r} has nulls, so it cannot identify a row",
                where=str(source),
                allowed=[guess.source for guess in found if guess.unique],
                next_step="name another one with --key COLUMN",
            )


def _together(identity: Sequence[Guess]) -> str:
    return " and ".join(repr(guess.source) for guess in identity)


def _page(source: Path, profiled: Profiled, identity: Sequence[Guess], label: Guess | None, *, contract: str) -> str:
    return render_profile(
        SourceProfile(
            source=source.name,
            rows=profiled.rows,
            malformed=profiled.malformed,
            sampled=profiled.sampled,
            guessed=min(profiled.rows, SAMPLE_ROWS),
            columns=profiled.columns,
            keys=profiled.keys,
            identity=() if profiled.unidentified else tuple(guess.source for guess in identity),
            label=label.source if label else "nothing",
            contract=contract,
        )
    )


def _noted_of_all(profiled: Profiled, identity: Sequence[Guess]) -> list[str]:
    """What the author of a draft should know of all rows of its file."""
    notes = [
        f"{column.source!r}: {column.unfit:,} of all rows hold no {column.kind}, and would be quarantined"
        for column in profiled.columns
        if column.unfit
    ]
    if identity and profiled.unidentified:
        notes.append(
            f"{profiled.unidentified:,} of all rows repeat the key {_together(identity)}, or lack a part of it"
        )
    notes.append(f"check every field: kinds are inferred from the first {SAMPLE_ROWS:,} rows, nulls from all")
    notes.append(f"see {PROFILE_PAGE} for what all {profiled.rows:,} rows hold")
    return notes


def _notes(
    found: Sequence[Guess], identity: Sequence[Guess], label: Guess | None, *, is_told: bool, has_key: bool
) -> list[str]:
    """What was decided, and on what ground."""
    notes = ["takes rows in, and predicts nothing"]
    if label is not None:
        task = "classification" if label.kind == "flag" else "regression"
        how = "" if is_told else ", guessed by its name; --label COLUMN names another"
        notes = [f"predicts {label.source!r} ({task}){how}"]
    is_guess = len(identity) > 1 and not has_key
    check = ", told from the values: check it, or name others with --key" if is_guess else ""
    notes.append(f"a row is identified by {_together(identity)}{check}" if identity else _NO_KEY)
    notes += [f"{guess.source!r} looks personal ({guess.personal}): marked as pii" for guess in found if guess.personal]
    notes += [f"{guess.source!r} states no time zone; UTC is assumed" for guess in found if guess.is_local]
    notes += [
        f"{guess.source!r} is written {guess.form}, told from its values: check it" for guess in found if guess.form
    ]
    notes += [
        f"{guess.source!r} may be written {guess.unsure}, and no value tells: it is drafted as Text"
        for guess in found
        if guess.unsure
    ]
    return notes


def _target(name: str, into: Path) -> Path:
    if keyword.iskeyword(name):
        raise InputError(
            f"{name!r} is a keyword of Python, so it cannot be the name of a use case",
            next_step=f"choose another name, e.g. {name.lower()}_case",
        )
    if not _NAME.fullmatch(name):
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


def _templates(into: Path) -> Mapping[str, Traversable]:
    """What can be copied, by name: shipped use cases, and the folders of plug-ins."""
    shipped = {name: files(SHIPPED) / name for name in usecase_names()}
    own = {name: into / name for name in usecase_names(plugin_dir=into)}
    return {name: place for name, place in (own | shipped).items() if (place / "__init__.py").is_file()}


def _renamed_prose(text: str, old: str, new: str) -> str:
    """Rename what means the use case: words of prose and titles of papers are left alone, what stands as code is not.

    What ``--from`` names stays: there it means the original.
    """

    def code(found: re.Match[str]) -> str:
        return re.sub(rf"(?<!--from )(?<!--from=)\b(test_)?{old}\b", rf"\g<1>{new}", found[0])

    return re.sub(r"^```.*?^```|`[^`\n]+`", code, text, flags=re.DOTALL | re.MULTILINE)


def _headed(text: str, title: str, copy_of: str) -> str:
    """Give a README a first line of its own; what its head said of copying was about the original."""
    body = re.sub(r"\A# .*\n+", "", text)
    head, _, rest = body.partition("\n\n")
    if "--from " in head and not head.startswith(("#", "|", "-", "`")):
        body = rest
    said = (
        f"Copied from `{copy_of}` (`trunkline new NAME --from {copy_of}`). What is said below is still the original's."
    )
    return f"# {title}\n\n{said}\n\n{body}"


def _titled(text: str, title: str) -> str:
    """Give the ``UseCase`` of a module another title, where it stands there as text."""
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "UseCase":
            for given in call.keywords:
                value = given.value
                if given.arg == "title" and isinstance(value, ast.Constant) and value.lineno == value.end_lineno:
                    lines = text.splitlines(keepends=True)
                    line = lines[value.lineno - 1].encode()  # the parser counts bytes
                    changed = line[: value.col_offset] + f'"{title}"'.encode() + line[value.end_col_offset :]
                    lines[value.lineno - 1] = changed.decode()
                    return "".join(lines)
    return text


def _renamed(text: str, old: str, new: str) -> str:
    """Rename what means the use case in code; a word of prose or a column of that name is left alone."""
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
        next_step="name it with --label COLUMN, or say --no-label to take the rows in and predict nothing",
    )
