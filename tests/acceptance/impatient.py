"""Limits that a test can wait for."""

import tailrace.server


class Protocol(tailrace.server.Protocol):
    limits = tailrace.server.Limits(sending_stall_seconds=0.2)
