"""What holds for every test: correctness never depends on the speed of the machine."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ringline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ringline")


@pytest.fixture
def bytes_held() -> Callable[[object], int]:
    """Returns the memory of an object and of all that it holds on to, code and classes apart."""
    return _bytes_held


def _bytes_held(root: object) -> int:
    seen = {id(root)}
    waiting = deque([root])
    total = 0
    while waiting:
        one = waiting.popleft()
        total += sys.getsizeof(one)
        for other in gc.get_referents(one):
            if id(other) in seen or isinstance(
                other, type | ModuleType | FunctionType | BuiltinFunctionType
            ):
                continue
            seen.add(id(other))
            waiting.append(other)
    return total
