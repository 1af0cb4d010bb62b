"""The report of a comparison, by its link: an HTML file for the owner, and for nobody else that it was not made for."""

from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import update

from app.domain.identity import utc_now
from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions, Thresholds
from app.domain.status import ReconciliationStatus
from app.models import ReconciliationRun
from app.services.reconciliation_reports import REPORTS_PATH
from app.store.unit_of_work import UnitOfWork
from tests.domain.reconciliation.reconciliation_oracle import side_of
from tests.graphql.rooms.conftest import Site, World

REPORT = "query($id: ID!) { reconciliationRun(id: $id) { result { reportUrl } } }"
EVIL = "<script>alert(1)</script>"

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def compared(site: Site, world: World, tmp_path: Path) -> World:
    """The pair's run has ended, with a difference."""
    result = compare(
        side_of(f'one\n1\n"{EVIL}"\n'),
        side_of("one\n1\n"),
        [ColumnMapping(left="one", right="one")],
        ReconciliationOptions(),
        thresholds=Thresholds(),
        spill_dir=tmp_path,
    )
    document = result.to_document()
    samples = document.pop("samples")

    async def work(unit: UnitOfWork) -> None:
        await unit._session.execute(
            update(ReconciliationRun)
            .where(ReconciliationRun.id == world.pair_run.id)
            .values(
                status=ReconciliationStatus.SUCCESS,
                result=document,
                samples=samples,
                started_at=utc_now(),
                ended_at=utc_now(),
            )
        )

    await site.bench.process.database.write(work)
    return world


async def url_of(site: Site, world: World) -> str:
    run = await site.owner.value(REPORT, id=world.ids["pairRun"])
    return str(run["result"]["reportUrl"])


async def test_the_owner_gets_the_report_as_a_file_that_can_do_nothing(site: Site, compared: World) -> None:
    response = await site.owner.http.get(await url_of(site, compared))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-disposition"].startswith("attachment; filename*=UTF-8''left%20and%20right")
    assert response.headers["content-disposition"].endswith(".html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "script" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "private, no-store"
    assert EVIL not in response.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in response.text
    for words in ("The two sides differ", compared.playground.name, f"task, run {compared.run.number}"):
        assert words in response.text


async def test_a_stranger_gets_no_link_and_no_report(site: Site, compared: World) -> None:
    assert await site.stranger.value(REPORT, id=compared.ids["pairRun"]) is None
    stranger_id = (await site.bench.person()).user_id
    link = site.bench.services.reports.url_for(compared.pair_run.id, owner_id=stranger_id)
    assert (await site.owner.http.get(link)).status_code == 404


async def test_links_of_another_kind_or_hand_lead_nowhere(site: Site, compared: World) -> None:
    downloads = site.bench.services.downloads
    of_a_file = downloads.url_for(compared.pair_run.id.hex, filename=site.bench.viewer.user_id.hex)
    report = (await url_of(site, compared)).rpartition("/")[2]
    for link in (f"{REPORTS_PATH}/{of_a_file.rpartition('/')[2]}", f"{REPORTS_PATH}/forged", f"/downloads/{report}"):
        assert (await site.owner.http.get(link)).status_code == 404


async def test_a_run_that_is_gone_or_has_no_result_has_no_report(site: Site, compared: World) -> None:
    reports, viewer = site.bench.services.reports, site.bench.viewer
    assert (await site.owner.http.get(reports.url_for(UUID(int=1), owner_id=viewer.user_id))).status_code == 404
    link = await url_of(site, compared)
    await site.bench.services.reconciliations.delete(viewer, compared.pair.id)
    assert (await site.owner.http.get(link)).status_code == 404
