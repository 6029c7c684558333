"""What all tests share."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """tailrace runs on asyncio; see docs/decisions/0006."""
    return "asyncio"
