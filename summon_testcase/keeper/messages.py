"""Messages between the test process, the warden and the keepers."""

from __future__ import annotations

import math
import struct
import sys

_LIMIT = 64 << 20
#: not by os.fsencode(), which a test may have replaced in its process
_ENCODING = sys.getfilesystemencoding()


def pack(*fields: bytes | str | int | float) -> bytes:
    """One message: a length, then the fields separated by NUL, which none may contain.

    Only the last field of a message may hold arbitrary bytes.
    """
    # an int may be a Signals, whose str() is its name
    texts = (str(int(f)) if isinstance(f, int) else f for f in fields)
    parts = [
        f if isinstance(f, bytes) else str(f).encode(_ENCODING, "surrogateescape") for f in texts
    ]
    body = b"\0".join(parts)
    return struct.pack("=I", len(body)) + body


def seconds(field: bytes) -> float:
    """A duration as a message has it.

    :raises ValueError: if nobody could wait for that long, or it is no number at all.
    """
    value = float(field)
    if not 0 <= value < math.inf:
        raise ValueError(f"no duration: {field!r}")
    return value


class Inbox:
    """Bytes as they arrive, taken out as whole messages."""

    def __init__(self) -> None:
        # taken from its front and added to at its end without copying the rest
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self._data += data

    @property
    def rest(self) -> bytes:
        """What has not been taken."""
        return bytes(self._data)

    def take(self) -> bytes | None:
        """The next whole message, or None.

        :raises ValueError: if the announced length cannot be meant.
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
