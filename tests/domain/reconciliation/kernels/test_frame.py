"""A kernel's arguments are checked against its annotations, and come out of the block as they went in."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.frame import Cube, Frame, Table
from app.domain.reconciliation.kernels.memory import address_of


class Pair(NamedTuple):
    number: int
    sure: bool


class Place(NamedTuple):
    hashes: NDArray[np.uint64]
    at: Pair


def placed(place: Place, share: float, table: Table[np.int64]) -> Pair:
    raise NotImplementedError


def cubed(cube: Cube[np.uint64]) -> None:
    raise NotImplementedError


def nested(number: int) -> tuple[int, Pair]:
    raise NotImplementedError


def spoken(text: str) -> int:
    raise NotImplementedError


@pytest.fixture(scope="module")
def frame() -> Frame[Pair]:
    return Frame(placed)


HASHES = np.array([1, 2], np.uint64)
TABLE = np.zeros((3, 4), np.int64)


def test_a_block_holds_numbers_and_what_numba_knows_of_an_array(frame):
    block = frame.packed((Place(HASHES, Pair(-7, sure=True)), 0.5, TABLE))
    hashes = [0, 0, 2, 8, address_of(HASHES), 2, 8]
    half = np.float64(0.5).view(np.int64)
    assert block[:] == [*hashes, -7, 1, half, 0, 0, 12, 8, address_of(TABLE), 3, 4, 32, 8, *block[frame.result_place :]]


def test_a_result_is_of_the_annotated_kind(frame):
    block = frame.packed((Place(HASHES, Pair(1, sure=False)), 0.5, TABLE))
    block[frame.result_place], block[frame.result_place + 1] = -3, 1
    assert frame.result(block) == Pair(-3, sure=True)
    assert isinstance(frame.result(block), Pair)


@pytest.mark.parametrize(
    "arguments",
    [
        (Place(HASHES.astype(np.int64), Pair(1, sure=True)), 0.5, TABLE),
        (Place(HASHES[::2], Pair(1, sure=True)), 0.5, TABLE[:, 0]),
        (Place(HASHES, Pair(1, sure=True)), 0.5, TABLE.T),
        (Place(HASHES, Pair(1, sure=True)), 0.5, TABLE[:, :2]),
        (Place(HASHES, Pair(2**63, sure=True)), 0.5, TABLE),
        (Place(HASHES, Pair(1.5, sure=True)), 0.5, TABLE),  # type: ignore[arg-type] # what is tested
    ],
)
def test_what_is_not_as_declared_is_refused(frame, arguments):
    with pytest.raises(TypeError):
        frame.packed(arguments)


def test_an_argument_too_few_is_refused(frame):
    with pytest.raises(ValueError, match="shorter"):
        frame.packed((Place(HASHES, Pair(1, sure=True)), 0.5))


def test_three_dimensions_are_a_cube():
    assert Frame(cubed).result_place == 5 + 2 * 3
    with pytest.raises(TypeError, match="3 dimension"):
        Frame(cubed).packed((HASHES,))


@pytest.mark.parametrize("function", [nested, spoken])
def test_a_signature_that_no_kernel_can_have_is_refused(function):
    with pytest.raises(TypeError, match="kernel"):
        Frame(function)
