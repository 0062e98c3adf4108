"""Copies of executors: declarations that have not been started."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

C = TypeVar("C", bound="Copied")


class Copied:
    """What is copied as it was declared, and travels to other processes.

    Workers that are spawned get their arguments by pickle.  What runs arrives there as something
    to be read; what does not can be started there.
    """

    #: the process that has started it, if that is another one, which it came from
    _elsewhere = 0

    def __getstate__(self) -> dict[str, Any]:
        """What was declared."""
        raise NotImplementedError

    def _away(self) -> dict[str, Any] | None:
        """What another process gets of it; None for the declaration."""
        raise NotImplementedError

    def __copy__(self: C) -> C:
        copied = type(self).__new__(type(self))
        vars(copied).update(self.__getstate__())
        return copied

    def __deepcopy__(self: C, memo: dict[int, Any]) -> C:
        copied = memo[id(self)] = type(self).__new__(type(self))
        vars(copied).update(copy.deepcopy(self.__getstate__(), memo))
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        away = self._away()
        return _blank, (type(self),), self.__getstate__() if away is None else away

    def _refuse_elsewhere(self, called: str) -> None:
        """:raises NotRunning: if it belongs to another process."""
        if self._elsewhere:
            from .elsewhere import refuse

            refuse(called, self._elsewhere)


def _blank(kind: Any) -> Any:
    return kind.__new__(kind)
