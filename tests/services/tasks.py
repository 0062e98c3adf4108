"""What a Celery worker does in tests."""

from __future__ import annotations

import os
from typing import Any


def make_app() -> Any:
    """An application at the broker that the environment names, or at one in its own memory."""
    import celery

    url = os.environ.get("REDIS_URL")
    made = celery.Celery("tasks", broker=url or "memory://", backend=url)

    @made.task(name="double")  # type: ignore[untyped-decorator]
    def double(number: int) -> int:
        return 2 * number

    return made


app = make_app()
