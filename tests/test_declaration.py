"""What is declared, and what is refused of it before anything is spawned."""

from __future__ import annotations

import pytest

from summon_testcase import (
    CommandCoordinatedExecutor,
    CommandNotFound,
    HTTPCoordinatedExecutor,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    TCPCoordinatedExecutor,
)


class TestPortTold:
    """Whether a service is told the port that it is waited for at."""

    @pytest.mark.parametrize(
        "executor",
        [
            TCPCoordinatedExecutor("x {port}"),
            TCPCoordinatedExecutor("x --url={url}"),
            TCPCoordinatedExecutor("x", env={"PORT": "{port}"}),
            TCPCoordinatedExecutor("x '$PORT'", env={"PORT": "{port}"}),
            TCPCoordinatedExecutor("x {db.port}", name="db"),
            TCPCoordinatedExecutor("x", port=4711),
            HTTPCoordinatedExecutor("x {url}", "http://{host}:{port}/"),
            HTTPCoordinatedExecutor("x", "http://127.0.0.1:4711/"),
            HTTPCoordinatedExecutor("x", "http://{host}:{port}/", port=4711),
            CommandCoordinatedExecutor("x", "true"),
            CommandCoordinatedExecutor("x", "true {port}", port=4711),
            OutputCoordinatedExecutor("x", "up at {port}"),
        ],
    )
    def test_told(self, executor: SimpleExecutor) -> None:
        """By its command or its environment, or by a port that is given."""
        executor.bind({"db": executor})
        with pytest.raises(CommandNotFound, match="'x' is not on the PATH"):
            executor.check()

    def test_in_a_file(self) -> None:
        """What a subclass writes into a file before the start is not known."""

        class Configured(TCPCoordinatedExecutor):
            def prepare(self) -> None:
                """Write a file."""

        with pytest.raises(CommandNotFound):
            Configured("x").check()
