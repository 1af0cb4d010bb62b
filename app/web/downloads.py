"""Downloads: files of the output store behind signed links, with range requests."""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from app.domain.errors import DomainError, ExpiredError
from app.outputs.base import OutputStore
from app.services.downloads import PATH, DownloadService

GONE = "This file is not there any more: it was deleted, or pruned by the rules of retention."
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def download_route(*, downloads: DownloadService, outputs: OutputStore) -> Route:
    return Route(f"{PATH}/{{token}}", _download(downloads, outputs), methods=["GET"])


def _download(downloads: DownloadService, outputs: OutputStore) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            download = downloads.resolve(request.path_params["token"])
        except DomainError as error:
            return PlainTextResponse(error.message, status_code=410 if isinstance(error, ExpiredError) else 404)
        try:
            size = await outputs.size(download.location)
        except DomainError:  # the link is one of ours, so the file was there
            return PlainTextResponse(GONE, status_code=410)
        headers = {
            "accept-ranges": "bytes",
            "content-disposition": f"attachment; filename*=UTF-8''{quote(download.filename, safe='')}",
            "x-content-type-options": "nosniff",
            "cache-control": "private, no-store",
        }
        asked = _range(request.headers.get("range"), size)
        if asked is None:
            return StreamingResponse(
                outputs.open(download.location),
                headers=headers | {"content-length": str(size)},
                media_type="text/csv; charset=utf-8",
            )
        start, end = asked
        if start > end:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        return StreamingResponse(
            outputs.open(download.location, offset=start, length=end - start + 1),
            status_code=206,
            headers=headers | {"content-length": str(end - start + 1), "content-range": f"bytes {start}-{end}/{size}"},
            media_type="text/csv; charset=utf-8",
        )

    return serve


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """The first and last byte asked for; None for the whole. A range beyond the file has its start after its end."""
    match = RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None  # several ranges, or another unit: the whole file is a right answer to both (RFC 9110, 14.2)
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size - 1) if last and int(last) else None
    return int(first), min(int(last), size - 1) if last else size - 1
