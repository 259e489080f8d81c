"""The application: routes, start-up and shutdown of one prediction server.

``create_app`` touches nothing; the log is opened, models are loaded and the flusher starts when the server starts up.
At the end of start-up the garbage collector forgets what is there (``gc.freeze``), without which its full collections
take 36 to 47 ms out of some requests.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from trunkline.brokers import Broker, GroupCommit, open_broker
from trunkline.ingest import Target
from trunkline.ingest.streams import TopicIntake, TopicIntakes, topic_of
from trunkline.serve.access import Access
from trunkline.serve.asyncapi import OtherTopics
from trunkline.serve.deployments import Deployment
from trunkline.serve.devices import DeviceRegistry
from trunkline.serve.documentation import add_documentation
from trunkline.serve.edge import IngestEndpoint
from trunkline.serve.flusher import Flusher, FlushState
from trunkline.serve.handlers import add_refusals, response
from trunkline.serve.inference_protocol import InferEndpoint, ModelMetadata, metadata
from trunkline.serve.metrics import Metrics
from trunkline.serve.metrics_sources import SourceMetrics
from trunkline.serve.openapi import describe
from trunkline.serve.plain import OutcomesEndpoint, PredictEndpoint
from trunkline.serve.refusals import RefusedRequestError, refusal
from trunkline.serve.service import Endpoint, Service
from trunkline.serve.streaming import IngestStream
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.ingest import IngestSettings
from trunkline.settings.serve import ServeSettings
from trunkline.spec import UseCase

if TYPE_CHECKING:
    from trunkline.lake import Keyring, Lake

__all__ = ["DEVICES", "create_app"]

DEVICES: Final = Path("devices", "devices.db")
"""The registry of devices in a workspace."""

_logger = logging.getLogger(__name__)


def create_app(  # noqa: PLR0913 - what one server needs
    workspace: Path,
    *,
    usecases: Mapping[str, UseCase],
    lake: "Callable[[], Lake]",
    clock: Callable[[], datetime],
    broken: Mapping[str, str] | None = None,
    settings: ServeSettings | None = None,
    log: BrokerSettings | None = None,
    flush_every_s: float = 1.0,
    sources: SourceMetrics | None = None,
    keys: "Keyring | None" = None,
    limits: IngestSettings | None = None,
    warm_reasons: bool = False,
    topics: OtherTopics | None = None,
) -> FastAPI:
    """Make the application of one workspace.

    Args:
        workspace: Holds ``live/`` and ``models/``, which are read, and ``log/``, which is written.
        usecases: What is served, by name; those without a task take records in and predict nothing.
        lake: Opens the lake; called once, in the thread that moves the log into it.
        clock: Gives the present instant, UTC.
        broken: Use cases that are installed and cannot be served, and why; told by ``/v2/health/ready``.
        settings: Limits and keys.
        log: Where records wait for the lake: the embedded log, its durability and size, or another broker.
        flush_every_s: Time between the beginnings of two moves of the log into the lake, in seconds.
        sources: What ``/metrics`` says of sources, process and disk beside the server's own counters; None for nothing.
        keys: The keys of the workspace; None where no contract protects personal data.
        limits: How wide and long records may be that come over the edge.
        warm_reasons: Load what reasons need beside the first answers, rather than at the first request for them.
        topics: Topics beside those of what is served, for the document of all.

    Returns:
        The application; :func:`trunkline.serve.listen` serves it.
    """
    settings = settings or ServeSettings()
    deployments = {
        name: Deployment(
            usecase, workspace=workspace, pseudonyms=None if keys is None else keys.pseudonyms(usecase.contract)
        )
        for name, usecase in usecases.items()
        if usecase.answers_rows
    }
    running = _Running(
        workspace,
        usecases=usecases,
        deployments=deployments,
        log=log or BrokerSettings(),
        lake=lake,
        clock=clock,
        every_s=flush_every_s,
        keys=keys,
        limits=limits or IngestSettings(),
        warm_reasons=warm_reasons,
    )
    service = Service(
        deployments=deployments,
        settings=settings,
        access=Access(settings.api_keys),
        metrics=Metrics(waiting=lambda: running.flush_state.waiting, sources=sources),
        clock=clock,
        broken=broken or {},
        devices=DeviceRegistry(workspace / DEVICES, clock=clock),
    )
    app = _Application(
        service.access,
        docs_url=None,  # FastAPI's own pages load their scripts from elsewhere
        redoc_url=None,
        title="Trunkline",
        description="Predictions and outcomes of the use cases of this workspace.",
        lifespan=lambda _app: running.around(service),
    )
    for path, endpoint in _hot_endpoints(service, usecases).items():
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))
        app.hot[path] = endpoint
        if isinstance(endpoint, IngestEndpoint):
            stream = IngestStream(endpoint, access=service.access)
            app.router.routes.append(WebSocketRoute(f"{path}/stream", stream))
    _add_health(app, service, running)
    _add_models(app, service)
    add_refusals(app, service, usecases=usecases)
    add_documentation(app, usecases, topics)
    describe(app, usecases=usecases)
    return app


class _Application(FastAPI):
    """FastAPI with a table of paths that are answered without its middleware and route matching.

    Those cost as much as the prediction itself, and the endpoints need nothing of them: they are bare ASGI, read their
    own body and turn every error into an answer. All other paths, and all other methods, go FastAPI's way, where the
    same endpoints stand as routes.
    """

    hot: dict[str, Endpoint]

    def __init__(self, access: Access, **settings: Any) -> None:  # noqa: ANN401 - handed through to FastAPI
        super().__init__(**settings)
        self.access = access
        self.hot = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            try:
                self.access.refuse_strangers(scope["headers"])
            except RefusedRequestError as error:
                await response(refusal(error))(scope, receive, send)
                return
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self.hot.get(scope["path"])
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


class _Running:
    """What lives from start-up to shutdown."""

    def __init__(  # noqa: PLR0913 - what one server needs
        self,
        workspace: Path,
        *,
        usecases: Mapping[str, UseCase],
        deployments: Mapping[str, Deployment],
        log: BrokerSettings,
        lake: "Callable[[], Lake]",
        clock: Callable[[], datetime],
        every_s: float,
        keys: "Keyring | None",
        limits: IngestSettings,
        warm_reasons: bool,
    ) -> None:
        self._warm_reasons = warm_reasons
        self._workspace = workspace
        self._limits = limits
        self._keys = keys
        self._usecases = usecases
        self._deployments = deployments
        self._log_settings = log
        self._lake = lake
        self._clock = clock
        self._every_s = every_s
        self._flusher: Flusher | None = None

    @property
    def flush_state(self) -> FlushState:
        """How the flusher is; before start-up it has nothing to do."""
        return self._flusher.state if self._flusher else FlushState(is_flushing=False, problem="", waiting=0)

    def around(self, service: Service) -> AbstractAsyncContextManager[None]:
        """Start up, and shut down at the end."""
        return self._around(service)

    @asynccontextmanager
    async def _around(self, service: Service) -> AsyncIterator[None]:
        contracts = [contract for usecase in self._usecases.values() for contract in usecase.contracts.values()]
        log = open_broker(
            self._log_settings,
            path=self._workspace / "log" / "log.db",
            clock=self._clock,
            keys=self._keys,
            seals=self._keys is not None and self._keys.is_encrypted(*contracts),
        )
        self._flusher = Flusher(
            log,
            lake=self._lake,
            lock=self._workspace / "locks" / "flusher.lock",
            every_s=self._every_s,
            clock=self._clock,
            intakes=[
                self._intakes(log, Target(name, dataset, contract))
                for name, usecase in self._usecases.items()
                for dataset, contract in usecase.datasets.items()
            ],
        )
        for deployment in self._deployments.values():
            deployment.refresh()
        service.log = GroupCommit(
            log,
            max_waiting=self._log_settings.max_waiting,
            max_waiting_bytes=self._log_settings.max_waiting_mb << 20,
        )
        self._flusher.start()
        watching = asyncio.create_task(self._watch(service))
        gc.collect()
        gc.freeze()
        async with AsyncExitStack() as closing:  # the last first; what fails stops none of the others
            closing.callback(gc.unfreeze)
            closing.callback(log.close)
            if service.devices is not None:
                closing.callback(service.devices.close)
            closing.push_async_callback(asyncio.to_thread, self._flusher.stop)
            closing.push_async_callback(self._close_log, service)
            closing.push_async_callback(self._end_watching, watching)
            yield

    async def _close_log(self, service: Service) -> None:
        appends, service.log = service.log, None
        if appends is not None:
            await appends.close()

    async def _end_watching(self, watching: "asyncio.Task[None]") -> None:
        watching.cancel()
        (ended,) = await asyncio.gather(watching, return_exceptions=True)
        if isinstance(ended, Exception):
            _logger.error("new champions were not watched for any more", exc_info=ended)

    def _intakes(self, log: Broker, target: Target) -> TopicIntakes:
        """What takes the records of one dataset in."""

        def opened(partition: int) -> TopicIntake:
            return TopicIntake(log, target, clock=self._clock, limits=self._limits, partition=partition)

        return TopicIntakes(log, topic_of(target.usecase, target.dataset), opened)

    async def _watch(self, service: Service) -> None:
        """Swap in new champions as they are promoted; what goes wrong with one use case is no other's matter."""
        cold = set(self._deployments) if self._warm_reasons else set()
        while True:
            for name in sorted(cold):
                if self._deployments[name].current is not None:
                    cold.discard(name)
                    try:
                        await asyncio.to_thread(self._deployments[name].warm_reasons)
                    except Exception:
                        _logger.exception("%s: its reasons are loaded with the first request for them", name)
            await asyncio.sleep(service.settings.reload_every_s)
            for name, deployment in self._deployments.items():
                try:
                    is_new = await self._renewed(service, name, deployment)
                except Exception:
                    _logger.exception("%s: it is not known whether there is a new champion", name)
                    continue
                if is_new and self._warm_reasons:
                    cold.add(name)

    async def _renewed(self, service: Service, name: str, deployment: Deployment) -> bool:
        if not deployment.has_news:
            return False
        if await asyncio.to_thread(deployment.refresh):
            service.metrics.swaps.labels(name).inc()
            _logger.info("%s: version %s answers now", name, deployment.loaded().live.version)
            return True
        if deployment.problem:
            _logger.error("%s: the new champion was not taken over: %s", name, deployment.problem)
        return False


def _hot_endpoints(service: Service, usecases: Mapping[str, UseCase]) -> dict[str, Endpoint]:
    endpoints: dict[str, Endpoint] = {
        f"/v1/ingest/{name}/{dataset}": IngestEndpoint(service, usecase=usecase, dataset=dataset)
        for name, usecase in usecases.items()
        for dataset in usecase.datasets
    }
    for name, deployment in service.deployments.items():
        endpoints[f"/v1/{name}/predict"] = PredictEndpoint(service, deployment=deployment)
        endpoints[f"/v1/{name}/outcomes"] = OutcomesEndpoint(service, deployment=deployment)
    infer = InferEndpoint(service)
    return {**endpoints, "/v2/models/{model}/infer": infer, "/v2/models/{model}/versions/{version}/infer": infer}


def _add_health(app: FastAPI, service: Service, running: _Running) -> None:
    def _reader(request: Request) -> None:
        service.access.require("reader", headers=request.scope["headers"])

    @app.get("/v2/health/live", tags=["health"])
    async def live() -> dict[str, bool]:
        """Say that the process answers."""
        return {"live": True}

    @app.get("/v2/health/ready", tags=["health"])
    async def ready() -> JSONResponse:
        """Say whether every served use case with a champion can answer, and what is wrong if something is."""
        flush = running.flush_state
        found = {
            name: {
                "version": deployment.current.live.version if deployment.current else None,
                "problem": deployment.problem,
            }
            for name, deployment in service.deployments.items()
        }
        # a broken one answered nobody since the start: it is no reason to take the others out of service
        broken = {name: {"version": None, "problem": problem} for name, problem in service.broken.items()}
        answers = all(one["version"] or not one["problem"] for one in found.values())
        is_ready = service.log is not None and answers
        log = {"problem": flush.problem, "waiting": flush.waiting, "is_flushing": flush.is_flushing}
        return JSONResponse({"ready": is_ready, "usecases": {**found, **broken}, "log": log}, 200 if is_ready else 503)

    @app.get("/metrics", tags=["health"], dependencies=[Depends(_reader)])
    async def metrics() -> Response:
        """Give the counters in Prometheus' text format."""
        await asyncio.to_thread(service.metrics.refresh)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_models(app: FastAPI, service: Service) -> None:
    def _reader(request: Request) -> None:
        service.access.require("reader", headers=request.scope["headers"])

    allowed = [Depends(_reader)]

    @app.get("/v2", tags=["open inference protocol"], dependencies=allowed)
    async def server() -> dict[str, object]:
        """Name the server."""
        from trunkline import __version__

        return {"name": "trunkline", "version": __version__, "extensions": []}

    @app.get("/v2/models/{model}", tags=["open inference protocol"], dependencies=allowed)
    async def model(model: str) -> ModelMetadata:
        """Describe the model that answers for a use case."""
        deployment = service.deployment(model)
        return metadata(deployment, deployment.loaded())

    @app.get("/v2/models/{model}/versions/{version}", tags=["open inference protocol"], dependencies=allowed)
    async def model_version(model: str, version: str) -> ModelMetadata:
        """Describe one version, if it answers."""
        deployment = service.deployment(model)
        return metadata(deployment, deployment.version(version))

    @app.get("/v2/models/{model}/ready", tags=["open inference protocol"])
    async def model_ready(model: str) -> JSONResponse:
        """Say whether a model answers."""
        is_ready = service.deployment(model).current is not None
        return JSONResponse({"name": model, "ready": is_ready}, 200 if is_ready else 503)

    @app.get("/v2/models/{model}/versions/{version}/ready", tags=["open inference protocol"])
    async def model_version_ready(model: str, version: str) -> JSONResponse:
        """Say whether a version answers."""
        current = service.deployment(model).current
        is_ready = current is not None and current.live.version == version
        return JSONResponse({"name": model, "ready": is_ready}, 200 if is_ready else 503)
