"""The admin application: health for load balancers and people, liveness for supervisors."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.services.health import HealthService


def admin_app(health: HealthService) -> Starlette:
    """`/health` is 503 while work cannot be done; `/ping` answers as long as the process does."""
    return Starlette(routes=[Route("/", _health(health)), Route("/health", _health(health)), Route("/ping", _ping)])


def _health(health: HealthService) -> Callable[[Request], Awaitable[Response]]:
    async def show(_request: Request) -> Response:
        state = await health.platform()
        body = {"status": "UP" if state.well else "DOWN", **asdict(state)}
        return Response(
            orjson.dumps(body, option=orjson.OPT_INDENT_2),
            status_code=200 if state.well else 503,
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    return show


async def _ping(_request: Request) -> Response:
    return PlainTextResponse("pong")
