"""A source that is named by one URL: the options behind its address, and the declaration made of them.

Takes the query of a URL, gives a declared source. Refuses what the declaration refuses, by the option's name and with
an example; what the URL holds is never shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from trunkline.errors import InputError

__all__ = ["UrlOptions"]

SourceT = TypeVar("SourceT", bound=BaseModel)


@dataclass(frozen=True)
class UrlOptions:
    """What the URLs of one kind of source may say.

    Attributes:
        names: Options of ours; ``overlap_s`` is in seconds, and ``cursor`` makes the pull incremental.
        example: A whole URL, for messages.
    """

    names: tuple[str, ...]
    example: str

    def split(self, query: str) -> tuple[dict[str, object], list[tuple[str, str]]]:
        """Split a query into our options, as a declaration takes them, and all others.

        Raises:
            ValueError: It is malformed.
        """
        options = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        ours: dict[str, object] = {name: value for name, value in options if name in self.names}
        if "cursor" in ours:
            ours.setdefault("mode", "incremental")
        if "overlap_s" in ours:
            ours["overlap"] = f"PT{ours.pop('overlap_s')}S"
        return ours, [(name, value) for name, value in options if name not in self.names]

    def refuse_unknown(self, others: list[tuple[str, str]]) -> None:
        """Refuse options that are not ours, where nobody else reads them.

        Raises:
            InputError: There is one; the first by name is told.
        """
        if others:
            name = min(name for name, _ in others)[:40]
            raise self.unsaid(f"it has no option {name!r}", name)

    def declared(self, source: type[SourceT], said: Mapping[str, object]) -> SourceT:
        """Declare a source.

        Args:
            source: The kind of declaration.
            said: Its fields.

        Raises:
            InputError: It says too little or too much.
        """
        try:
            return source.model_validate(said)
        except ValidationError as error:
            what = error.errors(include_input=False, include_url=False)[0]
            at = ".".join(str(part) for part in what["loc"] if part != "kind")
            raise self.unsaid(what["msg"].removeprefix("Value error, "), at) from None

    def unsaid(self, detail: str, where: str) -> InputError:
        """Say that a URL does not tell what to read.

        Args:
            detail: Why not, without values.
            where: The option; empty for the address.
        """
        return InputError(
            f"the URL does not say what to read: {detail}",
            where=where,
            allowed=tuple(f"{name}=" for name in self.names),
            next_step=f"e.g. {self.example}",
        )
