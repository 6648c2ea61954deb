"""Logging in to an OCI registry: the credentials that `docker login` kept, and the tokens that they are good for."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from compiler.errors import EdgetuneError
from compiler.records.remote.http import body, drain

if TYPE_CHECKING:
    from requests import Response

    from compiler.records.remote.http import Http

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_HELPER_S = 30
_MAX_TOKEN_BYTES = 1 << 20
_DOCKER_HUB = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105 - how a credential helper says that its secret is a refresh token


class Login:
    """What to send along with requests to one repository."""

    def __init__(self, http: Http, host: str, repository: str, *, encrypted: bool) -> None:
        self.headers: dict[str, str] = {}
        self._http, self._host, self._repository, self._encrypted = http, host, repository, encrypted
        self._lock = threading.Lock()

    def renew(self, answer: Response) -> bool:
        """Logs in as a 401 asks for; False where there is no way."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        kind, _, rest = challenge.partition(" ")
        sent = (answer.request.headers.get("Authorization") or "") if answer.request is not None else ""
        with self._lock:
            if self.headers.get("Authorization", "") != sent:
                return True  # another thread was faster
            name, secret = credentials(self._host)
            if kind.lower() == "basic":
                if not name or sent:
                    return False
                self.headers = {"Authorization": _basic(name, secret)}
                return True
            if kind.lower() != "bearer":
                return False
            token = self._token(dict(_CHALLENGE.findall(rest)), name, secret)
            if token is None:
                return False
            self.headers = {"Authorization": f"Bearer {token}"}
            return True

    def _token(self, challenge: Mapping[str, str], name: str, secret: str) -> str | None:
        realm = challenge.get("realm", "")
        if urlsplit(realm).scheme != "https" and (self._encrypted or urlsplit(realm).scheme != "http"):
            raise EdgetuneError(f"{self._host} asks for a login without encryption")
        # The scope is ours to say: a registry that asks for another repository's gets nothing.
        asked = {"service": challenge.get("service", ""), "scope": f"repository:{self._repository}:pull,push"}
        if name == _TOKEN_USER:
            form = {**asked, "grant_type": "refresh_token", "refresh_token": secret, "client_id": "edgetune"}
            answer = self._http.request("POST", realm, data=form)
        else:
            headers = {"Authorization": _basic(name, secret)} if name else {}
            answer = self._http.request("GET", realm, params=asked, headers=headers)
            if answer.status_code in (401, 403) and not name:
                asked["scope"] = f"repository:{self._repository}:pull"  # to a stranger, some give only that
                drain(answer)
                answer = self._http.request("GET", realm, params=asked)
        if answer.status_code != 200:
            drain(answer)
            return None
        with closing(answer):
            data = b"".join(body(answer, realm, _MAX_TOKEN_BYTES))
        try:
            value = json.loads(data)
        except ValueError:
            return None
        token = (value.get("token") or value.get("access_token")) if isinstance(value, dict) else None
        return token if isinstance(token, str) and token.isascii() and token.isprintable() else None


def credentials(host: str) -> tuple[str, str]:
    """Name and secret for `host` from docker's configuration; two empty texts where there are none."""
    settings = _settings()
    names = [_DOCKER_HUB, "docker.io", "index.docker.io"] if host == "docker.io" else [host, f"https://{host}"]
    helpers = settings.get("credHelpers")
    for name in names:
        helper = (helpers.get(name) if isinstance(helpers, dict) else None) or settings.get("credsStore")
        found = _from_helper(helper, name) if isinstance(helper, str) else None
        if found is not None:
            return found
        kept = settings.get("auths")
        kept = kept.get(name) if isinstance(kept, dict) else None
        if isinstance(kept, dict):
            if isinstance(kept.get("identitytoken"), str):
                return _TOKEN_USER, kept["identitytoken"]
            try:
                user, colon, secret = base64.b64decode(kept.get("auth") or "").decode("utf-8").partition(":")
            except (TypeError, ValueError, binascii.Error):
                continue
            if colon:
                return user, secret
    return "", ""


def _settings() -> dict[str, Any]:
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        value = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _from_helper(helper: str, name: str) -> tuple[str, str] | None:
    if not _HELPER.fullmatch(helper):
        return None
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=name.encode(),
            capture_output=True,
            timeout=_HELPER_S,
            check=True,
        )
        value = json.loads(done.stdout)
        return str(value["Username"]), str(value["Secret"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None


def _basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode("ascii")
