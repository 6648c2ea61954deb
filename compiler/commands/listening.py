"""Where a server of edgetune listens: on loopback, or where the user has said that he knows what that means."""

from __future__ import annotations

import ipaddress

import click

from compiler.errors import UsageError

LOOPBACK = "127.0.0.1"


def host_to_listen_at(listen: str | None, insecure: bool, dangers: str) -> str:
    """The host of `--listen ADDRESS --insecure`, loopback without; says in red what `dangers` there are.

    Raises UsageError where one of the two is missing, and for an address that is none.
    """
    if listen is None:
        if insecure:
            raise UsageError("--insecure goes with --listen ADDRESS")
        return LOOPBACK
    try:
        address = ipaddress.ip_address(listen)
    except ValueError:
        raise UsageError(f"--listen {listen}: give the number of an address of this machine, such as 0.0.0.0") from None
    if address.is_loopback:
        return listen
    if not insecure:
        raise UsageError(
            f"--listen {listen} lets {dangers}: add --insecure if that is meant, or use --ssh from the desk"
        )
    click.secho(f"warning: --insecure: {dangers} through {listen}, without a password", fg="red", err=True)
    return listen
