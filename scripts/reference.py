"""Write docs/commands.md and docs/settings.md from the code, or say with --check whether they are current.

A command is described by its function's docstring, an option by the docstring's ``Args``, a setting by its
``description`` or its class's ``Attributes``. Whatever has no description is named, and the exit code is 1.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, SecretStr
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
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = [
        f" {sign} {getattr(bound, key)}"
        for bound in field.metadata
        for key, sign in signs.items()
        if hasattr(bound, key)
    ]
    return re.sub(r"\b(?:[a-z_]+\.)+", "", name + ",".join(bounds)).replace("|", "\\|")


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
    return NOTICE + "\n".join(lines) + "\n", silent


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
