"""Write docs/commands.md and docs/settings.md from the code, or say with --check whether they are current.

A command is described by its function's docstring, an option by the docstring's ``Args``, a setting by its
``description`` or its class's ``Attributes``. Whatever has no description is named, and the exit code is 1.
"""

import argparse
import difflib
import json
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOTICE = "<!-- Written by `make reference` from the code. Do not edit. -->\n\n"


def commands() -> str:
    """Render every command with its options."""
    from trunkline.cli import app

    return NOTICE + app().generate_docs(output_format="markdown").strip() + "\n"


def undocumented_commands(page: str) -> list[str]:
    """Name the commands and options of a rendered page that say nothing about themselves."""
    silent = []
    prose = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    _, *sections = re.split(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        if title == "Table of Contents":
            continue
        if not body.strip() or body.strip().startswith("*"):
            silent.append(title)
        for option, text in re.findall(r"^\* `([^`]+)`:(.*)$", body, re.MULTILINE):
            if not re.sub(r"\*+\[.*?\]\*+", "", text).strip():
                silent.append(f"{title}: {option}")
    return silent


def described(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    """Find what a setting says about itself; empty when it says nothing."""
    if field.description:
        return field.description
    documented = re.search(rf"^ +{name}: (.+(?:\n {{9,}}.+)*)", model.__doc__ or "", re.MULTILINE)
    return " ".join(documented[1].split()) if documented else ""


def rendered_default(field: FieldInfo) -> str:
    """Render a default for a table's cell; secrets are never shown."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr) or value is None:
        return "not set"
    return f"`{value}`" if str(value) else "empty"


def rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo, type[BaseModel], str]]:
    """Walk a tree of settings: environment variable, field, the class that holds it, its name there."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from rows(inner, f"{variable}__")
        else:
            yield variable, field, model, name


def kind(field: FieldInfo) -> str:
    """Render a setting's type and bounds, e.g. ``int >= 0``."""
    annotation = field.annotation
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if "SourceSpec" in {base.__name__ for model in models(annotation) for base in model.__mro__}:
        name = "tables, see below"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = [
        f" {sign} {getattr(bound, key)}"
        for bound in field.metadata
        for key, sign in signs.items()
        if hasattr(bound, key)
    ]
    return re.sub(r"\b(?:[a-z_]+\.)+", "", name + ",".join(bounds)).replace("|", "\\|")


def declared() -> tuple[list[str], list[str]]:
    """Render the keys of every kind of declared source, and of the parts of one; name those that are silent."""
    from trunkline.spec.sources import AnySource, SourceSpec

    lines: list[str] = []
    silent: list[str] = []
    shared = set(SourceSpec.model_fields)
    kinds = models(AnySource)
    lines += [
        "\n# Declared sources\n",
        "A table `[sources.NAME]` of `trunkline.toml` declares a source; NAME is of lower-case letters, digits, `_`",
        "and `-`. `kind` says which keys it may have besides these; docs/sources.md says how they work together.\n",
        "## Every kind\n",
        *keys(SourceSpec, SourceSpec.model_fields, silent),
    ]
    parts: dict[str, type[BaseModel]] = {}
    for model in kinds:
        own = {name: field for name, field in model.model_fields.items() if name not in shared and name != "kind"}
        first = " ".join((model.__doc__ or "").split("\n\n")[0].split())
        lines += [f'\n## `kind = "{tag(model)}"`\n', first, "", *keys(model, own, silent)]
    holders: list[type[BaseModel]] = [SourceSpec, *kinds]
    for holder in holders:
        for name, field in holder.model_fields.items():
            for part in models(field.annotation):
                parts[f"{name} {tag(part)}".strip()] = part
    lines.append("\n# Parts of declared sources")
    for name, part in parts.items():
        key, _, kind_of = name.partition(" ")
        title = f'`{key} = {{ kind = "{kind_of}", ... }}`' if kind_of else f"`{key} = {{ ... }}`"
        first = " ".join((part.__doc__ or "").split("\n\n")[0].split())
        own = {name: field for name, field in part.model_fields.items() if name != "kind"}
        lines += [f"\n## {title}\n", first, *(["", *keys(part, own, silent)] if own else [])]
    return lines, silent


def models(annotation: object) -> list[type[BaseModel]]:
    """Give the models that an annotation allows, in their order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for inner in typing.get_args(annotation):
        found += [one for one in models(inner) if one not in found]
    return found


def tag(model: type[BaseModel]) -> str:
    """Give the kind by which a model is told apart; empty where it is the only one."""
    field = model.model_fields.get("kind")
    return str(typing.get_args(field.annotation)[0]) if field is not None else ""


def keys(model: type[BaseModel], fields: Mapping[str, FieldInfo], silent: list[str]) -> list[str]:
    """Render a table of keys."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        text = described(model, name, field)
        if not text:
            silent.append(f"{model.__name__}.{name}")
        bounds = re.search(r" (?:>=|>|<=|<) .*", kind(field)) if field.annotation is not timedelta else None
        written = f"{type_of(field.annotation)}{bounds[0] if bounds else ''}"
        cells = [f"`{name}`", written, as_toml(field), text]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return lines


def as_toml(field: FieldInfo) -> str:
    """Render a key's default as one would write it."""
    value = field.default
    if field.is_required() or value is None or value == "":
        return "none" if value is None else rendered_default(field)
    if isinstance(value, BaseModel):
        kind_of = tag(type(value))
        return f'`{{ kind = "{kind_of}" }}`' if kind_of else "`{}`"
    return f"`{json.dumps(TypeAdapter(object).dump_python(value, mode='json'))}`"


def type_of(annotation: object) -> str:
    """Name a type in the words of TOML."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in NAMES:
        return NAMES[annotation]
    if origin is typing.Literal:
        return " or ".join(f"`{one}`" for one in inner)
    if origin is typing.Annotated:
        return type_of(inner[0])
    if origin in (typing.Union, types.UnionType):
        named = [type_of(one) for one in inner if one is not type(None)]
        return " or ".join(dict.fromkeys(named))
    if models(annotation) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return "table"
    return f"list of {type_of(inner[0])}" if inner else "value"


NAMES: dict[object, str] = {
    str: "text",
    Path: "path",
    bool: "true or false",
    int: "whole number",
    float: "number",
    SecretStr: "text, secret",
    timedelta: 'duration, e.g. `"PT10M"`',
}


def settings() -> tuple[str, list[str]]:
    """Render every setting, and name those that say nothing about themselves."""
    from trunkline.settings import Settings

    silent = []
    lines = [
        "# Settings\n",
        "Every setting has a default that works on a laptop. Each is read from the environment variable of this",
        "table, or from `trunkline.toml` in the current folder (`TRUNKLINE_LAKE__X=1` is `x = 1` below `[lake]`).",
        "Arguments of a command win over the environment, which wins over the file. Units stand in the name or in",
        "the description.\n",
        "| environment variable | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for variable, field, model, name in rows(Settings, "TRUNKLINE_"):
        text = described(model, name, field)
        if not text:
            silent.append(variable)
        lines.append(
            f"| `{variable}` | {kind(field)} | {rendered_default(field)} | {text.replace('|', chr(92) + '|')} |"
        )
    more, silent_too = declared()
    return NOTICE + "\n".join([*lines, *more]) + "\n", silent + silent_too


def main() -> int:
    """Write or check both pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is not current")
    check = parser.parse_args().check

    page, silent = settings()
    pages = {"settings.md": page, "commands.md": commands()}
    silent += undocumented_commands(pages["commands.md"])
    for name in silent:
        print(f"says nothing about itself: {name}", file=sys.stderr)
    stale = 0
    for file, text in pages.items():
        path = DOCS / file
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before == text:
            continue
        if check:
            stale += 1
            difference = difflib.unified_diff(
                before.splitlines(), text.splitlines(), f"docs/{file}", "the code", lineterm=""
            )
            print("\n".join(difference), "\n\nrun: make reference", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"written: docs/{file}")
    return 1 if silent or stale else 0


if __name__ == "__main__":
    sys.exit(main())
