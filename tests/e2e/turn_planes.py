"""Both data planes pass the same tests: which of the two a test is about."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

__all__ = ["data_plane", "each_data_plane"]

_IS_BUILT = importlib.util.find_spec("ringline.turn._relay") is not None
_current = ["auto"]


def data_plane() -> str:
    """Return what a test's servers are to be configured with."""
    return _current[0]


@pytest.fixture(
    params=[
        "python",
        pytest.param(
            "compiled",
            marks=pytest.mark.skipif(not _IS_BUILT, reason="the compiled data plane was not built"),
        ),
    ]
)
def each_data_plane(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test once with each."""
    _current[0] = request.param
    yield
    _current[0] = "auto"
