"""Serves the site of a project, as a program of its own: HOST PORT."""

from __future__ import annotations

import sys

import django
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import get_internal_wsgi_application, run


def main(host: str, port: int) -> None:
    """Serve until the process is ended."""
    from django.conf import settings

    django.setup()
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, host, "localhost"]
    application = get_internal_wsgi_application()
    if settings.STATIC_URL:
        application = StaticFilesHandler(application)
    run(host, port, application, threading=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
