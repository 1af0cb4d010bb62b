"""The tour: makes the demo account and the flights playground, runs it, reconciles two outputs, all through the API."""

import secrets
from typing import Any

from rich.console import Console

from app.demo import operations
from app.demo.client import Client, GraphQLFailedError
from app.demo.flights import PLAYGROUND_NAME, RECONCILIATION, TASKS
from app.demo.pictures import ReconciliationPicture, RunPicture
from app.services.accounts import AccountService

EMAIL = "demo@data-phantom.local"
USERNAME = "demo"
DESCRIPTION = "The 336,776 flights that left New York in 2013, asked about in all five kinds of task."


class DemoFailedError(Exception):
    """The tour could not be shown; the message says why."""


class Tour:
    """`base` is the API's address; only the session of the demo account is opened on the inside."""

    def __init__(self, *, base: str, accounts: AccountService, console: Console, quiet: bool) -> None:
        self._base = base
        self._accounts = accounts
        self._console = console
        self._quiet = quiet

    async def show(self, *, again: bool) -> bool:
        """Run the demo where it has not run yet, or `again`; tells whether it ended as expected.

        Raises: DemoFailedError.
        """
        client = Client(base=self._base, token=await self._sign_in())
        try:
            playground = await self._playground(client)
            if playground["lastRun"] is not None and not again:
                self._say_what_is_there(playground)
                return True
            return await self._run(client, playground) and await self._reconcile(client, playground)
        except GraphQLFailedError as error:
            raise DemoFailedError(f"The demo could not be shown: {error}") from error
        finally:
            await client.close()

    async def _sign_in(self) -> str:
        """A session of the demo account, which is made where it is missing; its password is printed this once."""
        user = await self._accounts.user_by_email(EMAIL)
        if user is not None:
            return (await self._accounts.open_session(user.id)).access_token
        password = secrets.token_urlsafe(12)
        session = await self._accounts.register(email=EMAIL, username=USERNAME, password=password)
        console = Console(highlight=False) if self._quiet else self._console  # nobody could ever sign in without it
        console.print(f"\nDemo account  [bold]{EMAIL}[/bold]  password [bold]{password}[/bold]  (shown this once)")
        return session.access_token

    async def _playground(self, client: Client) -> dict[str, Any]:
        playground = await self._find(client)
        if playground is None:
            created = await client.call(
                operations.CREATE_PLAYGROUND, input={"name": PLAYGROUND_NAME, "description": DESCRIPTION}
            )
            await self._fill(client, created["createPlayground"]["playground"]["id"], known={}, reconciled=False)
        elif len(playground["tasks"]) < len(TASKS) or not playground["reconciliations"]:  # an earlier start was cut off
            known = {task["name"]: task["id"] for task in playground["tasks"]}
            await self._fill(client, playground["id"], known=known, reconciled=bool(playground["reconciliations"]))
        else:
            return playground
        made = await self._find(client)
        if made is None:
            raise DemoFailedError("The demo playground was made and cannot be found.")
        return made

    async def _find(self, client: Client) -> dict[str, Any] | None:
        data = await client.call(operations.FIND_PLAYGROUND, search=PLAYGROUND_NAME)
        found: list[dict[str, Any]] = data["playgrounds"]["nodes"]
        return next((node for node in found if node["name"] == PLAYGROUND_NAME), None)

    async def _fill(self, client: Client, playground_id: str, *, known: dict[str, str], reconciled: bool) -> None:
        ids = dict(known)
        for task in TASKS:
            if task.name in ids:
                continue
            values = {
                "playgroundId": playground_id,
                "name": task.name,
                "type": str(task.type),
                "query": task.query,
                "parentIds": [ids[parent] for parent in task.parents],
            }
            data = await client.call(operations.CREATE_TASK, input=values)
            ids[task.name] = data["createTask"]["task"]["id"]
        if reconciled:
            return
        mapping = [
            {"left": left, "right": right, "key": left in RECONCILIATION.keys} for left, right in RECONCILIATION.mapping
        ]
        pair: dict[str, Any] = {
            "playgroundId": playground_id,
            "leftTaskId": ids[RECONCILIATION.left_task],
            "rightTaskId": ids[RECONCILIATION.right_task],
            "mapping": mapping,
        }
        await client.call(operations.CREATE_RECONCILIATION, input=pair)

    async def _run(self, client: Client, playground: dict[str, Any]) -> bool:
        launched = await client.call(operations.RUN_PLAYGROUND, input={"playgroundId": playground["id"]})
        run = launched["runPlayground"]["run"]
        with RunPicture(
            console=self._console, title=f"{PLAYGROUND_NAME}, run {run['number']}", tasks=playground["tasks"]
        ) as picture:
            async for data in client.follow(operations.RUN_EVENTS, runId=run["id"]):
                picture.show(data["runEvents"]["events"])
        ended = (await client.call(operations.RUN, id=run["id"]))["run"]
        counts = ended["counts"]
        self._console.print(
            f"Run {ended['number']}: [bold]{ended['status']}[/bold], {counts['success']} of {counts['total']} tasks "
            f"succeeded in {ended['durationMs'] / 1000:.1f} s"
        )
        return bool(ended["status"] == "SUCCESS")

    async def _reconcile(self, client: Client, playground: dict[str, Any]) -> bool:
        values = {"reconciliationId": playground["reconciliations"][0]["id"]}
        launched = await client.call(operations.RUN_RECONCILIATION, input=values)
        run_id = launched["runReconciliation"]["reconciliationRun"]["id"]
        self._console.print(f"\nReconciling «{RECONCILIATION.left_task}» with «{RECONCILIATION.right_task}» …")
        async for _ in client.follow(operations.RECONCILIATION_EVENTS, id=run_id):
            pass
        run = (await client.call(operations.RECONCILIATION_RUN, id=run_id))["reconciliationRun"]
        ReconciliationPicture(console=self._console).show(run)
        result = run["result"]
        return result is not None and not result["matched"] and result["changedRowCount"] > 0  # as the demo has it

    def _say_what_is_there(self, playground: dict[str, Any]) -> None:
        last = playground["lastRun"]
        counts = last["counts"]
        self._console.print(
            f"\nThe playground «{PLAYGROUND_NAME}» is there; its last run {last['number']} is {last['status']} with "
            f"{counts['success']} of {counts['total']} tasks. Run it again from GraphiQL, or with --once."
        )
