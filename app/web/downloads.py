"""Downloads: files of the output store behind signed links, with range requests."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from app.domain.errors import DomainError, ExpiredError
from app.outputs.base import FileFacts, OutputStore, StorageError
from app.services.downloads import PATH, Download, DownloadService

GONE = "This file is not there any more: it was deleted, or pruned by the rules of retention."
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
LINK_LIFETIME = timedelta(minutes=10)  # of a link to a bucket; a browser that goes on later asks here for another
_MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}

log = structlog.get_logger()


def download_route(*, downloads: DownloadService, outputs: OutputStore) -> Route:
    return Route(f"{PATH}/{{token}}", _download(downloads, outputs), methods=["GET"])


def _download(downloads: DownloadService, outputs: OutputStore) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            download = downloads.resolve(request.path_params["token"])
        except DomainError as error:
            return PlainTextResponse(error.message, status_code=410 if isinstance(error, ExpiredError) else 404)
        try:
            facts = await outputs.facts(download.location)
            link = await outputs.link(
                download.location,
                filename=download.filename,
                media_type=_media_type(download.location),
                lifetime=LINK_LIFETIME,
            )
        except StorageError as error:
            log.warning("download.store_away", location=download.location, reason=error.message)
            return PlainTextResponse(
                "The output store cannot be read now; try again.", status_code=503, headers={"retry-after": "10"}
            )
        except DomainError:  # the link is one of ours, so the file was there
            return PlainTextResponse(GONE, status_code=410)
        if link is not None:
            return RedirectResponse(link, status_code=302, headers={"cache-control": "private, no-store"})
        return _response(request, download, facts, outputs)

    return serve


def _response(request: Request, download: Download, facts: FileFacts, outputs: OutputStore) -> Response:
    size, etag = facts.size_bytes, f'"{facts.version}"'
    headers = {
        "accept-ranges": "bytes",
        "etag": etag,
        "content-type": _media_type(download.location),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(download.filename, safe='')}",
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-store",
    }
    if request.method == "HEAD":
        return Response(headers=headers | {"content-length": str(size)})
    # Of another file than the one whose start the client has, the rest would be of no use.
    current = request.headers.get("if-range", etag) == etag
    asked = _range(request.headers.get("range"), size) if current else None
    if asked is None:
        return StreamingResponse(_told(outputs, download.location), headers=headers | {"content-length": str(size)})
    start, end = asked
    if start > end:
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    return StreamingResponse(
        _told(outputs, download.location, offset=start, length=end - start + 1),
        status_code=206,
        headers=headers | {"content-length": str(end - start + 1), "content-range": f"bytes {start}-{end}/{size}"},
    )


async def _told(
    outputs: OutputStore, location: str, *, offset: int = 0, length: int | None = None
) -> AsyncIterator[bytes]:
    """The bytes; a store that goes away in their midst breaks the connection, so that nobody takes a part for all."""
    try:
        async for piece in outputs.open(location, offset=offset, length=length):
            yield piece
    except DomainError as error:
        log.warning("download.broke_off", location=location, reason=error.message)
        raise


def _media_type(location: str) -> str:
    return _MEDIA_TYPES.get(location.rpartition(".")[2], "application/octet-stream")


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """The first and last byte asked for; None for the whole. A range beyond the file has its start after its end."""
    match = RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None  # several ranges, or another unit: the whole file is a right answer to both (RFC 9110, 14.2)
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size - 1) if last and int(last) else None
    return int(first), min(int(last), size - 1) if last else size - 1
