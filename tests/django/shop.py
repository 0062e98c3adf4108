"""A project of Django, with tests of its own, that tests here run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ..needs import give_up
from ..samples import BARE, ROOT, eventually, processes_with

FILES = {
    "manage.py": """
import multiprocessing, os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
if __name__ == "__main__":
    if "SPAWN" in os.environ:
        multiprocessing.set_start_method("spawn")
    execute_from_command_line(sys.argv)
""",
    "settings.py": """
import os
import sys
from summon_testcase.django import database, url
from summon_testcase.services import PostgreSQL, Redis

SECRET_KEY = "no secret"
USE_TZ = True
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "shop.urls"
server = PostgreSQL(bindir=os.environ.get("BINDIR"), restart="MORTAL" not in os.environ)
DATABASES = {"default": database(server, NAME="shop")}
if "manage.py" in sys.argv[0]:  # pytest-django starts all databases
    DATABASES["unused"] = database(PostgreSQL(bindir="/nowhere"))
redis = Redis(reset=True, program=os.environ.get("REDIS"))
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [url(redis)],
    },
}
CELERY_BROKER_URL = url(redis)
PLACE = {"where": ("redis", redis.host, redis.port)}
TEST_RUNNER = os.environ.get("RUNNER", "summon_testcase.django.Runner")
""",
    "shop/__init__.py": "",
    "shop/models.py": """
from django.db import models

class Plum(models.Model):
    name = models.CharField(max_length=80)
""",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Plum", [
            ("id", models.BigAutoField(
                auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("name", models.CharField(max_length=80)),
        ]),
    ]
""",
    "shop/urls.py": """
from django.http import HttpResponse
from django.urls import path
from .models import Plum

def count(request):
    return HttpResponse(f"{Plum.objects.count()} plums")

urlpatterns = [path("", count)]
""",
    # each test must find nothing, and leaves something
    "shop/fresh.py": """
from django.core.cache import cache
from .models import Plum

def used(database=True):
    assert cache.get("plums") is None
    cache.set("plums", 1)
    if database:
        assert Plum.objects.count() == 0
        Plum.objects.create(name="Victoria")
""",
}


class Shop:
    """The project in a directory, and how its commands are run.

    :param path: the directory.
    :param place: another one, empty, for the temporary files of its commands.
    """

    def __init__(self, path: Path, place: Path) -> None:
        self.path, self.place = path, place
        for name, text in FILES.items():
            (path / name).parent.mkdir(exist_ok=True, parents=True)
            (path / name).write_text(text)

    def write(self, name: str, text: str) -> None:
        """Add a file."""
        (self.path / name).write_text(text)

    def append(self, name: str, text: str) -> None:
        """Add lines at the end of a file."""
        self.write(name, (self.path / name).read_text() + text)

    def run(self, *words: str, status: int = 0, **environment: str) -> str:
        """What a command of Python prints, under the strictest settings; nothing is left of it."""
        foreign = ("PYTEST", "DJANGO", "CI", "SUMMON_REPORT")
        others = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", *words],
            cwd=self.path,
            env={
                **others,
                "PYTHONPATH": ROOT,
                # what PostgreSQL has made for one of them serves the others
                "SUMMON_CACHE_DIR": tempfile.gettempdir(),
                "TMPDIR": str(self.place),
                # output and errors are one pipe, in the order in which they are written
                "PYTHONUNBUFFERED": "1",
                **BARE,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stdout
        assert "ResourceWarning" not in done.stdout and "Exception ignored" not in done.stdout, (
            done.stdout
        )
        eventually(lambda: not processes_with(str(self.place)), "its processes are gone")
        return done.stdout

    def test(self, *words: str, status: int = 0, **environment: str) -> str:
        """What ``manage.py test`` prints."""
        return self.run("manage.py", "test", *words, status=status, **environment)

    def pytest(self, *words: str, status: int = 0, **environment: str) -> str:
        """What pytest prints, with pytest-django and our plugin."""
        if importlib.util.find_spec("pytest_django") is None:
            give_up("pytest-django is not installed")
        plugins = ("-p", "pytest_django.plugin", "-p", "_summon_pytest", "-p", "no:cacheprovider")
        environment["DJANGO_SETTINGS_MODULE"] = "settings"
        return self.run("-m", "pytest", *plugins, *words, status=status, **environment)
