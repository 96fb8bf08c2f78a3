from __future__ import annotations

import pytest

from ringline.signaling.origin import check_origin, host_without_port, origin_allowed


def test_programs_send_no_origin_and_are_let_in() -> None:
    assert origin_allowed(None, "calls.example")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://calls.example", True),
        ("http://calls.example", True),
        ("https://CALLS.example", True),
        ("https://calls.example:8443", False),
        ("https://calls.example.evil.test", False),
        ("https://evil.test", False),
        ("https://app.example", True),
        ("https://app.example:1", False),
        ("null", False),
        ("", False),
        ("file://calls.example", False),
        ("https://[", False),
    ],
)
def test_pages_must_be_ours_or_named(origin: str, *, allowed: bool) -> None:
    assert origin_allowed(origin, "calls.example", ("https://app.example",)) is allowed


def test_without_host_only_named_pages_are_let_in() -> None:
    assert not origin_allowed("https://calls.example", None)
    assert origin_allowed("https://app.example", None, ("https://app.example",))


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("calls.example", "calls.example"),
        ("calls.example:8080", "calls.example"),
        ("192.0.2.7:8080", "192.0.2.7"),
        ("[2001:db8::1]:8080", "2001:db8::1"),
        ("0.0.0.0:8080", None),
        ("[::]:8080", None),
        ("a b", None),
        ("evil?x=", None),
        ("", None),
        (None, None),
    ],
)
def test_the_host_that_a_client_reached(header: str | None, host: str | None) -> None:
    assert host_without_port(header) == host


@pytest.mark.parametrize(
    "origin", ["https://app.example", "http://localhost:8080", "http://[2001:db8::1]:1", "app://x"]
)
def test_an_origin_as_browsers_send_it_may_be_allowed(origin: str) -> None:
    check_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "banana",
        "null",
        "app.example",
        "https://app.example/",
        "https://App.example",
        "https://you@app.example",
        "https://app.example:no",
        "https://[",
        "//app.example",
    ],
)
def test_what_would_match_nothing_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        check_origin(origin)
