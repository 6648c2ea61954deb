"""Who has signed which parts of a remote: statements beside the index, so that joining index entries breaks none.

A statement lists parts by their SHA-256, and with them all that their lines say. Anybody who may push can put one
there; only those of accepted signers count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import msgspec

from compiler.errors import EdgetuneError, UsageError
from compiler.records.canonical import canonical_bytes, parse_strict
from compiler.records.remote.cache import Cache
from compiler.records.remote.index import MAX_PARTS
from compiler.records.remote.names import SignatureName, is_digest, is_fingerprint
from compiler.records.remote.remote import LocalSignature, Remote, TransientError
from compiler.records.trust.signing import MAX_SIGNATURE_BYTES, Sign, must_be_signer, signed_by

SCHEMA = 1
KIND = "edgetune-signature"
MAX_STATEMENT_BYTES = 2 * MAX_SIGNATURE_BYTES + 100 * MAX_PARTS


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """That somebody has signed `parts` (SHA-256s, sorted) of a fingerprint. `signature`: of this in canonical JSON,
    with an empty one."""

    kind: str
    schema: int
    fingerprint: str
    parts: list[str]
    signature: str

    @property
    def content(self) -> bytes:
        """What the signature is of."""
        return canonical_bytes(msgspec.structs.replace(self, signature=""))


@dataclass(frozen=True)
class Accepted:
    """Whose signatures count: files with public keys, or identities that `issuer` vouches for."""

    signers: tuple[str, ...]
    issuer: str | None = None

    def check(self) -> None:
        """Raises UsageError where one of them is neither a file nor an identity, or there is none."""
        if not self.signers:
            raise UsageError("say whose signature is wanted: --signer, a file with a public key or an identity")
        for signer in self.signers:
            must_be_signer(signer)

    def signer_of(self, statement: Statement) -> str | None:
        """The one of them who signed the statement."""
        content, signature = statement.content, statement.signature.encode("utf-8")
        return next((one for one in self.signers if signed_by(content, signature, one, self.issuer)), None)


@dataclass
class Signed:
    """`parts`: SHA-256 of a part -> which accepted signer has signed it. `refused`: statements that are none, each with
    the reason."""

    parts: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def statements_of(fingerprint: str, parts: Iterable[str], sign: Sign) -> Iterator[LocalSignature]:
    """Statements over the parts with these SHA-256s, as few as the limits allow."""
    rest = sorted(set(parts))
    for first in range(0, len(rest), MAX_PARTS):
        chosen = rest[first : first + MAX_PARTS]
        unsigned = Statement(kind=KIND, schema=SCHEMA, fingerprint=fingerprint, parts=chosen, signature="")
        signature = sign(unsigned.content).decode("utf-8").strip()
        data = canonical_bytes(msgspec.structs.replace(unsigned, signature=signature))
        yield LocalSignature(SignatureName(fingerprint, hashlib.sha256(data).hexdigest()), data)


def read_signed(remote: Remote, cache: Cache, wanted: Callable[[str], bool], accepted: Accepted) -> Signed:
    """Which parts of `remote` accepted signers have signed, among the fingerprints that are `wanted`.

    Raises EdgetuneError where the remote cannot be reached or signatures cannot be verified, UsageError for signers
    that are none.
    """
    accepted.check()
    found = Signed()
    names = [name for name in remote.signatures() if name.fingerprint is None or wanted(name.fingerprint)]
    for name in names:
        try:
            data, _ = cache.read(name.digest, partial(remote.signature_chunks, name), MAX_STATEMENT_BYTES)
            statement = read_statement(data, name)
        except TransientError:
            raise
        except EdgetuneError as error:
            found.refused.append(f"signature {name.digest[:12]}: {error}")
            continue
        signer = accepted.signer_of(statement)
        if signer is not None:
            for part in statement.parts:
                found.parts.setdefault(part, signer)
    cache.keep_only(name.digest for name in names)
    return found


def read_statement(data: bytes, name: SignatureName) -> Statement:
    """The statement in `data`, its form checked and not yet its signature. Raises EdgetuneError, in one line, for
    anything else."""
    value = parse_strict(data, controls=True)  # sigstore's own signatures are JSON over several lines
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise EdgetuneError("it is no signature of edgetune")
    if value.get("schema") != SCHEMA:
        raise EdgetuneError("its schema is none that this edgetune reads: update edgetune")
    try:
        statement = msgspec.convert(value, Statement)
    except msgspec.ValidationError as error:
        raise EdgetuneError(" ".join(str(error).split())[:300]) from None
    if not is_fingerprint(statement.fingerprint) or name.fingerprint not in (None, statement.fingerprint):
        raise EdgetuneError("it lies in another fingerprint's folder")
    if len(statement.parts) > MAX_PARTS or not all(map(is_digest, statement.parts)):
        raise EdgetuneError(f"it lists something else than SHA-256s, or more than {MAX_PARTS}")
    return statement
