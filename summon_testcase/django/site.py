"""Serves the site of a project, as a program of its own: HOST PORT."""

from __future__ import annotations

import logging
import sys
import warnings

import django
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import get_internal_wsgi_application, run
from django.utils.log import RequireDebugTrue

_MAIL = "django.core.mail.backends.{}.EmailBackend"
_CONSOLE = _MAIL.format("console")
#: backends that send no mail
_HARMLESS = {_MAIL.format(name) for name in ("console", "dummy", "filebased", "locmem")}


def main(host: str, port: int) -> None:
    """Serve until the process is ended."""
    from django.conf import settings

    django.setup()
    # as a test runner of Django does in its own process
    settings.DEBUG = False
    _have_mail_written()
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, host, "localhost"]
    application = get_internal_wsgi_application()
    if settings.STATIC_URL:
        application = StaticFilesHandler(application)
    _have_errors_told()  # making the application has set up logging anew
    run(host, port, application, threading=True)


def _have_mail_written() -> None:
    """Have mail appear in the output of the site, unless the settings send none."""
    from django.conf import settings

    if hasattr(settings, "MAILERS"):  # from Django 6.1 on
        settings.MAILERS = {
            alias: entry if entry.get("BACKEND") in _HARMLESS else {"BACKEND": _CONSOLE}
            for alias, entry in settings.MAILERS.items()
        }
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Django 6.1 warns of the setting, and that may be an error
        if settings.EMAIL_BACKEND not in _HARMLESS:
            settings.EMAIL_BACKEND = _CONSOLE


def _have_errors_told() -> None:
    """Have Django log to the console though ``DEBUG`` is off: reports are to have tracebacks."""
    for handler in logging.getLogger("django").handlers:
        handler.filters = [f for f in handler.filters if not isinstance(f, RequireDebugTrue)]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
