from __future__ import annotations

import os
from pathlib import Path

import pytest

from ringline.client.io_network import NetworkRates, default_rate_file, describe_network
from ringline.client.transport import Path as MediaPath
from ringline.client.transport import PathKind


def path_to(address: str, kind: PathKind = "host") -> MediaPath:
    return MediaPath(
        kind=kind,
        local_type=kind,
        remote_type="host",
        protocol="udp",
        round_trip=0.01,
        least_round_trip=0.01,
        remote_address=(address, 9),
    )


def test_a_network_is_told_by_the_prefix_and_the_kind_of_path() -> None:
    home = describe_network("127.0.0.1", "host")
    assert home is not None
    assert home.startswith("host 127.0.0.0/24")
    assert describe_network("127.0.0.9", "host") == home
    assert describe_network("127.0.0.1", "relay") != home
    assert describe_network("no address", "host") is None


def test_rates_outlive_the_process_in_a_file_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "caches" / "rates.json"
    first, second = NetworkRates(file), NetworkRates(file)
    first.remember(path_to("127.0.0.1"), 140_000)
    second.remember(path_to("127.0.0.1", "relay"), 90_000)  # keeps what the first one wrote
    third = NetworkRates(file)
    assert third.recall(path_to("127.0.0.1")) == 140_000
    assert third.recall(path_to("127.0.0.1", "relay")) == 90_000
    assert [entry.name for entry in file.parent.iterdir()] == ["rates.json"]
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"not json", b"\xff" * 20_000])
def test_a_broken_file_is_an_empty_one_and_is_mended(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rates.json"
    file.write_bytes(content)
    rates = NetworkRates(file)
    assert rates.recall(path_to("127.0.0.1")) is None
    rates.remember(path_to("127.0.0.1"), 140_000)
    assert NetworkRates(file).recall(path_to("127.0.0.1")) == 140_000


def test_without_a_file_rates_are_remembered_and_a_file_that_cannot_be_written_harms_nobody(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    impossible = (tmp_path / "file" / "rates.json", tmp_path / "\0.json")
    for rates in (NetworkRates(), *map(NetworkRates, impossible)):
        rates.remember(path_to("127.0.0.1"), 140_000)
        assert rates.recall(path_to("127.0.0.1")) == 140_000


def test_the_file_is_in_the_users_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_rate_file() == tmp_path / "ringline" / "rates.json"


def test_there_is_no_file_where_there_is_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", fail)
    assert default_rate_file() is None


def test_what_is_written_first_is_a_new_file_and_no_link_that_somebody_laid(
    tmp_path: Path,
) -> None:
    file, other = tmp_path / "rates.json", tmp_path / "other"
    other.touch()
    (tmp_path / f"rates.json.{os.getpid()}").symlink_to(other)
    NetworkRates(file).remember(path_to("127.0.0.1"), 140_000)
    assert NetworkRates(file).recall(path_to("127.0.0.1")) == 140_000
    assert other.read_bytes() == b""


def test_a_file_that_cannot_take_its_place_is_removed(tmp_path: Path) -> None:
    (tmp_path / "rates.json" / "folder").mkdir(parents=True)
    NetworkRates(tmp_path / "rates.json").remember(path_to("127.0.0.1"), 140_000)
    assert [entry.name for entry in tmp_path.iterdir()] == ["rates.json"]
