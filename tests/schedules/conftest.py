"""`pytest tests/schedules --update-golden` writes the golden files anew."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/schedules/golden/*.txt anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    # Without a default this fails where pytest was started on a folder above and met this file too late.
    return bool(request.config.getoption("--update-golden", default=False))
