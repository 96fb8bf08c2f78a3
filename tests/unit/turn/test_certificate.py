from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ringline.turn import ConfigError, TurnConfig
from ringline.turn.io_certificate import check_certificate
from tests.e2e.test_turn_streams import make_certificate


def test_an_encrypted_key_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "turn.example"), tmp_path / "key.pem"
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"geheim"),
        )
    )
    config = TurnConfig(secrets=("s",), tls_certificate=certificate, tls_private_key=str(key))
    wanted = f"tls_private_key: {key} is encrypted; give one without a passphrase"
    with pytest.raises(ConfigError, match=f"^{re.escape(wanted)}$"):
        check_certificate(config)
