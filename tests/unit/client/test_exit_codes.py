from __future__ import annotations

import pytest

from ringline.client.errors import (
    BusyError,
    CallFailedError,
    ConnectionFailedError,
    DeclinedError,
    LocalError,
    NameTakenError,
    NoAnswerError,
    OfflineError,
    ServerUnreachableError,
    UnauthorizedError,
)
from ringline.client.exit_codes import ExitCode, code_of_end_reason, code_of_error
from ringline.signaling.codes import EndReason


def test_the_numbers_are_those_that_scripts_know() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "ERROR": 1,
        "USAGE": 2,
        "BUSY": 3,
        "DECLINED": 4,
        "NO_ANSWER": 5,
        "NOT_ALLOWED": 6,
        "NETWORK": 7,
        "AUTH": 8,
        "INTERRUPTED": 130,
    }


def test_only_a_hang_up_counts_as_a_good_end() -> None:
    assert [reason for reason in EndReason if code_of_end_reason(reason) is ExitCode.OK] == [
        EndReason.HANGUP
    ]


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("busy", ExitCode.BUSY),
        ("declined", ExitCode.DECLINED),
        ("no_answer", ExitCode.NO_ANSWER),
        ("blocked", ExitCode.NOT_ALLOWED),
        ("offline", ExitCode.NETWORK),
        ("connection_lost", ExitCode.NETWORK),
        ("app_error", ExitCode.ERROR),
        ("a reason of next year", ExitCode.ERROR),
    ],
)
def test_each_end_reason_has_its_code(reason: str, code: ExitCode) -> None:
    assert code_of_end_reason(reason) is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BusyError("", reason="busy"), ExitCode.BUSY),
        (DeclinedError("", reason="declined"), ExitCode.DECLINED),
        (NoAnswerError("", reason="no_answer"), ExitCode.NO_ANSWER),
        (OfflineError("", reason="offline"), ExitCode.NETWORK),
        (ConnectionFailedError("", reason="ice_failed"), ExitCode.NETWORK),
        (CallFailedError("", reason="need_permission"), ExitCode.NOT_ALLOWED),
        (CallFailedError("", reason="app_error"), ExitCode.ERROR),
        (ServerUnreachableError(""), ExitCode.NETWORK),
        (UnauthorizedError(""), ExitCode.AUTH),
        (NameTakenError(""), ExitCode.AUTH),
        (LocalError(""), ExitCode.ERROR),
    ],
)
def test_each_error_has_its_code(error: Exception, code: ExitCode) -> None:
    assert code_of_error(error) is code
