"""The methods agree on tables as nobody would wish for: `scripts/bench disagree` tries more of them."""

import pytest

from tests.support.agreement import disagreement
from tests.support.awkward import trial


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_the_methods_agree_on_awkward_tables(first: int):
    found = {seed: disagreement(trial(seed)) for seed in range(first, first + 10)}
    assert {seed: what for seed, what in found.items() if what} == {}
