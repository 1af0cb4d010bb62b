"""One process's singletons: the database, the doorbell, the queue, the stores, the engines and the services."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.engines.configured import configured_engines
from app.engines.embedded.registered import RegisteredTable
from app.engines.registry import EngineRegistry
from app.messaging.bell import Bell
from app.messaging.delivery import Delivery
from app.messaging.queue import JobQueue
from app.outputs.base import OutputStore
from app.outputs.configured import configured_outputs
from app.services.accounts import AccountService
from app.services.backfills import BackfillService
from app.services.downloads import DownloadService
from app.services.fields import FieldService
from app.services.health import HealthService
from app.services.history import HistoryService
from app.services.jar_files import JarFiles
from app.services.jars import Jars
from app.services.live import Feeds
from app.services.passwords import Passwords
from app.services.playgrounds import PlaygroundService
from app.services.reconciliation_reports import ReconciliationReports
from app.services.reconciliations import ReconciliationService
from app.services.resuming import ResumeService
from app.services.run_feeds import RunFeeds
from app.services.runs import RunService
from app.services.suggestions import SuggestionService
from app.services.tasks import TaskService
from app.services.udfs import UdfService
from app.settings import Settings
from app.store.database import Database


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The use cases, as the API sees them."""

    accounts: AccountService
    playgrounds: PlaygroundService
    tasks: TaskService
    fields: FieldService
    udfs: UdfService
    runs: RunService
    history: HistoryService
    resuming: ResumeService
    backfills: BackfillService
    run_feeds: RunFeeds
    reconciliations: ReconciliationService
    suggestions: SuggestionService
    reports: ReconciliationReports
    downloads: DownloadService
    health: HealthService
    outputs: OutputStore


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessContext:
    settings: Settings
    database: Database
    bell: Bell
    queue: JobQueue
    outputs: OutputStore
    jar_files: JarFiles
    engines: EngineRegistry
    services: Services


@asynccontextmanager
async def open_process(
    settings: Settings, *, tables: Mapping[str, RegisteredTable] | None = None
) -> AsyncIterator[ProcessContext]:
    """Build everything, and close it at the end; nothing here waits for a server to be up.

    `tables` are registered beside those of the settings.
    """
    url = settings.redis_url
    bell, queue = Bell(url=url), JobQueue(url=url)
    store = settings.meta_store
    address = store.address
    delivery = Delivery(queue=queue, bell=bell)
    database = Database(
        url=address.sqlalchemy_url(),
        connect_args=address.connect_args,
        deliver=delivery,
        pool_size=store.max_size,
        max_wait=store.max_wait_for_connection,
        max_age=store.max_connection_age,
        check_on_borrow=store.check_connection_on_borrow,
    )
    outputs = configured_outputs(settings)
    jar_files = JarFiles(outputs=outputs, folder=settings.udfs.cache_directory)
    engines = EngineRegistry(engines=configured_engines(settings, tables=tables or {}))
    await bell.start()
    try:
        services = _services(
            settings, database=database, bell=bell, outputs=outputs, jar_files=jar_files, engines=engines
        )
        yield ProcessContext(
            settings=settings,
            database=database,
            bell=bell,
            queue=queue,
            outputs=outputs,
            jar_files=jar_files,
            engines=engines,
            services=services,
        )
    finally:
        await engines.close()
        await outputs.close()
        await delivery.close()
        await bell.close()
        await queue.close()
        await database.close()


def _services(
    settings: Settings,
    *,
    database: Database,
    bell: Bell,
    outputs: OutputStore,
    jar_files: JarFiles,
    engines: EngineRegistry,
) -> Services:
    feeds = Feeds(bell=bell)
    secret = settings.jwt.secret_key.get_secret_value()
    return Services(
        accounts=AccountService(
            database=database,
            passwords=Passwords(),
            secret_key=secret,
            access_lifetime=settings.jwt.token_lifetime,
            refresh_lifetime=settings.jwt.refresh_token_lifetime,
        ),
        playgrounds=PlaygroundService(database=database, outputs=outputs, engines=engines),
        tasks=TaskService(database=database, engines=engines),
        fields=FieldService(engines=engines),
        udfs=UdfService(
            database=database,
            jars=Jars(database=database, outputs=outputs),
            files=jar_files,
            max_jar_bytes=settings.udfs.max_jar_size,
        ),
        history=HistoryService(database=database),
        runs=RunService(database=database, lane_of=engines.lane_of),
        resuming=ResumeService(database=database, outputs=outputs, lane_of=engines.lane_of),
        backfills=BackfillService(database=database, lane_of=engines.lane_of),
        run_feeds=RunFeeds(database=database, feeds=feeds),
        reconciliations=ReconciliationService(database=database, feeds=feeds),
        suggestions=SuggestionService(database=database, outputs=outputs),
        reports=ReconciliationReports(database=database, secret_key=secret, public_url=settings.web.public_url),
        downloads=DownloadService(secret_key=secret, public_url=settings.web.public_url),
        health=HealthService(
            database=database, bell=bell, engines=engines, outputs=outputs, lease=settings.worker.lease
        ),
        outputs=outputs,
    )
