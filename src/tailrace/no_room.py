"""What the system says where there is no room for more bytes."""

from __future__ import annotations

import errno
from typing import Final

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk is full, its user's share of it is, or a file may not become longer than it is."""
