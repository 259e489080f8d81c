"""Where a setting comes from, who wins, and what is refused."""

from pathlib import Path

import pytest

from trunkline.errors import InputError
from trunkline.settings import SETTINGS_FILE, load_settings


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("TRUNKLINE_WORKSPACE", "TRUNKLINE_SEED", "TRUNKLINE_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_without_anything_there_are_defaults(folder: Path) -> None:
    found = load_settings()
    assert (found.workspace, found.seed, found.threads) == (Path("workspace"), 0, 0)
    assert list(folder.iterdir()) == [], "nothing is made by reading"


def test_the_file_wins_over_defaults_the_environment_over_the_file_and_arguments_over_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / SETTINGS_FILE).write_text('workspace = "from_file"\nseed = 1\nthreads = 1\n')
    monkeypatch.setenv("TRUNKLINE_WORKSPACE", "from_environment")
    monkeypatch.setenv("TRUNKLINE_SEED", "2")
    found = load_settings(workspace=Path("from_argument"))
    assert (found.workspace, found.seed, found.threads) == (Path("from_argument"), 2, 1)
    assert load_settings(workspace=None).workspace == Path("from_environment"), "None is not given"


def test_a_setting_below_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / SETTINGS_FILE).write_text("[registry]\nlock_timeout_s = 3\n[lake]\nlock_timeout_s = 4\n")
    monkeypatch.setenv("TRUNKLINE_LAKE__LOCK_TIMEOUT_S", "5")
    found = load_settings()
    assert found.registry.lock_timeout_s == 3
    assert found.lake.lock_timeout_s == 5


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("seed = -1\n", "seed"),
        ('threads = "many"\n', "threads"),
        ("sead = 1\n", "sead"),
        ("[lake]\nlock_timeout = 1\n", "lake.lock_timeout"),
        ("seed = \n", "not TOML"),
    ],
)
def test_what_is_not_allowed_is_named(folder: Path, content: str, named: str) -> None:
    (folder / SETTINGS_FILE).write_text(content)
    with pytest.raises(InputError) as refused:
        load_settings()
    assert named in refused.value.what
    assert SETTINGS_FILE in refused.value.where


def test_a_refusal_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_SEED", "hunter2")
    with pytest.raises(InputError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [("TRUNKLINE_WORKSPCE", "TRUNKLINE_WORKSPACE"), ("TRUNKLINE_SERVER__PORT", "TRUNKLINE_SERVE")],
)
def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    monkeypatch.setenv(variable, "hunter2")
    with pytest.raises(InputError) as refused:
        load_settings()
    assert variable in refused.value.what
    assert meant in refused.value.allowed
    assert "hunter2" not in str(refused.value)


SOURCE = '[sources.tickets]\nusecase = "churn"\n'


@pytest.mark.parametrize(
    ("content", "what", "where", "allowed"),
    [
        ('kind = "sql"\nurl = "sqlite:///x"\ntabel = "a"', "sources.tickets.tabel", "[sources.tickets]", "table"),
        ('kind = "rset"', "sources.tickets.kind", "[sources.tickets]", "rest"),
        ('url = "https://a"', "sources.tickets.kind", "[sources.tickets]", "rest"),
        (
            'kind = "rest"\nurl = "https://a"\nauth = { kind = "basic", user = "x", pasword = "s3cret" }',
            "sources.tickets.auth.pasword",
            "[sources.tickets.auth]",
            "password",
        ),
        ('kind = "rest"\nurl = "https://a"\nauth = { kind = "x" }', "auth.kind", "[sources.tickets.auth]", "bearer"),
        (
            'kind = "folder"\npath = "x"\nschedule = { evry = "PT1M" }',
            "sources.tickets.schedule.evry",
            "[sources.tickets.schedule]",
            "every",
        ),
        ('kind = "mongodb"\ncollection = "x"', "sources.tickets.url", "[sources.tickets]", None),
        ('kind = "rest"\nurl = "http://a.example"', "sources.tickets ", "[sources.tickets]", None),
    ],
)
def test_a_wrong_key_of_a_source_has_its_own_address(
    folder: Path, content: str, what: str, where: str, allowed: str | None
) -> None:
    (folder / SETTINGS_FILE).write_text(SOURCE + content)
    with pytest.raises(InputError) as refused:
        load_settings()
    assert what in refused.value.what
    assert refused.value.where == f"{where} of {SETTINGS_FILE}"
    assert allowed is None or allowed in refused.value.allowed[:9]
    assert "s3cret" not in str(refused.value)
