"""Why a file was given up, for people."""

import asyncio

import pytest

from tailrace.errors import (
    ClientDisconnected,
    DigestMismatch,
    LengthExceeded,
    ProducerError,
    StorageFull,
    StorageUnavailable,
)
from tailrace.intake.reasons import failure_reason


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ClientDisconnected("/secret"), "its sender was cut off after 5 bytes"),
        (StorageFull("/secret"), "there was no room for more than 5 bytes"),
        (StorageUnavailable("/secret"), "the service failed after 5 bytes"),
        (OSError("/secret"), "the service failed after 5 bytes"),
        (asyncio.CancelledError("/secret"), "the service was stopped after 5 bytes"),
        (ProducerError("/secret"), "its producer failed after 5 bytes"),
        (
            caused(ProducerError("/secret"), KeyError("/secret")),
            "its producer failed after 5 bytes (KeyError)",
        ),
        (LengthExceeded(4), "at most 4 bytes are taken here"),
        (
            DigestMismatch("sha-256", "aa", "bb"),
            "the sha-256 digest is bb, but aa was promised",
        ),
    ],
)
def test_a_reason_says_what_happened_and_nothing_of_our_insides(error, reason):
    assert failure_reason(error, 5) == reason
