"""Whether certificate and key can be used, and what is said if not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ringline.turn import ConfigError, TurnConfig
from ringline.turn.io_certificate import check_certificate
from tests.certificates import make_certificate, make_key, write_pem


def complaint(certificate: str | Path, key: str | Path | None = None) -> str:
    config = TurnConfig(
        secrets=("s",),
        tls_certificate=str(certificate),
        tls_private_key=None if key is None else str(key),
    )
    with pytest.raises(ConfigError) as caught:
        check_certificate(config)
    return str(caught.value)


@pytest.fixture
def good(tmp_path: Path) -> str:
    return make_certificate(tmp_path, "turn.example")


def test_a_certificate_with_its_key_in_one_file_or_two(good: str) -> None:
    check_certificate(TurnConfig(secrets=("s",), tls_certificate=good))
    check_certificate(TurnConfig(secrets=("s",), tls_certificate=good, tls_private_key=good))


def test_an_encrypted_key_is_refused_and_nobody_is_asked(good: str, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(
        make_key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"geheim"),
        )
    )
    wanted = f"tls_private_key: {key} is encrypted; give one without a passphrase"
    assert complaint(good, key) == wanted


def test_a_file_that_cannot_be_read_is_named_with_its_setting(good: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    why = f"cannot read {missing}: No such file or directory"
    assert complaint(missing) == f"tls_certificate: {why}"
    assert complaint(good, missing) == f"tls_private_key: {why}"
    assert complaint(tmp_path) == f"tls_certificate: cannot read {tmp_path}: Is a directory"


def test_a_file_without_what_is_looked_for_is_named(good: str, tmp_path: Path) -> None:
    key = write_pem(tmp_path / "key.pem", make_key())
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    assert complaint(key, good) == f"tls_certificate: no certificate (PEM) in {key}"
    assert complaint(good, empty) == f"tls_private_key: no private key (PEM) in {empty}"
    alone = tmp_path / "certificate.pem"
    alone.write_bytes(
        re.sub(b"-----BEGIN PRIV.*KEY-----\n", b"", Path(good).read_bytes(), flags=re.DOTALL)
    )
    assert complaint(alone) == (
        f"tls_certificate: no private key (PEM) in {alone}; is it in a file of its own? name it as "
        "tls_private_key"
    )


def test_another_certificates_key_is_named(good: str, tmp_path: Path) -> None:
    key = write_pem(tmp_path / "key.pem", make_key())
    assert complaint(good, key) == (
        f"tls_private_key: {key} has another key than the certificate in {good}"
    )


def test_a_broken_file_is_named(good: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(Path(good).read_bytes().replace(b"M", b"N"))
    why = "what stands in a PEM block is broken"
    assert complaint(broken) == f"tls_certificate: cannot use {broken}: {why}"
    assert complaint(good, broken) == (
        f"tls_certificate, tls_private_key: cannot use {good} with {broken}: {why}"
    )
