"""GraphiQL in a real browser on the real platform: signed in through its bar, a query and a run followed live."""

import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Route, async_playwright, expect

from tests.e2e.conftest import Deployment, NewApi

RUN_EVENTS = """subscription Follow {
  runEvents(runId: "%s") { cursor events { status taskRun { name } run { status } } }
}"""


@dataclass(kw_only=True)  # not frozen: playwright leaves a mark on whose methods it calls
class Visit:
    """A browser tab that may talk to the platform alone, with all that it attempted elsewhere and all that failed."""

    page: Page
    base: str
    foreign: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def admit(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.scheme in {"data", "blob"} or url.netloc == urlsplit(self.base).netloc:
            await route.continue_()
        else:
            self.foreign.append(route.request.url)
            await route.abort()

    def note_socket(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.base).netloc:
            self.foreign.append(url)

    async def write(self, text: str) -> None:
        """Sets the editor's text at once: typed brackets would be doubled by its auto-closing."""
        script = (
            "text => __MONACO.editor.getModels().find(m => m.uri.path.endsWith('operation.graphql')).setValue(text)"
        )
        await self.page.evaluate(script, text)

    async def run(self) -> None:
        await self.page.get_by_role("button", name="Execute query").click()

    async def expect_response(self, text: str) -> None:
        await expect(self.page.locator(".result-window")).to_contain_text(text)


@pytest.fixture
async def visit(embedded: Deployment) -> AsyncIterator[Visit]:
    nowhere_else = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", nowhere_else]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = await browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(30_000)
        tab = Visit(page=page, base=embedded.base)
        await page.context.route("**/*", tab.admit)
        page.on("websocket", lambda socket: tab.note_socket(socket.url))
        page.on("pageerror", lambda error: tab.faults.append(str(error)))
        page.on("console", lambda message: tab.faults.append(message.text) if message.type == "error" else None)
        yield tab
        await browser.close()


async def test_a_person_signs_in_asks_and_follows_a_run_and_nothing_leaves_the_host(
    visit: Visit, embedded: Deployment, new_api: NewApi, name: Callable[[], str], tmp_path: Path
) -> None:
    api, username = new_api(embedded), name()
    await api.sign_up(username)
    playground = await api.playground("Seen in a browser")
    first = await api.task(playground, "first")
    await api.task(playground, "second", parents=(first,))
    page = visit.page

    await page.goto(f"{visit.base}/graphql")
    await page.get_by_label("Email").fill(f"{username}@example.com")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_label("Password").press("Enter")
    await expect(page.get_by_text(f"Signed in as {username}")).to_be_visible()

    await visit.write("query Mine { viewer { username } playgrounds { nodes { name tasks { name } } } }")
    await visit.run()
    await visit.expect_response(f'"username": "{username}"')
    await visit.expect_response('"name": "Seen in a browser"')

    await visit.write(RUN_EVENTS % await api.start(playground))
    await visit.run()
    await visit.expect_response('"status": "SUCCESS"')
    await expect(page.get_by_role("button", name="Execute query")).to_be_visible()  # the run's end ended it
    picture = tmp_path / "graphiql.png"
    await page.screenshot(path=picture)
    assert picture.stat().st_size > 20_000, "an empty page is a small picture"
    assert (visit.foreign, visit.faults) == ([], [])
