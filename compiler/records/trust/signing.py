"""Signatures over bytes: by a key file, which needs no network, or by an identity, through sigstore.

A key file is an Ed25519 or ECDSA private key, as `openssl genpkey -algorithm ed25519` or `ssh-keygen -t ed25519` makes
one. An identity is an e-mail address, or the address of a CI workflow, that sigstore's authority has seen to be the
signer's; what was signed is then in its public log.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError, UsageError

SIGSTORE = "sigstore"
"""In the place of a key file: sign with the identity of who is logged in."""
GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
MAX_SIGNATURE_BYTES = 1 << 20
_CONTEXT = b"edgetune tuning logs v1\0"
_NO_LIBRARY = "signatures need {}: pip install 'edgetune[sign]'"


Sign = Callable[[bytes], bytes]
"""The signature of what it is given."""


def sign(content: bytes, key: str) -> bytes:
    """The signature of `content` by `signer(key)`."""
    return signer(key)(content)


def signer(key: str) -> Sign:
    """What signs with the private key in the file `key`, or by sigstore where `key` is `sigstore`.

    A passphrase is asked for once. Raises UsageError for a file that holds no such key; what is returned raises
    EdgetuneError where a signature cannot be had.
    """
    if key == SIGSTORE:
        return lambda content: _sigstore_sign(_CONTEXT + content)
    private = _private_key(Path(key))
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(private, ed25519.Ed25519PrivateKey):
        extra: tuple[Any, ...] = ()
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        extra = (_ecdsa(),)
    else:
        raise UsageError(f"--sign {key}: use an Ed25519 or ECDSA key")
    return lambda content: base64.b64encode(private.sign(_CONTEXT + content, *extra)) + b"\n"


def signed_by(content: bytes, signature: bytes, signer: str, issuer: str | None) -> bool:
    """Whether `signer` has signed `content`: a file with a public key, else an identity that `issuer` vouches for.

    Raises UsageError for a signer that is neither, EdgetuneError where that cannot be told.
    """
    if must_be_signer(signer):
        return signed_by_key(content, signature, Path(signer))
    return signed_by_identity(content, signature, signer, issuer)


def must_be_signer(signer: str) -> bool:
    """Whether `signer` is a file, else it is an identity. Raises UsageError where it is neither."""
    if Path(signer).is_file():
        return True
    if "@" in signer or "://" in signer:
        return False
    raise UsageError(f"--signer {signer}: there is no such file, and it is no identity (an e-mail or web address)")


def signed_by_key(content: bytes, signature: bytes, key: Path) -> bool:
    """Whether `signature`, of `sign`, is that of the public key in the file `key`. Raises UsageError for a file that
    holds no such key."""
    public = _public_key(key)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except (ValueError, binascii.Error):
        return False
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(raw, _CONTEXT + content)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(raw, _CONTEXT + content, _ecdsa())
        else:
            raise UsageError(f"--signer {key}: use an Ed25519 or ECDSA key")
    except InvalidSignature:
        return False
    return True


def signed_by_identity(content: bytes, signature: bytes, identity: str, issuer: str | None) -> bool:
    """Whether `signature` is a sigstore bundle over `content` by `identity`, whom `issuer` (the address of an OpenID
    Connect provider) has seen. Raises UsageError without an issuer, EdgetuneError where sigstore's root of trust cannot
    be had.
    """
    if issuer is None and identity.startswith("https://github.com/"):
        issuer = GITHUB_ISSUER
    if issuer is None:
        raise UsageError(
            f"--signer {identity}: say who vouches for it with --issuer URL, or name a file with a public key"
        )
    try:
        from sigstore.errors import Error, VerificationError
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity
    except ImportError:
        raise EdgetuneError(_NO_LIBRARY.format("sigstore")) from None
    try:
        bundle = Bundle.from_json(signature)
    except Exception:  # noqa: BLE001 - the library raises whatever its parsers do
        return False
    try:
        Verifier.production().verify_artifact(_CONTEXT + content, bundle, Identity(identity=identity, issuer=issuer))
    except VerificationError:
        return False
    except (Error, OSError) as error:
        raise EdgetuneError(f"sigstore's root of trust cannot be had: {_line(error)}") from None
    return True


def _sigstore_sign(content: bytes) -> bytes:
    try:
        from sigstore.errors import Error
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityError, IdentityToken, Issuer, detect_credential
        from sigstore.sign import SigningContext
    except ImportError:
        raise EdgetuneError(_NO_LIBRARY.format("sigstore")) from None
    try:
        config = ClientTrustConfig.production()
        found = detect_credential()  # in CI; else a browser opens
        token = IdentityToken(found) if found else Issuer(config.signing_config.get_oidc_url()).identity_token()
        with SigningContext.from_trust_config(config).signer(token) as signer:
            return signer.sign_artifact(content).to_json().encode("utf-8")
    except (Error, IdentityError, OSError) as error:
        raise EdgetuneError(f"sigstore did not sign: {_line(error)}") from None


def _private_key(path: Path) -> Any:
    content = _read(path, "--sign")
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise EdgetuneError(_NO_LIBRARY.format("cryptography")) from None
    openssh = b"OPENSSH PRIVATE KEY" in content
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    return _loaded(path, "--sign", "private key", lambda password: load(content, password))


def _public_key(path: Path) -> Any:
    content = _read(path, "--signer")
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise EdgetuneError(_NO_LIBRARY.format("cryptography")) from None
    load = (
        serialization.load_pem_public_key
        if content.lstrip().startswith(b"-----")
        else serialization.load_ssh_public_key
    )
    return _loaded(path, "--signer", "public key", lambda _: load(content))


def _loaded(path: Path, option: str, what: str, load: Callable[[bytes | None], Any]) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    password = None
    for _ in range(2):
        try:
            return load(password)
        except TypeError:  # it is encrypted
            if not sys.stdin.isatty():
                raise UsageError(
                    f"{option} {path}: the key needs a passphrase, and there is no terminal to ask"
                ) from None
            password = getpass.getpass(f"Passphrase of {path}: ").encode()
        except (ValueError, UnsupportedAlgorithm):
            break
    raise UsageError(f"{option} {path}: this is no {what} that can be used")


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SIGNATURE_BYTES)
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from None


def _ecdsa() -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(hashes.SHA256())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
