"""The pages for people: the start page, GraphiQL, and the built files that both load, under strict content policies."""

from os import PathLike, stat_result
from pathlib import Path

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

BUILD = Path(__file__).parent / "static" / "dashboard"

# Vite writes this address into the pages: base in app/dashboard/vite.config.ts, and its default folder for assets.
ASSETS_PATH = "/static/dashboard/assets"

# 'self' covers the websocket of the same host as well, in every browser that the build is made for.
START_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The editor writes its own <style> elements and draws squiggles as data: images.
GRAPHIQL_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A worker obeys the policy of its own script's response, not that of the page which started it.
ASSET_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
)


def page_routes(build: Path = BUILD) -> list[BaseRoute]:
    """The start page and the built files; GraphiQL shares its address with the API, whose view answers with it."""

    async def start(_: Request) -> Response:
        return _page(build / "index.html", START_POLICY)

    assets = BuiltAssets(directory=build / "assets", check_dir=False)
    # Fonts are compressed already, and the middleware knows; big files are compressed in threads.
    compression = Middleware(GZipMiddleware, minimum_size=1024, compresslevel=6)
    return [Route("/", start, name="start"), Mount(ASSETS_PATH, app=assets, name="assets", middleware=[compression])]


def graphiql_response(build: Path = BUILD) -> Response:
    """GraphiQL's page, for a browser's GET of the API's address."""
    response = _page(build / "graphiql.html", GRAPHIQL_POLICY)
    response.headers["Vary"] = "Accept"
    return response


class BuiltAssets(StaticFiles):
    """Files whose names carry a hash of their content: kept for ever by browsers, never listed."""

    async def check_config(self) -> None:
        """Lets a missing build be a 404 of its files: the page says what to do about it."""

    def file_response(
        self, full_path: PathLike[str] | str, stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers.update(_security_headers(ASSET_POLICY))
        if response.status_code == status_code and Path(full_path).suffix in MEDIA_TYPES:
            response.headers["Content-Type"] = MEDIA_TYPES[Path(full_path).suffix]
        return response


# nosniff makes the types binding, and Python's own table depends on what /etc/mime.types holds.
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
}


def _page(path: Path, policy: str) -> Response:
    """A page that is asked for anew each time, since it names the hashed files of the present build."""
    headers = {"Cache-Control": "no-cache", **_security_headers(policy)}
    if not path.is_file():
        return PlainTextResponse(
            f"{path.name} is not built. Run scripts/build-dashboard, then reload. The API itself is not affected.\n",
            status_code=503,
            headers=headers,
        )
    return FileResponse(path, media_type="text/html", headers=headers)


def _security_headers(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
