"""Turns the bytes of an object into lines, or into the elements of a JSON array, block by block.

Memory holds a block of `BLOCK` bytes, and one line or element that is not complete yet, however
large the object is.
"""

import json
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from isal import isal_zlib

BLOCK: Final = 1024 * 1024
MAX_LINE: Final = 1024 * 1024
"""Bytes of a line. A longer one is cut into several."""

MAX_ELEMENT: Final = 16 * 1024 * 1024
"""Characters of an element of a JSON array. AWS's own have at most some hundred thousand."""

_GZIP: Final = 16 + isal_zlib.MAX_WBITS
_MAGIC: Final = b"\x1f\x8b"
_CONTINUES: Final = range(0x80, 0xC0)
"""Bytes of UTF-8 that continue a character."""

_DECODER: Final = json.JSONDecoder(strict=False)
_SPACE: Final = " \t\r\n"


class UnreadableError(Exception):
    """Raised when an object, or the rest of it, cannot be read. The text is the reason."""


def inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give the text of an object in blocks, and inflate it if it begins as gzip does.

    The name does not matter: S3 may hold a file that is no gzip under `.gz`, and the reverse. A
    file of gzip may have several members, which are one text. As gzip(1) does, bytes after the last
    member that are no gzip are ignored. Raises UnreadableError.
    """
    rest = iter(chunks)
    head = b""
    while len(head) < len(_MAGIC) and (chunk := next(rest, b"")):
        head += chunk
    blocks = chain([head] if head else [], rest)
    return _inflate(blocks) if head.startswith(_MAGIC) else blocks


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    member = isal_zlib.decompressobj(_GZIP)
    pending = b""
    for chunk in chunks:
        packed = pending + chunk
        while True:
            if member.eof:
                # The next member. Its magic may be cut by the end of the chunk.
                if len(packed) < len(_MAGIC):
                    break
                if not packed.startswith(_MAGIC):
                    return
                member = isal_zlib.decompressobj(_GZIP)
            try:
                block = member.decompress(packed, BLOCK)
            except isal_zlib.IsalError:  # type: ignore[misc] # its types make it an instance
                raise UnreadableError("the object's gzip is broken") from None
            if block:
                yield block
            packed = member.unused_data if member.eof else member.unconsumed_tail
            if not packed and len(block) < BLOCK:
                break
        pending = packed
    if not member.eof:
        raise UnreadableError("the object's gzip is cut short")


def lines(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    r"""Give the lines of a text, some at a time, without `\n` or `\r\n`.

    A line of more than `MAX_LINE` bytes becomes several lines. Where it is cut depends on the line
    alone, and never is within a character of UTF-8.
    """
    rest = b""
    for block in blocks:
        complete, newline, tail = block.rpartition(b"\n")
        if not newline:
            rest += block
            found = []
        else:
            found = _split(rest + complete)
            rest = tail
        while len(rest) > MAX_LINE:
            end = _cut(rest)
            found.append(rest[:end])
            rest = rest[end:]
        if found:
            yield found
    if rest:
        yield _split(rest)


def _split(text: bytes) -> list[bytes]:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
    found = text.split(b"\n")
    if max(map(len, found)) <= MAX_LINE:
        return found
    return [*chain.from_iterable(map(_pieces, found))]


def _pieces(line: bytes) -> Iterator[bytes]:
    while len(line) > MAX_LINE:
        end = _cut(line)
        yield line[:end]
        line = line[end:]
    yield line


def _cut(line: bytes) -> int:
    """Give the end of the first piece of a line that is too long."""
    for end in range(MAX_LINE, MAX_LINE - 4, -1):
        if line[end] not in _CONTINUES:
            return end
    return MAX_LINE


def elements(blocks: Iterable[bytes], name: str | None) -> Iterator[list[bytes]]:
    """Give the elements of a JSON array, some at a time, each as the text that the file has.

    `name` is the array's member in the object that the text is; None: the text is the array. Bytes
    that are no UTF-8 become U+FFFD. Raises UnreadableError.
    """
    text = _JsonText(blocks)
    if name is not None and not text.enter_member(name):
        return
    text.expect("[")
    found: list[bytes] = []
    size = 0
    first = True
    while not text.takes("]"):
        if not first:
            text.expect(",")
        first = False
        element = text.value().encode("utf-8", "replace")
        found.append(element)
        size += len(element)
        if size >= BLOCK:
            yield found
            found, size = [], 0
    if found:
        yield found


class _JsonText:
    """A JSON text that arrives in blocks, and the place up to which it is read."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._text = ""
        self._at = 0
        self._is_complete = False

    def enter_member(self, name: str) -> bool:
        """Go to the value of an object's member; False: the object has no such member."""
        self.expect("{")
        while not self.takes("}"):
            key = json.loads(self.value(), strict=False)
            self.expect(":")
            if key == name:
                return True
            self.value()
            if not self.takes(","):
                self.expect("}")
                return False
        return False

    def expect(self, mark: str) -> None:
        """Read a character of punctuation. Raises UnreadableError if there is another one."""
        if not self.takes(mark):
            raise UnreadableError(f"the object's JSON has no {mark} where one must be")

    def takes(self, mark: str) -> bool:
        """Read a character of punctuation if it is the next one."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                break
            if not self._more(BLOCK):
                return False
        if self._text[self._at] != mark:
            return False
        self._at += 1
        return True

    def value(self) -> str:
        """Read the text of a value."""
        self.takes("")  # spaces
        wanted = BLOCK
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                end = len(self._text)
            # A number may go on after the end of the text.
            if end < len(self._text):
                found = self._text[self._at : end]
                self._at = end
                return found
            if len(self._text) - self._at > MAX_ELEMENT:
                raise UnreadableError(
                    f"the object's JSON is broken, or has a value of more than {MAX_ELEMENT} bytes"
                )
            if not self._more(wanted):
                raise UnreadableError("the object's JSON is cut short or broken")
            # Each attempt reads from the value's begin. With twice the text, few attempts suffice.
            wanted *= 2

    def _more(self, wanted: int) -> bool:
        """Add some text, and forget what has been read; False: there is no more."""
        if self._is_complete:
            return False
        added: list[str] = []
        size = 0
        for block in self._blocks:
            added.append(self._decode(block))
            size += len(block)
            if size >= wanted:
                break
        else:
            self._is_complete = True
            added.append(self._decode(b"", final=True))
        self._text = self._text[self._at :] + "".join(added)
        self._at = 0
        return True
