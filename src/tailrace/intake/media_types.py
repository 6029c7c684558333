"""Media types guessed from names."""

from __future__ import annotations

import mimetypes

OCTET_STREAM = "application/octet-stream"

# Of our own: the machine's tables differ from one to the next.
_TYPES = mimetypes.MimeTypes(filenames=())
for _media_type, _extension in (
    ("application/x-ndjson", ".ndjson"),
    ("application/vnd.apache.parquet", ".parquet"),
    ("audio/flac", ".flac"),
    ("audio/wav", ".wav"),
    ("image/avif", ".avif"),
    ("image/webp", ".webp"),
    ("text/javascript", ".js"),  # RFC 9239; Python before 3.12 has another
    ("text/javascript", ".mjs"),
    ("text/markdown", ".md"),
    ("application/zstd", ".zst"),
):
    _TYPES.add_type(_media_type, _extension)


def guess_media_type(name: str) -> str:
    """Return the media type that a name's extension tells, or application/octet-stream.

    An encoded name (`.tar.gz`) is the type of its coding: the bytes are sent as they are.
    """
    # Below a folder, for it wants a URL: "data:text/html,a.txt" would be one.
    media_type, coding = _TYPES.guess_type(f"./{name}", strict=False)
    if coding is not None:
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}.get(
            coding, OCTET_STREAM
        )
    return media_type or OCTET_STREAM
