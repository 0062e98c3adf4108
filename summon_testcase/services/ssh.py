"""An SSH server."""

from __future__ import annotations

import pwd
import re
import shlex
from typing import Any

from ..declaration.command import Launch
from ..errors import InvalidArgument
from ..foreign import suppress
from ..unpatched import os
from ..wording import at
from .ready_made import ReadyMade

_SERVER = """Port {port}
ListenAddress {host}
HostKey "{tmpdir}/host"
AuthorizedKeysFile "{tmpdir}/client.pub"
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserRC no
MaxStartups 100
Subsystem sftp internal-sftp -d "{tmpdir}/files"
"""
_CLIENT = """Host *
HostName {host}
Port {port}
User "%(user)s"
IdentityFile "{tmpdir}/client"
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile "{tmpdir}/known_hosts"
GlobalKnownHostsFile none
StrictHostKeyChecking yes
BatchMode yes
LogLevel ERROR
"""
#: What OpenSSH would not take as a part of a path: it splits that of internal-sftp at blanks, also
#: within quotes, and has percent signs and variables filled in.
_SPECIAL = re.compile(r'[ %"\\]|\$\{')
#: What is done in the directory ``$0`` of a server at the address ``$1``, before it is started.  A
#: server of root needs ``/run/sshd``, which else the system makes at boot.  Since version 9.8 a
#: server shuts out whoever has asked for its version alone some dozen times.
_PREPARE = """[ "$(id -u)" != 0 ] || mkdir -m 755 /run/sshd 2>/dev/null
[ -e "$0/known_hosts" ] || (
    umask 077 && cd "$0" || exit
    for key in host client; do
        rm -f $key && ssh-keygen -q -t ed25519 -N "" -C "" -f $key || exit
    done
    mkdir -p files && echo "$1 $(cat host.pub)" >known_hosts
) || exit
shift
"$@" -t -o PerSourcePenalties=no 2>/dev/null && set -- "$@" -o PerSourcePenalties=no
exec "$@"
"""


class SSH(ReadyMade):
    """An SSH server, OpenSSH's ``sshd``, with sftp, and with keys that are made for it.

    Ready once it sends its version.  The user that runs the tests can log in, and nobody else: by
    the key in the file ``key``, without a password.  What a client does there it does with the
    rights of that user, in that user's home directory; sftp begins in ``directory``.  The server
    refuses an account that is locked, such as ``nobody``, and its output says so.

    :param options: further arguments, ``["-o", "AllowTcpForwarding=no"]``.
    :param reset: True to remove all that is in ``directory`` before each test but the first.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.

    .. code-block:: python

        class BackupTest(SummonMixin, TestCase):
            there = SSH()

            def test_copies(self):
                run(["scp", "-F", self.there.config, "shop.db", "there:."], check=True)
    """

    _programs = ("sshd",)
    _protocol = "ssh"
    template_fields = ("config", "directory", "key", "known_hosts", "user")

    def __init__(self, **options: Any) -> None:
        self._user = str(os.geteuid())
        with suppress(KeyError):  # ssh-keygen will say that no such user exists
            self._user = pwd.getpwuid(os.geteuid()).pw_name
        files = {"sshd_config": _SERVER, "config": _CLIENT % {"user": self._user}}
        super().__init__(["-D", "-e", "-f", "{tmpdir}/sshd_config"], own_files=files, **options)
        self._requires = (*self._requires, "ssh-keygen")

    @property
    def user(self) -> str:
        """The name of the user who can log in."""
        return self._user

    @property
    def config(self) -> str:
        """The path of a file with all that clients of OpenSSH need, for whichever host they name.

        ``["ssh", "-F", self.there.config, "there", "uname"]``; sftp and scp have the same option.

        :raises NotRunning: if it was not started.
        """
        return f"{self.tmpdir}/config"

    @property
    def key(self) -> str:
        """The path of the client's private key, of the type Ed25519, as OpenSSH writes it.

        :raises NotRunning: if it was not started.
        """
        return f"{self.tmpdir}/client"

    @property
    def known_hosts(self) -> str:
        """The path of a file with the server's public key, by which clients recognise it.

        :raises NotRunning: if it was not started.
        """
        return f"{self.tmpdir}/known_hosts"

    @property
    def directory(self) -> str:
        """The directory, empty at first, in which sftp and scp begin.

        :raises NotRunning: if it was not started.
        """
        return f"{self.tmpdir}/files"

    def env(self) -> dict[str, str]:
        """``GIT_SSH_COMMAND`` and ``RSYNC_RSH``, by which git and rsync use ``config``."""
        command = shlex.join(["ssh", "-F", self.config])
        return {"GIT_SSH_COMMAND": command, "RSYNC_RSH": command}

    def _url_at(self, port: int) -> str:
        return f"ssh://{self._user}@{at(self._host, port)}"

    def _launch(self) -> Launch:
        launch = super()._launch()
        special = _SPECIAL.search(self.tmpdir)
        if special:
            raise InvalidArgument(
                f"{self._called}: its files are in {self.tmpdir}, and OpenSSH does not take the "
                f"{special[0]!r} as a part of the path: set TMPDIR to a directory without",
                executor=self._called,
            )
        address = self._fill("[{host}]:{port}")
        launch.argv = ("/bin/sh", "-c", _PREPARE, self.tmpdir, address, *launch.argv)
        launch.program = "/bin/sh"
        return launch

    def _forget(self) -> None:
        from ..unpatched import shutil

        for entry in list(os.scandir(self.directory)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    _own_resets = {True: _forget}
