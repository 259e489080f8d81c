"""Settings of messages to customers: by which channel, how often, for how long an offer stands, and their pushing."""

from pydantic import BaseModel, Field, SecretStr, field_validator

from trunkline.settings.notify import refuse_no_template

__all__ = ["MessageSettings", "PushSettings"]


class PushSettings(BaseModel, frozen=True, extra="forbid"):
    """What `trunkline push` does with the messages that it is handed."""

    url: SecretStr | None = Field(
        None,
        description="Apprise URL of the push service, with `{entity_key}` where it names the customer, and "
        "`{message_id}` where the service can know a message by it, e.g. "
        "`jsons://push.example.org/devices/{entity_key}?+Idempotency-Key={message_id}`; none pushes nothing.",
    )
    host: str = Field("127.0.0.1", description="Where it listens; wider only with `audience` and `email`.")
    port: int = Field(8322, ge=0, le=65535, description="Its port; 0 takes a free one.")
    audience: str = Field(
        "", description="Audience that the signed token of a Pub/Sub push must name; empty asks for no token."
    )
    email: str = Field("", description="Service account that the token must be of; empty takes any, on loopback.")
    keys_url: str = Field(
        "https://www.googleapis.com/oauth2/v3/certs",
        pattern=r"^https?://\S+$",
        description="Where the keys are (JWKS) that tokens are signed by.",
    )
    title: str = Field("{{ offer }}", description="First line of a push: Jinja over the fields of a message.")
    text: str = Field("{{ offer }}, until {{ valid_until }}", description="What follows: likewise.")
    attempts: int = Field(3, ge=1, le=10, description="Tries of one push before it is left to the sender to try again.")
    give_up_after: int = Field(
        20, ge=1, le=1000, description="Deliveries of one message after which it is a dead letter."
    )

    @field_validator("title", "text")
    @classmethod
    def _of_jinja(cls, text: str) -> str:
        return refuse_no_template(text)

    @field_validator("url")
    @classmethod
    def _names_the_customer(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and "{entity_key}" not in url.get_secret_value():
            raise ValueError("it must hold {entity_key}, or every customer would get every push")
        return url


class MessageSettings(BaseModel, frozen=True, extra="forbid"):
    """What `trunkline contact` keeps to; nobody is contacted by itself."""

    channel: str = Field(
        "push", pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Channel that consent must be given for, e.g. push, sms."
    )
    cap: int = Field(2, ge=1, le=1000, description="Messages that a customer gets in `cap_days`, of all use cases.")
    cap_days: float = Field(30.0, gt=0, le=3660, description="Span over which messages are counted (days).")
    valid_days: float = Field(
        14.0, gt=0, le=3660, description="Age at which an audience is too old to be contacted (days)."
    )
    sinks: tuple[str, ...] = Field(
        (),
        description="Sinks that `trunkline contact` delivers to at once; their `tables` name `messages`.",
    )
    push: PushSettings = Field(PushSettings(), description="What `trunkline push` does.")
