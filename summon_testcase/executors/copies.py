"""Copies of executors: declarations that have not been started."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from .executor import Executor

C = TypeVar("C", bound="Copied")


class Copied(Executor):
    """An executor that can be copied, and pickled for another process.

    A copy is a declaration that has not been started. A pickled executor that runs arrives in the
    other process with its address, log and pid, which can be read there, and it cannot be started;
    one that does not run arrives as a declaration.
    """

    #: the pid of the other process that has started it; 0 if there is none
    _elsewhere = 0

    def __getstate__(self) -> dict[str, Any]:
        """The attributes of the declaration."""
        raise NotImplementedError

    def _away(self) -> dict[str, Any] | None:
        """The attributes for another process while it runs; None while it does not run."""
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

    def _refuse_elsewhere(self) -> None:
        """:raises NotRunning: if another process has started it."""
        if self._elsewhere:
            from .elsewhere import refuse

            refuse(self._called, self._elsewhere)


def _blank(kind: Any) -> Any:
    return kind.__new__(kind)
