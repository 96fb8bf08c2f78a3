from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.signaling.authenticate import authenticate_by_name
from ringline.signaling.call import MintedServers
from ringline.signaling.config import ServerConfig
from ringline.signaling.errors import ParseError, TokenError
from ringline.signaling.hub import Hub
from ringline.signaling.messages import (
    CallAccept,
    Candidate,
    ClientMessage,
    Description,
    IceCandidates,
    MediaKinds,
    ServerMessage,
)
from ringline.signaling.origin import host_without_port, origin_allowed
from ringline.signaling.tokens import TokenKeys, verify_token
from ringline.signaling.wire import WireFormat

WIRE = WireFormat()
CALL = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
TAGS = sorted(
    {str(kind.__struct_config__.tag) for kind in (*ClientMessage.__args__, *ServerMessage.__args__)}
)
FIELDS = [
    "call",
    "to",
    "offer",
    "answer",
    "sdp",
    "gen",
    "list",
    "end",
    "tracks",
    "seq",
    "ack",
    "id",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), children, max_size=3)
    ),
    max_leaves=8,
)
FRAMES = st.one_of(
    st.text(max_size=64),
    st.builds(
        lambda tag, fields: json.dumps({"call": CALL, **fields, "t": tag}),
        st.sampled_from(TAGS),
        st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5),
    ),
    st.builds(json.dumps, JSON),
)


@given(FRAMES | st.binary(max_size=64))
def test_parsers_raise_nothing_but_parse_errors(frame: str | bytes) -> None:
    for parse in (WIRE.parse_client_message, WIRE.parse_server_message):
        try:
            message = parse(frame)
        except ParseError:
            continue
        assert parse(WIRE.encode(message)) == message


@given(st.lists(FRAMES, max_size=12))
def test_no_message_ends_the_server(frames: list[str]) -> None:
    hub = Hub(
        ServerConfig(dev=True),
        authenticate=authenticate_by_name,
        mint_ice_servers=lambda _user, _call, _host: MintedServers(),
    )
    number = hub.handle_open("h", 0.0)
    assert number is not None
    hub.handle_text(number, '{"t":"hello","name":"ann","device":"1"}', 0.0)
    for frame in frames:
        hub.handle_text(number, frame, 0.0)
        while hub.poll_transmit() is not None:
            pass
    hub.handle_closed(number, None, 0.0)
    hub.handle_timeout(1000.0)
    assert hub.session_count == 0


@given(
    st.text(min_size=1, max_size=64),
    st.integers(0, 65_535),
    st.booleans(),
    st.lists(st.text(max_size=32), max_size=5),
)
def test_what_is_encoded_comes_back(sdp: str, gen: int, video: bool, candidates: list[str]) -> None:
    for message in (
        CallAccept(call=CALL, media=MediaKinds(video=video), answer=Description(sdp=sdp, gen=gen)),
        IceCandidates(
            call=CALL, gen=gen, candidates=tuple(Candidate(candidate=c) for c in candidates)
        ),
    ):
        try:
            data = WIRE.encode(message)
        except UnicodeEncodeError:  # a lone surrogate is no text
            continue
        assert WIRE.parse_client_message(data) == message
        assert WIRE.parse_server_message(data) == message


@given(st.text(max_size=40), st.text(max_size=40))
def test_headers_are_never_a_crash(origin: str, host: str) -> None:
    origin_allowed(origin, host)
    found = host_without_port(host)
    assert found is None or found in host


@given(st.text(max_size=60) | st.from_regex(r"\A[A-Za-z0-9_-]{1,20}\.[A-Za-z0-9_-]{1,20}\.\Z"))
def test_made_up_tokens_are_refused(token: str) -> None:
    with pytest.raises(TokenError):
        verify_token(TokenKeys(keys={"1": b"k" * 32}), token, wallclock=1.8e9)
