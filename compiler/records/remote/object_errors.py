"""What the libraries of object storage say when they fail, in one line that says what to do."""

from __future__ import annotations

import asyncio

from compiler.errors import EdgetuneError
from compiler.records.remote.remote import MissingError, TransientError

# Names of exceptions, since the libraries that define them need not be installed.
_NO_LOGIN = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),  # Amazon
    *("ProfileNotFound", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
    *("DefaultCredentialsError", "RefreshError"),  # Google
    *("ClientAuthenticationError",),  # Azure
    *("LocalTokenNotFoundError", "GatedRepoError"),  # Hugging Face
}
_PASSING = {
    *("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"),  # Amazon
    *("HTTPClientError", "ResponseStreamingError", "IncompleteReadError"),
    *("ClientConnectionError", "ClientPayloadError", "ServerTimeoutError"),  # aiohttp
    *("ServiceRequestError", "ServiceResponseError"),  # Azure
    *("TransportError", "FSTimeoutError"),  # Google, fsspec
    *("HTTPError", "HfHubHTTPError"),  # Hugging Face
}
_LOGIN = {
    "s3": "give AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or fill ~/.aws",
    "gs": "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
    "abfs": "give AZURE_STORAGE_ACCOUNT_NAME and what goes with it",
    "hf": "`hf auth login`, or give HF_TOKEN",
}


def meaning(error: Exception, what: str, url: str, path: str) -> EdgetuneError:
    """The error to raise for `error`, met when we were to `what` (read, write, ...) the object `path` below `url`.

    MissingError and TransientError where that is what it is. Its line holds no credentials.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    line = " ".join(str(error).split())[:200] or type(error).__name__
    login = _LOGIN.get(url.partition("://")[0], "see the storage's own documentation")
    if isinstance(error, FileNotFoundError):
        if "bucket" in line.lower() and "exist" in line.lower():
            return EdgetuneError(f"{url}: there is no such bucket")
        return MissingError(f"{url}/{path} is not there")
    if kinds & _NO_LOGIN:
        return EdgetuneError(f"{url}: no credentials were found: {login}")
    if isinstance(error, PermissionError):
        return EdgetuneError(f"{url}: no access to {what} {path} ({line}): {login}")
    if kinds & _PASSING or isinstance(error, (OSError, asyncio.TimeoutError)):
        return TransientError(f"cannot {what} {url}/{path}: {line}")
    return EdgetuneError(f"cannot {what} {url}/{path}: {type(error).__name__}: {line}")
