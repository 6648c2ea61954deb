"""Logs on the way between stores: pushed to and pulled from a folder, a server, a bucket, the Hub or a registry.

On a remote lie parts, which are JSON lines of one kernel and named by their SHA-256, and index entries, which say what
the parts hold. Both are immutable: a push adds, and the union of all entries is the index, so that no lock is needed.
`docs/sharing.md` describes the layout. What comes from a remote is bounded, verified and checked before it is kept.
"""

from __future__ import annotations
