"""Google Pub/Sub as a sink: one message per row, with an id that a subscriber knows a repeated one by.

Attributes of a message say what it is (``target``, ``usecase``, ``batch_id``, ``id``, ``key``, ``content_type``); its
data is the row as JSON. Which rows were acknowledged is written down here, so that nothing is sent again but a piece
whose acknowledgement was lost; its messages have the ids that they had.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trunkline.errors import InputError, MissingExtraError, UnavailableError
from trunkline.publish.messages import messages_of
from trunkline.publish.outbox import Memory
from trunkline.publish.protocol import Capabilities, Delivery, Latest, Rows, Target
from trunkline.settings.drills import point

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient

__all__ = ["CRASH_POINTS", "PubSubSink"]

CRASH_POINTS: Final = ("publish.pubsub.before_send", "publish.pubsub.after_send", "publish.pubsub.noted")
"""Points at which a drill kills the publishing process."""

_AGAIN: Final = "nothing is lost: the next delivery brings what is owed, under the same ids"
_OPTIONS: Final = ("emulator", "credentials_file")


class PubSubSink:
    """A topic; see :class:`~trunkline.publish.protocol.Sink`.

    Args:
        url: ``pubsub://PROJECT/TOPIC``; the topic has to be there.
        memory: Which rows were acknowledged.
        options: ``credentials_file``, the key file of a service account (else the application's default), or
            ``emulator``, host and port of one (else ``PUBSUB_EMULATOR_HOST``).
        timeout_s: Longest wait for an acknowledgement (seconds).

    Raises:
        InputError: The address or an option is malformed.
        MissingExtraError: The client is not installed.
    """

    def __init__(
        self, url: str, *, memory: Memory, options: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> None:
        try:
            from google.cloud import pubsub_v1  # noqa: F401 - looked for early, used when something is sent
        except ImportError:
            raise MissingExtraError("google.cloud.pubsub", extra="pubsub") from None
        parts = urlsplit(url)
        self._project, self._topic = parts.netloc, parts.path.strip("/")
        if not self._project or not self._topic or "/" in self._topic:
            raise InputError(
                "the address of a topic names a project and a topic",
                where="`url` of the sink",
                allowed=("pubsub://my-project/my-topic",),
            )
        said = dict(options or {})
        if unknown := sorted(set(said) - set(_OPTIONS)):
            raise InputError(f"there is no option {unknown[0]!r}", where="`options` of the sink", allowed=_OPTIONS)
        self._emulator = said.get("emulator") or os.environ.get("PUBSUB_EMULATOR_HOST", "")
        self._credentials_file = said.get("credentials_file", "")
        self._memory, self._timeout_s = memory, timeout_s
        self._opened: PublisherClient | None = None

    @property
    def capabilities(self) -> Capabilities:
        """In what this sink differs from others."""
        return Capabilities(name="pubsub", modes=frozenset(("append",)), remembers=False, views=False, keeps=False)

    @property
    def shown(self) -> str:
        """Its address."""
        return f"pubsub://{self._project}/{self._topic}"

    def check(self) -> None:
        """Ask for the topic."""
        with self._faults():
            self._client.get_topic(topic=self._path, timeout=self._timeout_s, retry=None)

    def held(self, target: Target) -> str | None:  # noqa: ARG002 - as the protocol says
        """Nobody can say what subscribers kept."""
        return None

    def deliver(self, delivery: Delivery, rows: Rows) -> int:
        """Send the rows that were not acknowledged yet; a piece is noted when all its messages are durable there."""
        target = delivery.target
        sent = 0
        for piece in rows():
            batch = self._memory.lacks(piece)
            if batch.num_rows:
                point("publish.pubsub.before_send")
                with self._faults():
                    waiting = [
                        self._client.publish(
                            self._path,
                            one.body,
                            timeout=self._timeout_s,
                            id=one.message_id,
                            key=one.key,
                            target=target.name,
                            usecase=target.usecase,
                            batch_id=delivery.batch_id,
                            content_type="application/json",
                        )
                        for one in messages_of(target, batch)
                    ]
                    for one in waiting:
                        one.result(timeout=self._timeout_s)
                point("publish.pubsub.after_send")
                self._memory.add(delivery, batch)
                point("publish.pubsub.noted")
                sent += batch.num_rows
        return sent

    def would(self, delivery: Delivery) -> tuple[str, ...]:
        """Say what would be sent."""
        return (f"publish to {self.shown}: rows of {delivery.target.name}, batch {delivery.batch_id}",)

    def show(self, latest: Latest) -> None:
        """A topic has no views."""

    def close(self) -> None:
        """Send what waits, and close the channel."""
        if self._opened is not None:
            self._opened.stop()
            self._opened.transport.close()
            self._opened = None

    # -- inside

    @property
    def _path(self) -> str:
        return f"projects/{self._project}/topics/{self._topic}"

    @property
    def _client(self) -> "PublisherClient":
        if self._opened is None:
            self._opened = self._made()
        return self._opened

    def _made(self) -> "PublisherClient":
        from google.cloud.pubsub_v1 import PublisherClient

        if self._emulator:
            import grpc
            from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

            return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(self._emulator)))
        with self._faults():
            if self._credentials_file:
                return PublisherClient.from_service_account_file(self._credentials_file)
            return PublisherClient()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        from concurrent.futures import TimeoutError as LateError

        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.cloud.pubsub_v1.publisher.exceptions import MessageTooLargeError

        try:
            yield
        except MessageTooLargeError:
            raise InputError(
                "a row is larger than a message of Pub/Sub may be (10 MB)",
                where=self.shown,
                next_step="publish fewer `columns`, or set `tables` of the sink so that this one does not go there",
            ) from None
        except exceptions.InvalidArgument:
            raise InputError(
                "Pub/Sub does not take a row as a message (InvalidArgument)",
                where=self.shown,
                next_step="an attribute has 1,024 bytes at most: publish a shorter `key`, or set `tables` of the sink "
                "so that this table does not go there",
            ) from None
        except (exceptions.NotFound, exceptions.PermissionDenied, exceptions.Unauthenticated, ValueError) as error:
            raise InputError(
                f"the topic is not there, or may not be written to ({type(error).__name__})",
                where=self.shown,
                next_step="make the topic, and grant roles/pubsub.publisher and roles/pubsub.viewer on it",
            ) from None
        except TransportError as error:
            raise self._silent(error) from None
        except (GoogleAuthError, OSError) as error:
            raise InputError(
                f"Google's credentials cannot be used ({type(error).__name__})",
                where=self.shown,
                next_step="set GOOGLE_APPLICATION_CREDENTIALS, or `credentials_file` in the sink's options",
            ) from None
        except (exceptions.GoogleAPIError, LateError) as error:
            raise self._silent(error) from None

    def _silent(self, error: Exception) -> UnavailableError:
        return UnavailableError(f"Pub/Sub did not answer ({type(error).__name__})", where=self.shown, next_step=_AGAIN)
