"""Records as files: JSON lines of our own, written and read, and stock MetaSchedule's two JSON files, read."""

from __future__ import annotations
