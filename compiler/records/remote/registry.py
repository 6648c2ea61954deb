"""An OCI registry as a remote: oci://HOST/REPOSITORY, by the distribution specification.

Parts and index entries are blobs. A push is a manifest, which keeps its blobs from being collected as garbage, tagged
with the SHA-256 of its index entry: tags can be listed, and two pushes never write the same one with other content.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from compiler.errors import EdgetuneError, UsageError
from compiler.records.canonical import canonical_bytes, parse_strict
from compiler.records.remote.files import together
from compiler.records.remote.http import Http, body, drain, is_loopback, must_be_good
from compiler.records.remote.index import MAX_ENTRY_BYTES, Part
from compiler.records.remote.names import EntryName, SignatureName, is_digest
from compiler.records.remote.registry_login import Login
from compiler.records.remote.remote import (
    MAX_ENTRIES,
    LocalEntry,
    LocalPart,
    LocalSignature,
    MissingError,
    Remote,
    Told,
)
from compiler.records.remote.retry import retrying

if TYPE_CHECKING:
    from requests import Response

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT = "application/vnd.edgetune.logs.v1"
ENTRY = "application/vnd.edgetune.logs.index.v1+json"
PART = "application/vnd.edgetune.logs.part.v1"
SIGNATURE = "application/vnd.edgetune.logs.signature.v1+json"
_TAG = "entry-"
_SIGNATURE_TAG = "signature-"
_MAX_TAGS_BYTES = 4 << 20
_MAX_PAGES = 1_000
_WORD = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_WORD}(?:/{_WORD})*")


class RegistryRemote(Remote):
    """A repository of a registry. Its logins are those of `docker login` and `oras login`."""

    can_remove = False  # many registries let nobody delete, and a manifest is the only thing that keeps its parts

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.host, _, self.repository = self.url.partition("://")[2].partition("/")
        if not self.host or not _REPOSITORY.fullmatch(self.repository):
            raise UsageError(f"{url} names no repository of a registry: give oci://HOST/NAME, in lower case")
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        # As docker and oras do it: nothing can listen on the way to this machine itself.
        scheme = "http" if is_loopback(urlsplit(f"//{host}").hostname or "") else "https"
        self._base = f"{scheme}://{host}/v2/{self.repository}"
        self._http = Http()
        self._login = Login(self._http, self.host, self.repository, encrypted=scheme == "https")

    def entries(self) -> list[EntryName]:
        return [EntryName(None, digest) for digest in self._tagged(_TAG)]

    def signatures(self) -> list[SignatureName]:
        return [SignatureName(None, digest) for digest in self._tagged(_SIGNATURE_TAG)]

    def _tagged(self, beginning: str) -> list[str]:
        """The digests in the tags that begin so, sorted."""
        found: set[str] = set()
        url: str | None = f"{self._base}/tags/list?n=1000"
        for _ in range(_MAX_PAGES):
            if url is None:
                break
            tags, url = retrying(partial(self._tags, url))
            for tag in tags:
                digest = tag.removeprefix(beginning)
                if tag.startswith(beginning) and is_digest(digest):
                    found.add(digest)
            if len(found) > MAX_ENTRIES:
                raise EdgetuneError(f"{self.url} has more than {MAX_ENTRIES} tags: this is no remote for logs")
        return sorted(found)

    def entry_chunks(self, name: EntryName) -> Iterator[bytes]:
        return self._blob(name.digest, MAX_ENTRY_BYTES)

    def signature_chunks(self, name: SignatureName) -> Iterator[bytes]:
        return self._blob(name.digest, MAX_ENTRY_BYTES)

    def part_chunks(self, part: Part) -> Iterator[bytes]:
        return self._blob(part.sha256, part.size)

    def publish(
        self,
        parts: Sequence[LocalPart],
        entries: Sequence[LocalEntry],
        told: Told,
        *,
        again: bool = False,
        signatures: Sequence[LocalSignature] = (),
    ) -> None:
        works = [partial(self._upload, local.part.sha256, local.part.size, local.path) for local in parts]
        together(self.workers, [partial(retrying, work) for work in works], told)
        sent: list[LocalSignature | LocalEntry] = [*signatures, *entries]
        for item in sent:
            retrying(partial(self._upload, item.name.digest, len(item.data), item.data))
            retrying(partial(self._tag, item))

    def close(self) -> None:
        self._http.close()

    def _request(self, method: str, url: str, **options: Any) -> Response:
        """As `Http.request`, logged in where the registry wants that."""
        headers = dict(options.pop("headers", {}))
        answer = self._http.request(method, url, headers=headers | self._login.headers, **options)
        if answer.status_code == 401 and self._login.renew(answer):
            drain(answer)
            answer = self._http.request(method, url, headers=headers | self._login.headers, **options)
        if answer.status_code in (401, 403):
            answer.close()
            raise EdgetuneError(f"{self.url}: no access: `docker login {self.host}` or `oras login {self.host}`")
        return answer

    def _tags(self, url: str) -> tuple[list[str], str | None]:
        """One page of tags, and where the next one is."""
        with closing(self._request("GET", url)) as answer:
            try:
                must_be_good(answer, url)
            except MissingError:
                return [], None  # a repository begins with its first push
            value = parse_strict(b"".join(body(answer, url, _MAX_TAGS_BYTES)))
            tags = value.get("tags") if isinstance(value, dict) else None
            following = answer.links.get("next", {}).get("url")
        if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            raise EdgetuneError(f"{self.url}: the registry's list of tags is none")
        return tags or [], self._own(urljoin(url, following)) if following else None

    def _own(self, url: str) -> str:
        """`url`, with which we send our login: only to the registry itself."""
        if urlsplit(url)[:2] != urlsplit(self._base)[:2]:
            raise EdgetuneError(f"{self.url} sends us on to {urlsplit(url).netloc or url}, which is another host")
        return url

    def _blob(self, digest: str, limit: int) -> Iterator[bytes]:
        url = f"{self._base}/blobs/sha256:{digest}"
        with closing(self._request("GET", url)) as answer:
            must_be_good(answer, url)
            yield from body(answer, url, limit)

    def _upload(self, digest: str, size: int, source: Path | bytes) -> None:
        blob = f"{self._base}/blobs/sha256:{digest}"
        if drain(self._request("HEAD", blob)).status_code == 200:
            return
        begin = f"{self._base}/blobs/uploads/"
        answer = drain(self._request("POST", begin, headers={"Content-Length": "0"}))
        must_be_good(answer, begin)
        place = self._own(urljoin(begin, answer.headers.get("Location", "")))
        data = source if isinstance(source, bytes) else source.read_bytes()
        headers = {"Content-Type": "application/octet-stream"}
        url = f"{place}{'&' if '?' in place else '?'}digest=sha256:{digest}"
        answer = drain(self._request("PUT", url, data=data, headers=headers))
        must_be_good(answer, blob)

    def _tag(self, item: LocalEntry | LocalSignature) -> None:
        def described(kind: str, digest: str, size: int) -> dict[str, Any]:
            return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}

        if isinstance(item, LocalSignature):
            kind, tag = SIGNATURE, _SIGNATURE_TAG
            layers = [described(SIGNATURE, item.name.digest, len(item.data))]  # some registries want one
        else:
            kind, tag = ENTRY, _TAG
            layers = [described(PART, part.sha256, part.size) for part in item.parts]
        manifest = canonical_bytes(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "artifactType": ARTIFACT,
                "config": described(kind, item.name.digest, len(item.data)),
                "layers": layers,
                "annotations": {"org.opencontainers.image.title": f"logs of {item.name.fingerprint}"},
            }
        )
        url = f"{self._base}/manifests/{tag}{item.name.digest}"
        answer = drain(self._request("PUT", url, data=manifest, headers={"Content-Type": MANIFEST}))
        must_be_good(answer, url)
        told = answer.headers.get("Docker-Content-Digest")
        if told is not None and told != f"sha256:{hashlib.sha256(manifest).hexdigest()}":
            raise EdgetuneError(f"{self.url}: the registry has kept another manifest than was sent")
