"""A compiled Java class, read as far as its name, its parents and its access flags (the JVM specification, §4)."""

from collections.abc import Sequence
from dataclasses import dataclass

_MAGIC = 0xCAFEBABE
_UTF8, _CLASS = 1, 7
_WIDE = frozenset({5, 6})  # a long and a double take the place of two constants
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
_INTERFACE, _ABSTRACT = 0x0200, 0x0400


class ClassFileError(ValueError):
    """These bytes are no class; the message says where they stop being one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFile:
    """Names are written as in Java, with dots; `parents` has the superclass first, then the interfaces."""

    name: str
    parents: Sequence[str]
    is_interface: bool
    is_abstract: bool


def read_class(content: bytes) -> ClassFile:
    """Raises: ClassFileError."""
    reader = _Reader(content)
    if reader.number(4) != _MAGIC:
        raise ClassFileError("it does not begin as one")
    reader.skip(4)  # the version
    constants = _Constants(reader)
    flags = reader.number(2)
    name = constants.class_at(reader.number(2))
    superclass = reader.number(2)  # 0: java.lang.Object itself
    interfaces = [reader.number(2) for _ in range(reader.number(2))]
    return ClassFile(
        name=name,
        parents=[constants.class_at(index) for index in (*([superclass] if superclass else []), *interfaces)],
        is_interface=bool(flags & _INTERFACE),
        is_abstract=bool(flags & (_ABSTRACT | _INTERFACE)),
    )


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def skip(self, size: int) -> None:
        self.take(size)

    def take(self, size: int) -> bytes:
        piece = self._content[self._at : self._at + size]
        if len(piece) < size:
            raise ClassFileError("it ends too soon")
        self._at += size
        return piece


class _Constants:
    """The pool that a class refers to by numbers; only texts and classes are kept."""

    def __init__(self, reader: _Reader) -> None:
        self._texts: dict[int, bytes] = {}
        self._classes: dict[int, int] = {}
        count, index = reader.number(2), 1
        while index < count:
            tag = reader.number(1)
            if tag == _UTF8:
                self._texts[index] = reader.take(reader.number(2))
            elif tag == _CLASS:
                self._classes[index] = reader.number(2)
            elif tag in _SIZES:
                reader.skip(_SIZES[tag])
            else:
                raise ClassFileError(f"its constant {index} is of an unknown kind")
            index += 2 if tag in _WIDE else 1

    def class_at(self, index: int) -> str:
        try:
            return self._texts[self._classes[index]].decode().replace("/", ".")
        except (KeyError, UnicodeDecodeError) as error:
            raise ClassFileError("a class that it refers to has no name") from error
