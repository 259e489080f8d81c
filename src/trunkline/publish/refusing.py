"""Settings of publishing that name what is not there. Pure."""

from trunkline.errors import UnknownNameError
from trunkline.publish.targets import planned
from trunkline.settings.publish import PublishSettings
from trunkline.spec import UseCase

__all__ = ["refuse_unknown"]


def refuse_unknown(settings: PublishSettings, usecase: UseCase) -> None:
    """Refuse settings that name what is not there.

    Args:
        settings: The settings.
        usecase: The use case that is to be published.

    Raises:
        UnknownNameError: A sink in ``only``, or a table of a sink that takes this use case alone.
    """
    for name in settings.only:
        if name not in settings.sinks:
            raise UnknownNameError(
                f"there is no sink {name[:40]!r}",
                where="[publish] of the settings",
                allowed=settings.sinks,
                next_step="declare it: [publish.sinks.NAME] with `url`",
            )
    known = [one.name for one in planned(usecase)]
    for name, said in settings.sinks.items():
        if said.usecases != (usecase.name,):
            continue
        for table in said.tables:
            if table not in known:
                raise UnknownNameError(
                    f"{usecase.name!r} publishes no table {table[:40]!r}",
                    where=f"[publish.sinks.{name}] of the settings",
                    allowed=known,
                )
