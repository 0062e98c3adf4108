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
    parts = []
    for field in fields:
        if not isinstance(field, bytes):
            # int() first: the str() of a signal.Signals is its name
            text = str(int(field) if isinstance(field, int) else field)
            field = text.encode(_ENCODING, "surrogateescape")
        parts.append(field)
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


def take(data: bytearray) -> bytes | None:
    """Take the next whole message off the front of what was read, if there is one.

    :param data: a bytearray loses its front, and grows at its end, without copying the rest.
    :raises ValueError: if the message claims to be longer than any that is sent.
    """
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
