"""What is tracked: exact versions without addresses, no big files, links that lead somewhere."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 1_000_000
# A class around each dot, so that this file does not name them itself.
REGISTRY = re.compile(
    r"pypi[.]org|pythonhosted[.]org|npmjs[.](org|com)|crates[.]io|proxy[.]golang[.]org|maven[.]org|maven[.]apache[.]org"
    r"|deb[.]debian[.]org|archive[.]ubuntu[.]com|[-]-(extra-)?index-url"
)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert files
    return [file for file in files if file.exists()]  # deleted, and not committed yet


@pytest.fixture(scope="module")
def pins() -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            pin = Requirement(line)
            found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


def test_constraints_are_exact_and_hold_no_address(pins: dict[str, list[Requirement]]) -> None:
    for pin in (pin for group in pins.values() for pin in group):
        assert pin.url is None, pin
        assert [clause.operator for clause in pin.specifier] == ["=="], pin
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-", text, re.MULTILINE), "options of pip do not belong here"


def test_constraints_pin_every_dependency_within_its_bounds(pins: dict[str, list[Requirement]]) -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + [line for name in extras if name != "vision" for line in extras[name]]
    for wanted in (Requirement(line) for line in lines):
        if wanted.name == "trunkline":
            continue
        versions = [clause.version for pin in pins[canonicalize_name(wanted.name)] for clause in pin.specifier]
        assert all(wanted.specifier.contains(version) for version in versions), wanted


def test_all_holds_every_extra_but_dev_and_vision() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    (everything,) = (Requirement(line) for line in extras["all"])
    assert everything.extras == set(extras) - {"all", "dev", "vision"}
    assert not any("torch" in line for line in extras["dev"])


def test_no_big_file_is_tracked(tracked: list[Path]) -> None:
    assert [file for file in tracked if file.stat().st_size > MOST_BYTES] == []


def test_no_lock_file_is_tracked(tracked: list[Path]) -> None:
    """Lock files record where packages came from, which is a matter of the machine."""
    assert {file.name for file in tracked} & {"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json"} == set()


def test_no_package_registry_is_named(tracked: list[Path]) -> None:
    named = []
    for file in tracked:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture
            continue
        named += [f"{file.relative_to(ROOT)}: {match[0]}" for match in REGISTRY.finditer(text)]
    assert named == []


def test_links_between_pages_lead_somewhere(tracked: list[Path]) -> None:
    broken = []
    for page in (file for file in tracked if file.suffix == ".md"):
        prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        broken += [
            f"{page.relative_to(ROOT)}: {target}"
            for target in re.findall(r"\]\(([^)#\s]+)", prose)
            if "://" not in target and not (page.parent / target).exists()
        ]
    assert broken == []
