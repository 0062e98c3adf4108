"""Assertions about the output of a service."""

from __future__ import annotations

import re
from typing import Any

from ..clean import LONGEST, search, shortened
from ..declaration.arguments import Pattern, compile_patterns
from ..errors import ProcessExited, TimeoutExpired
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..tracebacks import hidden, warn_on_a_loop

#: has unittest end the traceback of a failure at the test's own line
__unittest = True
__tracebackhide__ = hidden


class OutputAssertions:
    """For a TestCase: assertions that a service wrote something, or that it did not."""

    failureException: Any
    _formatMessage: Any

    def assertOutput(
        self, service: Any, pattern: Pattern | list[Pattern], timeout: float = 5, msg: Any = None
    ) -> re.Match[str]:
        """Wait until a service writes something that matches.

        The output of this test is searched from the end of the last match on
        (see :meth:`~summon_testcase.SimpleExecutor.wait_for_output`).

        :param service: an executor that runs.
        :param pattern: a regular expression as text or compiled, or a list: any of them.
        :param timeout: seconds to wait for a match.
        :param msg: text that is added to the message of a failure.
        :returns: the match.
        :raises AssertionError: if there is no match in time, or the service ends.
        :raises NotRunning: if the service was not started.
        """
        warn_on_a_loop("assertOutput()", "await self.assertOutputAsync()")
        try:
            match: re.Match[str] = service.wait_for_output(pattern, timeout)
        except (TimeoutExpired, ProcessExited) as error:
            let_through(error)
            raise self.failureException(self._formatMessage(msg, str(error))) from None
        return match

    async def assertOutputAsync(
        self, service: Any, pattern: Pattern | list[Pattern], timeout: float = 5, msg: Any = None
    ) -> re.Match[str]:
        """Do as :meth:`assertOutput`; other tasks of the asyncio event loop go on meanwhile."""
        try:
            match: re.Match[str] = await service.wait_for_output_async(pattern, timeout)
        except (TimeoutExpired, ProcessExited) as error:
            let_through(error)
            raise self.failureException(self._formatMessage(msg, str(error))) from None
        return match

    def assertNoOutput(
        self, service: Any, pattern: Pattern | list[Pattern], msg: Any = None
    ) -> None:
        """Check that a service has written nothing that matches since the test began.

        :param service: an executor that runs.
        :param pattern: a regular expression as text or compiled, or a list: none of them.
        :param msg: text that is added to the message of a failure.
        :raises AssertionError: with the line that matches.
        :raises NotRunning: if the service was not started.
        :raises SummonError: if the log cannot be read (no file descriptor is left).
        """
        executor: SimpleExecutor = service
        patterns = compile_patterns(pattern, executor._called, "pattern")
        written = executor._current("output").written_in_test()
        for expression in patterns:
            match = search(expression, written)
            if match is not None:
                begin = written.rfind("\n", 0, match.start()) + 1
                end = written.find("\n", max(match.start(), match.end() - 1))
                line = shortened(written[begin : end if end >= 0 else len(written)], LONGEST)
                said = f"{executor._called} wrote what matches {expression.pattern!r}: {line!r}"
                raise self.failureException(self._formatMessage(msg, said))
