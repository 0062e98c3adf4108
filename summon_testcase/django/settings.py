"""What settings say of services.  Nothing is started here, and Django is not imported.

Each service gets its port at once, so that its address is known from the beginning: to what the
settings make of it, and to clients that modules of the project make when they are imported.
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidArgument, NotRunning
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..services.database_server import DatabaseServer
from ..tracebacks import boundary, hidden
from .project import project

__tracebackhide__ = hidden

#: the backend of Django for a kind of server, by how its URLs begin
_ENGINES = {
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
}


class UnderTest(dict[str, Any]):
    """What is under ``TEST`` of a database.

    Django reads it when it sets up test databases, and at no other time. So this is where services
    start under each runner, also if it is none of ours.
    """

    #: the name of the service, and that of its database where no tests run
    service = declared = ""

    def __getitem__(self, key: str) -> Any:
        project.begin()
        return super().__getitem__(key)


@boundary
def database(service: SimpleExecutor, **settings: Any) -> dict[str, Any]:
    """Make an entry of ``DATABASES`` from a service, which starts when test databases are set up.

    :param service: ``PostgreSQL()`` or ``MariaDB()``; or any executor with a port, if ``settings``
        tell the rest.
    :param settings: more of what Django takes, such as ``CONN_MAX_AGE=60``, and other values in
        place of ours: ``NAME``, ``ENGINE`` and so on. ``HOST`` and ``PORT`` are the service's.
    :returns: the entry.
    :raises InvalidArgument: for what is no service with a database, for ``HOST`` or ``PORT``, and
        for ``reset=``, since Django empties its test database itself.
    """
    _refuse_others("database", service)
    ours = {}
    if isinstance(service, DatabaseServer):
        engine = _ENGINES[service._scheme]
        ours = {"ENGINE": engine, "NAME": service._database, "USER": service._user}
    if missing := {"ENGINE", "NAME"} - {*ours, *settings}:
        wanted = " and ".join(f"{name}=" for name in sorted(missing))
        raise InvalidArgument(
            f"database(): {service} is no database server that is known here: write PostgreSQL() "
            f"or MariaDB(), or {wanted}, too; what is no database has an address: url(…)"
        )
    if given := sorted({"HOST", "PORT"} & set(settings)):
        raise InvalidArgument(
            f"database(): {given[0]}= is the service's own: leave it out, or give host= and port= "
            "to the service"
        )
    if service._can_reset():
        raise InvalidArgument(
            "database(): reset= of a service would empty its database beside Django, which does "
            "that for its test database itself: leave it out"
        )
    test = settings.get("TEST", {})
    if not isinstance(test, dict):
        raise InvalidArgument(f'database(): TEST={test!r}: write a dict, such as {{"NAME": "x"}}')
    name = project.add(service, is_database=True)
    here = {"HOST": service.host, "PORT": str(service.port), "NAMES": {}}
    place = dict(project.told().get(name, here))
    names = place.pop("NAMES")
    found = {**ours, **settings, **place, "TEST": UnderTest(test)}
    found["TEST"].service, found["TEST"].declared = name, found["NAME"]
    found["NAME"] = names.get(found["NAME"], found["NAME"])
    return found


@boundary
def url(service: SimpleExecutor) -> str:
    """The address of a service, for settings such as ``CACHES`` and ``CELERY_BROKER_URL``.

    The service starts when test databases are set up, or under pytest with the first test. Each
    worker of ``--parallel`` has one of its own.

    :param service: ``Redis()``, ``RabbitMQ()``, or any other executor with a port.
    :returns: its ``url``.
    :raises InvalidArgument: for what is no service, or has no address before its start.
    """
    _refuse_others("url", service)
    name = project.add(service)
    try:
        return str(project.told().get(name) or service.url)
    except NotRunning as error:
        let_through(error)
        raise InvalidArgument(
            f"url(): {name} has no address before its start: write a service that has one, or "
            "what you know of it yourself"
        ) from None


def _refuse_others(function: str, service: object) -> None:
    if not isinstance(service, SimpleExecutor):
        example = "PostgreSQL()" if function == "database" else "Redis()"
        raise InvalidArgument(
            f"{function}(): {service!r} is no service: write an executor, such as {example}"
        )
    if service._shared:
        raise InvalidArgument(
            f"{function}(): shared=True has no meaning here, since the address of the service is "
            "written into settings before it is known who has started it: leave it out"
        )
