"""``models``: the registry and its ledger."""

import getpass
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from trunkline.cli.output import Common, emit, opened, table, tell_broken

if TYPE_CHECKING:
    from trunkline.run import Workspace

app = App(name="models", help="List, show, promote, roll back and retire versions.")

Alias = Annotated[Literal["champion", "challenger"], Parameter(help="champion or challenger.", show_choices=False)]

Approver = Annotated[str | None, Parameter(help="Who decides; your login by default.")]


@app.default
@app.command(name="list")
def list_versions(usecase: str | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """List the versions of a use case, or of all.

    Args:
        usecase: Name of the use case; all by default.
        common: Options of every command.
    """
    from trunkline.plugins import Installed

    with opened(common) as workspace:
        installed = Installed({usecase: workspace.usecase(usecase)}, {}) if usecase else workspace.installed()
        # the registry knows the versions of a broken use case, and only their headline is not to be told
        found = [
            version
            for name in sorted({*installed.usecases, *installed.broken})
            for version in workspace.registry.versions(name)
        ]
        headline = {name: one.metric for name, one in installed.usecases.items()}
    emit(
        {
            "versions": [version.model_dump(mode="json") for version in found],
            "broken": tell_broken(installed.broken),
        },
        common=common,
        text=lambda: table(
            "models",
            ["use case", "version", "aliases", "retired", "run", "headline metric"],
            [
                [
                    version.usecase,
                    version.version,
                    ", ".join(version.aliases),
                    "yes" if version.retired else "",
                    version.run_id,
                    _headline(version.metrics, headline.get(version.usecase, "")),
                ]
                for version in found
            ],
        ),
    )
    return 0


def _refuse_unknown(workspace: "Workspace", usecase: str) -> None:
    """Refuse a name that neither a use case has nor a version: of one that is uninstalled, versions remain."""
    if not workspace.registry.versions(usecase):
        workspace.usecase(usecase)


def _headline(metrics: Mapping[str, float | None], name: str) -> str:
    value = metrics.get(name)
    return f"{name} {value:.4f}" if value is not None else ""


@app.command
def show(usecase: str, version: str = "champion", /, *, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Show one version: what it is made of, what it was trained on, who let it out.

    Args:
        usecase: Name of the use case.
        version: Version or alias.
        common: Options of every command.
    """
    from trunkline.tasks import load_model

    if "/" in usecase:  # as lineage names versions
        usecase, _, version = usecase.partition("/")
    with opened(common) as workspace:
        _refuse_unknown(workspace, usecase)
        found = workspace.registry.get(usecase, version)
        info = load_model(workspace.registry.folder(usecase, found.version)).info
        history = [
            entry.model_dump(mode="json")
            for entry in workspace.registry.ledger.entries()
            if entry.usecase == usecase and entry.version == found.version
        ]
    model = info.model_dump(mode="json", exclude={"profiles", "score_profile", "recipe"})

    def text() -> None:
        print(f"{usecase} version {found.version} {' '.join(found.aliases)}")
        for name, said in info.told():
            print(f"  {name:<12} {said}")
        for name, value in info.lineage.items():
            print(f"  {name:<12} {value}")
        for entry in history:
            print(f"  {entry['at']}  {entry['event']} by {entry['approver']}")

    emit({"version": found.model_dump(mode="json"), "model": model, "ledger": history}, common=common, text=text)
    return 0


@app.command
def promote(
    usecase: str,
    version: str,
    /,
    *,
    alias: Alias = "champion",
    approver: Approver = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Give an alias to a version.

    Args:
        usecase: Name of the use case.
        version: The version.
        alias: champion or challenger.
        approver: Who decides; your login by default.
        common: Options of every command.
    """
    with opened(common) as workspace:
        _refuse_unknown(workspace, usecase)
        live = workspace.registry.promote(
            usecase, version, alias=alias, approver=approver or getpass.getuser(), evidence={"by": "command line"}
        )
    said = f"version {version} of {usecase} is the {alias}"
    emit(live.model_dump(mode="json"), common=common, text=lambda: print(said))
    return 0


@app.command
def rollback(usecase: str, /, *, approver: Approver = None, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Go back to the champion before the present one, preprocessing included.

    Args:
        usecase: Name of the use case.
        approver: Who decides; your login by default.
        common: Options of every command.
    """
    with opened(common) as workspace:
        _refuse_unknown(workspace, usecase)
        live = workspace.registry.rollback(usecase, approver=approver or getpass.getuser())
    version = live.champion.version if live.champion else "none"
    emit(
        live.model_dump(mode="json"),
        common=common,
        text=lambda: print(f"version {version} of {usecase} is the champion again"),
    )
    return 0


@app.command
def retire(usecase: str, version: str, /, *, approver: Approver = None, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Bar a version from ever being given an alias again; its folder stays.

    Args:
        usecase: Name of the use case.
        version: The version.
        approver: Who decides; your login by default.
        common: Options of every command.
    """
    with opened(common) as workspace:
        _refuse_unknown(workspace, usecase)
        live = workspace.registry.retire(usecase, version, approver=approver or getpass.getuser())
    emit(live.model_dump(mode="json"), common=common, text=lambda: print(f"version {version} of {usecase} is retired"))
    return 0


@app.command
def verify(*, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Check the ledger's hash chain and the files of every version."""
    with opened(common) as workspace:
        entries = workspace.registry.verify()
    said = f"{entries} entries, all as written"
    emit({"entries": entries, "verified": True}, common=common, text=lambda: print(said))
    return 0
