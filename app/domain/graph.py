"""The DAG of a playground: cycles are found and named, and edges pass through what is left out."""

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def find_cycle(parents: Mapping[Node, Iterable[Node]]) -> list[Node] | None:
    """A cycle: the nodes along it, each a parent of the next, the first repeated at the end; None without one.

    Depth-first search without recursion: O(nodes + edges).
    """
    done: set[Node] = set()
    for start in parents:
        if start in done:
            continue
        trail: list[Node] = []
        on_trail: set[Node] = set()
        stack: list[tuple[Node, bool]] = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                trail.pop()
                on_trail.discard(node)
                done.add(node)
                continue
            if node in on_trail:
                return list(reversed([*trail[trail.index(node) :], node]))
            if node in done:
                continue
            trail.append(node)
            on_trail.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in parents.get(node, ()))
    return None


def topological_order(parents: Mapping[Node, Iterable[Node]]) -> list[Node]:
    """All nodes, parents before children, otherwise in the mapping's order; the graph has no cycle."""
    order: list[Node] = []
    placed: set[Node] = set()
    for start in parents:
        stack = [(start, False)]
        while stack:
            node, ready = stack.pop()
            if node in placed:
                continue
            if ready:
                placed.add(node)
                order.append(node)
                continue
            stack.append((node, True))
            stack.extend((parent, False) for parent in parents.get(node, ()) if parent not in placed)
    return order


def through(parents: Mapping[Node, Collection[Node]], kept: Collection[Node]) -> dict[Node, set[Node]]:
    """The parents of each kept node among the kept ones: an edge passes through every node that is left out."""
    kept_set = set(kept)
    nearest: dict[Node, set[Node]] = {}
    for node in topological_order(parents):
        reached: set[Node] = set()
        for parent in parents.get(node, ()):
            reached |= {parent} if parent in kept_set else nearest[parent]
        nearest[node] = reached
    return {node: nearest[node] for node in parents if node in kept_set}


def descendants(children: Mapping[Node, Iterable[Node]], start: Node) -> set[Node]:
    """All nodes that depend on `start`, directly or not, without it."""
    found: set[Node] = set()
    stack = list(children.get(start, ()))
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(children.get(node, ()))
    return found
