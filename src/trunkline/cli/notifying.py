"""``notify``: tell what is new to those whom the settings name, or try whether they can be told."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from trunkline.cli.output import Common, emit, opened, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.run.notifying import Told

__all__ = ["notify"]

_FAILED = 1


def notify(
    *,
    dry_run: Annotated[bool, Parameter(help="Only say who would be told what.", negative="")] = False,
    test: Annotated[bool, Parameter(help="Send a notice for trying to every target.", negative="")] = False,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Tell what became of runs, gates and alerts to the targets of the settings, where they do not know it yet.

    Every run does so at its end; this is for what a target did not take then, and for trying. Exit code 1 where a
    target did not take a notice.

    Args:
        dry_run: Only say who would be told what.
        test: Send a notice for trying to every target, whatever it wants to be told.
        common: Options of every command.
    """
    from trunkline.errors import InputError
    from trunkline.run.notifying import notify as tell
    from trunkline.run.notifying import tell_a_test
    from trunkline.settings import SETTINGS_FILE

    with opened(common) as workspace:
        if test and not workspace.settings.notify.targets:
            raise InputError(
                "nobody is to be told",
                where="notify.targets",
                next_step=f"name somebody in {SETTINGS_FILE} of the current folder; docs/notify.md says how",
            )
        found = tell_a_test(workspace, dry_run=dry_run) if test else tell(workspace, dry_run=dry_run)
        has_targets = bool(workspace.settings.notify.targets or workspace.settings.notify.events_topic)
    document = {"notices": [one.model_dump(mode="json") for one in found]}
    emit(document, common=common, text=lambda: _show(found, has_targets=has_targets))
    return _FAILED if any(one.state == "failed" for one in found) else 0


def _show(found: "Sequence[Told]", *, has_targets: bool) -> None:
    if not has_targets:
        print("nobody is to be told; docs/notify.md says how to name somebody in trunkline.toml of the current folder")
    elif not found:
        print("everybody knows everything")
    else:
        table(
            "notices",
            ("target", "state", "severity", "what"),
            [(one.target, one.state, one.notice.severity, one.title) for one in found],
        )
        for target, reason in {one.target: one.reason for one in found if one.reason}.items():
            print(f"{target} did not take it: {reason}")
