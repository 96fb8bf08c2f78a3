"""Makes namespaces for the tests of this folder, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from ringline.media.simulate.profile import NetworkProfile
from tests.netns.namespaces import Internet, Nat, remove_leftovers, why_impossible

_why_impossible = cache(why_impossible)


@pytest.fixture
def build_internet() -> Iterator[Callable[..., Internet]]:
    """Return a function with the arguments of ``Internet``; what it built ends with the test."""
    reason = _why_impossible()
    if reason is not None:
        pytest.skip(reason)
    remove_leftovers()
    with ExitStack() as stack:

        def build(
            first: Nat = "none",
            second: Nat = "none",
            *,
            first_link: NetworkProfile | None = None,
            second_link: NetworkProfile | None = None,
        ) -> Internet:
            return stack.enter_context(
                Internet(first, second, first_link=first_link, second_link=second_link)
            )

        yield build
