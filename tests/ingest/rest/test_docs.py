"""The declarations that docs/sources.md shows are declarations."""

import re
import tomllib
from pathlib import Path

from pydantic import TypeAdapter

from trunkline.ingest.sources import open_source
from trunkline.spec.sources import WATCHED, AnySource


def test_every_declaration_of_the_page_opens(repository: Path) -> None:
    text = (repository / "docs" / "sources.md").read_text(encoding="utf-8")
    kinds = set()
    for block in re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL):
        for name, said in tomllib.loads(block)["sources"].items():
            declared: AnySource = TypeAdapter(AnySource).validate_python(said)
            if isinstance(declared, WATCHED):
                continue
            assert open_source(name, declared).name == name
            kinds.add(declared.kind)
    assert kinds == {"sql", "rest", "objects", "mongodb", "dynamodb", "bigquery"}
