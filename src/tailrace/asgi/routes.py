"""Every route there is."""

from __future__ import annotations

from starlette.routing import Route

from tailrace.asgi import files, links, make, uploads
from tailrace.asgi.resources import Answering, Current, Resource

# Who has a token may read, and who has the key of an upload may go on with it.
_BY_TOKEN = frozenset({"GET", "HEAD"})
_BY_KEY = frozenset({"GET", "HEAD", "PATCH", "DELETE", "POST", "OPTIONS"})


def routes(current: Current) -> list[Route]:
    """Return the routes of a service; `current` gives it while it runs."""

    def route(path: str, open: frozenset[str] = frozenset(), **methods: Answering) -> Route:
        return Route(path, Resource(current, methods, open), include_in_schema=False)

    return [
        route("/l/{token}", _BY_TOKEN, GET=links.read_as_asked),
        route("/l/{token}/{name:path}", _BY_TOKEN, GET=links.read),
        route("/uploads", POST=uploads.create, OPTIONS=uploads.announce),
        route(
            "/uploads/{key:path}",
            _BY_KEY,
            PUT=uploads.put,
            GET=uploads.resource,
            HEAD=uploads.resource,
            PATCH=uploads.resource,
            DELETE=uploads.resource,
            POST=uploads.overridden,
            OPTIONS=uploads.announce,
        ),
        route("/make", GET=make.list_producers),
        route("/make/{producer}", POST=make.make, GET=make.make_safely),
        route("/files", GET=files.list_files),
        route("/files/{id}", GET=files.show, DELETE=files.delete),
        route("/files/{id}/content", GET=files.send),
        route("/files/{id}/links", POST=files.add_link),
    ]
