"""What one GraphQL request may cost, and how long a socket may be slow."""

from datetime import timedelta
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import ByteSize, Field, model_validator

from app.settings.duration import Duration
from app.settings.permitted import Permitted
from app.settings.section import Section, cross_fault

SocketDuration = Annotated[Duration, Ge(timedelta(milliseconds=100)), Le(timedelta(hours=1))]
_SIZE = Permitted("a size of at least 1KiB, such as 1MiB")


class GraphqlSettings(Section):
    max_depth: Annotated[int, Field(ge=1, le=100)] = 15
    max_aliases: Annotated[int, Field(ge=0, le=1000)] = 30
    max_tokens: Annotated[int, Field(ge=100, le=100_000)] = 5000
    max_body_bytes: Annotated[ByteSize, Field(ge=1024), _SIZE] = ByteSize(1024**2)
    max_upload_bytes: Annotated[ByteSize, Field(ge=1024), _SIZE] = ByteSize(100 * 1024**2)
    default_page_size: Annotated[int, Field(ge=1, le=1000)] = 20
    max_page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    introspection: bool = True
    graphiql: bool = True
    max_message_bytes: Annotated[ByteSize, Field(ge=1024), _SIZE] = ByteSize(256 * 1024)
    max_subscriptions_per_socket: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_sockets_per_user: Annotated[int, Field(ge=1, le=100_000)] = 200
    connection_init_timeout: SocketDuration = timedelta(seconds=10)
    keepalive_interval: SocketDuration = timedelta(seconds=20)
    execution_timeout: SocketDuration = timedelta(seconds=30)
    slow_client_timeout: SocketDuration = timedelta(seconds=16)

    @model_validator(mode="after")
    def _default_page_fits(self) -> "GraphqlSettings":
        if self.default_page_size > self.max_page_size:
            raise cross_fault("default_page_size", f"it is more than max_page_size, which is {self.max_page_size}")
        return self
