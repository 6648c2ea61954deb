"""An SSH connection to a board: what OpenSSH's client would use, and nothing that it would have asked about.

~/.ssh/config, known_hosts, keys and ssh-agent are the user's own. Passwords are never asked for, host keys never
trusted silently: whatever ssh would ask is one line that says what to type.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from compiler.errors import EdgetuneError
from compiler.runtime.ssh.address import SshAddress, parse

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection, SSHClientConnectionOptions

CONNECT_SECONDS = 15.0
"""For connecting and logging in, unless ConnectTimeout in ~/.ssh/config says otherwise."""

KEEPALIVE_SECONDS = 2.0
KEEPALIVES_LOST = 3
"""A board that answers none of so many is gone: after 8 s at most."""

_MAX_HOPS = 8
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_NOBODY = b"# nobody is known\n"


async def connect(
    address: SshAddress,
    *,
    known_hosts: Path | None = None,
    config: Path | None = None,
    via: SSHClientConnection | None = None,
    hops: int = 0,
) -> SSHClientConnection:
    """Connect and log in. `known_hosts` and `config` replace the user's files of these names.

    via: a connection to the host before it, which ends with this one; else ~/.ssh/config says whether there is one.
    hops: how many hosts are on the way so far. Raises EdgetuneError, in one line, where that fails.
    """
    try:
        import asyncssh
    except ImportError:
        raise EdgetuneError("SSH needs asyncssh, which is not installed: `pip install edgetune[rpc]`") from None
    # What it would write to the terminal is in the errors that it raises.
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)

    files: dict[str, Any] = {} if config is None else {"config": [str(config)]}
    place: dict[str, Any] = {"host": address.host, "port": address.port or (), "username": address.user or ()}
    try:
        known = asyncssh.SSHClientConnectionOptions(**place, **files, client_keys=None, known_hosts=b"")
    except (ValueError, OSError, asyncssh.Error) as error:
        raise EdgetuneError(f"the configuration of ssh cannot be used for {address}: {_line(error)}") from None
    trusted = _known_hosts(known, known_hosts)
    keys = _key_files(known)
    jump = via or await _jump(address, known, known_hosts, config, hops)
    try:
        connection = await asyncssh.connect(
            **place,
            **files,
            tunnel=jump,
            known_hosts=trusted or _NOBODY,
            client_keys=keys or (),
            ignore_encrypted=True,
            password_auth=False,
            kbdint_auth=False,
            connect_timeout=known.connect_timeout or CONNECT_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVES_LOST,
            x11_forwarding=False,
            agent_forwarding=False,
        )
        connection.set_tunnel(jump)
        return connection
    except Exception as error:
        if jump is not None:
            jump.abort()
        said = _said(error, address, known, trusted, keys)
        if said is None:
            raise
        raise EdgetuneError(said) from None
    except BaseException:
        if jump is not None:
            jump.abort()
        raise


def _known_hosts(options: SSHClientConnectionOptions, given: Path | None) -> list[str]:
    """The files of host keys that are there."""
    if given is not None:
        files: Sequence[str] = [str(given)]
    else:
        # `none` is an empty list to asyncssh, with which it would trust anybody.
        users = cast(Sequence[str], options.config.get("UserKnownHostsFile", _KNOWN_HOSTS[:2]))
        files = [*users, *cast(Sequence[str], options.config.get("GlobalKnownHostsFile", _KNOWN_HOSTS[2:]))]
    return [str(path) for path in (Path(file).expanduser() for file in files) if path.is_file()]


def _key_files(options: SSHClientConnectionOptions) -> list[str]:
    """The keys that ~/.ssh/config names and that are there; ssh leaves out the others, too. Empty: ssh's usual ones."""
    named = cast(Sequence[str], options.config.get("IdentityFile", ()))
    return [str(path) for path in (Path(file).expanduser() for file in named) if path.is_file()]


async def _jump(
    address: SshAddress, options: SSHClientConnectionOptions, known_hosts: Path | None, config: Path | None, hops: int
) -> SSHClientConnection | None:
    """A connection to the last host of ProxyJump, each host on the way checked as every other, or None."""
    route = options.tunnel
    if not isinstance(route, str) or route.lower() in ("", "none"):
        return None
    via: SSHClientConnection | None = None
    for hop in route.split(","):
        hops += 1
        if hops > _MAX_HOPS:
            raise EdgetuneError(f"ProxyJump in the configuration of ssh leads to {address} in a circle")
        via = await connect(parse(hop), known_hosts=known_hosts, config=config, via=via, hops=hops)
    return via


def _said(
    error: Exception, address: SshAddress, options: SSHClientConnectionOptions, trusted: list[str], keys: list[str]
) -> str | None:
    """What a failure to connect means and what to do about it; None for what is a bug."""
    import asyncssh

    host, port, user = str(options.host), int(options.port), str(options.username)
    port_option = "" if port == asyncssh.constants.DEFAULT_PORT else f"-p {port} "
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return _host_key(address, host, port, port_option, trusted, _line(error))
    if isinstance(error, asyncssh.PermissionDenied):
        return _no_key(user, host, keys, address)
    if isinstance(error, asyncssh.KeyExchangeFailed) and _is_known(host, port, trusted):
        return (
            f"{host} offers no host key of the kind that is known of it, or none of our algorithms: "
            f"`{address.command}` says more"
        )
    if isinstance(error, socket.gaierror):
        return f"there is no host called {host}"
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return f"{address} did not answer within {options.connect_timeout or CONNECT_SECONDS:g} s"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at port {port} of {host}: does an SSH server run there?"
    if isinstance(error, asyncssh.ChannelOpenError):
        return f"{address} cannot be reached from the host before it: {_line(error)}"
    if isinstance(error, OSError):
        return f"{address} cannot be reached: {error.strerror or _line(error)}"
    if isinstance(error, asyncssh.Error):
        return f"no SSH connection to {address}: {_line(error)}"
    return f"SSH keys cannot be used: {_line(error)}" if isinstance(error, ValueError) else None


def _host_key(address: SshAddress, host: str, port: int, port_option: str, trusted: list[str], said: str) -> str:
    if "revoked" in said:
        return f"the host key of {host} is revoked in known_hosts: this connection must not be used"
    if _is_known(host, port, trusted):
        entry = f"[{host}]:{port}" if port_option else host
        return (
            f"the host key of {host} is not the one in known_hosts: somebody may be in between, or the board was "
            f"set up anew; if it was, `ssh-keygen -R {entry!r}` forgets it and `{address.command}` shows the new one"
        )
    return (
        f"the host key of {host} is not known: `{address.command}` once shows it and keeps it "
        f"(or `ssh-keyscan {port_option}{host} >> ~/.ssh/known_hosts`, where nobody can be in between)"
    )


def _is_known(host: str, port: int, trusted: list[str]) -> bool:
    import asyncssh

    if not trusted:
        return False
    try:
        found = asyncssh.match_known_hosts(trusted, host, "", None if port == asyncssh.constants.DEFAULT_PORT else port)
    except (OSError, ValueError):
        return False
    return bool(found[0] or found[1])


def _no_key(user: str, host: str, keys: list[str], address: SshAddress) -> str:
    candidates = [Path(key) for key in keys] or [Path("~/.ssh", name).expanduser() for name in _DEFAULT_KEYS]
    encrypted = [str(path) for path in candidates if _is_encrypted(path)]
    if encrypted:
        return (
            f"{host} accepts no key of {user}'s that can be used: {encrypted[0]} is encrypted, "
            f"so `ssh-add {encrypted[0]}` must unlock it first"
        )
    return (
        f"{host} accepts no key for {user} (passwords are not asked for): `ssh-copy-id` puts yours there, "
        f"and `{address.command}` must work by itself"
    )


def _is_encrypted(path: Path) -> bool:
    import asyncssh

    try:
        asyncssh.read_private_key(path)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        return "assphrase" in str(error)
    except (OSError, ValueError):
        return False
    return False


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
