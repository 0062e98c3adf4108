"""The project that tests here run."""

from pathlib import Path

import pytest

from ..needs import find
from .shop import Shop


@pytest.fixture
def shop(tmp_path: Path, place: Path) -> Shop:
    """A project of Django on PostgreSQL and Redis."""
    find("postgres", "postgresql")
    find("redis-server")
    return Shop(tmp_path, place)
