"""``serve``: the API and the console in one process."""

from typing import Annotated, Final

from cyclopts import Parameter

from trunkline.cli.output import Common

_LAST_PORT: Final = 65_535


def serve(
    *,
    host: Annotated[str | None, Parameter(help="Address to bind; wider than loopback needs an API key.")] = None,
    port: Annotated[int | None, Parameter(help="Port to bind; 0 takes a free one.")] = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Start the API and the console.

    Args:
        host: Address to bind; wider than loopback needs an API key.
        port: Port to bind; 0 takes a free one.
        common: Options of every command.
    """
    from trunkline.cli.server import run_server
    from trunkline.errors import InputError
    from trunkline.settings import load_settings

    if port is not None and not 0 <= port <= _LAST_PORT:
        raise InputError("there is no such port", where=f"--port {port}", allowed=("0 to 65535; 0 takes a free one",))
    settings = load_settings(workspace=common.workspace)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return run_server(settings.model_copy(update={"serve": settings.serve.model_copy(update=given)}))
