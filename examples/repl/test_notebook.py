"""The notebook as its user meets it: at a terminal."""

from pathlib import Path
from unittest import TestCase

from summon_testcase import OutputCoordinatedExecutor, SummonMixin


class NotebookTest(SummonMixin, TestCase):
    notebook = OutputCoordinatedExecutor(
        "{python} {here}/notebook.py {tmpdir}/notes.txt", banner="^> ", scope="test"
    )

    def enter(self, line, answer):
        self.notebook.sendline(line)
        self.assertOutput(self.notebook, answer)

    def test_adds_and_lists(self):
        self.enter("add buy tea", "1: buy tea\n> ")
        self.enter("add call Ann", "2: call Ann\n> ")
        self.enter("list", "1: buy tea\n2: call Ann\n> ")

    def test_is_locked_by_a_password(self):
        self.enter("lock", "New password: ")
        self.enter("secret", "Locked. Password: ")
        self.enter("sesame", "That is not it.\nLocked. Password: ")
        self.enter("secret", "Unlocked.\n> ")

    def test_ctrl_c_drops_the_line_and_nothing_else(self):
        self.enter("add buy tea", "1: buy tea\n> ")
        self.notebook.send("add half a thou\x03")
        self.assertOutput(self.notebook, "Never mind.\n> ")
        self.enter("list", "1: buy tea\n> ")

    def test_ctrl_d_saves(self):
        self.enter("add buy tea", "1: buy tea\n> ")
        self.notebook.send_eof()
        self.assertOutput(self.notebook, "1 notes saved\n")
        self.assertEqual(self.notebook.wait(timeout=5), 0)
        self.assertEqual(Path(self.notebook.tmpdir, "notes.txt").read_text(), "buy tea\n")
