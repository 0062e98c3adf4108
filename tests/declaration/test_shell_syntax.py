"""Commands for a shell are refused, and commands that only look like that are not."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from summon_testcase import CommandCoordinatedExecutor, SimpleExecutor
from summon_testcase.declaration.shell_syntax import _unquoted, variable, without_values
from summon_testcase.errors import InvalidArgument

from ..doubles import command_of

#: commands for a shell, and what the error says to write instead
FOR_A_SHELL = {
    "PYTHONUNBUFFERED=1 python3 -m http.server {port}": 'write env={"PYTHONUNBUFFERED": …}, or',
    "A='x y' B=2 server": 'env={"A": …}',
    "cd /tmp && server": "write cwd=, or shell=True",
    "source venv/bin/activate": "write env=, or shell=True",
    ". ./env.sh; server": "begins with '.'",
    "exec server --port {port}": "write the command without it",
    "export A=1": "write env=, or shell=True",
    "ulimit -n 10": "write shell=True",
    "(cd /tmp; server)": "begins with '('",
    "{ server; }": "begins with '{'",
    "if true; then server; fi": "begins with 'if'",
    "migrate && server": "has '&&'",
    "migrate || server": "has '||'",
    "server | tee log": "has '|'",
    "server |& tee log": "has '|&'",
    "migrate ; server": "has ';'",
    "migrate; server": "has ';'",
    "server &": "has '&', which only a shell understands, and it runs in the background anyway",
    "server --port 1&": "has '&'",
    "server > log": "has '>', which only a shell understands, and output() has what it writes",
    "server >log": "has '>log'",
    "server >> log": "has '>>'",
    "server 2>&1": "has '2>&1'",
    "server 2>/dev/null": "has '2>/dev/null'",
    'server >"a b"': "has '>…'",
    "server &>log": "has '&>log'",
    "server < input": "has '<'",
    "server <<EOF": "has '<<EOF'",
    "server --pid $(cat pid)": "has '$('",
    "server --pid `cat pid`": "has '`'",
    "server --dir $HOME": "has $HOME, which only a shell fills in",
    "server --dir=${HOME}/data": "has ${HOME}",
    "server --port $SERVER_PORT": "has $SERVER_PORT",
    "server -p$SERVER_PORT.": "has $SERVER_PORT",
    "migrate&&server": "has '&&'",
    "diff <(sort a) b": "has '<(sort'",
    "server --config=<(cat a)": "has '<('",
}
#: commands that only look as if they were for a shell
FOR_NONE = [
    "bash -c 'cd /tmp && exec server >log 2>&1 &'",
    'bash -c "echo $HOME; sleep 1"',
    "awk -F '|' '{print $1}'",
    "awk -F \\| x",
    "find . -exec rm {} \\;",
    "find . -exec rm {} ';'",
    "grep 'a && b' \"x > y\"",
    "curl http://localhost/?a=1&b=2",
    "pip install foo>=1 bar<2",
    "server --filter a|b --format %h;%p",
    "server --from <me@example.org>",
    'server {"port":{port}} {1..5} {} ${port} $1 $ref',
    "echo cd",
    "test -f x",
    "env A=1 server",
    "server A=1 --opt=B=2",
    "/opt/a=b/server",
    "./a=b",
    "'A=1' x",
    "server --hash $6$SALT$abcDEF",
]


class TestCommands:
    @pytest.mark.parametrize("command, words", FOR_A_SHELL.items(), ids=FOR_A_SHELL)
    def test_for_a_shell(self, command: str, words: str) -> None:
        """Refused where it is declared, with what to write instead; with a shell it is fine."""
        with pytest.raises(InvalidArgument) as caught:
            SimpleExecutor(command, name="web")
        assert str(caught.value).startswith("web: command= ") and words in str(caught.value)
        assert "shell=True" in str(caught.value)
        with pytest.raises(InvalidArgument, match=r'probe=\["sh", "-c", "…"\]'):
            CommandCoordinatedExecutor("server", command)
        SimpleExecutor(command, shell=True)

    @pytest.mark.parametrize("command", FOR_NONE)
    def test_for_none(self, command: str) -> None:
        """Operators mean nothing in quotes, or as a part of a word."""
        assert list(command_of(SimpleExecutor(command))) == shlex.split(command)

    def test_lines(self) -> None:
        """A backslash takes away the end of a line; what is in quotes stays."""
        command = "server --bind a \\\n  --log \\\n 'b \\\n c' d\\\\ e"
        words = ("server", "--bind", "a", "--log", "b \\\n c", "d\\", "e")
        assert command_of(SimpleExecutor(command)) == words

    def test_sequences(self) -> None:
        """Of a sequence only the first word is judged: the others were given one by one."""
        SimpleExecutor(["grep", "|", "&&", ">x", "$HOME", ";"])
        for word in ("A=1", "cd", "exec"):
            with pytest.raises(InvalidArgument, match="command= begins with"):
                SimpleExecutor([word, "x"])

    def test_a_value_is_not_shown(self) -> None:
        """Neither the label nor the sentence has the value of a variable."""
        for command in ("A='x y' PASSWORD=hidden server", " PASSWORD=hid'den x' server -v"):
            with pytest.raises(InvalidArgument) as caught:
                SimpleExecutor(command)
            assert "hid" not in str(caught.value)
            assert "PASSWORD=… server" in str(caught.value)
        with pytest.raises(InvalidArgument) as caught:
            SimpleExecutor(["A=1", "PASSWORD=hid den", "server", "C=3"])
        assert "'A=… PASSWORD=… server C=3'" in str(caught.value)

    def test_without_values(self) -> None:
        """Only values that are set in front of the command are left out."""
        assert without_values("A=1 B='x y'z server C=3") == "A=… B=… server C=3"
        assert without_values("server C=3") == "server C=3"

    @given(st.text("a='\"\\ \t\n|$&;>"))
    @example("a\\")
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_words_are_those_of_shlex(self, command: str) -> None:
        """Taking quotes into account gives as many words as splitting does."""
        try:
            words = shlex.split(command)
        except ValueError:
            return
        assert len(_unquoted(command)) == len(words)


class TestVariables:
    @pytest.mark.parametrize(
        "value, found",
        {
            "/x:$PATH": "$PATH",
            "$PATH": "$PATH",
            "${PATH}:/x": "${PATH}",
            "a${PATH}b": "${PATH}",
            "x $known y": "$known",
            "/a/$NOT_SET/b": "$NOT_SET",
            "--dir=$NOT_SET": "$NOT_SET",
            "": None,
            "pa$$word": None,
            "pa$WORD9x": None,
            "$2b$12$EIXabcDEFghi": None,
            "$argon2id$v=19$m=65536$AbC": None,
            "$6$SALT$hash": None,
            '{"$ref": "#/x", "$schema": 1}': None,
            "\\$PATH": None,
            "$1 $@ $_ $": None,
            "${port}": None,
            "${db.host}": None,
        }.items(),
    )
    def test_variables(self, value: str, found: str | None) -> None:
        """A name is meant for a shell if there is such a variable, or it stands alone."""
        assert variable(value, {"PATH", "known", "_"}) == found

    def test_in_env(self) -> None:
        """Refused with its name and where it is, never with the value around it."""
        for value in ("hidden:$PATH", "hidden ${HOME}", "/hidden/$SELF"):
            with pytest.raises(InvalidArgument, match=r"web: env= has \$\{?\w+\}? in 'SELF'") as e:
                SimpleExecutor("x", name="web", env={"SELF": value})
            assert "hidden" not in str(e.value) and "os.environ[" in str(e.value)
