"""The variables by which a command finds services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def variables(
    services: Mapping[str, Mapping[str, Any]], env: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """What clients of some services read, and ``SUMMON_<NAME>_URL``, ``_HOST`` and ``_PORT``.

    :param services: for each service what its stack tells of it.
    :param env: for each service what its ``env()`` says.
    """
    found: dict[str, str] = {}
    for name, facts in services.items():
        found |= env.get(name, {})
        upper = re.sub(r"\W", "_", name).upper()
        for fact in ("url", "host", "port"):
            if fact in facts:
                found[f"SUMMON_{upper}_{fact.upper()}"] = str(facts[fact])
    return found
