"""The DAG: cycles are named, orders hold, edges pass through what is left out; by example and by brute force."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.graph import descendants, find_cycle, through, topological_order

DEEP = 10_000


@st.composite
def graphs(draw: st.DrawFn) -> dict[int, list[int]]:
    """Parents of each node; there may be cycles."""
    nodes = range(draw(st.integers(1, 9)))
    parents = st.lists(st.sampled_from(nodes), unique=True, max_size=4)
    return {node: draw(parents) for node in draw(st.permutations(nodes))}


@st.composite
def dags(draw: st.DrawFn) -> dict[int, list[int]]:
    size = draw(st.integers(1, 9))
    nodes = draw(st.permutations(range(size)))
    graph: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        above = st.sampled_from(nodes[:place]) if place else st.nothing()
        graph[node] = draw(st.lists(above, unique=True, max_size=4)) if place else []
    return {node: graph[node] for node in draw(st.permutations(range(size)))}


def reaches(parents: dict[int, list[int]], start: int, target: int, avoid: frozenset[int] = frozenset()) -> bool:
    """Whether a path of one edge or more leads down from `target` to `start`, past none of `avoid` in between."""
    seen: set[int] = set()
    stack = list(parents.get(start, ()))
    while stack:
        node = stack.pop()
        if node == target:
            return True
        if node not in seen and node not in avoid:
            seen.add(node)
            stack.extend(parents.get(node, ()))
    return False


@pytest.mark.parametrize(
    ("parents", "cycle"),
    [
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b"]),
        ({"a": [], "b": ["a", "d"], "c": ["b"], "d": ["c"], "e": ["d"]}, ["b", "c", "d"]),
        ({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}, None),
        ({"child": ["not among the keys"]}, None),
        ({}, None),
    ],
)
def test_a_cycle_is_found_and_named_in_the_direction_of_its_edges(
    parents: dict[str, list[str]], cycle: list[str] | None
) -> None:
    found = find_cycle(parents)
    if cycle is None:
        assert found is None
        return
    assert found is not None
    assert set(found) == set(cycle)
    assert found[0] == found[-1]
    for parent, child in pairwise(found):
        assert parent in parents[child]


@given(parents=graphs())
def test_a_cycle_is_found_wherever_a_node_reaches_itself(parents: dict[int, list[int]]) -> None:
    found = find_cycle(parents)
    assert (found is not None) == any(reaches(parents, node, node) for node in parents)
    if found is not None:
        assert found[0] == found[-1]
        assert len(set(found)) == len(found) - 1
        assert all(parent in parents[child] for parent, child in pairwise(found))


@given(parents=dags())
def test_a_topological_order_has_every_node_once_and_parents_first(parents: dict[int, list[int]]) -> None:
    order = topological_order(parents)
    assert sorted(order) == sorted(parents)
    assert all(order.index(parent) < order.index(child) for child in parents for parent in parents[child])


@given(parents=dags(), data=st.data())
def test_edges_pass_through_what_is_left_out(parents: dict[int, list[int]], data: st.DataObject) -> None:
    kept = data.draw(st.sets(st.sampled_from(sorted(parents))))
    between = through(parents, kept)
    assert set(between) == kept
    for child in kept:
        expected = {node for node in kept if reaches(parents, child, node, avoid=frozenset(kept))}
        assert between[child] == expected


@given(parents=dags())
def test_descendants_are_all_that_are_reached(parents: dict[int, list[int]]) -> None:
    children: dict[int, list[int]] = {}
    for child, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(child)
    for start in parents:
        assert descendants(children, start) == {node for node in parents if reaches(parents, node, start)}


def test_a_chain_of_ten_thousand_is_no_deeper_than_one_of_ten() -> None:
    chain = {node: [node - 1] if node else [] for node in reversed(range(DEEP))}
    assert find_cycle(chain) is None
    assert topological_order(chain) == list(range(DEEP))
    assert through(chain, {0, DEEP - 1}) == {0: set(), DEEP - 1: {0}}
    assert len(descendants({node: [node + 1] for node in range(DEEP - 1)}, 0)) == DEEP - 1
    ring = find_cycle({node: [(node - 1) % DEEP] for node in range(DEEP)})
    assert ring is not None
    assert len(ring) == DEEP + 1
