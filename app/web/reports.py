"""Reports of comparisons behind signed links, as pages to save that may do nothing but wear their own style."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.domain.errors import DomainError, ExpiredError
from app.domain.reconciliation.report import report_policy
from app.services.reconciliation_reports import REPORTS_PATH, ReconciliationReports


def report_route(reports: ReconciliationReports) -> Route:
    return Route(f"{REPORTS_PATH}/{{token}}", _report(reports), methods=["GET"])


def _report(reports: ReconciliationReports) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            download = await reports.open(request.path_params["token"])
        except DomainError as error:
            return PlainTextResponse(error.message, status_code=410 if isinstance(error, ExpiredError) else 404)
        return HTMLResponse(
            download.page,
            headers={
                "content-disposition": f"attachment; filename*=UTF-8''{quote(download.filename, safe='')}",
                "content-security-policy": f"{report_policy()}; frame-ancestors 'none'; sandbox",
                "x-content-type-options": "nosniff",
                "referrer-policy": "no-referrer",
                "cache-control": "private, no-store",
            },
        )

    return serve
