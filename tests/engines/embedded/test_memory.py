"""What is remembered, and what is forgotten first."""

from app.engines.embedded.memory import Memory


def test_the_least_recently_used_is_forgotten_first():
    memory: Memory[str, int] = Memory(limit=8)
    for number, key in enumerate("abcdefgh"):
        memory.put(key, number)
    assert memory.get("a") == 0
    memory.put("i", 8)
    assert (memory.get("a"), memory.get("b"), memory.get("i")) == (0, None, 8)


def test_weights_count_and_what_weighs_too_much_is_not_kept():
    memory: Memory[str, str] = Memory(limit=100)
    memory.put("huge", "x", weight=25)
    assert memory.get("huge") is None
    for number in range(10):
        memory.put("same", str(number), weight=24)
    for key in "abc":
        memory.put(key, key, weight=24)
    assert memory.get("same") == "9"
    memory.put("d", "d", weight=24)
    assert [memory.get(key) for key in ("same", "a", "b", "c", "d")] == ["9", None, "b", "c", "d"]
