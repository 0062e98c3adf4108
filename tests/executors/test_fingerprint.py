"""Two processes find out whether they have declared the same service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from summon_testcase import (
    HTTPCoordinatedExecutor,
    PostgreSQL,
    SimpleExecutor,
    TCPCoordinatedExecutor,
)
from summon_testcase.executors.fingerprint import differences, fingerprint

KEY = b"key"


def of(executor: SimpleExecutor) -> dict[str, str]:
    return fingerprint(executor, KEY)


def declared(**options: object) -> dict[str, str]:
    return of(TCPCoordinatedExecutor("server {port}", name="s", **options))


def ready(executor: object) -> bool:
    return bool(executor)


def test_equal_declarations_have_no_difference() -> None:
    other = SimpleExecutor("other", name="other")
    again = SimpleExecutor("other", name="other")
    assert differences(
        declared(
            env={"A": "1", "B": "2"}, until=ready, after=[other], fails_on=[re.compile("a", re.I)]
        ),
        declared(
            env={"B": "2", "A": "1"}, until=ready, after=[again], fails_on=[re.compile("a", re.I)]
        ),
    ) == []  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"env": {"A": "1"}},
        {"cwd": "/"},
        {"stop_signal": 2},
        {"until": ready},
        {"fails_on": "panic"},
        {"stdin": None},
        {"port": 4711},
        {"files": {"server.conf": "listen {port}"}},
        {"foreign_listener": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_an_argument_that_differs_is_named(options: dict[str, object]) -> None:
    assert differences(declared(), declared(**options)) == list(options)


def test_what_only_tests_wait_for_makes_no_difference() -> None:
    patient = declared(timeout=3, restart=2, optional=True, scope="run", shared=True)
    assert differences(declared(), patient) == []


def test_commands_classes_and_requests() -> None:
    other = of(TCPCoordinatedExecutor("other {port}", name="s"))
    assert differences(declared(), other) == ["command"]
    simple = of(SimpleExecutor("server {port}", name="s"))
    assert "class" in differences(declared(), simple)
    get, head = (
        of(HTTPCoordinatedExecutor("server {port}", "http://{host}:{port}/", method=method))
        for method in ("GET", "HEAD")
    )
    assert differences(get, head) == ["method"]


def test_the_text_of_a_file_counts(tmp_path: Path) -> None:
    config, schema = tmp_path / "server.conf", tmp_path / "schema.sql"

    def both() -> list[dict[str, str]]:
        return [declared(files={"server.conf": config}), of(PostgreSQL(template=schema))]

    config.write_text("a")
    schema.write_text("select 1")
    before = both()
    assert list(map(differences, before, both())) == [[], []]
    config.write_text("b")
    schema.write_text("select 2")
    assert list(map(differences, before, both())) == [["files"], ["template"]]


def test_no_value_can_be_seen_or_guessed() -> None:
    secret = declared(env={"A": "secret"})
    assert "secret" not in str(secret)
    executor = TCPCoordinatedExecutor("server {port}", name="s", env={"A": "secret"})
    assert fingerprint(executor, b"other")["env"] != secret["env"]
