"""The messages in a request: of a Pub/Sub push, a CloudEvent, a batch of them, or plain JSON. Pure.

A message has the fields of ``platform.messages``; more fields are left alone.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from trunkline.errors import InputError

__all__ = ["Message", "messages_in"]

_MOST: Final = 20_000


class Message(BaseModel):
    """What is to be pushed: the fields of ``platform.messages`` that a push needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    message_id: str = Field(min_length=1, max_length=200)
    usecase: str = Field(min_length=1, max_length=40)
    campaign: str = Field(max_length=200)
    entity_key: str = Field(min_length=1, max_length=1000)
    segment: str = Field("", max_length=200)
    offer: str = Field(max_length=200)
    channel: str = Field(max_length=40)
    valid_until: AwareDatetime
    state: str = "sent"


def messages_in(body: bytes) -> tuple[list[Message], list[str]]:
    """Find the messages of a request; those that were withheld are left out.

    Returns:
        The messages, and of each that is none what is wrong with it, without its values.

    Raises:
        InputError: The request is not JSON of a known form.
    """
    try:
        unwrapped = _unwrapped(json.loads(body))
    except (ValueError, RecursionError):
        raise _odd("the request is not JSON") from None
    found, wrong = [], []
    for one in unwrapped:
        try:
            found.append(Message.model_validate(one))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            wrong.append(f"{'.'.join(map(str, first['loc'])) or 'a message'}: {first['msg']}")
    return [one for one in found if one.state == "sent"], wrong


def _unwrapped(said: object) -> list[Any]:
    """Take envelopes off: Pub/Sub's, CloudEvents', a list, ``rows``."""
    if isinstance(said, list):
        if len(said) > _MOST:
            raise _odd(f"more than {_MOST} messages at once")
        return [message for one in said for message in _unwrapped(one)]
    if not isinstance(said, Mapping):
        raise _odd("a message is an object")
    envelope = said.get("message")
    if isinstance(envelope, Mapping) and "data" in envelope and "message_id" not in said:
        try:
            data = base64.b64decode(str(envelope["data"]), validate=True)
            return _unwrapped(json.loads(data))
        except (binascii.Error, ValueError):
            raise _odd("the data of the Pub/Sub message is not JSON in Base64") from None
    if "specversion" in said:
        return _unwrapped(said.get("data"))
    rows = said.get("rows")
    return _unwrapped(rows) if isinstance(rows, list) else [said]


def _odd(what: str) -> InputError:
    return InputError(
        what,
        where="the request",
        allowed=("a Pub/Sub push", "a CloudEvent or a list of them", "an object with the fields of platform.messages"),
    )
