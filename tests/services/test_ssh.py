"""The ready-made SSH."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import InvalidArgument, RequirementMissing, SummonMixin, services

from ..another_user import interpreter_for_all, packages_for_all
from ..doubles import put_run_directory
from ..needs import needs
from ..places import require, root


@needs("sshd", package="openssh-server")
class SSHTest(SummonMixin, unittest.TestCase):
    """Its clients need no more than it tells."""

    there = services.SSH(reset=True, options=["-o", "SetEnv=SAID=hello"])

    def connect(self) -> Any:
        import paramiko

        client = paramiko.SSHClient()
        self.addCleanup(client.close)
        client.load_host_keys(self.there.known_hosts)
        client.connect(
            self.there.host, self.there.port, self.there.user, key_filename=self.there.key
        )
        return client

    def ran(self, *words: str) -> str:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().strip()

    def test_a_paramiko(self) -> None:
        client = self.connect()
        # its environment is that of a session, and its files are as any that its user makes
        _, output, _ = client.exec_command("echo $SAID; umask")
        usual = self.ran("sh", "-c", "umask")
        self.assertEqual(output.read().decode().split(), ["hello", usual])
        files = client.open_sftp()
        self.assertEqual(files.listdir(), [])
        files.mkdir("orders")
        with files.open("orders/1", "w") as file:
            file.write("tea")
        self.assertEqual(Path(self.there.directory, "orders", "1").read_text(), "tea")

    def test_b_is_reset(self) -> None:
        Path(self.there.directory, "away").symlink_to("/tmp")
        self.assertEqual(os.listdir(self.there.directory), ["away"])
        self.there.reset()
        self.assertEqual(os.listdir(self.there.directory), [])
        self.assertTrue(os.path.isdir("/tmp"))

    def test_openssh(self) -> None:
        """Whichever host is named, and with no file of the user's own."""
        self.assertEqual(self.ran("ssh", "-F", self.there.config, "any", "echo $SAID"), "hello")
        self.ran("scp", "-F", self.there.config, __file__, "any:here.py")
        self.assertEqual(
            Path(self.there.directory, "here.py").read_text(), Path(__file__).read_text()
        )

    def test_variables(self) -> None:
        """What git and rsync run is a command."""
        for command in self.there.env().values():
            self.assertEqual(self.ran("sh", "-c", f"{command} any 'echo $SAID'"), "hello")

    def test_nobody_else_gets_in(self) -> None:
        """Neither without the key, nor to a server with another one, for which it may be taken."""
        for option in ("PubkeyAuthentication=no", "UserKnownHostsFile=none"):
            words = ["ssh", "-F", self.there.config, "-o", option, "any", "true"]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 255, option)

    def test_restarts_keep_the_keys(self) -> None:
        """Clients know it again."""
        before = Path(self.there.known_hosts).read_text()
        self.there.restart()
        self.assertEqual(Path(self.there.known_hosts).read_text(), before)
        self.assertEqual(self.ran("ssh", "-F", self.there.config, "any", "echo $SAID"), "hello")

    def test_many_questions(self) -> None:
        """Who only asks whether it is there, as alive=True does, is not shut out."""
        for _ in range(20):
            with socket.create_connection((self.there.host, self.there.port)) as sock:
                self.assertEqual(sock.recv(4), b"SSH-")
        self.connect()

    def test_no_programs(self) -> None:
        """What makes the keys is needed too."""
        with self.assertRaisesRegex(RequirementMissing, "Debian package openssh-client"):
            services.SSH(program="/usr/sbin/sshd", env={"PATH": "/no"}).start()

    def test_a_path_that_openssh_does_not_take(self) -> None:
        """Is refused: sftp would silently begin at home, or the client not find its key."""
        for name in ("a b", "a%b", 'a"b', "a\\b", "a${HOME}b"):
            place = Path(tempfile.mkdtemp(), name)
            place.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                put_run_directory(place, patch)
                with self.assertRaisesRegex(InvalidArgument, "its files are .* set TMPDIR to a"):
                    services.SSH().start()

    @root
    def test_without_rights(self) -> None:
        """Who runs it can log in, also a user whose shell refuses commands."""
        python = interpreter_for_all()
        require(python is not None, "a Python that every user may run")
        script = (
            "import subprocess\n"
            "from summon_testcase.services import SSH\n"
            "with SSH() as there:\n"
            "    words = ['sftp', '-F', there.config, 'there']\n"
            "    subprocess.run(words, input=b'mkdir orders', check=True, timeout=60)\n"
            "    subprocess.run(['ls', '-l', there.directory], check=True)\n"
        )
        done = subprocess.run(
            [str(python), "-c", script],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": packages_for_all()},
            cwd="/",
            user="daemon",  # the account of nobody may be locked
            group="daemon",
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertRegex(done.stdout, r"drwxr-xr-x .* daemon .* orders\n", done.stderr)
