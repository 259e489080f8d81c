"""Elasticsearch and OpenSearch as a sink: documents under ids, indices behind aliases.

Both servers share the few calls that are used here (index template, bulk, reindex, aliases), while the client of each
maker refuses the other's server; so the calls are made by an HTTP client.

A target is an alias. Rows that replace all go into a new index, which takes the alias in one call: readers see the old
rows or the new ones. Other rows are gathered in an index of their own first, and copied by the server when they are
all there; a document has the row's key as its id, or batch and place where rows have no key, so a batch that comes
again changes nothing. An index notes whose it is and which batch it has; an alias of anybody else's index is refused.
Dated publications make one index a day, and a view is an alias of the newest.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, cast
from urllib.parse import quote, unquote, urlsplit

from trunkline.contracts.keys import joined_key
from trunkline.contracts.kinds import KindName
from trunkline.errors import InputError, MissingExtraError, TrunklineError, UnavailableError
from trunkline.publish.protocol import Capabilities, Delivery, Latest, Rows, Target
from trunkline.settings.drills import point

__all__ = ["CRASH_POINTS", "SearchSink"]

CRASH_POINTS: Final = ("publish.search.half", "publish.search.before_swap", "publish.search.after_swap")
"""Points at which a drill kills the publishing process."""

_TYPES: Final[Mapping[KindName, Mapping[str, object]]] = {
    "text": {"type": "keyword", "ignore_above": 8191},  # longer ones are kept, and not searched
    "category": {"type": "keyword"},
    "integer": {"type": "long"},
    "number": {"type": "double"},
    "flag": {"type": "boolean"},
    "day": {"type": "date", "format": "strict_date"},
    "instant": {"type": "date", "format": "strict_date_optional_time_nanos"},
}
_LONGEST_ID: Final = 400
_AGAIN: Final = "nothing is lost: the next delivery brings what is owed once the server answers"
_BUSY: Final = frozenset((408, 429, 502, 503, 504))


class SearchSink:
    """A cluster that rows are published to; see :class:`~trunkline.publish.protocol.Sink`.

    Args:
        url: ``elasticsearch+https://user:password@host:9200/`` or ``opensearch+https://...``; ``http`` likewise.
        options: ``api_key``, and ``ca_file`` where the server's certificate is signed by one's own authority.
        timeout_s: Longest wait for an answer (seconds).

    Raises:
        InputError: The URL is malformed.
        MissingExtraError: The HTTP client is not installed.
    """

    def __init__(self, url: str, *, options: Mapping[str, str] | None = None, timeout_s: float = 30.0) -> None:
        try:
            import httpx2
        except ModuleNotFoundError:
            raise MissingExtraError("httpx2", extra="rest") from None
        parts = urlsplit(url)
        name, _, transport = parts.scheme.partition("+")
        if transport not in ("http", "https") or not parts.hostname:
            raise InputError(
                "the address of the search server is malformed",
                where="`url` of [publish.sinks.NAME]",
                allowed=("elasticsearch+https://user:password@host:9200/", "opensearch+http://host:9200/"),
            )
        given = dict(options or {})
        self._name = name
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._shown = f"{name}+{transport}://{host}{port}{parts.path.rstrip('/')}"
        headers = {"authorization": f"ApiKey {given['api_key']}"} if "api_key" in given else {}
        login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._client = httpx2.Client(
            base_url=f"{transport}://{host}{port}{parts.path.rstrip('/')}",
            auth=login,
            headers=headers,
            timeout=timeout_s,
            verify=_verification(given.get("ca_file")),
        )

    @property
    def capabilities(self) -> Capabilities:
        """In what this sink differs from others: an index says which batch it has, and documents have ids."""
        return Capabilities(
            name=self._name,
            modes=frozenset(("append", "upsert", "replace")),
            remembers=True,
            views=True,
            keeps=True,
        )

    @property
    def shown(self) -> str:
        """Its address without the login."""
        return self._shown

    def check(self) -> None:
        """Log in.

        Raises:
            InputError: The login is wrong.
            UnavailableError: The server did not answer.
        """
        self._ask("GET", "/")

    def held(self, target: Target) -> str | None:
        """Say which batch the index behind the alias has; None where there is none, or its columns are others."""
        for about in self._about(target.name).values():
            batch_id, _, fingerprint = str(_batches(about).get(target.usecase, "")).partition(":")
            if batch_id and fingerprint == target.fingerprint:
                return batch_id
        return None

    def deliver(self, delivery: Delivery, rows: Rows) -> int:
        """Bring rows into an index.

        Raises:
            InputError: Login or rights are wrong, a value does not fit, or an index has the name of the alias; or what
                is behind the alias is somebody else's.
            UnavailableError: The server did not answer, is busy, or has no room.
        """
        target = delivery.target
        self._refuse_an_index(target)
        about = self._about(target.name)
        self._refuse_foreign(target.name, about, usecase="" if target.shared else target.usecase)
        if self.held(target) == delivery.batch_id:
            return 0
        self._ask("PUT", f"/_index_template/{quote(_template(target))}", body=_template_of(target))
        new = _index(delivery)
        if new in about:  # rows of other deliveries came to it, and readers see it until this one is there
            new = f"{new}-again"
        self._ask("DELETE", f"/{new}", allowed=(404,))
        self._ask("PUT", f"/{new}")
        try:
            count = self._filled(new, delivery, rows)
            self._ask("POST", f"/{new}/_refresh")
            point("publish.search.before_swap")
            before = self._behind(target.name)
            if not before or (delivery.whole and not target.shared):
                self._note(new, delivery)
                self._swap(target.name, to=new, instead_of=before)
            else:
                self._copied(new, delivery)
                self._note(before[0], delivery)
        except BaseException:
            if new not in self._behind(target.name):
                self._ask("DELETE", f"/{new}", allowed=(404,))
            raise
        point("publish.search.after_swap")
        return count

    def would(self, delivery: Delivery) -> tuple[str, ...]:
        """Say which calls :meth:`deliver` would make."""
        target, new = delivery.target, _index(delivery)
        last = f"POST /_aliases: {target.name} is {new}, what was behind it goes"
        if not delivery.whole or target.shared:
            last = f"POST /_reindex: {new} into {target.name}, by id"
        template = json.dumps(_template_of(target), ensure_ascii=False)
        return (f"PUT /_index_template/{_template(target)} {template}", f"POST /{new}/_bulk", last)

    def show(self, latest: Latest) -> None:
        """Make an alias of the newest dated index."""
        about = self._about(latest.name)
        self._refuse_foreign(latest.name, about, usecase=latest.target.usecase)
        before = tuple(sorted(about))
        actions = [{"remove": {"index": index, "alias": latest.name}} for index in before]
        actions += [{"add": {"index": index, "alias": latest.name}} for index in self._behind(latest.target.name)]
        self._ask("POST", "/_aliases", body={"actions": actions})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- inside

    def _refuse_an_index(self, target: Target) -> None:
        """Refuse the name of an index, which no alias may have."""
        if self._ask("HEAD", f"/{target.name}", allowed=(404,)) and not self._behind(target.name):
            raise InputError(
                f"an index has the name {target.name!r} already",
                where=f"{self.shown}, {target.name}",
                next_step="rename it, or set another `prefix`: published rows stand behind an alias of that name",
            )

    def _refuse_foreign(self, alias: str, about: Mapping[str, Mapping[str, Any]], *, usecase: str) -> None:
        """Refuse an alias of indices that Trunkline did not make, or made for another use case.

        Raises:
            InputError: There is such an index.
        """
        for index, said in about.items():
            is_made = said.get("made_by") == "trunkline"
            if is_made and (not usecase or said.get("usecase") == usecase):
                continue
            owner = str(said.get("usecase", ""))[:60]
            whose = f"belongs to the use case {owner!r}" if is_made else "was not made by Trunkline"
            raise InputError(
                f"behind the name {alias!r} is the index {index!r}, and it {whose}",
                where=f"{self.shown}, {alias}",
                next_step="set a `prefix` under [publish], or take the alias from that index",
            )

    def _about(self, alias: str) -> dict[str, Mapping[str, Any]]:
        """Say of each index behind an alias what its mapping notes."""
        if not self._behind(alias):
            return {}
        found = self._ask("GET", f"/{alias}/_mapping", allowed=(404,))
        return {index: dict(said.get("mappings", {}).get("_meta") or {}) for index, said in found.items()}

    def _note(self, index: str, delivery: Delivery) -> None:
        """Note in the mapping of an index which batch it has."""
        target = delivery.target
        found = self._ask("GET", f"/{index}/_mapping")[index]
        about = dict(found.get("mappings", {}).get("_meta") or _meta(target))
        noted = {**_batches(about), target.usecase: f"{delivery.batch_id}:{target.fingerprint}"}
        self._ask("PUT", f"/{index}/_mapping", body={"_meta": {**about, "batches": noted}})

    def _behind(self, alias: str) -> tuple[str, ...]:
        found = self._ask("GET", f"/_alias/{alias}", allowed=(404,))
        return tuple(sorted(found)) if found else ()

    def _filled(self, index: str, delivery: Delivery, rows: Rows) -> int:
        count = 0
        for batch in rows():
            documents = cast("list[dict[str, Any]]", batch.to_pylist())
            lines: list[str] = []
            for row in documents:
                count += 1
                name = _id(delivery, row, count)
                lines += (json.dumps({"index": {"_id": name}}), json.dumps(_plain(row), ensure_ascii=False))
            if lines:
                self._bulk(index, "\n".join(lines) + "\n")
                point("publish.search.half")
        return count

    def _bulk(self, index: str, lines: str) -> None:
        answer = self._ask("POST", f"/{index}/_bulk", content=lines.encode(), kind="application/x-ndjson")
        if answer.get("errors"):
            failed = [item["index"] for item in answer["items"] if item["index"].get("status", 200) >= 400]
            raise self._refusal(failed[0]["status"], failed[0].get("error", {}), where=index)

    def _swap(self, alias: str, *, to: str, instead_of: tuple[str, ...]) -> None:
        """Give an alias to another index; what was behind it goes in the same moment."""
        gone = [{"remove_index": {"index": index}} for index in instead_of if index != to]
        self._ask("POST", "/_aliases", body={"actions": [{"add": {"index": to, "alias": alias}}, *gone]})

    def _copied(self, new: str, delivery: Delivery) -> None:
        """Copy what was gathered into the index behind the alias; it is the server that does it."""
        target = delivery.target
        newest = {"size": 0, "aggs": {"newest": {"max": {"field": "_seq_no"}}}}
        found = self._ask("POST", f"/{target.name}/_search", body=newest)["aggregations"]["newest"]["value"]
        before = -1 if found is None else found
        answer = self._ask(
            "POST",
            "/_reindex?refresh=true",
            body={"source": {"index": new}, "dest": {"index": target.name, "op_type": "index"}},
        )
        if answer.get("failures"):
            failure = answer["failures"][0]
            raise self._refusal(failure.get("status", 400), failure.get("cause", {}), where=target.name)
        if delivery.whole:  # of a table that several use cases share: what this one has there and did not deliver now
            older = [{"term": {"usecase": target.usecase}}, {"range": {"_seq_no": {"lte": before}}}]
            query = {"query": {"bool": {"filter": older}}}
            self._ask("POST", f"/{target.name}/_delete_by_query?refresh=true", body=query)
        self._ask("DELETE", f"/{new}", allowed=(404,))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        content: bytes | None = None,
        kind: str = "application/json",
        allowed: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        """Make a call; gives what it answered, nothing for an allowed refusal."""
        import httpx2

        sent = content if content is not None else None if body is None else json.dumps(body).encode()
        try:
            answer = self._client.request(method, path, content=sent, headers={"content-type": kind} if sent else {})
        except httpx2.HTTPError as error:
            raise UnavailableError(
                f"the search server did not answer ({type(error).__name__})", where=self.shown, next_step=_AGAIN
            ) from None
        if answer.status_code in allowed:
            return {}
        if answer.is_success:
            return cast("dict[str, Any]", answer.json()) if answer.content else {"found": True}
        try:
            told = answer.json().get("error", {})
        except (ValueError, AttributeError):
            told = {}
        raise self._refusal(answer.status_code, told if isinstance(told, dict) else {}, where=path.partition("?")[0])

    def _refusal(self, status: int, told: Mapping[str, Any], *, where: str) -> TrunklineError:
        """Say what a refusal means, in the server's word for it and without values of rows."""
        kind = str(told.get("type", ""))[:60]
        place = f"{self.shown}, {where}"
        said = f"{status} {kind}".strip()
        if status in _BUSY or kind in ("cluster_block_exception", "es_rejected_execution_exception"):
            return UnavailableError(
                f"the search server is busy, or has no room ({said})", where=place, next_step=_AGAIN
            )
        if status in (401, 403):
            return InputError(
                f"the search server refused the login, or the right to write ({said})",
                where=place,
                next_step="check user, password or `api_key`: it needs to make, fill and delete indices and templates",
            )
        if status >= 500:
            return UnavailableError(f"the search server failed ({said})", where=place, next_step=_AGAIN)
        return InputError(
            f"the search server refused to write that ({said})",
            where=place,
            next_step="delete the index there, it is filled again; or set another `prefix`",
        )


def _verification(ca_file: str | None) -> Any:  # noqa: ANN401 - what the client takes
    if ca_file is None:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError:
        raise InputError(
            "the file of the certificate authority cannot be read",
            where="ca_file of a sink",
            next_step="check the path",
        ) from None


def _template(target: Target) -> str:
    """Name the template of a target; those of all days share one, which the state of a cluster is to hold."""
    return f"trunkline-{target.undated or target.name}"


def _template_of(target: Target) -> dict[str, object]:
    """The index template: types of the columns, and nothing that the contract does not know."""
    properties = {column.name: dict(_TYPES[column.kind]) for column in target.columns}
    for column in target.columns:
        if column.masked:
            properties[column.name] = {"type": "keyword"}
    return {
        "index_patterns": [f"{target.undated}_2*--*" if target.undated else f"{target.name}--*"],
        "priority": 150 if target.undated else 200,  # a target whose name begins like that of a day has its own
        "template": {
            "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
            "mappings": {
                "dynamic": False,
                "properties": properties,
                "_meta": _meta(target),
            },
        },
    }


def _meta(target: Target) -> dict[str, object]:
    return {"made_by": "trunkline", "usecase": target.usecase, "about": target.description[:200]}


def _batches(about: Mapping[str, Any]) -> dict[str, str]:
    """Use cases to the batch that an index has of each, and the hash of its columns."""
    found = about.get("batches")
    return dict(found) if isinstance(found, dict) else {}


def _index(delivery: Delivery) -> str:
    return f"{delivery.target.name}--{delivery.batch_id}"


def _id(delivery: Delivery, row: Mapping[str, object], place: int) -> str:
    """The id of a document: the row's key, or the delivery and its place in it."""
    if delivery.target.mode == "append" or not delivery.target.key:
        return f"{delivery.batch_id}-{place}"
    key = joined_key([str(_scalar(row[name])) for name in delivery.target.key])
    return key if 0 < len(key.encode()) <= _LONGEST_ID else hashlib.sha256(key.encode()).hexdigest()


def _plain(row: Mapping[str, object]) -> dict[str, object]:
    return {name: _scalar(value) for name, value in row.items()}


def _scalar(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
