"""Where the result files of tasks and reconciliations are kept: in a folder, or in a bucket of S3."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from app.settings.aws_emr import AwsEmrSettings, BucketName, EndpointUrl, PathPrefix, Region
from app.settings.location import Location
from app.settings.section import Section


class StoreKind(StrEnum):
    LOCAL = "local"
    S3 = "s3"


class S3Settings(Section):
    """What is not said here is as `connector.aws_emr` has it, with its prefix and `/outputs` for a prefix.

    `endpoint_url` is for other stores than Amazon's; without both keys, boto3's own chain of credentials is asked.
    """

    bucket: BucketName | None = None
    prefix: PathPrefix = "data-phantom/outputs"
    region: Region = "us-east-1"
    endpoint_url: EndpointUrl | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    preview_line_count: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_keys_per_request: Annotated[int, Field(ge=1, le=1000)] = 1000

    @classmethod
    def of_cluster(cls, emr: AwsEmrSettings) -> "S3Settings":
        return cls(
            bucket=emr.s3_bucket,
            prefix=f"{emr.s3_path_prefix}/outputs".lstrip("/"),
            region=emr.region,
            endpoint_url=emr.endpoint_url,
            access_key=emr.access_key,
            secret_key=emr.secret_key,
            preview_line_count=emr.s3_output_preview_line_count,
            max_keys_per_request=emr.s3_max_keys_per_request,
        )


class OutputsSettings(Section):
    """With several machines, the directory is one that all of them share; beside S3 it holds temporary copies alone."""

    store: StoreKind | None = None
    directory: Location = Path(".data-phantom/outputs")
    s3: S3Settings | None = None
    redirect_downloads: bool = False

    def bucket(self, emr: AwsEmrSettings | None) -> S3Settings | None:
        """The bucket to use, None for the directory; where nothing is said, a cluster's bucket is taken.

        Its `bucket` is None where S3 is asked for and nothing names one.
        """
        if self.store is StoreKind.LOCAL or (self.store is None and self.s3 is None and emr is None):
            return None
        base = S3Settings() if emr is None else S3Settings.of_cluster(emr)
        own = {} if self.s3 is None else {key: getattr(self.s3, key) for key in self.s3.model_fields_set}
        return base.model_copy(update=own)
