"""Amazon EMR: the account, the bucket, the cluster's stack, and how patiently its steps are watched."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr

from app.settings.permitted import Permitted
from app.settings.section import Section

BucketName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
    Permitted("the name of a bucket: 3 to 63 of a-z, 0-9, dot and hyphen"),
]
PathPrefix = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*$|^$"),
    Permitted("a path without a slash at its start and end, or nothing"),
]
Region = Annotated[
    str,
    Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$"),
    Permitted("the code of a region, such as us-east-1"),
]
EndpointUrl = Annotated[
    str,
    Field(pattern=r"^https?://[^\s/?#@]+/?$"),
    Permitted("http://host:port or https://host:port"),
]
PrestoName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$"), Permitted("a name of letters, digits, _ and -")]
PollingMs = Annotated[int, Field(ge=100, le=3_600_000)]
_PLACEHOLDERS = frozenset({"your-access-key", "your-secret-key", "your_key", "your_secret"})


class AwsEmrSettings(Section):
    """Without both keys, boto3's own chain of credentials is asked (a role, a profile).

    `stack_parameter` is what a stack whose cluster is down is updated by; `presto_url`, `presto_catalog` and
    `presto_schema` say where PRESTO tasks begin, as seen from the cluster's own master node. `python`, 3.11 or later on
    all nodes, is what the job of large comparisons runs on.

    `endpoint_url` is where every call goes in place of AWS itself: another store that speaks S3, or a test's server.
    """

    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    s3_bucket: BucketName
    s3_path_prefix: PathPrefix = "data-phantom"
    region: Region = "us-east-1"
    endpoint_url: EndpointUrl | None = None
    stack_name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,127}$"),
        Permitted("the name of a CloudFormation stack"),
    ] = "DataPhantomClusterStack"
    cluster_logical_id: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9]{1,255}$"),
        Permitted("the logical id of a resource: letters and digits"),
    ] = "DataPhantomCluster"
    stack_parameter: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9]{1,255}$"),
        Permitted("the name of a parameter of the stack: letters and digits"),
    ] = "ClusterGeneration"
    presto_url: EndpointUrl = "http://localhost:8889"
    presto_catalog: PrestoName = "hive"
    presto_schema: PrestoName = "default"
    python: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_./-]{1,255}$"),
        Permitted("a program or its path, such as python3.11"),
    ] = "python3.11"
    step_polling_interval: PollingMs = 30_000
    stack_update_polling_interval: PollingMs = 30_000
    stack_update_check_max_attempt: Annotated[int, Field(ge=1, le=10_000)] = 60
    s3_output_preview_line_count: Annotated[int, Field(ge=1, le=10_000)] = 100
    s3_max_keys_per_request: Annotated[int, Field(ge=1, le=1000)] = 20
    max_step_retries: Annotated[int, Field(ge=0, le=100)] = 3

    @property
    def step_polling(self) -> timedelta:
        return timedelta(milliseconds=self.step_polling_interval)

    @property
    def stack_update_polling(self) -> timedelta:
        return timedelta(milliseconds=self.stack_update_polling_interval)

    @property
    def is_placeholder(self) -> bool:
        """The values are the specification's examples still, so nobody has configured a cluster."""
        keys = {key.get_secret_value() for key in (self.access_key, self.secret_key) if key}
        return bool(keys & _PLACEHOLDERS) or self.s3_bucket == "your-s3-bucket"
