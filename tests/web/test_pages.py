"""The pages over HTTP: their policies, how long they are kept, what is not served, and that the build is current."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.web.pages import ASSETS_PATH, BUILD, graphiql_response, page_routes

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "app" / "dashboard" / "src" / "operations"
SCHEMA = ROOT / "schema.graphql"
BUILD_DASHBOARD = ROOT / "scripts" / "build-dashboard"


async def graphiql(_: Request) -> Response:
    return graphiql_response()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=Starlette(routes=[*page_routes(), Route("/graphql", graphiql)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/graphql"])
async def test_a_page_is_asked_for_anew_and_trusts_nothing_but_its_own_host(http: httpx.AsyncClient, path: str) -> None:
    page = await http.get(path, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    policy = dict(directive.split(" ", 1) for directive in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert not [source for source in policy.values() if "http" in source or "*" in source]


@pytest.mark.parametrize("name", ["index.html", "graphiql.html"])
async def test_every_file_that_a_page_names_is_served_and_kept_for_ever(http: httpx.AsyncClient, name: str) -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', (BUILD / name).read_text())
    assert len(named) >= 3
    for path in named:
        assert path.startswith(ASSETS_PATH + "/")
        asset = await http.get(path)
        assert asset.status_code == 200
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert asset.headers["x-content-type-options"] == "nosniff"
        again = await http.get(path, headers={"If-None-Match": asset.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, asset.headers["cache-control"])


@pytest.mark.parametrize(
    ("suffix", "media_type", "encoding"),
    [
        (".js", "text/javascript; charset=utf-8", "gzip"),
        (".css", "text/css; charset=utf-8", "gzip"),
        (".woff2", "font/woff2", None),
    ],
)
async def test_assets_have_their_types_and_travel_compressed(
    http: httpx.AsyncClient, suffix: str, media_type: str, encoding: str | None
) -> None:
    largest = max((BUILD / "assets").glob(f"*{suffix}"), key=lambda path: path.stat().st_size)
    asset = await http.get(f"{ASSETS_PATH}/{largest.name}", headers={"Accept-Encoding": "gzip"})
    assert asset.headers["content-type"] == media_type
    assert asset.headers.get("content-encoding") == encoding
    assert asset.content == largest.read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        f"{ASSETS_PATH}/",
        ASSETS_PATH,
        "/static/",
        "/static/dashboard/graphiql.html",
        f"{ASSETS_PATH}/../build.json",
        f"{ASSETS_PATH}/..%2fbuild.json",
        f"{ASSETS_PATH}/%00",
        f"{ASSETS_PATH}/{'x' * 5000}",
    ],
)
async def test_what_is_no_asset_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    found = await http.get(path, follow_redirects=True)
    assert found.status_code == 404
    assert "immutable" not in found.headers.get("cache-control", "")


async def test_a_missing_build_says_how_to_make_it(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(app=Starlette(routes=page_routes(tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
        page = await client.get("/")
        assert (await client.get(f"{ASSETS_PATH}/index.js")).status_code == 404
    assert page.status_code == graphiql_response(tmp_path).status_code == 503
    assert "Run scripts/build-dashboard" in page.text


def test_the_committed_build_is_of_the_present_sources_and_small() -> None:
    checked = subprocess.run([BUILD_DASHBOARD, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    files = [path for path in BUILD.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix == ".map"]
    assert sum(path.stat().st_size for path in files) < 8_000_000


@pytest.mark.parametrize(
    ("changed", "message"),
    [("dashboard/src/ui/tokens.css", "src/ui/tokens.css"), ("web/static/dashboard/index.html", "index.html")],
)
def test_a_stale_build_is_found_out(tmp_path: Path, changed: str, message: str) -> None:
    app = tmp_path / "app"
    shutil.copytree(ROOT / "app" / "dashboard", app / "dashboard", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(BUILD, app / "web" / "static" / "dashboard")
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(BUILD_DASHBOARD, tmp_path / "scripts")
    assert subprocess.run([script, "--check"], capture_output=True, check=False).returncode == 0
    (app / changed).write_text("changed")
    checked = subprocess.run([script, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert re.search(f"(source|built file) changed since the build: {message}$", checked.stderr, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(OPERATIONS.glob("*.graphql")), ids=lambda path: path.stem)
def test_the_pages_operations_are_valid_in_the_exported_schema(path: Path) -> None:
    assert validate(build_schema(SCHEMA.read_text()), parse(path.read_text())) == []
