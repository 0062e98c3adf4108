"""Messages between the test process, the warden and the keepers."""

from __future__ import annotations

import math
import struct
import sys

_LIMIT = 64 << 20
#: used instead of os.fsencode(), which a test may have replaced in its process
_ENCODING = sys.getfilesystemencoding()


def pack(*fields: bytes | str | int | float) -> bytes:
    """One message: its length, then the fields, separated by NUL bytes.

    Only the last field may contain NUL bytes itself.
    """
    # int() first: the str() of a signal.Signals is its name
    texts = (str(int(f)) if isinstance(f, int) else f for f in fields)
    parts = [
        f if isinstance(f, bytes) else str(f).encode(_ENCODING, "surrogateescape") for f in texts
    ]
    body = b"\0".join(parts)
    return struct.pack("=I", len(body)) + body


def seconds(field: bytes) -> float:
    """A duration from a field of a message.

    :raises ValueError: if it is negative, infinite or no number.
    """
    value = float(field)
    if not 0 <= value < math.inf:
        raise ValueError(f"no duration: {field!r}")
    return value


class Inbox:
    """Takes bytes as they arrive, and gives whole messages."""

    def __init__(self) -> None:
        # a bytearray loses its front, and grows at its end, without copying the rest
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self._data += data

    @property
    def rest(self) -> bytes:
        """The bytes after the last message that was taken."""
        return bytes(self._data)

    def take(self) -> bytes | None:
        """The next whole message, or None.

        :raises ValueError: if the message claims to be longer than any that is sent.
        """
        data = self._data
        if len(data) < 4:
            return None
        (length,) = struct.unpack_from("=I", data)
        if length > _LIMIT:
            raise ValueError(f"a message of {length} bytes")
        if len(data) < 4 + length:
            return None
        message = bytes(data[4 : 4 + length])
        del data[: 4 + length]
        return message
