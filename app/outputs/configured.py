"""The output store that the settings describe."""

from app.outputs.base import OutputStore
from app.outputs.local import LocalOutputStore
from app.settings import Settings
from app.settings.outputs import S3Settings


def configured_outputs(settings: Settings) -> OutputStore:
    section = settings.outputs
    bucket = section.bucket(settings.connector.emr)
    if bucket is None:
        return LocalOutputStore(root=section.directory)
    return _s3(bucket, settings)


def _s3(section: S3Settings, settings: Settings) -> OutputStore:
    from app.aws.bucket import Bucket  # noqa: PLC0415 - boto3 takes 0.2 s to import, for nothing where outputs lie in a folder
    from app.aws.clients import AwsAccount, AwsClients, plain  # noqa: PLC0415 - as above
    from app.outputs.s3 import S3OutputStore  # noqa: PLC0415 - as above

    if section.bucket is None:
        raise AssertionError
    clients = AwsClients(
        account=AwsAccount(
            region=section.region,
            access_key=plain(section.access_key),
            secret_key=plain(section.secret_key),
            endpoint_url=section.endpoint_url,
        )
    )
    return S3OutputStore(
        clients=clients,
        bucket=Bucket(clients=clients, name=section.bucket, keys_per_request=section.max_keys_per_request),
        prefix=section.prefix,
        scratch=settings.outputs.directory / ".scratch",
        preview_rows=section.preview_line_count,
        links=settings.outputs.redirect_downloads,
    )
