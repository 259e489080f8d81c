"""One tree of settings, from the environment, a file, and the command line.

Every setting has a default that works on a laptop. ``TRUNKLINE_WORKSPACE=/data/w`` sets a top-level one,
``TRUNKLINE_LAKE__LOCK_TIMEOUT_S=60`` one below; a file ``trunkline.toml`` in the current folder says the same as
tables. The environment wins over the file, arguments of the command line win over both. Secrets are ``SecretStr`` and
never printed.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings.exceptions import SettingsError

from trunkline.errors import InputError
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.dags import DagsSettings, DataprocSettings
from trunkline.settings.engine import EngineSettings
from trunkline.settings.ingest import IngestSettings
from trunkline.settings.lake import LakeSettings
from trunkline.settings.landing import LandingSettings
from trunkline.settings.lineage import LineageSettings
from trunkline.settings.log import LogSettings
from trunkline.settings.messages import MessageSettings
from trunkline.settings.notify import NotifySettings
from trunkline.settings.privacy import PrivacySettings
from trunkline.settings.publish import PublishSettings, SinkSettings
from trunkline.settings.refusals import refusal
from trunkline.settings.registry import RegistrySettings
from trunkline.settings.retention import RetentionSettings
from trunkline.settings.scheduler import SchedulerSettings
from trunkline.settings.serve import ServeSettings
from trunkline.spec.source import FileSpec
from trunkline.spec.sources import AnySource

__all__ = [
    "SETTINGS_FILE",
    "BrokerSettings",
    "DagsSettings",
    "DataprocSettings",
    "EngineSettings",
    "IngestSettings",
    "LakeSettings",
    "LandingSettings",
    "LineageSettings",
    "LogSettings",
    "PrivacySettings",
    "PublishSettings",
    "RegistrySettings",
    "RetentionSettings",
    "SchedulerSettings",
    "ServeSettings",
    "Settings",
    "SinkSettings",
    "load_settings",
]

_PREFIX: Final = "TRUNKLINE_"
_NO_SETTINGS: Final = ("TRUNKLINE_CRASH_AT", "TRUNKLINE_DATA", "TRUNKLINE_DEBUG")
"""Variables that are read elsewhere: by drills, by tests and benchmarks, by the command line."""

SETTINGS_FILE: Final = "trunkline.toml"
"""Name of the settings file, looked for in the current folder."""


Scalar = str | int | float | bool
"""A value of a choice."""


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", toml_file=SETTINGS_FILE, frozen=True, extra="forbid"
    )

    workspace: Path = Field(Path("workspace"), description="Folder of everything that Trunkline keeps.")
    plugin_dir: Path = Field(Path("usecases"), description="Folder of the user's own use cases (`trunkline new`).")
    seed: int = Field(0, ge=0, description="Seed of every random choice: splits, searches, simulators, intervals.")
    threads: int = Field(0, ge=0, description="Threads for training and queries; 0 takes all cores.")
    memory_limit_mb: int = Field(
        0, ge=0, description="Memory the query engine may take before it spills to disk, MiB; 0 lets it decide."
    )
    run_wait: timedelta = Field(
        timedelta(0), ge=timedelta(0), description="How long a run waits for another of its use case (seconds)."
    )
    run_stepwise: bool = Field(
        False, description="Steps are started one by one, as by Airflow: a run is announced when its last one is done."
    )
    dags: DagsSettings = Field(DagsSettings(), description="What rendered DAGs say beside the plan.")
    engine: EngineSettings = Field(EngineSettings(), description="What computes, and where.")
    ingest: IngestSettings = Field(IngestSettings(), description="Limits of the files that are taken in.")
    sources: Mapping[str, AnySource] = Field({}, description="Declared sources by name; see docs/sources.md.")
    usecases: Mapping[str, Mapping[str, Scalar | Mapping[str, Scalar]]] = Field(
        {}, description="Choices of a use case by its name, e.g. `[usecases.towers]`; its README lists them."
    )
    landing: LandingSettings = Field(LandingSettings(), description="What is kept of the raw files that come in.")
    lake: LakeSettings = Field(LakeSettings(), description="Retention, locks and compaction of tables.")
    lineage: LineageSettings = Field(LineageSettings(), description="Where OpenLineage events go.")
    log: LogSettings = Field(LogSettings(), description="Form and level of the log.")
    messages: MessageSettings = Field(MessageSettings(), description="Messages to customers; see docs/contacts.md.")
    notify: NotifySettings = Field(NotifySettings(), description="Who is told what; see docs/notify.md.")
    privacy: PrivacySettings = Field(PrivacySettings(), description="Keys of pseudonyms and of encryption.")
    publish: PublishSettings = Field(PublishSettings(), description="What leaves, and to whom; see docs/publish.md.")
    registry: RegistrySettings = Field(RegistrySettings(), description="Where model versions are tracked.")
    retention: RetentionSettings = Field(RetentionSettings(), description="How long rows are kept, and the archive.")
    broker: BrokerSettings = Field(BrokerSettings(), description="Durability and size of the embedded log.")
    scheduler: SchedulerSettings = Field(SchedulerSettings(), description="What runs by itself, and when.")
    serve: ServeSettings = Field(ServeSettings(), description="Where the API listens, and who may ask.")

    @field_validator("sources")
    @classmethod
    def _whole_dialects(cls, sources: Mapping[str, AnySource], info: ValidationInfo) -> Mapping[str, AnySource]:
        general = info.data.get("ingest", IngestSettings()).csv
        for name, declared in sources.items():
            if isinstance(declared, FileSpec):
                try:
                    declared.csv.over(general)
                except ValidationError as error:
                    told = error.errors()[0]["msg"].removeprefix("Value error, ")
                    raise ValueError(f"`{name}.csv` over `ingest.csv`: {told}") from None
        return sources

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no .env file is read
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, secret files, the settings file."""
        return (init_settings, env_settings, file_secret_settings, TomlConfigSettingsSource(settings_cls))


def load_settings(**given: object) -> Settings:
    """Read the settings, with arguments that win over environment and file.

    Args:
        given: Top-level settings; None stands for not given.

    Raises:
        InputError: A value is not allowed, a name is unknown, or the settings file is not TOML.
    """
    _refuse_unknown_variables(os.environ)
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # validated by the model
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"the settings file is not TOML: {error}",
            where=str(Path(SETTINGS_FILE).absolute()),
            next_step="mend it, or run the command in another folder",
        ) from None
    except SettingsError as error:
        raise InputError(
            f"a setting of the environment cannot be read: {error}",
            where="the environment",
            next_step="write lists and tables as JSON, e.g. TRUNKLINE_MESSAGES__SINKS='[\"push\"]'",
        ) from None
    except ValidationError as error:
        raise refusal(error, Settings, prefix=_PREFIX, file=SETTINGS_FILE) from None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """A misspelt variable would leave a setting at its default, and nobody would know."""
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for variable in sorted(environment):
        name = variable.upper().partition("__")[0]
        if name.startswith(_PREFIX) and name not in known and variable not in _NO_SETTINGS:
            raise InputError(
                f"the environment sets {variable}, and no setting has that name",
                where="the environment",
                allowed=difflib.get_close_matches(name, known, n=3) or sorted(known),
                next_step=f"mend the name or unset it; docs/settings.md has every setting ({_PREFIX}TABLE__NAME)",
            )
