from __future__ import annotations

import pathlib

import pytest

import ringline.turn
from ringline.turn import ErrorCode, errors
from ringline.turn.error_codes import reason_phrase


def test_the_public_names_are_few_and_there() -> None:
    assert len(ringline.turn.__all__) <= 25
    assert list(ringline.turn.__all__) == sorted(ringline.turn.__all__)
    for name in ringline.turn.__all__:
        assert getattr(ringline.turn, name) is not None


def test_only_the_edge_knows_sockets_and_clocks() -> None:
    folder = pathlib.Path(ringline.turn.__file__).parent
    for path in folder.glob("*.py"):
        if not path.name.startswith("io_"):
            source = path.read_text()
            for module in ("asyncio", "socket", "time"):
                assert f"\nimport {module}\n" not in source, path.name
                assert f"\nfrom {module} import" not in source, path.name


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_has_the_one_base(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.TurnError)


def test_every_code_has_a_phrase() -> None:
    assert all(reason_phrase(code) for code in ErrorCode)
