"""Asks the owner of a stack, another process, to do something."""

from __future__ import annotations

import json
from typing import Any

from .. import errors
from ..errors import SummonError
from ..foreign import let_through
from ..scheduling.deadline import Deadline
from ..system.descriptors import moved_socket
from ..unpatched import socket
from .registry import Stack

#: seconds that a request may take, if its caller does not say
PATIENCE = 120.0


class NoAnswer(SummonError):
    """The owner of a stack is gone, or does not answer."""


class Client:
    """A connection to the owner of a stack; what it has paused goes on when it is closed.

    :param stack: as :func:`registry.find` or :func:`registry.running` has found it.
    :raises NoAnswer: if the owner does not listen.

    >>> with Client(registry.find()) as stack:                           # doctest: +SKIP
    ...     stack.ask("restart", service="web")
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._received = b""
        self._socket = moved_socket(socket.socket(socket.AF_UNIX))
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.connect(stack.socket)
        except OSError as error:
            self._socket.close()
            let_through(error)
            raise self._silent(error) from None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def ask(self, do: str, *, patience: float = PATIENCE, **facts: object) -> dict[str, Any]:
        """Send a request, and block until it is answered.

        :param do: one of those that the documentation of this package lists.
        :param patience: seconds.
        :param facts: what else the request says; None is left out.
        :returns: the answer.
        :raises SummonError: what the owner has raised, in the class of that error if it is one of
            this package.
        :raises NoAnswer: if the owner is gone, or does not answer in time.
        """
        deadline = Deadline(patience)
        request = {"do": do, **{k: v for k, v in facts.items() if v is not None}}
        try:
            self._socket.settimeout(patience)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while b"\n" not in self._received:
                self._socket.settimeout(max(deadline.left(), 0.001))
                data = self._socket.recv(65536)
                if not data:
                    raise ConnectionResetError("it has ended")
                self._received += data
        except OSError as error:
            let_through(error)
            self.close()  # an answer that comes later would be taken for that of the next request
            raise self._silent(error) from None
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("ok"):
            return answer
        kind = getattr(errors, str(answer.get("kind")), SummonError)
        if not (isinstance(kind, type) and issubclass(kind, SummonError)):
            kind = SummonError
        raise kind(str(answer.get("error")), executor=facts.get("service"))

    def _silent(self, error: OSError) -> NoAnswer:
        how = error.strerror or error
        said = "has not answered in time" if isinstance(error, TimeoutError) else f"is gone: {how}"
        return NoAnswer(f"the owner of {self.stack} {said}")
