"""The settings for tests, which bring a database server with them."""

from settings import *  # noqa: F403 (all of production's, but for these)

from summon_testcase.django import database
from summon_testcase.services import PostgreSQL

DATABASES = {"default": database(PostgreSQL(), NAME="guestbook")}
TEST_RUNNER = "summon_testcase.django.Runner"
