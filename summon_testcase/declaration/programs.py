"""Finds the programs of a service, and names the Debian package of one that is missing."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import MutableMapping

from ..errors import CommandNotFound
from ..foreign import let_through
from ..tracebacks import hidden
from ..unpatched import open, os

__tracebackhide__ = hidden

#: directories of servers that are not on the PATH of a user
_SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")

#: words of the shell that may also be names of the user's programs, unlike ``cd``
_SHELL_WORDS = {
    *("bg", "bind", "break", "builtin", "command", "continue", "coproc", "exit", "fg", "getopts"),
    *("hash", "jobs", "let", "local", "logout", "mapfile", "read", "return", "select", "shift"),
    *("suspend", "type", "typeset", "wait", ":"),
}

_PACKAGES = {
    "apache2": "apache2",
    "beanstalkd": "beanstalkd",
    "celery": "celery",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "curl": "curl",
    "dnsmasq": "dnsmasq",
    "docker": "docker.io",
    "etcd": "etcd-server",
    "gunicorn": "gunicorn",
    "haproxy": "haproxy",
    "initdb": "postgresql",
    "java": "default-jre-headless",
    "lighttpd": "lighttpd",
    "mariadb": "mariadb-client",
    "mariadb-admin": "mariadb-client",
    "mariadb-install-db": "mariadb-server",
    "mariadbd": "mariadb-server",
    "memcached": "memcached",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_sub": "mosquitto-clients",
    "mysql": "default-mysql-client",
    "mysqladmin": "default-mysql-client",
    "mysqld": "mariadb-server",
    "named": "bind9",
    "nats-server": "nats-server",
    "nc": "netcat-openbsd",
    "nginx": "nginx",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "pg_ctl": "postgresql",
    "pg_isready": "postgresql-client",
    "pgbouncer": "pgbouncer",
    "php": "php-cli",
    "podman": "podman",
    "postgres": "postgresql",
    "prometheus": "prometheus",
    "psql": "postgresql-client",
    "python3": "python3",
    "rabbitmq-server": "rabbitmq-server",
    "rabbitmqctl": "rabbitmq-server",
    "redis-cli": "redis-tools",
    "redis-sentinel": "redis-sentinel",
    "redis-server": "redis-server",
    "ruby": "ruby",
    "setpriv": "util-linux",
    "slapd": "slapd",
    "socat": "socat",
    "squid": "squid",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "stunnel": "stunnel4",
    "uvicorn": "uvicorn",
    "uwsgi": "uwsgi",
    "valkey-server": "valkey-server",
    "varnishd": "varnish",
    "Xvfb": "xvfb",
}


def package_of(program: str) -> str | None:
    """The Debian package of a well-known server."""
    return _PACKAGES.get(os.path.basename(program))


def activate(env: MutableMapping[str, str]) -> None:
    """Put the virtual environment of the tests first on a PATH, as its ``activate`` does.

    If it is on the PATH already the order stays: the user may have put something in front.
    """
    if sys.prefix == sys.base_prefix:
        return
    scripts = os.path.join(sys.prefix, "bin")
    path = env.get("PATH", os.defpath)
    if env.get("VIRTUAL_ENV") != sys.prefix or scripts not in path.split(os.pathsep):
        env["PATH"] = os.pathsep.join([scripts, path])
        env["VIRTUAL_ENV"] = sys.prefix
        env.pop("PYTHONHOME", None)


def _candidates(word: str, path: str | None, cwd: str) -> list[str]:
    if os.sep in word:
        return [os.path.join(cwd, word)]
    entries = (os.defpath if path is None else path).split(os.pathsep)
    if sys.executable:
        entries.append(os.path.dirname(sys.executable))
    # relative entries start from the directory of the service
    return [os.path.join(cwd, entry, word) for entry in (*entries, *_SBIN)]


def is_program(path: str) -> bool:
    """Whether a path is a file that may be executed."""
    try:
        # access() first: most paths do not exist, and stat() would raise an exception for each;
        # by the effective user, as whoever executes it
        return os.access(path, os.X_OK, effective_ids=True) and stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError) as error:
        let_through(error)
        return False


def _refuse_without_interpreter(
    program: str, word: str, path: str | None, cwd: str, label: str, optional: bool, depth: int = 5
) -> None:
    """Refuse a script whose first line names an interpreter that is not there.

    The system's own error would say that the script itself does not exist.

    :param depth: how many interpreters that are scripts themselves the system follows.
    :raises CommandNotFound: naming the interpreter.
    """
    try:
        # unbuffered: Ctrl-C right after opening leaves one object, which closes itself
        with open(program, "rb", buffering=0) as file:
            first = file.read(256)
    except OSError as error:  # a program may be executable without being readable
        let_through(error)
        return
    line = os.fsdecode(first[2:].split(b"\n")[0]) if first[:2] == b"#!" else ""
    words = line.split()
    if not words or not depth:
        return
    asked = words[0]
    found = os.path.join(cwd, asked)
    if line.endswith("\r"):
        reason = (
            f"{word!r} begins with {'#!' + line!r}, whose line end is that of Windows, so that "
            f"{asked} does not run it: convert it, as dos2unix does"
        )
        optional = False
    else:
        reason = (
            f"{word!r} is to be run by {asked!r}, which does not exist, or may not be executed: "
            f"{_install(asked)}, or correct its first line"
        )
        if (
            os.path.basename(asked) == "env"
            and len(words) > 1
            and re.fullmatch(r"\w[\w.+-]*", words[1])
        ):
            asked = words[1]
            entries = (os.defpath if path is None else path).split(os.pathsep)
            places = (os.path.join(cwd, entry, asked) for entry in entries)
            found = next(filter(is_program, places), "")
            reason = (
                f"{word!r} is to be run by {asked!r}, which is not on the PATH: {_install(asked)}"
            )
        if is_program(found):
            # the interpreter may be a script itself
            _refuse_without_interpreter(found, asked, path, cwd, label, optional, depth - 1)
            return
    raise CommandNotFound(
        f"{label}: command not found: {reason}",
        executor=label,
        program=asked,
        package=package_of(asked),
        optional=optional,
    )


def _install(program: str) -> str:
    package = package_of(program)
    return f"install the Debian package {package}" if package else "install it"


def find_program(word: str, path: str | None, cwd: str, label: str, optional: bool = False) -> str:
    """The full path of a program: on a PATH, beside this Python, or in an sbin directory.

    shutil.which() is not used, since tests replace it.

    :param path: the PATH of the service's own environment; None if it has none.
    :param cwd: the directory that a relative path starts from.
    :param optional: whether the tests are to be skipped if there is no such program.

    :raises CommandNotFound: if there is none, or it may not be executed.
    """
    for candidate in _candidates(word, path, cwd):
        # asked here, too, since most do not exist
        if os.access(candidate, os.X_OK, effective_ids=True) and is_program(candidate):
            _refuse_without_interpreter(candidate, word, path, cwd, label, optional)
            return candidate
    package = package_of(word)
    whole, shown = os.path.join(cwd, word), word
    if os.sep not in word:
        # a file of that name which is no program; directories do not count, as for the system
        named = filter(os.path.lexists, _candidates(word, path, cwd))
        whole = shown = next((place for place in named if not os.path.isdir(place)), "")
    absent = not os.path.lexists(whole)
    if word.startswith("~"):
        reason = f"no shell fills in the {word.split(os.sep)[0]} of {word!r}: write its full path"
    elif word in _SHELL_WORDS:
        reason = f"{word!r} is no program but a word of the shell: write shell=True"
    elif absent and os.sep not in word:
        reason = f"{word!r} is not on the PATH: install it, or write its full path"
        if package:
            reason = f"{word!r} is not installed: install the Debian package {package}"
    elif absent:
        reason = f"{word!r} does not exist in {cwd}" if word[0] != "/" else f"no file {word!r}"
        if package:
            reason += f": install the Debian package {package}"
    elif os.path.isdir(whole):
        reason = f"{word!r} is a directory"
    elif not os.path.exists(whole):
        reason = f"{shown!r} is a link to {os.path.realpath(whole)}, which does not exist"
    else:
        reason = f"{shown!r} may not be executed: set its x permission, or name its interpreter"
    raise CommandNotFound(
        f"{label}: command not found: {reason}",
        executor=label,
        program=word,
        package=package,
        optional=optional and absent,
    )
