"""Spark connections: a Spark Connect server by its address, or a distribution that this machine has."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ByteSize, Field, PlainSerializer, StringConstraints, model_validator

from app.settings.location import Location
from app.settings.permitted import Permitted
from app.settings.secret_url import SecretUrl
from app.settings.section import Section, cross_fault

DEFAULT_SPARK = "spark"


def _readable(url: SecretUrl) -> SecretUrl:
    scheme, separator, rest = url.get_secret_value().partition("://")
    place, _, options = rest.partition("/;")
    if scheme != "sc" or not separator or not place or "/" in place or " " in rest:
        raise ValueError("it is not written as sc://host:port/;option=value")
    if any("=" not in option for option in options.split(";") if option):
        raise ValueError("each of its options is written as name=value")
    return url


SparkUrl = Annotated[
    SecretUrl,
    AfterValidator(_readable),
    PlainSerializer(str, when_used="json"),
    Permitted("sc://host:15002, or sc://host:443/;use_ssl=true;token=…"),
]
_Key = Annotated[
    str, StringConstraints(pattern=r"^[^\s=]+$"), Permitted("a key of Spark's, such as spark.sql.ansi.enabled")
]


class SparkConnectionSettings(Section):
    """Where SPARK_SQL and PYSPARK tasks run.

    `remote` is a server; with `home` (or `local`, which takes it from SPARK_HOME) each worker starts one of its own
    when it needs it. `submit` has scripts run by spark-submit, for those that want a SparkContext. `conf` is what
    programs of the distribution are started with, `session_conf` what every session is set to. `directory` is where
    rows wait that are too many for memory; the system's temporary folder where nothing is said.
    """

    remote: SparkUrl | None = None
    home: Location | None = None
    local: bool = False
    submit: bool = False
    master: Annotated[str, StringConstraints(min_length=1, pattern=r"^\S+$")] = "local[*]"
    driver_memory: Annotated[ByteSize, Field(ge=512 * 1024**2), Permitted("a size of at least 512MiB, such as 4GB")] = (
        ByteSize(1024**3)
    )
    conf: dict[_Key, str] = Field(default_factory=dict)
    session_conf: dict[_Key, str] = Field(default_factory=dict)
    max_tasks: Annotated[int, Field(ge=1, le=1000)] = 32
    directory: Location | None = None

    @model_validator(mode="after")
    def _says_where(self) -> "SparkConnectionSettings":
        has_distribution = self.home is not None or self.local
        if self.remote is None and not has_distribution:
            raise cross_fault("remote", "this or home is needed, or local: true with SPARK_HOME set")
        if self.submit and not has_distribution:
            raise cross_fault("submit", "spark-submit belongs to a distribution: say where it is, by home")
        if self.remote is not None and has_distribution and not self.submit:
            raise cross_fault("home", "there is a remote already, and home is of use beside it only with submit: true")
        return self

    def home_with(self, spark_home: str | None) -> Path | None:
        """The distribution's folder; `spark_home` is the environment's."""
        if self.home is not None:
            return self.home
        return Path(spark_home) if self.local and spark_home else None
