"""How messages describe an exit status."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from summon_testcase import OutputCoordinatedExecutor, ProcessExited
from summon_testcase.wording import describe_exit

no_hurry = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


class TestStatus:
    @no_hurry
    @given(st.integers(0, 255))
    def test_exits(self, status: int) -> None:
        """The exit status of a process is shown as a number."""
        assert describe_exit(status) == f"exited with status {status}"

    @no_hurry
    @given(st.integers(1, 64))
    def test_signals(self, number: int) -> None:
        """A signal is shown by its name, or by its number if it has none."""
        said = describe_exit(-number)
        name = re.fullmatch("was killed by (.+)", said)
        assert name is not None
        if number in set(map(int, signal.Signals)):
            assert signal.Signals[name[1]] == number
        else:
            assert name[1] == f"signal {number}"

    @pytest.mark.parametrize("status", [1, 2, 126, 127, 128, 137, 143, 255])
    def test_a_real_exit(self, status: int) -> None:
        """The status of a process reaches error and executor as the process gave it."""
        it = OutputCoordinatedExecutor(["/bin/sh", "-c", f"exit {status}"], "never", name="it")
        with pytest.raises(ProcessExited, match=f"it: exited with status {status} before"):
            it.start()
        assert it.exit_code == status

    @pytest.mark.parametrize(
        "name", ["HUP", "INT", "QUIT", "ABRT", "KILL", "SEGV", "PIPE", "ALRM", "TERM", "USR1"]
    )
    def test_a_real_signal(self, name: str) -> None:
        """A signal is a negative number, as in subprocess, and a name in words."""
        command = ["/bin/sh", "-c", f"ulimit -c 0; kill -{name} $$; sleep 9"]
        expected = subprocess.run(command).returncode
        it = OutputCoordinatedExecutor(command, "never", name="it")
        with pytest.raises(ProcessExited, match=f"it: was killed by SIG{name} before"):
            it.start()
        assert it.exit_code == expected == -signal.Signals[f"SIG{name}"]

    @pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no such signals")
    def test_a_signal_without_a_name(self) -> None:
        """Real-time signals, which have no name, are shown as numbers."""
        number = int(signal.SIGRTMIN) + 3
        script = f"import os; os.kill(os.getpid(), {number})"
        it = OutputCoordinatedExecutor([sys.executable, "-S", "-c", script], "never")
        with pytest.raises(ProcessExited, match=f"was killed by signal {number} before"):
            it.start()
        assert it.exit_code == -number
