"""References between the rooms' types: the graph of types goes round in circles, the imports of them do not."""

from typing import TYPE_CHECKING, Annotated

import strawberry

if TYPE_CHECKING:
    from app.graphql.backfills.types import Backfill, BackfillPreview
    from app.graphql.playgrounds.types import Playground
    from app.graphql.reconciliations.types import Reconciliation, ReconciliationRun
    from app.graphql.runs.types import Run, TaskRun
    from app.graphql.tasks.types import Task
    from app.graphql.udfs.types import TakenUdf, Udf

LazyBackfill = Annotated["Backfill", strawberry.lazy("app.graphql.backfills.types")]
LazyBackfillPreview = Annotated["BackfillPreview", strawberry.lazy("app.graphql.backfills.types")]
LazyPlayground = Annotated["Playground", strawberry.lazy("app.graphql.playgrounds.types")]
LazyTask = Annotated["Task", strawberry.lazy("app.graphql.tasks.types")]
LazyRun = Annotated["Run", strawberry.lazy("app.graphql.runs.types")]
LazyTaskRun = Annotated["TaskRun", strawberry.lazy("app.graphql.runs.types")]
LazyReconciliation = Annotated["Reconciliation", strawberry.lazy("app.graphql.reconciliations.types")]
LazyReconciliationRun = Annotated["ReconciliationRun", strawberry.lazy("app.graphql.reconciliations.types")]
LazyTakenUdf = Annotated["TakenUdf", strawberry.lazy("app.graphql.udfs.types")]
LazyUdf = Annotated["Udf", strawberry.lazy("app.graphql.udfs.types")]
