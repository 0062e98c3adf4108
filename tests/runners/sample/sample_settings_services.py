"""The same settings, with a service for a database, and with our Runner."""

from sample_settings import *  # noqa: F403 (all that this one does not say)

from summon_testcase.django import database
from summon_testcase.services import PostgreSQL

DATABASES = {"default": database(PostgreSQL(), NAME="sample")}
TEST_RUNNER = "summon_testcase.django.Runner"
