"""``push``: take messages to customers from Pub/Sub or a webhook, and make pushes of them."""

import sys

from trunkline.cli.output import Common, opened

__all__ = ["push"]


def push(*, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Take messages to customers over HTTP and push each to its customer, once, until the process is told to stop.

    It listens for a Pub/Sub push subscription, or a webhook sink of another Trunkline, at ``/push``. Consent, cap and
    validity are checked once more; see docs/contacts.md.

    Args:
        common: Options of every command.
    """
    import uvicorn

    from trunkline.errors import InputError
    from trunkline.run import Workspace
    from trunkline.run.pushing import LEDGER, PushLedger, PushReceiver, TokenCheck, push_app
    from trunkline.serve.access import is_loopback

    with opened(common) as workspace:
        settings, clock = workspace.settings, workspace.clock
        said = settings.messages.push
        if not (said.audience and said.email) and not is_loopback(said.host):
            raise InputError(
                "listening wider than loopback needs signed tokens, of one service account",
                where=f"messages.push.host = {said.host}",
                allowed=("127.0.0.1", "::1", "localhost"),
                next_step="set messages.push.audience and messages.push.email as they are in the push subscription: "
                "anybody can have a token made for an audience",
            )
        ledger = PushLedger(workspace.folder("push").parent / LEDGER)
        try:
            receiver = PushReceiver(lambda: Workspace(settings), ledger=ledger, clock=clock)
            tokens = TokenCheck(said, clock=clock) if said.audience else None
            config = uvicorn.Config(
                push_app(receiver, ledger=ledger, tokens=tokens),
                host=said.host,
                port=said.port,
                log_level="warning",
                access_log=False,
            )
            try:
                socket = config.bind_socket()
            except SystemExit:
                raise InputError(
                    "the address cannot be bound", where=f"{said.host}:{said.port}", next_step="set messages.push.port"
                ) from None
            address = socket.getsockname()
            print(f"trunkline pushes what comes to http://{address[0]}:{address[1]}/push", file=sys.stderr, flush=True)
            uvicorn.Server(config).run(sockets=[socket])
        finally:
            ledger.close()
    return 0
