"""The EMR engine as the settings describe it."""

from datetime import timedelta

from app.aws.bucket import Bucket
from app.aws.clients import AwsAccount, AwsClients
from app.aws.cluster import EmrClusters
from app.aws.stack import Stack
from app.engines.emr.engine import EmrEngine
from app.engines.emr.giving import Place
from app.engines.emr.stack_cluster import StackCluster
from app.engines.emr.step_logs import StepLogs
from app.engines.emr.steps import Steps
from app.settings import AwsEmrSettings

_FRESH = timedelta(seconds=30)  # a cluster that has gone meanwhile refuses the steps, and is looked at again


def emr_engine(settings: AwsEmrSettings) -> EmrEngine:
    account = AwsAccount.of(settings)
    # What goes to the cluster is tried again by the engine, which knows what must not happen twice.
    control = AwsClients(account=account, threads=4, max_attempts=1)
    return emr_engine_over(settings, s3=AwsClients(account=account), control=control)


def emr_engine_over(settings: AwsEmrSettings, *, s3: AwsClients, control: AwsClients) -> EmrEngine:
    """`control` is for the stack and the cluster."""
    clusters = EmrClusters(clients=control)
    return EmrEngine(
        name="emr",
        s3=s3,
        control=control,
        bucket=Bucket(clients=s3, name=settings.s3_bucket, keys_per_request=settings.s3_max_keys_per_request),
        prefix=settings.s3_path_prefix,
        region=settings.region,
        place=Place(
            clusters=clusters,
            cluster=StackCluster(
                stack=Stack(clients=control, name=settings.stack_name),
                clusters=clusters,
                logical_id=settings.cluster_logical_id,
                switch=settings.stack_parameter,
                interval=settings.stack_update_polling,
                max_attempts=settings.stack_update_check_max_attempt,
                fresh=_FRESH,
            ),
            steps=Steps(clusters=clusters, interval=settings.step_polling),
            logs=StepLogs(clients=s3, keys_per_request=settings.s3_max_keys_per_request),
            interval=settings.step_polling,
            max_retries=settings.max_step_retries,
        ),
        presto={
            "server": settings.presto_url,
            "catalog": settings.presto_catalog,
            "schema": settings.presto_schema,
        },
        python=settings.python,
    )
