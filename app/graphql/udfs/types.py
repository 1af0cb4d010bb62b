"""Types of user-defined functions."""

from datetime import datetime

import strawberry
from strawberry.file_uploads import Upload

import app.graphql.enums  # noqa: F401 - before any type that uses one
import app.graphql.tasks.types as task_types
from app.domain.udfs import TakenUdf as TakenUdfValue
from app.domain.udfs import UdfKind
from app.graphql.context import Info
from app.graphql.ids import to_global
from app.graphql.lazy import LazyTask
from app.graphql.node import Node, UserError
from app.graphql.scalars import BigInt
from app.models import Udf as UdfRow


@strawberry.type(description="A function of a JAR that tasks may call.")
class Udf(Node):
    row: strawberry.Private[UdfRow]
    name: str = strawberry.field(description="Unique among the owner's UDFs.")
    function_name: str = strawberry.field(description="What a text calls it by; unique among the owner's, in any case.")
    class_name: str = strawberry.field(description="The class in the JAR, with its package.")
    kind: UdfKind = strawberry.field(description="Which engines can call it, as its class tells.")
    description: str = strawberry.field(description="What it is for.")
    parameter_types: list[str] = strawberry.field(description="The types of its values, where they were given.")
    return_type: str | None = strawberry.field(description="The type that it gives; a SPARK function has one.")
    jar_size_bytes: BigInt = strawberry.field(description="The JAR's size.")
    jar_sha256: str = strawberry.field(description="The JAR's SHA-256, in hexadecimal.")
    created_at: datetime = strawberry.field(description="When it was uploaded.")
    modified_at: datetime = strawberry.field(description="When it was last changed.")

    @strawberry.field(description="The tasks that have it, in the order in which they were made.")
    async def used_by(self, info: Info) -> list[LazyTask]:
        rows = await info.context.loaders.users_of_udf.load(self.row.id)
        return [task_types.Task.of(row) for row in rows or ()]

    @classmethod
    def of(cls, row: UdfRow) -> "Udf":
        return cls(
            id=to_global("Udf", row.id),
            row=row,
            name=row.name,
            function_name=row.function_name,
            class_name=row.class_name,
            kind=row.kind,
            description=row.description,
            parameter_types=row.parameter_types,
            return_type=row.return_type,
            jar_size_bytes=BigInt(row.jar_size_bytes),
            jar_sha256=row.jar_sha256,
            created_at=row.created_at,
            modified_at=row.modified_at,
        )


@strawberry.type(description="A function as a run has taken it: what became of the UDF later changes nothing of it.")
class TakenUdf:
    function_name: str = strawberry.field(description="What the text calls it by.")
    class_name: str = strawberry.field(description="The class in the JAR, with its package.")
    kind: UdfKind = strawberry.field(description="Which engines can call it.")
    jar_sha256: str = strawberry.field(description="The JAR's SHA-256, in hexadecimal.")
    parameter_types: list[str] = strawberry.field(description="The types of its values, where they were given.")
    return_type: str | None = strawberry.field(description="The type that it gives, where that was given.")

    @classmethod
    def of(cls, value: TakenUdfValue) -> "TakenUdf":
        return cls(
            function_name=value.function_name,
            class_name=value.class_name,
            kind=value.kind,
            jar_sha256=value.jar_sha256,
            parameter_types=[*value.parameter_types],
            return_type=value.return_type,
        )


@strawberry.type(description="A UDF, or why it was refused.")
class UdfPayload:
    udf: Udf | None = strawberry.field(description="The UDF as it is now; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


@strawberry.input(description="A new UDF, with its JAR.")
class UploadUdfInput:
    name: str = strawberry.field(description="Unique among your UDFs.")
    function_name: str = strawberry.field(description="What a text calls it by: letters, digits and _.")
    class_name: str = strawberry.field(description="The class in the JAR, such as com.example.Lower.")
    jar: Upload = strawberry.field(description="The JAR, as a file of a multipart form.")
    description: str | None = strawberry.field(default="", description="What it is for.")
    parameter_types: list[str] | None = strawberry.field(
        default_factory=list, description="The types of its values, in Spark's words, such as string or decimal(10,2)."
    )
    return_type: str | None = strawberry.field(
        default=None, description="The type that it gives; wanted for a class that implements Spark's UDF0 to UDF22."
    )
    kind: UdfKind | None = strawberry.field(
        default=None, description="Only where the class extends one that is not in the JAR: which it is."
    )


@strawberry.input(description="Changes of a UDF; what is left out stays as it is, and runs keep what they have taken.")
class UpdateUdfInput:
    udf_id: strawberry.ID = strawberry.field(description="Which UDF.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="A new name.")
    function_name: str | None = strawberry.field(default=strawberry.UNSET, description="What a text is to call it by.")
    class_name: str | None = strawberry.field(default=strawberry.UNSET, description="Another class of the JAR.")
    jar: Upload | None = strawberry.field(default=strawberry.UNSET, description="Another JAR.")
    description: str | None = strawberry.field(default=strawberry.UNSET, description="A new description.")
    parameter_types: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="The types of its values; null takes them away."
    )
    return_type: str | None = strawberry.field(
        default=strawberry.UNSET, description="The type that it gives; null takes it away."
    )
    kind: UdfKind | None = strawberry.field(
        default=strawberry.UNSET, description="Only where the class extends one that is not in the JAR: which it is."
    )


@strawberry.input(description="The UDF to delete.")
class DeleteUdfInput:
    udf_id: strawberry.ID = strawberry.field(description="Which UDF.")
