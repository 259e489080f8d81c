"""``lineage``: what an answer, a version, a run, a table or a row rests on."""

from trunkline.cli.output import Common, emit, opened


def lineage(identity: str, /, *, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Say which version answered, what it was trained on, and who approved it; or where a row came from.

    Args:
        identity: A prediction or request id, a run id, a batch id, USECASE/VERSION, a row as BATCH/RECORD or
            USECASE.DATASET#KEY=VALUE, or a version of a table as USECASE.DATASET@VERSION.
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
