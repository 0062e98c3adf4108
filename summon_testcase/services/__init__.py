"""Ready-made services: what a server needs to be told, a file for each.

None is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asgi import ASGI as ASGI
    from .celery import Celery as Celery
    from .chromedriver import Chromedriver as Chromedriver
    from .mariadb import MariaDB as MariaDB
    from .memcached import Memcached as Memcached
    from .mosquitto import Mosquitto as Mosquitto
    from .moto import Moto as Moto
    from .nats import NATS as NATS
    from .nginx import Nginx as Nginx
    from .postgresql import PostgreSQL as PostgreSQL
    from .rabbitmq import RabbitMQ as RabbitMQ
    from .redis import Redis as Redis
    from .smtp import SMTP as SMTP
    from .ssh import SSH as SSH
    from .tcp_proxy import TCPProxy as TCPProxy
    from .wsgi import WSGI as WSGI
    from .xvfb import Xvfb as Xvfb

_MODULES = {
    "ASGI": "asgi",
    "Celery": "celery",
    "Chromedriver": "chromedriver",
    "MariaDB": "mariadb",
    "Memcached": "memcached",
    "Mosquitto": "mosquitto",
    "Moto": "moto",
    "NATS": "nats",
    "Nginx": "nginx",
    "PostgreSQL": "postgresql",
    "RabbitMQ": "rabbitmq",
    "Redis": "redis",
    "SMTP": "smtp",
    "SSH": "ssh",
    "TCPProxy": "tcp_proxy",
    "WSGI": "wsgi",
    "Xvfb": "xvfb",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
