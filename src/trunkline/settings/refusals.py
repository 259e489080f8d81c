"""What is said of a setting that is not allowed: its address as it is written, and the keys that there are.

The error of a declared source holds its kind between its name and its key; nobody writes that, so it is left out.
"""

import difflib
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from trunkline.errors import InputError
from trunkline.spec.dialect import CsvDialect

__all__ = ["dialect_refusal", "refusal"]

_KIND: Final = "kind"


def refusal(error: ValidationError, tree: type[BaseModel], *, prefix: str, file: str) -> InputError:
    """Make the error of settings that do not fit.

    Args:
        error: Of their validation.
        tree: The settings.
        prefix: Of environment variables.
        file: Name of the settings file.
    """
    errors = error.errors(include_input=False, include_url=False)
    # a misspelt key is told before the one that is missing for it
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    path, holder = _walked(tree, first["loc"])
    is_kind = first["type"] in ("union_tag_invalid", "union_tag_not_found")
    if is_kind:
        path = (*path, _KIND)
    name = ".".join(path)
    allowed: Sequence[str] = ()
    message = first["msg"].removeprefix("Value error, ")
    if is_kind:
        allowed = _kinds(holder)
        message = "there is no such kind" if first["type"] == "union_tag_invalid" else "it must be said"
    elif first["type"] == "extra_forbidden":
        allowed = _keys(holder, path[-1])
        message = "there is no such key"
    elif first["type"] in ("time_delta_type", "time_delta_parsing"):
        message = "it is no duration"
        allowed = ("PT30S", "PT15M", "PT6H", "P1D", "a number of seconds")
    where = f"{prefix}{'__'.join(path).upper()} or {file}"
    if path[0] == "sources" and len(path) > 1:
        where = f"[{'.'.join(path[: 2 if len(path) < 4 else -1])}] of {file}"
    return InputError(
        f"the setting {name} is not allowed: {message}",
        where=where,
        allowed=allowed,
        next_step="see docs/settings.md for every setting, its unit and its default",
    )


def dialect_refusal(error: ValidationError, what: str, *, where: str, next_step: str) -> InputError:
    """Make the error of a dialect of CSV files that does not fit.

    Args:
        error: Of its validation.
        what: What is wrong as a whole.
        where: Who said it.
        next_step: What to do about it.
    """
    (first, *_) = error.errors(include_input=False, include_url=False)
    name = ".".join(map(str, first["loc"]))
    is_unknown = first["type"] == "extra_forbidden"
    message = "there is no such key" if is_unknown else first["msg"].removeprefix("Value error, ")
    return InputError(
        f"{what}: {name}{': ' if name else ''}{message}",
        where=where,
        allowed=[f"{key}=..." for key in _keys(CsvDialect, name)] if is_unknown else (),
        next_step=next_step,
    )


def _walked(tree: object, loc: Sequence[int | str]) -> tuple[tuple[str, ...], object]:
    """Give the path of an error as it is written, and what holds its last part."""
    path: list[str] = []
    here, holder = tree, tree
    for part in loc:
        below, is_tag = _below(here, str(part))
        if not is_tag:
            path.append(str(part))
            holder = here
        here = below
    # where the last part is a declaration, and no key of one, the declaration itself is meant
    return tuple(path), holder if here is None else here


def _below(here: object, part: str) -> tuple[object, bool]:
    """Give what a part leads to, and whether it is the kind of a declaration and no key."""
    members = _members(here)
    if len(members) > 1:
        found = next((one for one in members if part in _kind_of(one)), None)
        return found, found is not None
    here = members[0]
    if isinstance(here, type) and issubclass(here, BaseModel):
        field = here.model_fields.get(part)
        return (None if field is None else field.annotation), False
    inside = get_args(here)
    return (inside[-1] if inside else None), False


def _members(here: object) -> tuple[object, ...]:
    """Give what an annotation allows besides nothing."""
    if get_origin(here) is Annotated:
        here = get_args(here)[0]
    if not _is_union(here):
        return (here,)
    found: list[object] = []
    for one in get_args(here):
        if one is not NoneType:
            found += _members(one)
    return tuple(found)


def _is_union(here: object) -> bool:
    return get_origin(here) in (Union, UnionType)


def _kind_of(one: object) -> tuple[str, ...]:
    field = one.model_fields.get(_KIND) if isinstance(one, type) and issubclass(one, BaseModel) else None
    return get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()


def _keys(here: object, misspelt: str) -> tuple[str, ...]:
    """Name the keys of a model, those that are like a misspelt one first."""
    (model, *_) = _members(here)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return ()
    alike = difflib.get_close_matches(misspelt, model.model_fields, n=3)
    return (*alike, *(name for name in model.model_fields if name not in alike))


def _kinds(here: object) -> tuple[str, ...]:
    return tuple(kind for one in _members(here) for kind in _kind_of(one))
