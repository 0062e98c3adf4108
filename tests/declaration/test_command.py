"""Declared commands become commands that are run."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from summon_testcase.declaration.command import split
from summon_testcase.declaration.programs import find_program, package_of
from summon_testcase.declaration.templates import (
    OTHER_FIELDS,
    OWN_FIELDS,
    fill,
    named,
    nearest,
    there_are,
    unknown_field,
    unknown_service,
)
from summon_testcase.errors import CommandNotFound, InvalidArgument

#: a machine that is busy with other tests is no failure
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


class TestSplit:
    @given(text)
    @example("a 'b  c' \"d\"e\\ f ''")
    @example('a "')
    @example("a \\")
    @example("# no comment")
    @unhurried
    def test_as_shlex_does(self, command: str) -> None:
        """A string is split exactly as by shlex.split; a string that this refuses is refused."""
        try:
            expected = shlex.split(command)
        except ValueError:
            expected = []
        try:
            assert list(split(command, False, "x")) == expected
        except InvalidArgument as error:
            assert not (expected and expected[0]) or "shell" in str(error)

    @given(st.lists(text, min_size=1))
    @unhurried
    def test_a_sequence_stays(self, words: list[str]) -> None:
        """The words of a sequence are taken as they are."""
        assert split(["server", *words], False, "x") == ("server", *words)

    @given(text)
    @unhurried
    def test_a_shell_gets_all_of_it(self, command: str) -> None:
        """With a shell the string is one word, unless there is nothing in it."""
        assume(command.strip())
        assert split(command, True, "x") == ("/bin/sh", "-c", command)

    def test_paths(self) -> None:
        """Words may be path objects."""
        assert split(["cat", Path("/etc/passwd")], False, "x") == ("cat", "/etc/passwd")  # type: ignore[list-item]

    def test_errors_name_the_argument(self) -> None:
        """The error names the executor and the argument."""
        with pytest.raises(InvalidArgument, match=r"^db: probe= is empty") as caught:
            split("", False, "db", "probe")
        assert caught.value.executor == "db"


def own(field: str) -> str:
    return f"<{field}>"


def other(name: str, field: str) -> str | None:
    return f"<{name}.{field}>" if name == "db" else None


braces = st.text("{}$. ab1_" + "portdbhs", max_size=30)
pieces = st.lists(
    st.sampled_from(
        [
            "{port}",
            "{host}",
            "{tmpdir}",
            "{db.port}",
            "{db.x}",
            "${port}",
            "{x.port}",
            "{{",
            "}",
            "{",
        ]
        + ["{1..5}", "{}", "{awk}", "$", "x", " ", "\n", "{port:>5}", "{db.port.x}", "{é}"]
    )
)


class TestTemplates:
    def test_what_is_filled_in(self) -> None:
        """Own fields and fields of others."""
        assert fill("a {port} b{name}{db.port}", own, other) == "a <port> b<name><db.port>"

    def test_braces_around(self) -> None:
        """Those of JSON and its like; double ones on both sides have another meaning."""
        assert fill('{"a":{port}} {{port},{"b":{port}}}', own, other) == (
            '{"a":<port>} {<port>,{"b":<port>}}'
        )

    @pytest.mark.parametrize(
        "stays",
        [
            "{1..5}",
            "${port}",
            "${db.port}",
            "{{port}}",
            "${{db.port}}",
            "{{{port:admin}}}",
            '{"port": 1}',
            "{ port }",
            "{PORT}",
            "{port!r}",
            "{port:d}",
            "{db.port.x}",
            "{.port}",
            "{port.}",
            "{unknown}",
            "{x.port}",
            "{}",
            "{",
            "{port",
            "port}",
            "awk '{print $1}'",
        ],
    )
    def test_what_stays(self, stays: str) -> None:
        """Everything else in braces stays as it is."""
        assert fill(stays, own, other) == stays
        assert not there_are(stays) or "x.port" in stays

    @given(st.one_of(braces, pieces.map("".join), text))
    @unhurried
    def test_everything_else_is_unchanged(self, source: str) -> None:
        """Outside of the templates not a character is changed."""
        template = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?\}")
        filled = fill(source, own, other)
        position = 0
        rest = filled
        for match in template.finditer(source):
            name, field = match.groups()
            if source[: match.start()].endswith("{") and source.startswith("}", match.end()):
                value = match.group()
            elif field:
                value = other(name, field) or match.group()
            else:
                value = own(name) if name in OWN_FIELDS else match.group()
            before = source[position : match.start()]
            assert rest.startswith(before + value)
            rest = rest[len(before + value) :]
            position = match.end()
        assert rest == source[position:]

    @given(text)
    @unhurried
    def test_values_are_not_filled_in_again(self, value: str) -> None:
        """A value that looks like a template is left alone."""
        assert fill("{port}", lambda field: value + "{host}", other) == value + "{host}"

    @given(st.one_of(braces, pieces.map("".join)))
    @unhurried
    def test_references_are_what_is_asked_for(self, source: str) -> None:
        """The references of a text are those that filling it in asks for."""
        asked = set()

        def note(name: str, field: str) -> None:
            asked.add((name, field))

        fill(source, own, note)
        assert {pair for pair in named([source]) if pair[0]} == asked

    @given(st.one_of(braces, pieces.map("".join)))
    @unhurried
    def test_without_templates_nothing_changes(self, source: str) -> None:
        """Where there are no templates, there is nothing to fill in."""
        if not there_are(source):
            assert fill(source, own, other) == source

    def test_fields(self) -> None:
        """Templates can name only a fixed, short list of fields, none of them private."""
        assert set(OWN_FIELDS) == {"port", "host", "url", "tmpdir", "name"}
        assert set(OTHER_FIELDS) == {*OWN_FIELDS, "pid", "log_path"}


class TestHints:
    def test_nearest(self) -> None:
        """The nearest name is suggested, but nothing far-fetched."""
        assert nearest("redsi", ["db", "redis", "web"]) == "redis"
        assert nearest("redis", ["db", "web"]) is None
        assert nearest("redis", []) is None

    def test_unknown_service(self) -> None:
        """Suggests the nearest name, else lists all, else says that there are none."""
        assert "did you mean {redis.port}?" in str(
            unknown_service("web", "redsi", "port", ["redis", "db"])
        )
        assert "declared here: db, web" in str(unknown_service("x", "q", "port", ["web", "db"]))
        assert "no other service" in str(unknown_service("x", "q", "port", []))

    def test_unknown_field(self) -> None:
        """Suggests the nearest field, else lists what there is."""
        assert "did you mean {db.port}?" in str(
            unknown_field("web", "db", "prot", ["port", "host"])
        )
        assert "it offers port, host" in str(unknown_field("web", "db", "q", ["port", "host"]))

    def test_packages(self) -> None:
        """Packages of well-known servers are known, by name or path."""
        assert package_of("/usr/bin/redis-server") == "redis-server"
        assert package_of("my-server") is None


class TestFindProgram:
    def program(self, path: Path) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    def test_on_the_path_of_the_service(self, tmp_path: Path) -> None:
        """The PATH that counts is the service's own; the first entry wins."""
        first, second = (self.program(tmp_path / d / "it") for d in "ab")
        path = f"{tmp_path}/none:{tmp_path}/a:{tmp_path}/b"
        assert find_program("it", path, "/", "x") == str(first)
        assert find_program("it", str(second.parent), "/", "x") == str(second)
        for path in ("/nowhere", ""):
            with pytest.raises(CommandNotFound):
                find_program("it", path, "/", "x")
        assert find_program("sh", None, "/", "x") in ("/bin/sh", "/usr/bin/sh")

    def test_where_else(self) -> None:
        """Programs that are not on the PATH: beside this Python, then where servers are."""
        python = os.path.basename(sys.executable)
        assert find_program(python, "/nowhere", "/", "x") == sys.executable
        program = next(
            path
            for path in sorted(Path("/usr/sbin").iterdir())
            if path.is_file() and os.access(path, os.X_OK)
            if not Path(sys.executable).with_name(path.name).exists()
        )
        assert find_program(program.name, "/nowhere", "/", "x") == str(program)

    def test_what_only_a_shell_fills_in(self) -> None:
        """The error of a path with ``~`` says that no shell fills it in."""
        with pytest.raises(CommandNotFound, match="no shell fills in the ~ of"):
            find_program("~/bin/it", "", "/", "x")

    def test_a_dangling_link(self, tmp_path: Path) -> None:
        """The error of a broken link says so; the program does not count as absent."""
        (tmp_path / "it").symlink_to("/no/such")
        with pytest.raises(CommandNotFound, match="a link to /no/such") as caught:
            find_program("./it", "", str(tmp_path), "x", optional=True)
        assert not caught.value.optional

    def test_relative_to_cwd(self, tmp_path: Path) -> None:
        """A word with a slash is relative to the directory of the service."""
        path = self.program(tmp_path / "bin" / "it")
        assert os.path.samefile(find_program("bin/it", "", str(tmp_path), "x"), path)
        assert os.path.samefile(find_program("./it", "", str(path.parent), "x"), path)
        assert find_program(str(path), "", "/", "x") == str(path)

    def test_without_permission(self, tmp_path: Path) -> None:
        """The errors of a file that may not be executed and of a missing one differ."""
        (tmp_path / "it").write_text("")
        with pytest.raises(CommandNotFound, match="may not be executed"):
            find_program("./it", "", str(tmp_path), "x")
        with pytest.raises(CommandNotFound, match=r"'\./that' does not exist in"):
            find_program("./that", "", str(tmp_path), "x")
        with pytest.raises(CommandNotFound, match="no file '/no/such'"):
            find_program("/no/such", "", str(tmp_path), "x")

    def test_relative_entries_of_the_path(self, tmp_path: Path) -> None:
        """An entry that is not absolute starts from the directory of the service."""
        program = tmp_path / "bin" / "it"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        assert find_program("it", "bin", str(tmp_path), "x") == str(program)
        assert find_program("./bin/it", None, str(tmp_path), "x").endswith("/bin/it")
