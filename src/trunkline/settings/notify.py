"""Settings of notifications: whom to tell what, how often, and in which words."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal, get_args

from pydantic import BaseModel, Field, SecretStr, field_validator

__all__ = ["NoticeKind", "NotifySettings", "NotifyTarget", "NotifyTemplate", "Severity", "refuse_no_template"]

NoticeKind = Literal["run.finished", "run.failed", "gate.refused", "alert", "audience.ready"]
"""What there is to tell."""

Severity = Literal["info", "warning", "minor", "major", "critical"]
"""How grave it is, rising."""

_KINDS: Final = get_args(NoticeKind)


def refuse_no_template(text: str) -> str:
    """Give a template back, if it is one.

    Raises:
        ValueError: It cannot be parsed.
    """
    from jinja2 import TemplateSyntaxError
    from jinja2.sandbox import SandboxedEnvironment

    try:
        SandboxedEnvironment().parse(text)
    except TemplateSyntaxError as error:
        raise ValueError(f"it is no Jinja template: {error.message}, line {error.lineno}") from None
    return text


class NotifyTarget(BaseModel, frozen=True, extra="forbid"):
    """Somebody who is told."""

    url: SecretStr = Field(
        description="Apprise URL: `mailto://`, `slack://`, `msteams://`, `tgram://`, `json://host/path` (a webhook) ..."
    )
    kinds: tuple[NoticeKind, ...] = Field(
        _KINDS, description="What it is told: run.finished, run.failed, gate.refused, alert, audience.ready."
    )
    usecases: tuple[str, ...] = Field((), description="Of which use cases; none named means all.")
    least: Severity = Field(
        "warning", description="Least severity: info (runs that went well), warning, minor, major, critical."
    )
    at_most_per_hour: int = Field(
        20, ge=1, le=10_000, description="Notices in an hour; what is beyond waits for the next."
    )

    @field_validator("url")
    @classmethod
    def _of_apprise(cls, url: SecretStr) -> SecretStr:
        if "://" not in url.get_secret_value():
            raise ValueError("it must be a URL of Apprise, e.g. mailto://user:password@example.org")
        return url


class NotifyTemplate(BaseModel, frozen=True, extra="forbid"):
    """The words for one kind of notice: Jinja, in a sandbox."""

    title: str = Field("{{ title }}", description="The first line; knows the fields of a notice.")
    text: str = Field("{{ text }}", description="What follows; knows the fields of a notice.")

    @field_validator("title", "text")
    @classmethod
    def _of_jinja(cls, text: str) -> str:
        return refuse_no_template(text)


class NotifySettings(BaseModel, frozen=True, extra="forbid"):
    """Who is told what becomes of runs, gates and alerts; nobody by default."""

    targets: Mapping[str, NotifyTarget] = Field({}, description="Who is told, by name; see docs/notify.md.")
    templates: Mapping[NoticeKind, NotifyTemplate] = Field({}, description="Words of your own, by kind of notice.")
    console_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Where the console is reached by those who are told, for the link to a run; empty gives no link.",
    )
    repeat_after: timedelta = Field(
        timedelta(days=1),
        ge=timedelta(0),
        description="An alert that says the same of the same use case is told again after that time (ISO 8601).",
    )
    attempts: int = Field(3, ge=1, le=10, description="Tries of one call, with growing pauses between them.")
    give_up_after: timedelta = Field(
        timedelta(days=1),
        gt=timedelta(0),
        description="After that time a notice that nobody took is a dead letter (ISO 8601 duration).",
    )
    events_topic: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9._-]{0,199})?$",
        description="Topic of the broker to which every notice also goes as a CloudEvent; empty sends none.",
    )
