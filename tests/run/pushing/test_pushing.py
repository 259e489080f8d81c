"""Messages become pushes once, over real HTTP: consent, cap and validity once more, faults, tokens, no messages."""

import base64
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa

from trunkline.errors import InputError
from trunkline.run.pushing import PushLedger, PushReceiver, TokenCheck, messages_in, push_app
from trunkline.settings.messages import PushSettings

jwt = pytest.importorskip("jwt", reason="the extra notify is not installed")

if TYPE_CHECKING:
    from tests.run.pushing.conftest import Campaigns, PushService

Push = Callable[..., tuple[int, dict[str, object]]]


def message(key: str, number: int = 1, **changes: object) -> dict[str, object]:
    return {
        "message_id": f"m-{key}-{number}",
        "usecase": "upgrade",
        "campaign": "run-1",
        "entity_key": key,
        "segment": "families",
        "offer": "family_bundle",
        "channel": "push",
        "valid_until": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        **changes,
    }


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[PushLedger]:
    made = PushLedger(tmp_path / "pushes.db")
    yield made
    made.close()


@contextmanager
def listening(receiver: PushReceiver, ledger: PushLedger, tokens: TokenCheck | None) -> Iterator[str]:
    """Run the application; gives its address."""
    config = uvicorn.Config(
        push_app(receiver, ledger=ledger, tokens=tokens), host="127.0.0.1", port=0, log_level="error"
    )
    socket = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        threading.Event().wait(0.01)
    yield f"http://127.0.0.1:{socket.getsockname()[1]}/push"
    server.should_exit = True
    thread.join(30)
    socket.close()


def served(receiver: PushReceiver, ledger: PushLedger, tokens: TokenCheck | None) -> Iterator[Push]:
    def push(body: object, **headers: str) -> tuple[int, dict[str, object]]:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(url, data=sent, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    with listening(receiver, ledger, tokens) as url:
        yield push


@pytest.fixture
def receiver(campaigns: "Campaigns", ledger: PushLedger, tmp_path: Path) -> PushReceiver:
    campaigns.consents(tmp_path, ("a", True), ("b", True), ("c", False))
    return PushReceiver(campaigns.open, ledger=ledger, clock=lambda: datetime.now(UTC))


@pytest.fixture
def push(receiver: PushReceiver, ledger: PushLedger) -> Iterator[Push]:
    yield from served(receiver, ledger, None)


def test_a_message_is_pushed_once_however_often_it_comes(push: Push, service: "PushService") -> None:
    event = {"specversion": "1.0", "id": "1", "type": "t", "source": "s", "data": message("a")}
    pubsub = {"message": {"data": base64.b64encode(json.dumps(message("a")).encode()).decode(), "messageId": "9"}}
    assert push(message("a")) == (200, {"pushed": 1})
    assert push(event) == (200, {"pushed": 1})
    assert push(pubsub) == (200, {"pushed": 1})
    assert push([message("a"), message("b")]) == (200, {"pushed": 2})
    assert service.pushed == [("a", "family_bundle"), ("b", "family_bundle")]


def test_consent_validity_and_channel_are_asked_once_more(push: Push, service: "PushService") -> None:
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    wrong = [message("c"), message("z"), message("a", 2, valid_until=past), message("a", 3, channel="sms")]
    assert push({"rows": wrong}) == (200, {"dropped": 4})
    assert push(message("a", 4, usecase="nothing")) == (200, {"dead": 1})
    assert push(message("a", 5, state="withheld")) == (200, {})
    assert service.asked == 0


def test_the_cap_holds_whatever_was_decided(push: Push, service: "PushService") -> None:
    assert push([message("a", number) for number in range(4)]) == (200, {"pushed": 2, "dropped": 2})
    assert len(service.pushed) == 2


@pytest.mark.slow
def test_what_the_service_does_not_take_comes_again_and_is_a_dead_letter_at_last(
    push: Push, service: "PushService", ledger: PushLedger
) -> None:
    service.refuses.add("a")
    assert push([message("a"), message("b")]) == (503, {"again": 1, "pushed": 1})
    assert service.asked == 3, "tried twice, and the other once"
    service.refuses.clear()
    assert push([message("a"), message("b")]) == (200, {"pushed": 2})
    assert sorted(service.pushed) == [("a", "family_bundle"), ("b", "family_bundle")]
    service.refuses.add("b")
    assert [push(message("b", 2))[1] for _ in range(4)] == [{"again": 1}, {"again": 1}, {"dead": 1}, {"dead": 1}]
    assert ledger.counts() == {"pushed": 2, "dead": 1}


def test_one_message_that_is_none_costs_no_other(push: Push, service: "PushService") -> None:
    naive = message("b", 2, valid_until="2026-01-01T00:00:00")
    found = push([message("a"), message("b", segment="x" * 201), {"message_id": "m"}, naive, message("b", 3)])
    assert found == (200, {"unreadable": 3, "pushed": 2})
    assert [customer for customer, _ in service.pushed] == ["a", "b"]


def test_what_was_pushed_stays_pushed_and_counts(push: Push, service: "PushService") -> None:
    assert push([message("a", 1), message("a", 2)]) == (200, {"pushed": 2})
    late = message("a", 1, valid_until=(datetime.now(UTC) - timedelta(minutes=1)).isoformat())
    assert push(late) == (200, {"pushed": 1}), "what became of it stands, whatever is said of it later"
    assert push(message("a", 3)) == (200, {"dropped": 1}), "and it counts"
    assert len(service.pushed) == 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TITLE", "{{ nothing }}", "the words of a push cannot be made"),
        ("TEXT", "{{ offer + 1 }}", "the words of a push cannot be made"),
        ("TEXT", "{{ offer", "no Jinja template"),
        ("URL", "nothing://127.0.0.1/{entity_key}", "Apprise does not know such a URL"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(
    campaigns: "Campaigns", monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TRUNKLINE_MESSAGES__PUSH__{name}", value)
    code, _, err = campaigns.trunkline("push", "--workspace", campaigns.root)
    assert code == 2
    assert said in " ".join(err.split())


def test_two_deliveries_at_one_time_push_once(push: Push, service: "PushService") -> None:
    found: list[tuple[int, dict[str, object]]] = []
    threads = [threading.Thread(target=lambda: found.append(push(message("a")))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert service.pushed == [("a", "family_bundle")]


def test_a_claim_of_a_killed_process_runs_out(ledger: PushLedger) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    since = now - timedelta(days=30)
    assert ledger.claim("m", "a", cap=1, since=since, now=now) == "claimed"
    assert ledger.claim("m", "a", cap=1, since=since, now=now + timedelta(minutes=1)) == "busy"
    assert ledger.claim("other", "a", cap=1, since=since, now=now + timedelta(minutes=1)) == "capped"
    assert ledger.claim("m", "a", cap=1, since=since, now=now + timedelta(minutes=6)) == "claimed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"5", "an object"),
        (b'{"message": {"data": "%%"}}', "not JSON in Base64"),
        (json.dumps([{}] * 20_001).encode(), "more than 20000"),
        (b"[" * 5000 + b"]" * 5000, "not JSON"),
    ],
)
def test_what_is_no_message_is_acknowledged_and_left_out(
    push: Push, service: "PushService", body: bytes, said: str
) -> None:
    code, told = push(body)
    assert (code, service.asked) == (202, 0), "Pub/Sub would send it for ever"
    assert said in str(told["error"])
    with pytest.raises(InputError):
        messages_in(body)


@pytest.fixture
def keys() -> Iterator[tuple[str, rsa.RSAPrivateKey]]:
    """The address of a JWKS on loopback, and the key that is in it."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {"kid": "one", "use": "sig"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"keys": [public]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/certs", private
    server.shutdown()
    server.server_close()
    thread.join()


def test_only_the_service_account_of_the_subscription_may_push(
    receiver: PushReceiver, ledger: PushLedger, keys: tuple[str, rsa.RSAPrivateKey], service: "PushService"
) -> None:
    url, private = keys
    said = PushSettings(audience="https://push.example.org", email="push@project.iam.example", keys_url=url)
    now = int(time.time())
    good = {
        "iss": "https://accounts.google.com", "aud": "https://push.example.org", "iat": now, "exp": now + 600,
        "email": "push@project.iam.example", "email_verified": True,
    }  # fmt: skip

    def token(key: rsa.RSAPrivateKey = private, kid: str = "one", **changes: object) -> str:
        claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
        return f"Bearer {jwt.encode(claims, key, algorithm='RS256', headers={'kid': kid})}"

    forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = "Bearer " + jwt.encode(good, None, algorithm="none", headers={"kid": "one"})
    wrong = [
        "",
        "Basic abc",
        unsigned,
        token(forger),
        token(kid="other"),
        token(aud="https://other.example.org"),
        token(iss="https://evil.example.org"),
        token(exp=now - 600),
        token(exp=None),
        token(email="other@project.iam.example"),
        token(email_verified=False),
    ]
    for push in served(receiver, ledger, TokenCheck(said, clock=lambda: datetime.now(UTC))):
        for one in wrong:
            assert push(message("a"), authorization=one)[0] == 401, one
        assert service.asked == 0
        assert push(message("a"), authorization=token()) == (200, {"pushed": 1})


def test_keys_that_cannot_be_fetched_are_no_refusal(receiver: PushReceiver, ledger: PushLedger) -> None:
    said = PushSettings(audience="a", keys_url="http://127.0.0.1:9/certs")
    made = "Bearer " + jwt.encode({"aud": "a"}, "k" * 32, headers={"kid": "one"})
    for push in served(receiver, ledger, TokenCheck(said, clock=lambda: datetime.now(UTC))):
        assert push(message("a"), authorization=made)[0] == 503


@pytest.mark.servers
def test_a_push_subscription_brings_each_message_until_it_is_taken(
    campaigns: "Campaigns",
    ledger: PushLedger,
    service: "PushService",
    pubsub_emulator: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import grpc
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    monkeypatch.setenv("TRUNKLINE_MESSAGES__PUSH__GIVE_UP_AFTER", "100")
    campaigns.consents(tmp_path, ("a", True), ("b", True), ("c", False))
    receiver = PushReceiver(campaigns.open, ledger=ledger, clock=lambda: datetime.now(UTC))
    channel = grpc.insecure_channel(pubsub_emulator)
    publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
    topic = f"projects/local/topics/pushes-{time.time_ns()}"
    publisher.create_topic(name=topic, timeout=20)

    def wait_until(is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < until, (service, ledger.counts())
            threading.Event().wait(0.02)

    service.refuses.add("b")
    with listening(receiver, ledger, None) as url:
        said = {"name": topic.replace("topics", "subscriptions"), "topic": topic, "ack_deadline_seconds": 10}
        subscriber.create_subscription(request={**said, "push_config": {"push_endpoint": url}}, timeout=20)
        for key in ("a", "a", "b", "c"):
            publisher.publish(topic, json.dumps(message(key)).encode()).result(timeout=20)
        wait_until(lambda: ledger.counts().get("dropped") == 1 and bool(service.pushed) and service.asked > 3)
        assert service.pushed == [("a", "family_bundle")]
        service.refuses.clear()  # until now it was sent again and again
        wait_until(lambda: len(service.pushed) == 2)
        subscriber.delete_subscription(subscription=said["name"], timeout=20)
    assert service.pushed == [("a", "family_bundle"), ("b", "family_bundle")]
    assert ledger.counts() == {"pushed": 2, "dropped": 1}
    publisher.stop()


def test_the_command_refuses_what_is_not_safe(campaigns: "Campaigns", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_MESSAGES__PUSH__HOST", "0.0.0.0")
    monkeypatch.setenv("TRUNKLINE_MESSAGES__PUSH__AUDIENCE", "https://push.example.org")  # anybody can ask for that
    code, _, err = campaigns.trunkline("push", "--workspace", campaigns.root)
    assert code == 2
    assert "listening wider than loopback needs signed tokens, of one service account" in " ".join(err.split())
    monkeypatch.setenv("TRUNKLINE_MESSAGES__PUSH__URL", "json://127.0.0.1/everybody")
    code, _, err = campaigns.trunkline("push", "--workspace", campaigns.root)
    assert code == 2
    assert "it must hold {entity_key}" in err
