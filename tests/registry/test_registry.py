"""Registering, promoting, rolling back, retiring: what is live, and what the ledger says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest
from filelock import FileLock

from trunkline.errors import BusyError, InputError, SourceError, TamperedError, UnavailableError, UnknownNameError
from trunkline.registry import ModelVersion, NoTracker, Registry, read_live, verified_folder


class MakeFolder(Protocol):
    def __call__(self, name: str = "m") -> Path: ...


def register(registry: Registry, folder: Path, *, usecase: str = "churn") -> ModelVersion:
    return registry.register(
        usecase,
        folder,
        run_id=f"run-{folder.name}",
        metrics={"roc_auc": 0.85, "ece": float("nan")},
        tags={"commit": "abc"},
        evidence=[{"name": "minimum_metric", "passed": True, "value": 0.85, "limit": 0.8}],
    )


def promote(registry: Registry, version: str) -> str:
    manifest = registry.promote("churn", version, approver="gates", evidence=None)
    assert manifest.champion is not None
    return manifest.champion.version


def champion_of(registry: Registry) -> str | None:
    champion = read_live(registry.workspace, "churn").champion
    return champion.version if champion else None


def test_a_version_is_a_copy_of_the_folder_with_its_facts(registry: Registry, model_folder: MakeFolder) -> None:
    folder = model_folder("a")
    version = register(registry, folder)
    assert version.version == "1"
    assert version.folder == registry.workspace / "models" / "churn" / "1"
    for path in folder.rglob("*.*"):
        assert (version.folder / path.relative_to(folder)).read_bytes() == path.read_bytes()
    assert version.metrics == {"roc_auc": 0.85, "ece": None}
    assert version.tags == {"commit": "abc"}
    assert version.aliases == ()
    assert registry.get("churn", "1") == version


def test_a_run_registers_once(registry: Registry, model_folder: MakeFolder) -> None:
    folder = model_folder("a")
    assert register(registry, folder) == register(registry, folder)
    assert register(registry, model_folder("b")).version == "2"
    assert [version.version for version in registry.versions("churn")] == ["1", "2"]
    assert registry.ledger.verify() == 2


def test_use_cases_count_their_versions_apart(registry: Registry, model_folder: MakeFolder) -> None:
    register(registry, model_folder("a"))
    assert register(registry, model_folder("b"), usecase="towers").version == "1"


def test_promotion_makes_a_version_live_and_a_repeat_changes_nothing(
    registry: Registry, model_folder: MakeFolder
) -> None:
    register(registry, model_folder("a"))
    assert champion_of(registry) is None
    first = registry.promote("churn", "1", approver="ann", evidence={"why": "first"})
    assert first == registry.promote("churn", "1", approver="ann", evidence={"why": "first"})
    assert registry.ledger.verify() == 2
    assert read_live(registry.workspace, "churn") == first
    champion = first.champion
    assert champion is not None
    assert verified_folder(registry.workspace, champion) == registry.folder("churn")
    assert registry.get("churn").aliases == ("champion",)
    entry = registry.ledger.entries()[-1]
    assert (entry.event, entry.approver, entry.evidence, entry.run_id) == ("promoted", "ann", {"why": "first"}, "run-a")
    assert champion.entry == entry.sha256


def test_a_challenger_that_wins_stops_challenging(registry: Registry, model_folder: MakeFolder) -> None:
    for name in "ab":
        register(registry, model_folder(name))
    promote(registry, "1")
    both = registry.promote("churn", "2", alias="challenger", approver="gates", evidence=None)
    assert {alias: model.version for alias, model in both.aliases.items()} == {"champion": "1", "challenger": "2"}
    won = registry.promote("churn", "2", approver="gates", evidence=None)
    assert {alias: model.version for alias, model in won.aliases.items()} == {"champion": "2"}
    with pytest.raises(InputError, match="cannot challenge itself"):
        registry.promote("churn", "2", alias="challenger", approver="gates", evidence=None)


def test_rollback_goes_back_step_by_step_and_brings_the_whole_folder(
    registry: Registry, model_folder: MakeFolder
) -> None:
    for name in "abc":
        register(registry, model_folder(name))
        promote(registry, str("abc".index(name) + 1))
    assert registry.rollback("churn", approver="ann").champion == read_live(registry.workspace, "churn").champion
    assert champion_of(registry) == "2"
    assert (registry.folder("churn") / "model.json").read_text() == '{"name": "b"}'
    assert (registry.folder("churn") / "views" / "logistic.view.onnx").is_file()
    registry.rollback("churn", approver="ann")
    assert champion_of(registry) == "1"
    with pytest.raises(InputError, match="no earlier champion"):
        registry.rollback("churn", approver="ann")


def test_a_rollback_that_leads_nowhere_says_why_and_what_could_be_promoted(
    registry: Registry, model_folder: MakeFolder
) -> None:
    def refused() -> InputError:
        with pytest.raises(InputError, match="no earlier champion") as told:
            registry.rollback("churn", approver="ann")
        return told.value

    nothing = refused()
    assert nothing.what.endswith("no version was registered yet")
    assert (nothing.allowed, nothing.next_step) == ((), "make a version first: trunkline run churn")
    register(registry, model_folder("a"))
    assert (refused().what.endswith("no version is champion"), refused().allowed) == (True, ("1",))
    promote(registry, "1")
    alone = refused()
    assert alone.what.endswith("version 1 is the only one")
    assert (alone.allowed, alone.next_step) == ((), "make another version first: trunkline run churn")
    register(registry, model_folder("b"))
    another = refused()
    assert another.what.endswith("there was none before version 1")
    assert (another.allowed, "promote churn VERSION" in another.next_step) == (("2",), True)
    promote(registry, "2")
    registry.retire("churn", "1", approver="ann")
    assert (refused().what.endswith("those before version 2 are retired"), refused().allowed) == (True, ())


def test_rollback_passes_over_retired_versions(registry: Registry, model_folder: MakeFolder) -> None:
    for name in "abc":
        register(registry, model_folder(name))
        promote(registry, str("abc".index(name) + 1))
    registry.retire("churn", "2", approver="ann")
    registry.rollback("churn", approver="ann")
    assert champion_of(registry) == "1"


def test_rollback_never_goes_back_to_the_present_champion(registry: Registry, model_folder: MakeFolder) -> None:
    for name in "ab":
        register(registry, model_folder(name))
    for version in "121":
        promote(registry, version)
    registry.retire("churn", "2", approver="ann")
    before = registry.ledger.path.read_bytes()
    with pytest.raises(InputError, match="no earlier champion"):
        registry.rollback("churn", approver="ann")
    assert registry.ledger.path.read_bytes() == before
    assert champion_of(registry) == "1"


def test_a_champion_that_answers_for_the_second_time_can_be_rolled_back_and_does_not_come_again(
    registry: Registry, model_folder: MakeFolder
) -> None:
    for name in "abc":
        register(registry, model_folder(name))
    for version in "121":
        promote(registry, version)
    registry.rollback("churn", approver="ann")
    assert champion_of(registry) == "2"
    with pytest.raises(InputError, match="no earlier champion") as told:
        registry.rollback("churn", approver="ann")
    assert told.value.what.endswith("those before version 2 are taken back")
    assert (champion_of(registry), told.value.allowed) == ("2", ("1", "3"))
    for version in "131":
        promote(registry, version)
    for expected in "32":
        registry.rollback("churn", approver="ann")
        assert champion_of(registry) == expected


def test_a_promotion_that_expects_another_champion_is_refused(registry: Registry, model_folder: MakeFolder) -> None:
    for name in "abc":
        register(registry, model_folder(name))

    def expecting(version: str, champion: str | None) -> None:
        registry.promote("churn", version, approver="gates", evidence=None, expecting=champion)

    expecting("1", None)
    expecting("1", "7")  # answers already: the repeat of a killed command
    with pytest.raises(InputError, match="version 2 was judged against no champion, and version 1 is live now"):
        expecting("2", None)
    with pytest.raises(InputError, match="version 2 was judged against version 3") as caught:
        expecting("2", "3")
    assert caught.value.exit_code == 2
    assert "trunkline models promote churn 2" in caught.value.next_step
    expecting("2", "1")
    registry.rollback("churn", approver="ann")
    with pytest.raises(InputError, match="version 2 has been champion and was taken back"):
        expecting("2", "1")
    assert champion_of(registry) == "1"
    assert promote(registry, "2") == "2", "a person may"


def test_what_a_killed_promotion_decided_is_settled_before_another_decision_rests_on_it(
    registry: Registry, model_folder: MakeFolder
) -> None:
    live = registry.workspace / "live" / "churn.json"
    for name in "ab":
        register(registry, model_folder(name))
    promote(registry, "1")
    shown = live.read_bytes()
    promote(registry, "2")
    live.write_bytes(shown)  # as a process leaves it that is killed between the ledger's entry and the manifest
    assert champion_of(registry) == "1"
    settled = registry.settled("churn")
    assert champion_of(registry) == "2"
    assert registry.live("churn") == settled == registry.settled("churn")


def test_a_version_that_challenged_may_become_champion(registry: Registry, model_folder: MakeFolder) -> None:
    for name in "ab":
        register(registry, model_folder(name))
    promote(registry, "1")
    registry.promote("churn", "2", alias="challenger", approver="ann", evidence=None)
    registry.promote("churn", "2", approver="gates", evidence=None, expecting="1")
    assert champion_of(registry) == "2"


class Away(NoTracker):
    """A store that cannot be reached until it is told to come back; remembers what it was told."""

    def __init__(self) -> None:
        self.away = True
        self.told: list[Mapping[str, str]] = []

    def point(self, usecase: str, *, aliases: Mapping[str, str]) -> None:
        if self.away:
            raise UnavailableError("MLflow did not take the record")
        self.told.append({f"{usecase}/{alias}": run_id for alias, run_id in aliases.items()})


def test_a_store_that_is_away_stops_neither_promotion_nor_rollback(
    registry: Registry, model_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    store = Away()
    registry = Registry(registry.workspace, settings=registry._settings, clock=registry._clock, follower=store)
    for name in "ab":
        register(registry, model_folder(name))
    for version in "12":
        assert promote(registry, version) == version
    manifest = registry.rollback("churn", approver="ann")
    assert manifest == read_live(registry.workspace, "churn")
    assert champion_of(registry) == "1"
    assert len(caplog.records) == 3
    assert "MLflow has not followed" in caplog.text
    registry.verify()

    store.away = False
    assert promote(registry, "1") == "1", "changes nothing, and tells the store"
    assert store.told == [{"churn/champion": "run-a"}]
    promote(registry, "1")
    assert store.told == [{"churn/champion": "run-a"}], "it knows"
    promote(registry, "2")
    registry.retire("churn", "1", approver="ann")
    assert store.told == [{"churn/champion": "run-a"}, {"churn/champion": "run-b"}]
    assert registry.ledger.verify() == 7


def test_a_retired_version_gets_no_alias_and_the_champion_is_not_retired(
    registry: Registry, model_folder: MakeFolder
) -> None:
    for name in "ab":
        register(registry, model_folder(name))
    promote(registry, "1")
    registry.promote("churn", "2", alias="challenger", approver="gates", evidence=None)
    assert registry.retire("churn", "2", approver="ann").challenger is None
    assert registry.get("churn", "2").retired
    assert registry.folder("churn", "2").is_dir()
    with pytest.raises(InputError, match="retired"):
        promote(registry, "2")
    with pytest.raises(InputError, match="is the champion"):
        registry.retire("churn", "1", approver="ann")


def test_a_refusal_is_recorded_once_and_makes_no_version(registry: Registry) -> None:
    first = registry.refuse("churn", run_id="r", evidence={"failed": ["leakage"]})
    assert first == registry.refuse("churn", run_id="r", evidence={"failed": ["leakage"]})
    assert registry.versions("churn") == ()


def test_unknown_names_say_what_is_there(registry: Registry, model_folder: MakeFolder) -> None:
    register(registry, model_folder("a"))
    with pytest.raises(UnknownNameError) as caught:
        registry.promote("churn", "7", approver="ann", evidence=None)
    assert caught.value.exit_code == 2
    assert caught.value.allowed == ("1",)
    with pytest.raises(UnknownNameError, match="champion"):
        registry.folder("churn")


def test_a_folder_that_is_no_model_is_refused_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such model folder"):
        register(registry, tmp_path / "absent")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "model.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"model\.json"):
        register(registry, tmp_path / "odd")
    assert not (registry.workspace / "models").exists()
    with pytest.raises(InputError, match="cannot be the name"):
        register(registry, tmp_path / "odd", usecase="../churn")


def test_a_busy_registry_names_its_holder(registry: Registry, model_folder: MakeFolder) -> None:
    folder = model_folder("a")
    register(registry, folder)
    with (
        FileLock(registry.workspace / "locks" / "registry.lock"),
        pytest.raises(BusyError, match="holds the model registry") as caught,
    ):
        promote(registry, "1")
    assert "process" in caught.value.holder
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["model.onnx", "model.json", "views/logistic.view.onnx"])
@pytest.mark.parametrize("damage", ["change", "truncate", "remove", "add"])
def test_a_tampered_model_is_refused_everywhere(
    registry: Registry, model_folder: MakeFolder, name: str, damage: str
) -> None:
    folder = register(registry, model_folder("a")).folder
    register(registry, model_folder("b"))
    promote(registry, "2")
    damage_file(folder / name, damage)
    for act in (
        lambda: promote(registry, "1"),
        lambda: registry.folder("churn", "1"),
        registry.verify,
        lambda: register(registry, folder.parents[3] / "trained" / "a"),
    ):
        with pytest.raises(TamperedError) as caught:
            act()
        assert caught.value.exit_code == 2
        assert str(folder) in caught.value.where
        assert "rollback" in caught.value.next_step
    assert champion_of(registry) == "2"


def damage_file(path: Path, damage: str) -> None:
    content = path.read_bytes()
    if damage == "change":
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "truncate":
        path.write_bytes(content[:-1])
    elif damage == "remove":
        path.unlink()
    else:
        path.with_suffix(".extra").write_bytes(b"x")


def test_rollback_away_from_a_tampered_champion_works(registry: Registry, model_folder: MakeFolder) -> None:
    for name in "ab":
        register(registry, model_folder(name))
        promote(registry, str("ab".index(name) + 1))
    damage_file(registry.get("churn").folder / "model.onnx", "change")
    registry.rollback("churn", approver="ann")
    assert champion_of(registry) == "1"


@pytest.mark.parametrize("damage", ["change", "truncate"])
def test_a_tampered_live_manifest_is_refused_and_written_anew_from_the_ledger(
    registry: Registry, model_folder: MakeFolder, damage: str
) -> None:
    for name in "ab":
        register(registry, model_folder(name))
    promote(registry, "1")
    path = registry.workspace / "live" / "churn.json"
    if damage == "change":
        path.write_text(path.read_text().replace("models/churn/1", "models/churn/2"))
    else:
        damage_file(path, damage)
    with pytest.raises(TamperedError, match="live manifest") as caught:
        registry.live("churn")
    assert "trunkline models promote churn" in caught.value.next_step
    assert promote(registry, "1") == "1"
    assert champion_of(registry) == "1"


def test_a_ledger_that_lost_its_newest_lines_is_noticed(registry: Registry, model_folder: MakeFolder) -> None:
    register(registry, model_folder("a"))
    promote(registry, "1")
    lines = registry.ledger.path.read_bytes().splitlines(keepends=True)
    registry.ledger.path.write_bytes(b"".join(lines[:-1]))
    assert registry.ledger.verify() == 1
    for act in (registry.verify, lambda: promote(registry, "1"), lambda: registry.rollback("churn", approver="ann")):
        with pytest.raises(TamperedError, match="lost the entry"):
            act()


def test_two_registries_of_one_workspace_agree(registry: Registry, model_folder: MakeFolder) -> None:
    other = Registry(registry.workspace, settings=registry._settings, clock=registry._clock, follower=registry._tracker)
    register(registry, model_folder("a"))
    assert promote(other, "1") == "1"
    assert champion_of(registry) == "1"
