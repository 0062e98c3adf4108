"""Whose the processes are: what the test process has, and what is left when it is gone.

Each test runs a program of its own, since what is counted is all that the process has.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ..programs import assert_nothing_left, line, program, run
from ..samples import PATIENCE, alive, eventually, marked


class TestWhatTheTestProcessHas:
    def test_no_thread_and_no_child(self, mark: str, place: Path) -> None:
        """While services run there is one thread, and no child to wait for."""
        source = """
def nothing():
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    say("a child")

group = shapes()
nothing()
with silent():
    nothing()
stop(group)
nothing()
assert marked(MARK) == []
"""
        assert run(source, mark, place) == []
        assert_nothing_left(mark, place)

    def test_descriptors_do_not_grow(self, mark: str, place: Path) -> None:
        """After 50 starts and stops, failed ones among them, as many are open as before."""
        source = """
def cycle(every):
    with OutputCoordinatedExecutor(["sh", "-c", "echo up; sleep 1000", MARK], "up") as up:
        up.output().close()
    try:
        OutputCoordinatedExecutor(["sh", "-c", "exit 3", MARK], "up").start()
    except ProcessExited as error:
        os.remove(error.report.log_path)
    if every:
        serves = lambda kind: service("serves.py", kind, "{port}", "{tmpdir}/s", MARK)
        with TCPCoordinatedExecutor(serves("tcp")) as tcp, tcp.paused():
            pass
        with HTTPCoordinatedExecutor(serves("http"), url="http://{host}:{port}/"):
            pass
        with NotifyCoordinatedExecutor(serves("notify")):
            pass
        with CommandCoordinatedExecutor(serves("plain"), probe="true", until=lambda e: True):
            pass

cycle(True)
before = len(os.listdir("/proc/self/fd"))
for number in range(50):
    cycle(number % 10 == 0)
after = len(os.listdir("/proc/self/fd"))
assert before == after, (before, after)
"""
        assert run(source, mark, place) == []
        assert_nothing_left(mark, place)


class TestTheEndOfTheTestProcess:
    @pytest.mark.parametrize(
        "end",
        ["group.stop()", "", "group = None", "sys.exit(0)", "os._exit(0)"],
        ids=["stopped", "forgotten", "unreferenced", "exit", "os._exit"],
    )
    def test_it_ends(self, end: str, mark: str, place: Path) -> None:
        """With or without a stop nothing is printed, and nothing is left."""
        source = f"""
group = Orchestrator([silent(), silent(), FileCoordinatedExecutor(
    service("daemon.py", "{{tmpdir}}/it.pid", MARK), path="{{tmpdir}}/it.pid")])
group.start()
eventually(lambda: len(marked(MARK)) == 3, "all three are there")
say("up")
{end}
"""
        assert run(source, mark, place) == ["up"]
        assert_nothing_left(mark, place)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
    def test_it_is_killed(self, number: int, mark: str, place: Path) -> None:
        """Killed without a chance to clean up, it leaves no shape of service."""
        source = """
group = shapes()
say(*marked(MARK))
signal.pause()
"""
        with program(source, mark, place) as process:
            services = [int(word) for word in line(process)]
            assert len(services) >= 7
            os.kill(process.pid, number)
            process.wait(PATIENCE)
            # 1 s is what it takes at most on an idle machine; the bound is for a busy one
            eventually(lambda: not any(map(alive, services)), "its services are gone", 5)
        assert_nothing_left(mark, place)

    def test_it_becomes_another_program(self, mark: str, place: Path) -> None:
        """What it started is gone once it has exec'd, though its pid lives on."""
        source = """
with_services = shapes()
say(*marked(MARK))
os.execv(sys.executable, [sys.executable, "-c", "print('other', flush=True); input()"])
"""
        with program(source, mark, place) as process:
            services = [int(word) for word in line(process)]
            assert line(process) == ["other"]
            eventually(lambda: not any(map(alive, services)), "its services are gone")
            assert process.poll() is None
        assert_nothing_left(mark, place)

    @pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"], ids=["Python", "C"])
    def test_a_forked_child_lives_on(self, fork: str, mark: str, place: Path) -> None:
        """A child of the test that outlives it keeps no service alive.

        One that was forked by a library in C has no chance to close its sockets.
        """
        source = f"""
import ctypes
group = shapes()
services = marked(MARK)
child = {fork}()
if child == 0:
    signal.pause()
say(child, *services)
signal.pause()
"""
        with program(source, mark, place) as process:
            child, *services = [int(word) for word in line(process)]
            try:
                process.kill()
                process.wait(PATIENCE)
                eventually(lambda: not any(map(alive, services)), "its services are gone")
                assert alive(child)
            finally:
                os.kill(child, signal.SIGKILL)
        assert_nothing_left(mark, place)


class TestFork:
    def test_a_forked_child_owns_nothing(self, mark: str, place: Path) -> None:
        """In a child nothing runs; its stop(), kill() and end do nothing to the parent's."""
        source = """
service = OutputCoordinatedExecutor(service("repl.py", MARK), "> ").start()
pid = service.pid
child = os.fork()
if child == 0:
    assert not service.running()
    service.stop()
    service.kill()
    service.stop()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert service.running() and service.pid == pid
assert os.path.exists(service.log_path) and os.path.isdir(service.tmpdir)
service.sendline("still here")
service.wait_for_output("STILL HERE", timeout=15)
service.stop()
assert marked(MARK) == []
"""
        assert run(source, mark, place) == []
        assert_nothing_left(mark, place)

    def test_a_forked_child_has_its_own(self, mark: str, place: Path) -> None:
        """A child can start services of its own, which end with it and are no one else's."""
        source = """
ours = silent().start()
pid = ours.pid
child = os.fork()
if child == 0:
    theirs = silent().start()
    assert theirs.running() and theirs.pid != pid
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
eventually(lambda: marked(MARK) == [ours.pid], "only ours is left")
assert ours.running()
ours.stop()
"""
        assert run(source, mark, place) == []
        assert_nothing_left(mark, place)

    def test_a_child_forked_by_multiprocessing(self, mark: str, place: Path) -> None:
        """The same with multiprocessing, whose children end without atexit."""
        source = """
import multiprocessing
ours = silent().start()
def work():
    ours.stop()
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
assert child.exitcode == 0
child.close()
assert ours.running()
ours.stop()
"""
        assert run(source, mark, place) == []
        assert_nothing_left(mark, place)


class TestTheEndOfTheKeepers:
    def test_the_keeper_is_killed(self, mark: str, place: Path) -> None:
        """Its service dies with it, is seen as not running, and the stop reports that."""
        source = """
service, other = silent(name="web").start(), silent().start()
pid = service.pid
os.kill(parent(pid), signal.SIGKILL)
eventually(lambda: not alive(pid), "the service is dead")
eventually(lambda: not service.running(), "running() is false")
try:
    service.stop()
except StopFailed as error:
    say(error.message)
    os.remove(error.report.log_path)
service.stop()
assert other.running()
service.start()
assert service.running()
service.stop()
other.stop()
"""
        assert run(source, mark, place) == ["web: its keeper was killed, and it with it"]
        assert_nothing_left(mark, place)

    def test_its_daemons_die_too(self, mark: str, place: Path) -> None:
        """What a service left in other sessions dies with the keeper as well."""
        source = """
group = shapes()
keepers = {parent(pid) for pid in marked(MARK)} - {0, 1, os.getpid()} - set(marked(MARK))
assert len(keepers) == 4, keepers
for keeper in keepers:
    os.kill(keeper, signal.SIGKILL)
eventually(lambda: not marked(MARK), "all services are dead")
stop(group)
"""
        assert run(source, mark, place) == []
        assert_nothing_left(mark, place)

    def test_the_warden_is_killed(self, mark: str, place: Path) -> None:
        """Services go on, new ones can be started, and all can be stopped."""
        source = """
first = OutputCoordinatedExecutor(service("repl.py", MARK), "> ").start()
warden = parent(parent(first.pid))
assert warden > 1
os.kill(warden, signal.SIGKILL)
eventually(lambda: not alive(warden), "the warden is dead")
assert first.running()
second = silent().start()
assert second.running() and parent(parent(second.pid)) != warden
first.sendline("still here")
first.wait_for_output("STILL HERE", timeout=15)
first.stop()
second.stop()
assert marked(MARK) == []
"""
        assert run(source, mark, place) == []
        assert_nothing_left(mark, place)

    def test_descriptors_run_out(self, mark: str, place: Path) -> None:
        """In the middle of a group: that is told, and leaves nothing."""
        source = """
import resource
for limit in range(8, 15):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 100))
    try:
        with orchestrated(**{f"s{n}": silent() for n in range(10)}):
            pass
    except SpawnFailed as error:
        assert "no file descriptor is left for it (ulimit -n)" in str(error), error
    else:
        raise AssertionError(limit)
    assert marked(MARK) == []
"""
        assert run(source, mark, place) == []
        assert_nothing_left(mark, place)

    def test_the_warden_is_killed_and_nobody_cares(self, mark: str, place: Path) -> None:
        """Keepers without a warden still see the end of the test process."""
        source = """
first = silent().start()
os.kill(parent(parent(first.pid)), signal.SIGKILL)
say(first.pid, parent(first.pid))
signal.pause()
"""
        with program(source, mark, place) as process:
            service, keeper = [int(word) for word in line(process)]
            process.kill()
            process.wait(PATIENCE)
            eventually(lambda: not alive(service), "the service is gone")
            eventually(lambda: not alive(keeper), "the keeper is gone")
        eventually(lambda: not marked(mark), "all is gone")
