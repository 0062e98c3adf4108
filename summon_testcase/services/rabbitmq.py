"""A RabbitMQ server."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..declaration import arguments
from ..errors import InvalidArgument, SummonError
from ..executors import references
from ..scheduling.steps import Steps
from ..unpatched import os
from ..wording import at
from .client import Client
from .ready_made import ReadyMade

if TYPE_CHECKING:
    from ..readiness.probe import Probe

#: where Debian and Red Hat have the program; on the PATH they have one that becomes another user
_PLACE = "/usr/lib/rabbitmq/bin"
#: where all but AMQP listens
_LOOPBACK = "127.0.0.1"
#: the signal at which it halts at once; a shutdown takes a second, six with the management plugin
_AT_ONCE = signal.SIGQUIT

#: lines of its configuration that its clients have to know of
_DEFAULT = re.compile(r"^\s*default_(user|pass|vhost)\s*=\s*([^\s#]+)", re.MULTILINE)

_VARIABLES = {
    # its cookie is written there
    "HOME": "{tmpdir}",
    "RABBITMQ_MNESIA_BASE": "{tmpdir}",
    "RABBITMQ_LOG_BASE": "{tmpdir}",
    "RABBITMQ_LOGS": "-",
    # instead of those in /etc; that the first is missing saves half a second
    "RABBITMQ_CONFIG_FILE": "{tmpdir}/rabbitmq",
    "RABBITMQ_CONFIG_FILES": "{tmpdir}/conf.d",
    "RABBITMQ_ADVANCED_CONFIG_FILE": "{tmpdir}/advanced.config",
    "RABBITMQ_CONF_ENV_FILE": "{tmpdir}/rabbitmq-env.conf",
    "RABBITMQ_ENABLED_PLUGINS_FILE": "{tmpdir}/enabled_plugins",
    "RABBITMQ_NODE_IP_ADDRESS": "{host}",
    "RABBITMQ_NODE_PORT": "{port}",
    # nodes of one name do not meet, since each has an epmd of its own, which ends with it
    "RABBITMQ_NODENAME": "rabbit@localhost",
    "RABBITMQ_DIST_PORT": "{port:dist}",
    "ERL_EPMD_PORT": "{port:epmd}",
    "ERL_EPMD_ADDRESS": _LOOPBACK,
    # read by each Erlang, also by the one that is run to start epmd
    "ERL_AFLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    "ERL_CRASH_DUMP_SECONDS": "0",
    # the script becomes the server: as its parent it would exit with 0 when the server fails
    "RUNNING_UNDER_SYSTEMD": "true",
}

# AMQP cannot list queues, rabbitmqctl takes 0.5 s, the management plugin makes the start a third
# longer.  So the server itself listens for the words "delete" and "purge".
_FORGETS = """
Forget = fun
    (<<"purge\\n">>) ->
        Kept = [element(4, amqqueue:get_name(Queue)) || Queue <- rabbit_amqqueue:list(),
            element(1, rabbit_amqqueue:purge(Queue)) =/= ok],
        case Kept of
            [] -> "ok";
            _ -> ["kept ", lists:join(", ", Kept)]
        end;
    (<<"delete\\n">>) ->
        [{ok, _} = rabbit_amqqueue:delete(Queue, false, false, <<"reset">>)
            || Queue <- rabbit_amqqueue:list()],
        [rabbit_exchange:delete(Name, false, <<"reset">>)
            || {resource, _, exchange, Word} = Name
                <- [element(2, Exchange) || Exchange <- rabbit_exchange:list()],
            Word =/= <<>>, string:prefix(Word, <<"amq.">>) =:= nomatch],
        "ok"
end,
Serve = fun Serve(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    case gen_tcp:recv(Socket, 0) of
        {ok, Word} ->
            Said = try Forget(Word)
            catch
                _:Error -> io_lib:format("~0p", [Error])
            end,
            gen_tcp:send(Socket, [Said, "\\n"]);
        {error, closed} -> ok
    end,
    gen_tcp:close(Socket),
    Serve(Listener)
end,
spawn(fun() ->
    {ok, Listener} = gen_tcp:listen({port:reset}, [
        binary, {ip, {127,0,0,1}}, {packet, line}, {active, false}, {reuseaddr, true}]),
    Serve(Listener)
end).
"""


class RabbitMQ(ReadyMade):
    """A fresh RabbitMQ server, in which the user ``guest``, or another, may do everything.

    Ready once it speaks AMQP and has finished its start, which takes some seconds: let classes
    share one with ``scope="run"``.  ``restart()`` and ``stopped()`` shut it down in order, and keep
    durable queues; ``stop()`` halts it.

    :param config: lines of ``rabbitmq.conf``, templates filled in.  ``url`` names the user, the
        password and the virtual host of ``default_user``, ``default_pass`` and ``default_vhost``.
    :param plugins: plugins to enable.  ``rabbitmq_management`` serves HTTP at the port that
        ``ports["management"]`` has; the listeners of others are for ``config`` to declare,
        ``"mqtt.listeners.tcp.1 = 127.0.0.1:{port:mqtt}"``.
    :param options: further arguments of Erlang, ``["+S", "1:1"]``.
    :param reset: True to delete all queues, and all exchanges that it had not from the beginning,
        before each test but the first: consumers are told that they are cancelled.  ``"purge"`` to
        empty the queues of all messages that no consumer has taken yet; that is an error if there
        is a stream, which cannot be emptied.
    :param timeout: default: 120 seconds, also beside ``Defaults(timeout=20)``, since a busy machine
        needs many times the usual; for ``stop_timeout`` 30 likewise.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.

    .. code-block:: python

        class OrderTest(SummonMixin, TestCase):
            broker = RabbitMQ(reset="purge", scope="run")
            worker = Celery("shop.tasks", env=[broker])
    """

    _programs = ("rabbitmq-server",)
    _protocol = "amqp"

    def __init__(self, config: str = "", *, plugins: Iterable[str] = (), **options: Any) -> None:
        names = arguments.names("RabbitMQ()", "plugins", plugins)
        for name in names:
            if not re.fullmatch(r"\w+", name):
                raise InvalidArgument(
                    f'RabbitMQ(): plugins={name!r}: write a name such as "rabbitmq_management"',
                    executor="RabbitMQ()",
                )
        files = {"enabled_plugins": f"[{','.join(names)}].\n", "reset.erl": _FORGETS}
        if config:
            files["rabbitmq.conf"] = f"{config}\n"
        words = ["-eval", 'ok = file:eval("{tmpdir}/reset.erl").']
        if "rabbitmq_management" in names:
            listener = f'[{{ip,"{_LOOPBACK}"}},{{port,{{port:management}}}}]'
            words += ["-rabbitmq_management", "tcp_config", listener]
        options = {"stop_signal": _AT_ONCE, "timeout": 120, "stop_timeout": 30, **options}
        super().__init__(words, own_files=files, own_env=_VARIABLES, **options)
        self._defaults = {"user": "guest", "pass": "guest", "vhost": "/"}
        self._defaults.update(_DEFAULT.findall(str(config)))

    def _url_at(self, port: int) -> str:
        from urllib.parse import quote

        user, password, vhost = (
            quote(self._fill(value), safe="") for value in self._defaults.values()
        )
        return f"amqp://{user}:{password}@{at(self._host, port)}/{vhost}"

    def env(self) -> dict[str, str]:
        """``AMQP_URL``, ``RABBITMQ_URL``, and ``CELERY_BROKER_URL``, which Celery reads."""
        return dict.fromkeys(("AMQP_URL", "RABBITMQ_URL", "CELERY_BROKER_URL"), self.url)

    def _find(self, word: str, path: str | None, cwd: str) -> str:
        if word == self._command[0]:
            path = os.pathsep.join([_PLACE, os.defpath if path is None else path])
        return super()._find(word, path, cwd)

    def _readiness(self) -> list[Probe]:
        from ..readiness.tcp import TCPProbe

        # it listens there when the start is over
        return [*super()._readiness(), TCPProbe(_LOOPBACK, int(references.own(self, "port:reset")))]

    def _stopping(
        self, for_now: bool = False, number: int | None = None, timeout: float | None = None
    ) -> Steps[None]:
        if number is None and self._limits.stop_signal == _AT_ONCE and (for_now or self._stays()):
            # not at once: messages that it has not confirmed might not be there after the restart
            number = signal.SIGTERM
        yield from super()._stopping(for_now, number, timeout)

    def _forget(self, word: bytes) -> None:
        with Client(self, (_LOOPBACK, self.ports["reset"])) as client:
            client.say(word)
            answer = client.take_until(b"\n")
        kept = answer.decode("utf-8", "replace").removeprefix("kept ")
        if answer.startswith(b"kept "):
            raise SummonError(
                f'{self._called}: reset="purge" cannot empty {kept}, since what is in a stream '
                "stays: write reset=True, which deletes all queues",
                executor=self._called,
            )
        if answer != b"ok":
            raise client.refused(answer)

    def _delete(self) -> None:
        self._forget(b"delete\n")

    def _purge(self) -> None:
        self._forget(b"purge\n")

    _own_resets = {True: _delete, "purge": _purge}
