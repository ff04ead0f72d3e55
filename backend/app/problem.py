"""What an answer that is not a success looks like: in the OpenAPI document, and those that no route
gives by itself."""

import logging

from fastapi import FastAPI, Request, Response, status
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from app.database import DatabaseUnavailableError

log = logging.getLogger(__name__)

type Responses = dict[int | str, dict[str, object]]


class Problem(BaseModel):
    """Why a request was not served, for people to read."""

    detail: str


# What each route that acts for a user may answer, whatever it does.
SIGNED_IN: Responses = {
    401: {"model": Problem, "description": "Not signed in"},
    503: {"model": Problem, "description": "The database or the sign-in's keys cannot be reached"},
}
# And each that reads a body.
WITH_BODY: Responses = {
    400: {"model": Problem, "description": "The body is not what its Content-Type says"},
    413: {"model": Problem, "description": "The body is larger than anything that is wanted"},
}


def handle_problems(app: FastAPI) -> None:
    """Have the application answer these failures in a way of its own."""
    app.add_exception_handler(DatabaseUnavailableError, _unavailable)
    app.add_exception_handler(status.HTTP_405_METHOD_NOT_ALLOWED, _method_not_allowed)


async def _unavailable(_: Request, error: Exception) -> Response:
    log.warning("the database cannot serve", extra={"reason": str(error)})
    return JSONResponse(
        {"detail": "The database is not available"},
        status.HTTP_503_SERVICE_UNAVAILABLE,
        {"Retry-After": "2"},
    )


async def _method_not_allowed(request: Request, _: Exception) -> Response:
    """Names the methods of all routes of that path, where the framework names one route's."""
    path = request.url.path
    allowed = {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.methods and route.path_regex.match(path)
        for method in route.methods
    }
    return JSONResponse(
        {"detail": "Method Not Allowed"},
        status.HTTP_405_METHOD_NOT_ALLOWED,
        {"Allow": ", ".join(sorted(allowed))},
    )
