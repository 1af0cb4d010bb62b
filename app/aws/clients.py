"""The clients of one AWS account, and the threads in which their calls run, for boto3 blocks."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import Any, ParamSpec, TypeVar

import boto3
from botocore.config import Config
from pydantic import SecretStr

from app.aws.errors import aws_errors
from app.settings import AwsEmrSettings

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_S3 = "s3"
_NO_REGION = "us-east-1"  # leads on to a bucket wherever it is


@dataclass(frozen=True, kw_only=True, slots=True)
class AwsAccount:
    """Where to call, and as whom; without both keys, boto3's own chain of credentials is asked (a role, a profile)."""

    region: str
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None

    @classmethod
    def of(cls, settings: AwsEmrSettings) -> "AwsAccount":
        return cls(
            region=settings.region,
            access_key=plain(settings.access_key),
            secret_key=plain(settings.secret_key),
            endpoint_url=settings.endpoint_url,
        )

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> "AwsAccount":
        """Who runs a command, as the `aws` command would know them. Raises: AwsError."""
        with aws_errors(_S3, "sign in"):
            region = environ.get("AWS_REGION") or boto3.Session().region_name
        endpoint_url = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
        return cls(region=region or _NO_REGION, endpoint_url=endpoint_url or None)


class AwsClients:
    """Clients by the names of their services, each made by the first call that wants it.

    A call is tried up to `max_attempts` times, with pauses that grow and are partly random; an EMR or CloudFormation
    client slows down by itself once it was throttled. `threads` bounds how many calls are under way at once.
    """

    def __init__(
        self,
        *,
        account: AwsAccount,
        threads: int = 16,
        max_attempts: int = 5,
        connect_timeout: timedelta = timedelta(seconds=5),
        read_timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        self._account = account
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="aws")
        self._config = Config(
            region_name=account.region,
            connect_timeout=connect_timeout.total_seconds(),
            read_timeout=read_timeout.total_seconds(),
            max_pool_connections=threads,
        )
        self._max_attempts = max_attempts
        self._session = boto3.Session(
            aws_access_key_id=account.access_key or None,
            aws_secret_access_key=account.secret_key or None,
            region_name=account.region,
        )
        self._clients: dict[str, Any] = {}
        self._making = Lock()  # making two clients of one session at once is not safe

    async def call(self, service: str, operation: str, **arguments: Any) -> Any:
        """What an operation such as `list_steps` of a service such as `emr` answers.

        Raises: TransientAwsError, TerminalAwsError.
        """
        return await self.run(self.ask, service, operation, **arguments)

    async def run(self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Run something that blocks in one of the threads; who is cancelled meanwhile leaves it to its end."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def ask(self, service: str, operation: str, **arguments: Any) -> Any:
        """As `call`, for who is in a thread already."""
        with aws_errors(service, operation):
            return getattr(self.client(service), operation)(**arguments)

    def client(self, service: str) -> Any:
        """boto3's own client, for threads: what it raises is to be wrapped by `aws_errors`."""
        with self._making:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service, endpoint_url=self._account.endpoint_url, config=self._config.merge(self._special(service))
                )
            return self._clients[service]

    async def close(self) -> None:
        self.shut()

    def shut(self) -> None:
        """Take nothing more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._making:
            for client in self._clients.values():
                client.close()

    def _special(self, service: str) -> Config:
        if service != _S3:
            return Config(retries={"mode": "adaptive", "total_max_attempts": self._max_attempts})
        retries = {"mode": "standard", "total_max_attempts": self._max_attempts}
        if self._account.endpoint_url is None:
            return Config(retries=retries)
        # Other stores than Amazon's seldom have a host name for each bucket, and not all know the newer checksums.
        return Config(
            retries=retries,
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )


def plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
