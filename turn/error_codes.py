"""Error codes: what a refused request is told (RFC 8489 §14.8, RFC 8656 §19)."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ErrorCode", "reason_phrase"]


class ErrorCode(IntEnum):
    """The number in ERROR-CODE, each with the case in which this server sends it."""

    TRY_ALTERNATE = 300
    """The server is about to stop; ALTERNATE-SERVER names the one to ask instead."""

    BAD_REQUEST = 400
    """An attribute is missing, malformed or contradicts another one."""

    UNAUTHENTICATED = 401
    """No credentials, wrong ones, or expired ones on Allocate; REALM and NONCE come along."""

    FORBIDDEN = 403
    """The peer's address is one that the policy denies, or the credential's call has ended."""

    UNKNOWN_ATTRIBUTE = 420
    """An attribute that must be understood is not; UNKNOWN-ATTRIBUTES lists it."""

    ALLOCATION_MISMATCH = 437
    """Allocate where there is an allocation already, or anything else where there is none."""

    STALE_NONCE = 438
    """The nonce is too old or was another socket's; a fresh one comes along."""

    ADDRESS_FAMILY_NOT_SUPPORTED = 440
    """The relayed address was wanted in a family that is not served here."""

    WRONG_CREDENTIALS = 441
    """The credentials are good, but the allocation was made with others."""

    UNSUPPORTED_TRANSPORT = 442
    """The relay was wanted over something other than UDP, or TCP where that is on."""

    PEER_ADDRESS_FAMILY_MISMATCH = 443
    """The peer's address is of another family than the relayed address."""

    CONNECTION_ALREADY_EXISTS = 446
    """The allocation has a connection to this peer, or makes one (RFC 6062 §6.3)."""

    CONNECTION_TIMEOUT_OR_FAILURE = 447
    """The peer took no connection, or not within 30 s (RFC 6062 §6.3)."""

    ALLOCATION_QUOTA_REACHED = 486
    """The user has as many allocations as one user may."""

    INSUFFICIENT_CAPACITY = 508
    """No port, no room for one more permission or channel, no such reservation, or more new peers
    than one client may have so quickly."""


_PHRASES = {
    ErrorCode.TRY_ALTERNATE: "Try Alternate",
    ErrorCode.BAD_REQUEST: "Bad Request",
    ErrorCode.UNAUTHENTICATED: "Unauthenticated",
    ErrorCode.FORBIDDEN: "Forbidden",
    ErrorCode.UNKNOWN_ATTRIBUTE: "Unknown Attribute",
    ErrorCode.ALLOCATION_MISMATCH: "Allocation Mismatch",
    ErrorCode.STALE_NONCE: "Stale Nonce",
    ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED: "Address Family not Supported",
    ErrorCode.WRONG_CREDENTIALS: "Wrong Credentials",
    ErrorCode.UNSUPPORTED_TRANSPORT: "Unsupported Transport Protocol",
    ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH: "Peer Address Family Mismatch",
    ErrorCode.CONNECTION_ALREADY_EXISTS: "Connection Already Exists",
    ErrorCode.CONNECTION_TIMEOUT_OR_FAILURE: "Connection Timeout or Failure",
    ErrorCode.ALLOCATION_QUOTA_REACHED: "Allocation Quota Reached",
    ErrorCode.INSUFFICIENT_CAPACITY: "Insufficient Capacity",
}


def reason_phrase(code: ErrorCode) -> str:
    """Return the phrase that the RFCs recommend beside the number."""
    return _PHRASES[code]
