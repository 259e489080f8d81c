"""Errors of all routes that are not bare ASGI, as JSON objects without a traceback; and what is wrong with a path."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from trunkline.errors import TrunklineError, UnknownNameError
from trunkline.serve.refusals import Answer, RefusedRequestError, refusal
from trunkline.serve.service import Service
from trunkline.spec import UseCase

__all__ = ["add_refusals", "response"]


def add_refusals(app: FastAPI, service: Service, *, usecases: Mapping[str, UseCase]) -> None:
    """Make every error a JSON object without a traceback, for routes that are not bare ASGI as well.

    Args:
        app: The application.
        service: What is served.
        usecases: Use cases by name, those without a task as well.
    """

    @app.exception_handler(TrunklineError)
    async def known(_request: Request, error: Exception) -> Response:
        return response(refusal(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.NOT_FOUND and request.url.path.startswith("/v1/"):
            return response(refusal(_no_such_path(request.url.path.split("/")[2:], service, usecases)))
        said = {404: "there is no such path", 405: "the path does not take this method"}
        refused = RefusedRequestError(
            said.get(error.status_code, "refused"), status=error.status_code, next_step="see /docs"
        )
        answer = response(refusal(refused))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unknown(_request: Request, error: Exception) -> Response:
        return response(refusal(error))


def response(answer: Answer) -> Response:
    """Put an answer into the form of FastAPI's routes."""
    return Response(answer.body, answer.status, {name.decode(): value.decode() for name, value in answer.headers})


def _no_such_path(parts: Sequence[str], service: Service, usecases: Mapping[str, UseCase]) -> TrunklineError:
    """Say which part of a path below ``/v1/`` is none: the use case, its dataset, or what is asked of it."""
    taking = {name: sorted(usecase.datasets) for name, usecase in usecases.items()}
    match list(parts):
        case ["ingest", usecase, dataset] if usecase in taking:
            return UnknownNameError(f"{usecase!r} has no dataset {dataset[:60]!r}", allowed=taking[usecase])
        case ["ingest", usecase, _] if usecase not in service.broken:
            return UnknownNameError(f"there is no use case {usecase[:60]!r}", allowed=sorted(taking))
        case ["ingest", usecase, _] | [usecase, "predict" | "outcomes"]:
            try:
                service.deployment(usecase)
            except TrunklineError as error:
                return error
        case _:
            pass
    return RefusedRequestError("there is no such path", status=HTTPStatus.NOT_FOUND, next_step="see /docs")
