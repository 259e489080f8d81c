"""A notice as a CloudEvent 1.0 in structured JSON mode. Pure.

Specification: CloudEvents 1.0.2, https://github.com/cloudevents/spec. The type is ``trunkline.`` and the kind of the
notice; ``source`` names the use case and ``subject`` the run; the same notice is the same ``id``, so that a reader of
an at-least-once channel can leave out what it has.
"""

import json
from typing import Final, get_args
from urllib.parse import quote

from trunkline.notify.notices import SEVERITIES, Notice
from trunkline.settings.notify import NoticeKind

__all__ = ["EVENT_SCHEMA", "cloud_event", "event_bytes"]


_TEXTS: Final = ("kind", "usecase", "severity", "title", "text", "run_id", "about")
EVENT_SCHEMA: Final[dict[str, object]] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "description": "The same however often a notice is sent"},
        "source": {"type": "string", "format": "uri-reference", "description": "The use case"},
        "type": {"enum": [f"trunkline.{kind}" for kind in get_args(NoticeKind)]},
        "subject": {"type": "string", "description": "The run"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": {
            "type": "object",
            "required": list(_TEXTS),
            "properties": {
                **{name: {"type": "string"} for name in _TEXTS},
                "kind": {"enum": list(get_args(NoticeKind))},
                "severity": {"enum": list(SEVERITIES)},
            },
        },
    },
}
"""JSON Schema of an event."""


def cloud_event(notice: Notice) -> dict[str, object]:
    """Give the event of a notice.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> said = {"kind": "alert", "usecase": "churn", "severity": "major", "title": "late", "text": "since noon"}
    >>> notice = Notice(notice_id="alert:ab", at=at, run_id="r", **said)
    >>> cloud_event(notice)["type"], cloud_event(notice)["time"]
    ('trunkline.alert', '2026-03-01T12:00:00Z')
    """
    return {
        "specversion": "1.0",
        "id": notice.notice_id,
        "source": f"urn:trunkline:usecase:{quote(notice.usecase, safe='')}",
        "type": f"trunkline.{notice.kind}",
        "subject": notice.run_id,
        "time": notice.model_dump(mode="json", include={"at"})["at"],
        "datacontenttype": "application/json",
        "data": notice.model_dump(mode="json", exclude={"notice_id", "at", "actions"}),
    }


def event_bytes(notice: Notice) -> bytes:
    """Give the event as the JSON that goes over the wire."""
    return json.dumps(cloud_event(notice), ensure_ascii=False).encode()
