"""Mutations of user-defined functions."""

from typing import Annotated, Any, BinaryIO

import strawberry
from starlette.datastructures import UploadFile

from app.domain.errors import InvalidError
from app.graphql.context import Info
from app.graphql.ids import from_global
from app.graphql.node import given, refusable
from app.graphql.playgrounds.types import DeletePayload
from app.graphql.udfs.types import DeleteUdfInput, Udf, UdfPayload, UpdateUdfInput, UploadUdfInput
from app.services.udfs import UdfDraft

Input = strawberry.argument(description="What is asked for.")


@strawberry.type
class UdfMutations:
    @strawberry.mutation(
        description="Upload a JAR, and make a function of a class in it. Sent as a multipart form (the GraphQL "
        "multipart request specification) with the header GraphQL-Require-Preflight."
    )
    async def upload_udf(self, info: Info, input: Annotated[UploadUdfInput, Input]) -> UdfPayload:
        viewer = info.context.signed_in()

        async def work() -> Udf:
            draft = UdfDraft(
                name=input.name,
                function_name=input.function_name,
                class_name=input.class_name,
                description=input.description,
                parameter_types=input.parameter_types,
                return_type=input.return_type,
                kind=input.kind,
            )
            return Udf.of(await info.context.services.udfs.upload(viewer, draft, _file(input.jar)))

        return await refusable(UdfPayload, "udf", work())

    @strawberry.mutation(description="Change a UDF, or give it another JAR; runs that have started keep the old one.")
    async def update_udf(self, info: Info, input: Annotated[UpdateUdfInput, Input]) -> UdfPayload:
        viewer = info.context.signed_in()

        async def work() -> Udf:
            draft = UdfDraft(
                name=given(input.name),
                function_name=given(input.function_name),
                class_name=given(input.class_name),
                description=given(input.description),
                parameter_types=None if input.parameter_types is strawberry.UNSET else input.parameter_types or (),
                return_type=None if input.return_type is strawberry.UNSET else input.return_type or "",
                kind=given(input.kind),
            )
            jar = given(input.jar)
            row = await info.context.services.udfs.update(
                viewer,
                from_global("Udf", input.udf_id, path=("udfId",)),
                draft,
                None if jar is None else _file(jar),
            )
            return Udf.of(row)

        return await refusable(UdfPayload, "udf", work())

    @strawberry.mutation(description="Delete a UDF that no task has; runs that have taken it keep their JAR.")
    async def delete_udf(self, info: Info, input: Annotated[DeleteUdfInput, Input]) -> DeletePayload:
        viewer = info.context.signed_in()

        async def work() -> strawberry.ID:
            await info.context.services.udfs.delete(viewer, from_global("Udf", input.udf_id, path=("udfId",)))
            return input.udf_id

        return await refusable(DeletePayload, "deleted_id", work())


def _file(upload: Any) -> BinaryIO:
    """The file on this machine that the transport has received; it is closed, and gone, after the answer.

    Raises: InvalidError where a request in JSON has something else in its place.
    """
    if not isinstance(upload, UploadFile):
        raise InvalidError(
            "The JAR comes as a file of a multipart form, by the GraphQL multipart request specification; "
            "`data-phantom udf upload` sends one.",
            path=("jar",),
        )
    return upload.file
