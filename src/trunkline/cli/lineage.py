"""``lineage``: what an answer, a version or a run rests on."""

from trunkline.cli.output import Common, emit, opened


def lineage(identity: str, /, *, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Say which version answered, what it was trained on, and who approved it.

    Args:
        identity: A prediction or request id, a run id, a batch id, or USECASE/VERSION.
        common: Options of every command.
    """
    from trunkline.run.tracing import trace

    with opened(common) as workspace:
        found = trace(workspace, identity)

    def text() -> None:
        for link in found:
            print(f"{link.kind} {link.identity}")
            for name, value in link.facts.items():
                print(f"  {name:<22} {value}")

    emit({"lineage": [link.model_dump(mode="json") for link in found]}, common=common, text=text)
    return 0
