"""The digests of files that wait for more, so that nothing need be read again at their end.

A file may come in thousands of requests. Its digest goes from each to the next as long as they
come to this process; a service that was started again, or another one, reads the file once.
"""

from __future__ import annotations

from collections import OrderedDict

from tailrace.blobs import BlobKey
from tailrace.blobs.digest import RunningDigest

# A digest takes some 300 bytes. Of more uploads than this at once the oldest are read again.
_MOST = 10_000


class WaitingDigests:
    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._digests: OrderedDict[BlobKey, RunningDigest] = OrderedDict()

    def take(self, key: BlobKey) -> RunningDigest:
        """Return the digest of a blob for who writes it now; a new one where none waits."""
        return self._digests.pop(key, None) or RunningDigest()

    def keep(self, key: BlobKey, digest: RunningDigest, length: int) -> None:
        """Let a digest wait, unless it saw nothing or more than the blob has, or is torn."""
        if digest.is_torn or not 0 < digest.covered <= length:
            return
        self._digests[key] = digest
        while len(self._digests) > self._most:
            self._digests.popitem(last=False)
