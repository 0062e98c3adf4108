"""The lines of a log that are shown: its ends, with similar lines folded."""

from __future__ import annotations

import os
import tempfile
import time
import unittest

from summon_testcase.output.excerpt import excerpt, shorten
from summon_testcase.output.log import Log

#: lines that are not similar
WORDS = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(26 * 26)]


class ExcerptTest(unittest.TestCase):
    def excerpt(self, data: bytes, start: int = 0, limit: int = 40) -> list[str]:
        with tempfile.NamedTemporaryFile() as stream:
            stream.write(data)
            stream.flush()
            return shorten(excerpt(Log(stream.name), start), limit)

    def test_what_is_short_is_shown(self) -> None:
        """Up to 40 lines are shown as they are, from the position on; an unfinished one too."""
        self.assertEqual(self.excerpt("\n".join(WORDS[:40]).encode()), WORDS[:40])
        self.assertEqual(self.excerpt(b"before\nafter\r\n", len(b"before\n")), ["after"])
        self.assertEqual(self.excerpt(b"before", 6), [])
        self.assertEqual(self.excerpt(b"before\x1b[1;31mafter", 9), ["after"])

    def test_the_middle_is_cut_out(self) -> None:
        """Of more lines the first quarter and the last are shown, with a count of the others."""
        data = "\n".join(WORDS[:100]).encode()
        expected = [*WORDS[:10], "[61 lines left out]", *WORDS[71:100]]
        self.assertEqual(self.excerpt(data), expected)
        self.assertEqual(len(self.excerpt(data, limit=20)), 20)

    def test_long_lines_are_cut_out(self) -> None:
        """Long lines lose their middle, and so does a long log, whose middle is not read."""
        (line,) = self.excerpt(b"begin" + b"x" * 1_000 + b"end")
        self.assertRegex(line, r"^begin.* \[508 characters left out\] .*end$")
        first, left_out, last = self.excerpt(b"begin" + b"x" * 1_000_000 + b"end")
        self.assertEqual(left_out, "[737864 bytes left out]")
        self.assertTrue(first.startswith("begin") and last.endswith("end"))
        self.assertLess(len(first) + len(last), 1200)

    def test_a_huge_log(self) -> None:
        """A gigabyte is not read: only its ends are."""
        with tempfile.NamedTemporaryFile() as stream:
            stream.write(b"begin\n")
            stream.truncate(1 << 30)
            stream.seek(0, os.SEEK_END)
            stream.write(b"\nend\n")
            stream.flush()
            began = time.process_time()
            shown = shorten(excerpt(Log(stream.name), 0))
            self.assertLess(time.process_time() - began, 0.5)
        self.assertEqual((shown[0], shown[-1]), ("begin", "end"))
        self.assertTrue(any(line.endswith("bytes left out]") for line in shown), shown)

    def test_nothing_that_a_terminal_obeys(self) -> None:
        """Escape sequences are removed, other control characters are spelt out."""
        data = b"\x1bc\x1b[31mred\x1b[0m\tb\x00\xff\x07\x08\xc2\x9b2J\xc2\x85\n"
        shown = "red\tb\\x00\N{REPLACEMENT CHARACTER}\\x07\\x08\\x85"
        self.assertEqual(self.excerpt(data), [shown])

    def test_a_progress_bar(self) -> None:
        """A line that was overwritten shows its last state."""
        data = b"".join(b"%d%%\r" % number for number in range(101)) + b"\ndone\n"
        self.assertEqual(self.excerpt(data), ["100%", "done"])

    def test_blank_lines(self) -> None:
        """Several blank lines become one, and none stays at the ends."""
        self.assertEqual(self.excerpt(b"\n\none\n\n \r\n\ntwo\n\n\n"), ["one", "", "two"])

    def test_lines_alike(self) -> None:
        """Lines that differ only in numbers are folded; other lines between them are shown."""
        asked = [f'127.0.0.1:{port} - "GET /health HTTP/1.1" 503' for port in range(5000)]
        traceback = ["Traceback:", *(f"  in {word}" for word in WORDS[:10]), "KeyError: 'x'"]
        data = "\n".join([*asked[:234], *traceback, *asked[234:]]).encode()
        self.assertEqual(
            self.excerpt(data, limit=20),
            [
                *(asked[0], "… 232 more like this", asked[233]),
                *traceback,
                *(asked[234], "… 4764 more like this", asked[-1]),
            ],
        )
        self.assertEqual(self.excerpt("\n".join(["same"] * 9).encode())[1], "… 8 more like this")
        self.assertEqual(self.excerpt("\n".join(asked[:3]).encode()), asked[:3])

    def test_blocks_alike(self) -> None:
        """A traceback that comes again and again is shown once."""
        block = ["GET /", "Traceback:", *(f"  in {word}" for word in WORDS[:8]), "", "KeyError"]
        data = "\n".join(["begin", *block * 77, "end"]).encode()
        expected = ["begin", *block, f"… {76 * 12} more lines like these 12", "end"]
        self.assertEqual(self.excerpt(data), expected)
