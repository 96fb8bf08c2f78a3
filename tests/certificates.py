"""Certificates for tests: made here, good for an hour, known to nobody."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "any_certificate", "make_certificate", "make_key", "write_pem"]


def make_key() -> ec.EllipticCurvePrivateKey:
    """Return a private key that is quickly made."""
    return ec.generate_private_key(ec.SECP256R1())


def make_certificate(folder: Path, name: str) -> str:
    """Write a self-signed certificate with its key; return the path."""
    key = make_key()
    certificate = _builder(_named(name), _named(name), key).sign(key, hashes.SHA256())
    return write_pem(folder / f"{name}.pem", key, certificate)


def any_certificate() -> ssl.SSLContext:
    """Return what a client accepts any certificate with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def write_pem(path: Path, *parts: ec.EllipticCurvePrivateKey | x509.Certificate) -> str:
    """Write keys and certificates one after the other; return the path."""
    path.write_bytes(
        b"".join(
            part.public_bytes(serialization.Encoding.PEM)
            if isinstance(part, x509.Certificate)
            else part.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            for part in parts
        )
    )
    return str(path)


class Authority:
    """A private authority that vouches for servers."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = make_key()
        self._name = _named(name)
        usage = {
            name: name in ("key_cert_sign", "crl_sign")
            for name in (
                *("digital_signature", "content_commitment", "key_encipherment"),
                *("data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
                *("encipher_only", "decipher_only"),
            )
        }
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path = folder / f"{name}.pem"
        write_pem(self.path, certificate)

    def certify(self, address: str) -> str:
        """Write a certificate for a server, with its key; return the path."""
        key = make_key()
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = (
            self._builder(_named("relay"), key)
            .add_extension(alternative, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return write_pem(self._folder / f"server {address}.pem", key, certificate)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return (
            _builder(subject, self._name, key)
            .add_extension(identifier, critical=False)
            .add_extension(own, critical=False)
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
    )
