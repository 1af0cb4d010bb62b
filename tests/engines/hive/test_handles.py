"""The text by which another process goes on with an operation."""

import pytest

from app.engines.hive.handles import Operation, ServerKey

OPERATION = Operation(
    session=ServerKey(guid=bytes(range(16)), secret=bytes(range(16, 32))),
    key=ServerKey(guid=bytes(range(32, 48)), secret=bytes(range(48, 64))),
    has_rows=False,
)


def test_an_operation_is_read_back_from_its_text():
    assert Operation.read(OPERATION.text) == OPERATION
    assert len(OPERATION.text) < 200


def test_the_text_begins_with_the_name_that_the_server_s_logs_have():
    assert OPERATION.text.startswith("20212223-2425-2627-2829-2a2b2c2d2e2f:")


@pytest.mark.parametrize("text", ["", "7d4cf7a8-0000-0000-0000-000000000000", "x:y", OPERATION.text[:-4], "ü:ü"])
def test_another_text_is_no_operation(text):
    assert Operation.read(text) is None
