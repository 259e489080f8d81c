"""A server that is busy, slow, broken or hostile: what is tried again, for how long, and what no message may hold."""

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.ingest.rest.loopback import Api, Reply, Seen, Times, running

from trunkline.errors import SourceError, UnavailableError
from trunkline.ingest.sources.protocol import Position, Source
from trunkline.spec.rest import address_fault
from trunkline.spec.sources import RestSource

OpenRest = Callable[..., Source]
Pull = Callable[..., list[tuple[bytes, Position]]]

GOOD = Reply([{"call_id": "c1"}])
PIECE = b'[{"call_id":"c1"}]\n'
SECRET = "s3cret-value"


def content(pieces: list[tuple[bytes, Position]]) -> bytes:
    return b"".join(part for part, _ in pieces)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(api: Api, open_rest: OpenRest, pull: Pull, times: Times, status: int) -> None:
    api.then(Reply(status=status), Reply(status=status), GOOD)
    assert content(pull(open_rest())) == PIECE
    assert times.slept == [0.375, 0.75]  # half of a growing time, and a drawn part of the other half


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 410, 422, 451, 501, 505])
def test_every_other_fault_is_said_at_once(
    api: Api, open_rest: OpenRest, pull: Pull, times: Times, status: int
) -> None:
    api.then(Reply({"error": "no such\nthing"}, status=status))
    with pytest.raises(SourceError, match=rf'status {status}: {{"error": "no such\\nthing"}}'):
        pull(open_rest())
    assert (len(api.seen), times.slept) == (1, [])


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Sun, 01 Mar 2026 12:00:09 GMT", 9.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", 0.375),
    ],
)
def test_retry_after_is_kept(
    api: Api, open_rest: OpenRest, pull: Pull, times: Times, asked: str, waited: float
) -> None:
    api.then(Reply(status=429, headers={"Retry-After": asked}), GOOD)
    assert content(pull(open_rest())) == PIECE
    assert times.slept == [waited]


def test_a_server_that_wants_hours_is_left_alone(api: Api, open_rest: OpenRest, pull: Pull, times: Times) -> None:
    api.then(Reply(status=503, headers={"Retry-After": "7200"}))
    with pytest.raises(UnavailableError, match="left alone for 7200 s"):
        pull(open_rest())
    assert (len(api.seen), times.slept) == (1, [])


def test_it_gives_up(api: Api, open_rest: OpenRest, pull: Pull, times: Times) -> None:
    api.then(Reply(status=500))
    with pytest.raises(UnavailableError, match="status 500"):
        pull(open_rest(attempts=4))
    assert (len(api.seen), len(times.slept)) == (4, 3)


def test_a_body_that_breaks_off_is_asked_for_again(api: Api, open_rest: OpenRest, pull: Pull, times: Times) -> None:
    api.then(Reply([{"call_id": "c1"}], cut_after=9), GOOD)
    assert content(pull(open_rest())) == PIECE
    assert len(times.slept) == 1


def test_a_cut_is_found_where_only_the_connection_ends_the_body(
    api: Api, open_rest: OpenRest, pull: Pull, times: Times
) -> None:
    api.then(Reply([{"call_id": "c1"}], cut_after=9, length=False), Reply([{"call_id": "c1"}], length=False))
    assert content(pull(open_rest())) == PIECE
    assert len(times.slept) == 1


def test_truncated_json_of_a_whole_answer_is_the_servers_fault(
    api: Api, open_rest: OpenRest, pull: Pull, times: Times
) -> None:
    api.then(Reply(b'[{"call_id": "c'))
    with pytest.raises(SourceError, match="not JSON"):
        pull(open_rest())
    assert times.slept == []


def test_a_page_to_log_in_is_no_answer(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply(b"<html>log in</html>", headers={"Content-Type": "text/html"}))
    with pytest.raises(SourceError, match=r"not JSON \(text/html\)"):
        pull(open_rest())


def test_json_under_a_wrong_content_type_is_taken(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply([{"call_id": "c1"}], headers={"Content-Type": "text/html"}))
    assert content(pull(open_rest())) == PIECE


@pytest.mark.parametrize("status", [200, 204])
def test_no_body_is_no_rows(api: Api, open_rest: OpenRest, pull: Pull, status: int) -> None:
    api.then(Reply(status=status))
    assert pull(open_rest()) == []


def test_nobody_listens(open_rest: OpenRest, pull: Pull, times: Times) -> None:
    with running(lambda _: GOOD) as gone:
        url = gone.url
    with pytest.raises(UnavailableError, match="connect error"):
        pull(open_rest(url=url, attempts=3))
    assert len(times.slept) == 2


def test_silence_is_a_passing_fault(api: Api, open_rest: OpenRest, pull: Pull, times: Times) -> None:
    # the server promises more bytes than it sends and keeps the connection
    api.then(Reply(b"[", headers={"Content-Length": "9"}, length=False), GOOD)
    assert content(pull(open_rest(timeout_s=0.2))) == PIECE
    assert len(times.slept) == 1


def test_an_answer_without_end_is_cut(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply([{"call_id": "x" * (1 << 20)}]))
    with pytest.raises(SourceError, match="larger than 1 MiB"):
        pull(open_rest(max_answer_mib=1))


def test_the_rate_is_kept(api: Api, open_rest: OpenRest, pull: Pull, times: Times) -> None:
    api.answer = lambda seen: Reply([{"n": seen.query["page"]}] if int(seen.query["page"]) < 5 else [])
    pull(open_rest(paging={"kind": "page"}, requests_per_s=4))
    assert len(api.seen) == 5
    assert times.slept == pytest.approx([0.25] * 4)


def test_api_key_in_a_header_or_the_query(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(GOOD)
    pull(open_rest(auth={"kind": "api_key", "name": "X-Key", "value": SECRET}))
    pull(open_rest(auth={"kind": "api_key", "name": "key", "place": "query", "value": SECRET}, params={"a": True}))
    assert api.seen[0].headers["X-Key"] == SECRET
    assert api.seen[1].query == {"a": "true", "key": SECRET}


def test_basic_and_bearer(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(GOOD)
    pull(open_rest(auth={"kind": "basic", "user": "me", "password": "pä:ss"}))
    pull(open_rest(auth={"kind": "bearer", "token": SECRET}))
    assert [seen.headers["Authorization"] for seen in api.seen] == ["Basic bWU6cMOkOnNz", f"Bearer {SECRET}"]


class Tokens:
    """A server that gives tokens, and rows to who has the newest of them."""

    def __init__(self, *, life_s: object = 3600) -> None:
        self.given = 0
        self.life_s = life_s

    def __call__(self, seen: Seen) -> Reply:
        if seen.path == "/token":
            self.given += 1
            return Reply({"access_token": f"t{self.given}", "expires_in": self.life_s, "token_type": "bearer"})
        if seen.headers.get("Authorization") != f"Bearer t{self.given}":
            return Reply({"error": "expired"}, status=401)
        page = int(seen.query["page"])
        return Reply([{"page": page}] if page < 4 else [])


def oauth2(api: Api, **more: object) -> dict[str, object]:
    return {
        "auth": {
            "kind": "oauth2",
            "token_url": f"{api.url}/token",
            "client_id": "me+you",
            "client_secret": "a b",
            **more,
        },
        "paging": {"kind": "page"},
    }


def test_a_token_is_fetched_once(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = tokens = Tokens()
    assert len(pull(open_rest(**oauth2(api, scope="calls.read")))) == 3
    assert tokens.given == 1
    assert api.seen[0].body == b"grant_type=client_credentials&scope=calls.read"
    assert api.seen[0].headers["Authorization"] == "Basic bWUlMkJ5b3U6YSti"  # each part form-encoded first


def test_the_client_in_the_form(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = Tokens()
    pull(open_rest(**oauth2(api, place="form")))
    assert api.seen[0].body == b"grant_type=client_credentials&client_id=me%2Byou&client_secret=a+b"
    assert "Authorization" not in api.seen[0].headers


def test_a_token_is_renewed_before_it_expires(api: Api, open_rest: OpenRest, pull: Pull, times: Times) -> None:
    api.answer = tokens = Tokens(life_s="100")
    assert len(pull(open_rest(**oauth2(api), requests_per_s=1 / 40))) == 3
    assert times.passed_s > 70
    assert tokens.given > 1
    assert not [seen for seen in api.seen if seen.headers.get("Authorization", "").endswith("t0")]


def test_a_token_that_is_refused_is_renewed_once(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    tokens = Tokens()

    def answer(seen: Seen) -> Reply:
        if seen.query.get("page") == "2" and tokens.given == 1:
            return Reply(status=401)  # thrown away before its time
        return tokens(seen)

    api.answer = answer
    assert len(pull(open_rest(**oauth2(api)))) == 3
    assert tokens.given == 2


def test_a_client_without_rights_is_told_so(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = lambda seen: Reply({"access_token": "t1"}) if seen.path == "/token" else Reply(status=401)
    with pytest.raises(SourceError, match="status 401"):
        pull(open_rest(**oauth2(api)))
    assert [seen.path for seen in api.seen] == ["/token", "/calls", "/token", "/calls"]


@pytest.mark.parametrize("answer", [Reply({"error": "invalid_client"}, status=401), Reply({"token": "x"}), Reply([])])
def test_a_server_that_gives_no_token(api: Api, open_rest: OpenRest, pull: Pull, answer: Reply) -> None:
    api.then(answer)
    with pytest.raises(SourceError, match=r"invalid_client|access_token"):
        pull(open_rest(**oauth2(api)))


def test_a_redirect_on_the_same_server_is_followed_with_credentials(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = lambda seen: GOOD if seen.path == "/v2" else Reply(status=307, headers={"Location": "/v2?a=1"})
    assert content(pull(open_rest(auth={"kind": "bearer", "token": SECRET}))) == PIECE
    assert api.seen[1].headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    "auth",
    [
        {"kind": "bearer", "token": SECRET},
        {"kind": "basic", "user": "me", "password": SECRET},
        {"kind": "api_key", "value": SECRET},
        {"kind": "api_key", "name": "key", "place": "query", "value": SECRET},
    ],
    ids=["bearer", "basic", "header", "query"],
)
def test_credentials_do_not_follow_to_another_server(
    api: Api, open_rest: OpenRest, pull: Pull, auth: dict[str, object]
) -> None:
    with running(lambda _: GOOD) as other:
        api.answer = lambda _: Reply(status=302, headers={"Location": f"{other.url}/calls?key={SECRET}"})
        assert content(pull(open_rest(auth=auth, headers={"X-Tenant": SECRET}))) == PIECE
        (seen,) = other.seen
    assert SECRET in json.dumps([api.seen[0].headers, api.seen[0].query])
    allowed = {} if auth.get("place") == "query" else {"key": SECRET}  # what the server itself wrote into the address
    assert seen.query == allowed
    assert not {"authorization", "x-api-key", "x-tenant", "cookie"} & {name.lower() for name in seen.headers}


def test_nothing_comes_back_after_a_detour(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    with running(lambda _: Reply(status=302, headers={"Location": f"{api.url}/admin"})) as other:
        api.answer = lambda seen: GOOD if seen.path == "/admin" else Reply(status=302, headers={"Location": other.url})
        pull(open_rest(auth={"kind": "bearer", "token": SECRET}))
    assert "Authorization" not in api.seen[-1].headers


@pytest.mark.parametrize(
    "target", ["http://example.com/calls", "ftp://127.0.0.1/calls", "http://me:you@127.0.0.1/calls", "http://[::"]
)
def test_a_redirect_that_is_not_followed(api: Api, open_rest: OpenRest, pull: Pull, target: str) -> None:
    api.then(Reply(status=302, headers={"Location": target}))
    with pytest.raises(SourceError):
        pull(open_rest())


def test_redirects_in_a_circle_end(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply(status=302, headers={"Location": "/calls"}))
    with pytest.raises(SourceError, match="redirects more than 5 times"):
        pull(open_rest())


def test_a_post_does_not_become_a_get(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply(status=302, headers={"Location": "/other"}))
    with pytest.raises(SourceError, match="a POST goes"):
        pull(open_rest(method="POST", body={"a": 1}))


def test_what_the_server_says_is_bounded_and_without_credentials(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    said = f"bad key {SECRET} for tenant t3nant " + "x" * 5000
    api.then(Reply(said.encode(), status=403, headers={"Content-Type": "text/plain"}))
    with pytest.raises(SourceError) as caught:
        pull(open_rest(auth={"kind": "bearer", "token": SECRET}, headers={"X-Tenant": "t3nant"}))
    text = str(caught.value)
    assert "bad key *** for tenant ***" in text
    assert len(text) < 500
    assert SECRET not in repr(caught.value.__dict__)


def test_three_hundred_signs_of_the_server_are_shown_without_what_was_declared(
    api: Api, open_rest: OpenRest, pull: Pull
) -> None:
    spoken = "no customer with subscription key open+sesame%2F1 " + "x" * 400
    api.then(Reply({"error": spoken, "again": "open sesame/1"}, status=422))
    with pytest.raises(SourceError) as refused:
        pull(open_rest(params={"subscription": "open sesame/1", "page_no": 7}))
    shown = str(refused.value).splitlines()[0]
    said = shown.partition("status 422: ")[2]
    assert len(said) == 300
    assert said.startswith('{"error": "no customer with subscription key *** xxx')
    assert said.endswith("…")


def test_a_server_that_stays_busy_is_quoted_too(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(*[Reply({"error": f"nightly work, {SECRET}"}, status=503)] * 2)
    with pytest.raises(UnavailableError, match=r'status 503: {"error": "nightly work, \*\*\*"}'):
        pull(open_rest(attempts=2, headers={"X-Key": SECRET}))


def test_cookies_are_not_kept(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = lambda seen: Reply([{"n": 1}] if seen.query["page"] == "1" else [], headers={"Set-Cookie": "a=b"})
    pull(open_rest(paging={"kind": "page"}))
    assert [seen.headers.get("Cookie") for seen in api.seen] == [None, None]


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://api.example.com/v1", True),
        ("http://api.example.com/v1", False),
        ("http://127.0.0.1:80/v1", True),
        ("http://127.8.0.1/v1", True),
        ("http://[::1]/v1", True),
        ("http://localhost/v1", True),
        ("http://localhost.example.com/v1", False),
        ("https://me:you@api.example.com", False),
        ("https:///v1", False),
        ("https://host:port/", False),
        ("file:///etc/passwd", False),
        ("api.example.com", False),
    ],
)
def test_addresses_to_which_credentials_may_go(url: str, is_allowed: bool) -> None:
    assert (address_fault(url, allow_http=False) == "") is is_allowed
    declared = {"kind": "rest", "usecase": "calls", "url": url}
    if is_allowed:
        assert RestSource.model_validate(declared).url == url
    else:
        with pytest.raises(ValidationError):
            RestSource.model_validate(declared)


@pytest.mark.parametrize(
    "more",
    [
        {"body": {"a": 1}},
        {"params_in": "body"},
        {"answer": "file", "paging": {"kind": "page"}},
        {"answer": "file", "records": "rows"},
        {"paging": {"kind": "cursor", "keep": True}, "since": {"param": "s", "field": "at"}},
        {"auth": {"kind": "bearer", "token": f"{SECRET}\n"}},
        {"headers": {"X-Tenant": f"{SECRET}ü"}},
        {"auth": {"kind": "oauth2", "token_url": "http://example.com", "client_id": "a", "client_secret": SECRET}},
    ],
)
def test_declarations_that_contradict_themselves(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        RestSource.model_validate({"kind": "rest", "usecase": "calls", "url": "https://example.com/v1", **more})
    assert SECRET not in str(caught.value.errors(include_input=False))


def test_a_certificate_that_nobody_trusts(
    api: Api, open_rest: OpenRest, pull: Pull, times: Times, tmp_path: Path
) -> None:
    from datetime import UTC, datetime, timedelta

    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair = tmp_path / "pair.pem"
    pair.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + ca_file.read_bytes()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with running(lambda _: GOOD, tls=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with pytest.raises(SourceError, match="certificate is not trusted"):
            pull(open_rest(url=url))
        assert times.slept == []
        assert content(pull(open_rest(url=url, ca_file=ca_file))) == PIECE
