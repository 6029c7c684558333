"""A real nginx in front sends the stored files itself, set up by the lines of our guide."""

import re
import socket
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs/howto/run-the-service.md"
CONTENT = bytes(range(256)) * 4096

CONFIGURATION = """
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log warn;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""


def locations():
    """The lines that the guide gives for nginx."""
    return "\n".join(re.findall(r"```nginx\n(.*?)```", GUIDE.read_text(), re.DOTALL))


@pytest.fixture(scope="module")
def nginx(program):
    return program("nginx")


@pytest.fixture
def front(serve, started, nginx, until, tmp_path):
    """The service behind nginx: its own address, and that of nginx."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    origin = f"http://127.0.0.1:{port}"
    data = tmp_path / "data"
    with serve(data, "--url", origin, PROXY_SENDS="X-Accel-Redirect") as served:
        lines = locations()
        assert "http://127.0.0.1:8000" in lines
        assert "/var/lib/tailrace/blobs/" in lines
        lines = lines.replace("http://127.0.0.1:8000", served.address)
        lines = lines.replace("/var/lib/tailrace/blobs/", f"{data}/blobs/")
        configuration = tmp_path / "nginx.conf"
        user = "user root;" if is_root() else ""  # the one that owns the files
        configuration.write_text(
            CONFIGURATION.format(place=tmp_path, port=port, user=user, locations=lines)
        )
        started(nginx, "-e", tmp_path / "start.log", "-c", configuration)
        until("nginx listens", lambda: can_connect(port))
        yield served, origin


def is_root():
    return Path("/proc/self").stat().st_uid == 0


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def link(front, http):
    _, origin = front
    put = http.put(f"{origin}/uploads/a%20page.html", data=CONTENT)
    assert put.status_code == 201, put.text
    return put.text.strip()


def test_nginx_sends_the_file_with_our_fields(front, http, link):
    served, origin = front
    assert link.startswith(origin)
    direct = http.get(link.replace(origin, served.address))
    assert direct.content == b"", "the service left it to nginx"
    answer = http.get(link)
    assert answer.content == CONTENT
    ours = http.get(link, headers={"If-None-Match": '"another"'})  # answered by the service
    assert ours.content == CONTENT
    for name in (
        "Accept-Ranges",
        "Cache-Control",
        "Content-Disposition",
        "Content-Length",
        "Content-Security-Policy",
        "Content-Type",
        "ETag",
        "Last-Modified",
        "Referrer-Policy",
        "Repr-Digest",
        "X-Content-Type-Options",
    ):
        assert answer.headers[name] == ours.headers[name], name
    assert "X-Accel-Redirect" not in answer.headers


def test_nginx_sends_ranges(http, link):
    part = http.get(link, headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206
    assert part.content == CONTENT[1000:2000]
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"
    parts = http.get(link, headers={"Range": "bytes=0-9,-10"})
    assert parts.status_code == 206
    assert parts.headers["Content-Type"].startswith("multipart/byteranges")
    beyond = http.get(link, headers={"Range": f"bytes={len(CONTENT)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_conditions_mean_our_tag(http, link):
    tag = http.get(link).headers["ETag"]
    assert http.get(link, headers={"If-None-Match": tag}).status_code == 304
    assert http.get(link, headers={"If-Match": '"another"'}).status_code == 412
    matching = http.get(link, headers={"If-Match": tag})
    assert (matching.status_code, matching.content) == (200, CONTENT)
    resumed = http.get(link, headers={"If-Range": tag, "Range": "bytes=5-"})
    assert (resumed.status_code, resumed.content) == (206, CONTENT[5:])
    changed = http.get(link, headers={"If-Range": '"another"', "Range": "bytes=5-"})
    assert (changed.status_code, changed.content) == (200, CONTENT)


def test_nobody_enters_the_location_but_by_us(front, http, link):
    served, origin = front
    (blob,) = [path for path in (served.data / "blobs").rglob("*") if path.is_file()]
    address = f"{origin}/tailrace-blobs/{blob.relative_to(served.data / 'blobs')}"
    assert http.get(address).status_code == 404


def test_a_growing_file_comes_through_as_it_grows(front, http):
    _, origin = front
    begun = http.post(
        f"{origin}/uploads?name=growing", data=CONTENT, headers={"Upload-Complete": "?0"}
    )
    with http.get(begun.json()["links"][0]["url"], stream=True) as response:
        assert "Content-Length" not in response.headers
        assert response.raw.read(len(CONTENT)) == CONTENT
        http.patch(
            begun.headers["Location"],
            data=b"more",
            headers={
                "Content-Type": "application/partial-upload",
                "Upload-Offset": str(len(CONTENT)),
                "Upload-Complete": "?1",
            },
        )
        assert response.raw.read() == b"more"
