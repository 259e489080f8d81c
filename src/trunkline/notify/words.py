"""The words of a notice: its own, or those of a template of the settings. Pure.

A template that cannot be used costs nobody a notice: it is told in its own words, and says what is wrong.
"""

from typing import Final, NamedTuple

from trunkline.notify.notices import Notice
from trunkline.settings.notify import NotifySettings

__all__ = ["Words", "words_of"]

_LONGEST_TITLE: Final = 200


class Words(NamedTuple):
    """What is said.

    Attributes:
        title: One line.
        text: What follows.
    """

    title: str
    text: str


def words_of(notice: Notice, *, settings: NotifySettings, waiting: int = 0) -> Words:
    """Put a notice into words.

    Args:
        notice: The notice.
        settings: Templates, and where the console is.
        waiting: How many more notices wait for the same target.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    template = settings.templates.get(notice.kind)
    link = f"{settings.console_url.rstrip('/')}/console/runs/{notice.run_id}" if settings.console_url else ""
    known = {**notice.model_dump(), "link": link}
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)  # plain text
    title, text = notice.title, f"{notice.text}\n{link}".rstrip()
    if template is not None:
        try:
            title, text = (environment.from_string(said).render(known) for said in (template.title, template.text))
        except Exception as error:  # noqa: BLE001 - a template may raise anything, and keeps nobody from being told
            text = f"{text}\n(notify.templates.{notice.kind} cannot be used: {error}; it may name {', '.join(known)})"
    if waiting:
        text = f"{text}\n({waiting} more notices wait: so many an hour are too many.)"
    return Words(" ".join(title.split())[:_LONGEST_TITLE], text)
