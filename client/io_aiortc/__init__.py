"""The way to the other side: ICE, DTLS-SRTP and SCTP, out of the parts of aiortc and aioice.

::

    send ──> SRTP ──┐                     ┌── host socket ───────────┐
    data channel ─> SCTP ─> DTLS ─> path ─┤                          ├──> network
                                          └── TURN channel ──────────┘
    on_media <── SRTP <── first byte, source known? (RFC 7983) <── any socket of any generation

Nothing else in the project imports aiortc and aioice.  What is theirs here: STUN
messages, candidates, the authentication of checks, mDNS names, the TURN client's transactions;
certificates, the DTLS handshake, SCTP and data channels; the SDP grammar.  What is ours, because
theirs starts slowly, waits for dead servers and gives up a living path: gathering, the check
list (:mod:`.check_list`), consent, ICE restarts, and the road of a media packet, which passes
no queue and no task.

An ICE restart makes a new *generation*: credentials, sockets and checks of its own, under the
same DTLS association.  The newest generation with a working pair carries what is sent; what
arrives is taken from all of them.

Read :mod:`.io_transport` first, then :mod:`.io_generation` (ICE) with :mod:`.io_gather` and
:mod:`.io_sockets` and :mod:`.io_relay` (TURN), :mod:`.io_dtls`, :mod:`.io_channels`.  Every name
starts with ``io_``: nothing here can be had without sockets.

Invariants:

1. Nothing that arrives, and no error of a socket, raises to the caller: it is counted in
   :attr:`PeerTransport.dropped`.
2. Only from an address that passed an authenticated check does anything but STUN get further
   than the first byte.
3. Everything that waits is bounded.
4. Only :meth:`PeerTransport.close` and the other side's goodbye end a transport.
"""

from __future__ import annotations

from typing import Final

from ringline.client.io_aiortc.io_gather import local_addresses
from ringline.client.io_aiortc.io_sdp import rtc_parameters, rtc_sdp
from ringline.client.io_aiortc.io_transport import PeerTransport
from ringline.client.transport import (
    CandidateFound,
    CandidatesComplete,
    ChannelOpened,
    DataChannel,
    IceServer,
    LocalTransportParameters,
    NetworkChanged,
    Path,
    PathChanged,
    RemoteTransportParameters,
    TransportConfig,
    TransportEvent,
    TransportState,
    TransportStateChanged,
)

__all__ = [
    "BORROWED",
    "CandidateFound",
    "CandidatesComplete",
    "ChannelOpened",
    "DataChannel",
    "IceServer",
    "LocalTransportParameters",
    "NetworkChanged",
    "Path",
    "PathChanged",
    "PeerTransport",
    "RemoteTransportParameters",
    "TransportConfig",
    "TransportEvent",
    "TransportState",
    "TransportStateChanged",
    "local_addresses",
    "rtc_parameters",
    "rtc_sdp",
]

BORROWED: Final[tuple[tuple[str, str, str], ...]] = (
    # Whose, which name, what for.  tests/test_aiortc_contract.py holds each against the
    # installed version.  Public names are here where their signature is relied on.
    ("aioice.Connection", "_add_remote_candidate", "validates, upgrades peer-reflexive ones"),
    ("aioice.Connection", "_pair_remote_candidate", "overridden: pairs go to our check list"),
    ("aioice.Connection", "sort_check_list", "overridden: our list sorts itself"),
    ("aioice.Connection", "request_received", "authenticates checks, settles role conflicts"),
    ("aioice.Connection", "check_incoming", "overridden: checks go to our check list"),
    ("aioice.Connection", "switch_role", "overridden: tells our check list"),
    ("aioice.Connection", "_protocols", "the sockets that remote candidates pair with"),
    ("aioice.Connection", "_remote_candidates", "to bound and to find them"),
    ("aioice.Connection", "_early_checks", "checks that came before the remote password"),
    ("aioice.Connection", "_early_checks_done", "ends their being kept"),
    ("aioice.Connection", "_tie_breaker", "of role conflicts"),
    ("aioice.Connection", "_closing", "ends the answering of checks"),
    ("aioice.Candidate", "_network_host", "the address behind an mDNS name"),
    ("aioice.ice", "candidate_pair_priority", "RFC 8445 §6.1.2.3"),
    ("aioice.ice", "get_host_addresses", "of this machine"),
    ("aioice.ice", "unref_mdns_protocol", "lets go of the shared mDNS socket"),
    ("aioice.turn.TurnClientUdpProtocol", "_send", "a message to the server"),
    ("aioice.turn.TurnClientTcpProtocol", "_send", "likewise, padded"),
    ("aioice.turn.TurnClientUdpProtocol", "channel_bind", "one transaction"),
    ("aioice.turn.TurnClientUdpProtocol", "channel_to_peer", "which peer a channel is"),
    ("aioice.turn.TurnClientUdpProtocol", "peer_to_channel", "whose data is let in"),
    ("aioice.turn.TurnClientUdpProtocol", "receiver", "who is told of data"),
    ("aioice.turn.TurnClientUdpProtocol", "delete", "ends the allocation"),
    ("aioice.turn.TurnClientUdpProtocol", "refresh", "overridden: the upkeep is ours"),
    ("aioice.turn.TurnClientUdpProtocol", "request_with_retry", "one transaction, stale nonce too"),
    ("aioice.stun", "ATTRIBUTES_BY_TYPE", "taught what a drain needs"),
    ("aioice.stun", "ATTRIBUTES_BY_NAME", "likewise"),
    ("aiortc.RTCCertificate", "_create_ssl_context", "called by RTCDtlsTransport.start"),
    ("aiortc.RTCDtlsTransport", "_recv_next", "asks its ICE transport for _recv"),
    ("aiortc.RTCDtlsTransport", "_write_ssl", "gives its ICE transport what to _send"),
    ("aiortc.RTCDtlsTransport", "_set_role", "client or server, as negotiated"),
    ("aiortc.RTCDtlsTransport", "_srtp_profiles", "ours, in our order"),
    ("aiortc.RTCDtlsTransport", "_rx_srtp", "the keys of what arrives"),
    ("aiortc.RTCDtlsTransport", "_tx_srtp", "the keys of what is sent"),
    ("aiortc.RTCDtlsTransport", "_task", "to see its end"),
    ("aiortc.RTCSctpTransport", "_handle_data", "overridden: malformed chunks are dropped"),
    ("aiortc.RTCSctpTransport", "_receive_data_chunk", "overridden: bounds what is kept"),
    ("aiortc.RTCSctpTransport", "_data_channel_receive", "overridden: bounds the channels"),
    ("aiortc.RTCSctpTransport", "_update_rto", "overridden: retries sooner than after 1 s"),
    ("aiortc.RTCSctpTransport", "_rto", "likewise"),
    ("aiortc.RTCSctpTransport", "_srtt", "likewise"),
    ("aiortc.RTCSctpTransport", "_rttvar", "likewise"),
    ("aiortc.RTCSctpTransport", "_advertised_rwnd", "what may still be kept"),
    ("aiortc.RTCSctpTransport", "_data_channels", "to count them"),
)
