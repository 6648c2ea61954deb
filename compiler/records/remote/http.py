"""HTTP as remotes use it: time limits, bounded answers, failures in one line. It rests on requests."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from compiler.errors import EdgetuneError
from compiler.records.remote.remote import MissingError, TransientError

if TYPE_CHECKING:
    from requests import Response

CONNECT_S, READ_S = 10.0, 60.0
_CHUNK = 64 << 10
_DRAINED = 4
_BUSY = (408, 425, 429, 500, 502, 503, 504)


class Http:
    """Connections to servers, kept open. Proxies, certificates and ~/.netrc are the user's, as requests finds them."""

    def __init__(self) -> None:
        try:
            import requests
        except ImportError:
            raise EdgetuneError("HTTP needs requests, which is not installed: `pip install edgetune[share]`") from None
        from requests.adapters import HTTPAdapter

        self._session = requests.Session()
        self._session.max_redirects = 5
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=16))
        # A packed answer could unpack into anything; what we fetch is packed already.
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": "edgetune"})

    def request(self, method: str, url: str, **options: Any) -> Response:
        """The answer, whatever its status, its body not yet read: `body` or `drain` does that, and closes it.

        Raises TransientError where there is none, or the server is busy.
        """
        import requests

        try:
            answer = self._session.request(method, url, stream=True, timeout=(CONNECT_S, READ_S), **options)
        except requests.exceptions.SSLError as error:
            raise EdgetuneError(f"{_place(url)}: its certificate is not trusted ({_line(error)})") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError) as error:
            raise EdgetuneError(f"{url} is no address ({_line(error)})") from None
        except requests.exceptions.TooManyRedirects:
            raise EdgetuneError(f"{url} leads from one address to the next without end") from None
        except requests.exceptions.Timeout:
            raise TransientError(f"{_place(url)} does not answer in time") from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise TransientError(f"{_place(url)} cannot be reached: {_line(error)}") from None
        if url.startswith("https:") and not answer.url.startswith("https:"):
            answer.close()
            raise EdgetuneError(f"{url} leads to an address without encryption")
        if answer.status_code in _BUSY:
            answer.close()
            raise TransientError(f"{_place(url)} says {answer.status_code} {answer.reason or ''}".rstrip())
        return answer

    def chunks(
        self, url: str, *, limit: int | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        """The bytes at `url`, in pieces; no more than `limit` of them."""
        with closing(self.request("GET", url, headers=dict(headers or {}))) as answer:
            must_be_good(answer, url)
            yield from body(answer, url, limit)

    def close(self) -> None:
        """Closes all connections."""
        self._session.close()


def body(answer: Response, url: str, limit: int | None) -> Iterator[bytes]:
    """The bytes of an answer, in pieces. Raises EdgetuneError beyond `limit`, TransientError where it breaks off."""
    import requests
    import urllib3

    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise EdgetuneError(f"{url}: the server packs its answers, though it was asked not to")
    got = 0
    try:
        for chunk in answer.iter_content(_CHUNK):
            got += len(chunk)
            if limit is not None and got > limit:
                raise EdgetuneError(f"{url} is larger than {limit} bytes")
            yield chunk
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise TransientError(f"{_place(url)} broke off: {_line(error)}") from None


def drain(answer: Response) -> Response:
    """The answer, read to its end if that is near, so that its connection can be used again, and closed."""
    with closing(answer):
        for _ in zip(range(_DRAINED), answer.iter_content(_CHUNK), strict=False):
            pass
    return answer


def must_be_good(answer: Response, url: str) -> None:
    """Raises MissingError for 404 and 410, EdgetuneError for any other status that is no success."""
    if answer.status_code in (404, 410):
        raise MissingError(f"{url} is not there")
    if answer.status_code in (401, 403):
        raise EdgetuneError(f"{url}: no access ({answer.status_code})")
    if not 200 <= answer.status_code < 300:
        raise EdgetuneError(f"{url}: the server says {answer.status_code} {answer.reason or ''}".rstrip())


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, so that nothing can listen in between."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _place(url: str) -> str:
    return urlsplit(url).netloc or url


def _line(error: BaseException) -> str:
    """The innermost reason: what requests and urllib3 wrap around it is longer than a line."""
    reason: Any = error
    for _ in range(4):
        inner = getattr(reason, "reason", None) or (reason.args[0] if getattr(reason, "args", None) else None)
        if not isinstance(inner, BaseException):
            break
        reason = inner
    text = " ".join(str(reason).split())
    return text.rpartition(": ")[2][:200] or type(error).__name__
