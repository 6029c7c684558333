"""Bad input: each kind is told by its own problem type, and leaves nothing behind."""

import json
import socket
import urllib.parse

import pytest

FILE_LIMIT = 1_000_000
FORM_LIMIT = 10_000


@pytest.fixture(scope="module")
def service(serve, tmp_path_factory):
    """A service with low limits."""
    limits = {"FILE_LIMIT": str(FILE_LIMIT), "FORM_LIMIT": str(FORM_LIMIT)}
    with serve(
        tmp_path_factory.mktemp("service") / "data", "--producers", "mill", **limits
    ) as served:
        yield served


@pytest.fixture(autouse=True)
def nothing_is_left_behind(service, until):
    """Every blob belongs to a file, and every file of this test has ended.

    Where bytes had come before they were refused, a link had existed. So its file is listed,
    given up, with the reason and without bytes.
    """
    before = {file["id"] for file in service.files()}
    yield
    added = [file for file in service.files() if file["id"] not in before]
    assert all(file["state"] == "abandoned" and file["reason"] for file in added)
    until("no bytes were left", lambda: service.blobs() == set())


@pytest.fixture
def refused(http, service):
    """Ask for what must be refused, and return the problem."""

    def refused(status, kind, method, path, **more):
        response = http.request(method, service.url(path), **more)
        assert response.headers["Content-Type"] == "application/problem+json"
        problem = response.json()
        assert (response.status_code, problem["type"]) == (status, f"urn:tailrace:{kind}")
        assert problem["status"] == status
        assert problem["title"]
        assert problem["detail"]
        return problem

    return refused


@pytest.fixture
def raw(service):
    """Say something that no client would, and return all that is answered.

    Who is in a hurry leaves before the answer.
    """

    def raw(text, *, is_in_a_hurry=False):
        address = urllib.parse.urlsplit(service.address)
        with socket.create_connection((address.hostname, address.port), timeout=30) as to:
            to.sendall(text)
            if is_in_a_hurry:
                to.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: to.recv(65536), b""))

    return raw


def test_a_producer_that_is_not_there_is_told_with_those_that_are(refused):
    problem = refused(404, "producer-not-known", "POST", "/make/spech", data={"text": "a"})
    assert problem["producer"] == "spech"
    assert "gated" in problem["known"]
    assert "gated" in problem["detail"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "gate"),
        ({"gate": 5}, "gate"),
        ({"gate": None}, "gate"),
        ({"gate": ["a"]}, "gate"),
        ({"gate": "/x", "gait": "y"}, "gait"),
    ],
    ids=str,
)
def test_a_wrong_field_is_told_by_its_name(refused, given, field):
    problem = refused(422, "invalid-arguments", "POST", "/make/gated", json=given)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert all(error["detail"] for error in problem["errors"])


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"gate": NaN', "[" * 5000])
def test_json_that_is_no_object_is_refused(refused, content):
    refused(
        400,
        "malformed-content",
        "POST",
        "/make/gated",
        data=content,
        headers={"Content-Type": "application/json"},
    )


@pytest.mark.parametrize("content", ["gate=a&gate=b", "gate=%ff", "gate"])
def test_a_form_that_cannot_be_read_is_refused(refused, content):
    refused(
        400,
        "malformed-content",
        "POST",
        "/make/gated",
        data=content,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )


def test_arguments_of_another_type_are_refused_with_those_that_are_taken(refused):
    problem = refused(
        415,
        "unsupported-content",
        "POST",
        "/make/gated",
        data="a,b",
        headers={"Content-Type": "text/csv"},
    )
    assert "application/json" in problem["accepted"]


@pytest.mark.parametrize("query", ["limit=-1", "limit=0", "limit=ten", "limit=" + "9" * 5000])
def test_a_page_of_no_length_is_refused(refused, query):
    problem = refused(422, "invalid-arguments", "GET", f"/files?{query}")
    assert [error["field"] for error in problem["errors"]] == ["limit"]


def test_a_page_of_any_number_is_as_long_as_pages_are(http, service):
    page = http.get(service.url(f"/files?limit={10**30}"))
    assert page.status_code == 200


def test_a_page_after_no_file_is_empty(http, service):
    for after in ("x", "%00", "%ff", "9" * 5000):
        page = http.get(service.url(f"/files?after={after}"))
        assert page.json() == {"files": [], "next": None}


# --- limits -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "limit"), [("/uploads/large", FILE_LIMIT), ("/make/gated", FORM_LIMIT)]
)
def test_content_over_the_limit_is_refused_before_it_is_sent(
    service, run, curl, tmp_path, path, limit
):
    large = tmp_path / "large"
    large.write_bytes(bytes(limit + 1))
    method = "PUT" if path.startswith("/uploads") else "POST"
    ended = run(
        *curl,
        *("-X", method, "--data-binary", f"@{large}"),
        *("-H", "Expect: 100-continue", "--expect100-timeout", "20"),
        *("-w", r"\n%{http_code} %{size_upload} %{content_type}", service.url(path)),
    )
    problem, told = ended.stdout.rsplit("\n", 1)
    assert told == "413 0 application/problem+json"
    assert json.loads(problem)["limit"] == limit
    assert json.loads(problem)["received"] == limit + 1
    assert service.file("large") is None


@pytest.mark.parametrize(
    ("path", "limit", "media_type"),
    [
        ("/uploads", FILE_LIMIT, "application/octet-stream"),
        ("/uploads", FILE_LIMIT, "multipart/form-data; boundary=b"),
        ("/make/gated", FORM_LIMIT, "application/json"),
        ("/make/gated", FORM_LIMIT, "multipart/form-data; boundary=b"),
        ("/files/x/links", FORM_LIMIT, "application/json"),
    ],
)
def test_content_without_a_length_is_refused_when_it_is_over_the_limit(
    refused, http, service, path, limit, media_type
):
    if path == "/files/x/links":
        http.put(service.url("/uploads/linked"), data=b"a")
        path = f"/files/{service.file('linked')['id']}/links"

    def chunks():
        if "boundary" in media_type:
            yield b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        for _ in range(limit // 1000 + 1):
            yield b" " * 1000

    problem = refused(
        413, "limit-exceeded", "POST", path, data=chunks(), headers={"Content-Type": media_type}
    )
    assert problem["limit"] == limit
    if path.endswith("/links"):
        http.delete(service.url(path.removesuffix("/links")))


def test_a_file_of_just_the_limit_is_taken(http, service):
    sent = http.put(service.url("/uploads/just"), data=bytes(FILE_LIMIT))
    assert sent.status_code == 201
    assert http.delete(service.url(f"/files/{service.file('just')['id']}")).status_code == 204


@pytest.mark.parametrize("length", ["-1", "+5", "0x5", "5 5", "9" * 30])
def test_a_length_that_is_no_length_is_refused(raw, length):
    answer = raw(
        f"PUT /uploads/a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_huge_length_is_refused_with_the_limit(refused):
    headers = {"Content-Length": "9" * 18, "Connection": "close"}
    refused(413, "limit-exceeded", "PUT", "/uploads/a", headers=headers)


def test_a_length_beside_a_transfer_coding_is_refused(raw):
    """RFC 9112 §6.1: what follows might be taken for another request."""
    answer = raw(
        b"PUT /uploads/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /files HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "hosts", ["", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: a/b\r\n"]
)
def test_a_request_without_one_host_is_refused(raw, hosts):
    """RFC 9112 §3.2."""
    answer = raw(f"GET /files HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_content_that_is_shorter_than_its_length_is_no_file(raw, service, until):
    raw(
        b"PUT /uploads/short HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nshort",
        is_in_a_hurry=True,
    )
    until("it was given up", lambda: service.state("short") == "abandoned")
    assert service.file("short")["reason"].startswith("its sender was cut off")


# --- files --------------------------------------------------------------------------------

PART = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nabc'


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PART, "multipart/form-data; boundary=b"),
        (PART + b"\r\n--c--\r\n", "multipart/form-data; boundary=b"),
        (b"", "multipart/form-data; boundary=b"),
        (b"garbage", "multipart/form-data; boundary=b"),
        (PART + b"\r\n--b--\r\n", "multipart/form-data"),
        (
            b"--b\r\nContent-Type: a/b\r\n\r\nabc\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nabc\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
    ],
    ids=["cut", "another end", "empty", "garbage", "no boundary", "no name", "no file"],
)
def test_a_form_that_is_broken_is_refused(refused, content, media_type):
    refused(
        400,
        "malformed-content",
        "POST",
        "/uploads",
        data=content,
        headers={"Content-Type": media_type},
    )


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("malformed-field", "Content-Type", "nonsense"),
        ("malformed-field", "Content-Disposition", ";;;"),
        ("malformed-field", "Repr-Digest", "sha-256=:AAAA:"),
        ("digest-mismatch", "Repr-Digest", f"sha-256=:{'A' * 43}=:"),
        ("unsupported-dialect", "Content-Range", "bytes 0-4/10"),
    ],
)
def test_an_upload_with_a_wrong_field_is_refused(refused, kind, field, value):
    refused(400, kind, "POST", "/uploads", data=b"12345", headers={field: value})


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("../../etc/passwd", "passwd"),
        ("..", "upload"),
        ("%00", "upload"),
        ("a%00b%1B%7Fc", "abc"),
        ("C:%5CUsers%5Cme%5Ca.txt", "a.txt"),
        ("x" * 300 + ".csv", "x" * 251 + ".csv"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("%E4%BD%A0%E5%A5%BD.txt", "你好.txt"),
        ("na%C3%AFve%20%F0%9F%8C%8A.txt", "naïve 🌊.txt"),
        ("%E2%80%AEfdp.exe", "fdp.exe"),
    ],
)
def test_a_name_is_made_safe_and_kept_where_it_is(raw, service, http, sent, kept):
    answer = raw(
        f"PUT /uploads/{sent} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
        "Connection: close\r\n\r\na".encode()
    )
    assert answer.startswith(b"HTTP/1.1 201 ")
    link = answer.split()[-1].decode()
    assert urllib.parse.unquote(link.rpartition("/")[2]) == kept
    file = service.file(kept)
    disposition = http.head(link).headers["Content-Disposition"]
    assert f"filename*=UTF-8''{urllib.parse.quote(kept)}" in disposition or (
        f'filename="{kept}"' in disposition
    )
    assert http.delete(service.url(f"/files/{file['id']}")).status_code == 204


# --- reading ------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["x", "x/name", "%00", "%ff%fe", "A" * 22, "A" * 5000])
def test_a_link_that_is_not_known_is_told(refused, token):
    refused(404, "not-found", "GET", f"/l/{token}")


@pytest.mark.parametrize("path", ["/nothing", "/", "/files/x/y", "/L/x"])
def test_a_path_that_is_not_there_is_told(refused, path):
    refused(404, "not-found", "GET", path)


@pytest.mark.parametrize("path", ["/files/x", "/files/%00", "/files/x/content", "/uploads/x"])
def test_what_is_not_known_is_told(refused, path):
    refused(404, "not-found", "GET", path)


def test_a_deleted_file_is_gone_and_may_be_deleted_again(refused, http, service):
    link = http.put(service.url("/uploads/deleted"), data=b"a").text.strip()
    file = f"/files/{service.file('deleted')['id']}"
    for _ in range(2):
        assert http.delete(service.url(file)).status_code == 204
    path = urllib.parse.urlsplit(link).path
    for where in (path, path.rpartition("/")[0], f"{file}/content"):
        assert "it was deleted" in refused(410, "gone", "GET", where)["detail"]
    assert http.get(service.url(file)).json()["reason"] == "it was deleted"
    refused(410, "gone", "POST", f"{file}/links")


def test_a_link_that_has_ended_is_gone(refused, http, service, until):
    http.put(service.url("/uploads/ends"), data=b"a")
    file = f"/files/{service.file('ends')['id']}"
    made = http.post(service.url(f"{file}/links"), json={"expires_in": 1})
    link = made.json()["links"][0]["url"]
    assert http.get(link).content == b"a"
    until("it ended", lambda: http.get(link).status_code != 200)
    refused(410, "gone", "GET", urllib.parse.urlsplit(link).path)
    assert http.delete(service.url(file)).status_code == 204


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("bytes=-0", 416),
        ("bytes=10-", 416),
        (f"bytes={'9' * 5000}-", 416),
        (f"bytes=0-{'9' * 5000}", 206),
        (f"bytes=-{'9' * 5000}", 206),
        ("bytes=-1-2", 200),
        ("bytes=+0-4", 200),
        ("bytes=4-0", 200),
        ("lines=0-4", 200),
        ("bytes=,0-4", 206),
        ("bytes=0-0," * 2000 + "1-1", 200),
    ],
)
def test_a_range_of_any_number_is_understood(http, service, value, status):
    link = http.put(service.url("/uploads/ranged"), data=b"0123456789").text.strip()
    answer = http.get(link, headers={"Range": value})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["Content-Range"] == "bytes */10"
        assert answer.json()["type"] == "urn:tailrace:range-not-satisfiable"
    http.delete(service.url(f"/files/{service.file('ranged')['id']}"))


PATHS = {
    "/l/x": ["GET", "HEAD"],
    "/l/x/y": ["GET", "HEAD"],
    "/uploads": ["POST", "OPTIONS"],
    "/uploads/x": ["PUT", "GET", "HEAD", "PATCH", "DELETE"],
    "/make": ["GET", "HEAD"],
    "/make/gated": ["POST"],
    "/files": ["GET", "HEAD"],
    "/files/x": ["GET", "HEAD", "DELETE"],
    "/files/x/content": ["GET", "HEAD"],
    "/files/x/links": ["POST"],
}


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_method_is_refused_with_those_that_are_right(http, service, path):
    """RFC 9110 §15.5.6."""
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
        answer = http.request(method, service.url(path), data=b"")
        if method in PATHS[path]:
            assert answer.status_code != 405
        else:
            assert answer.status_code == 405, method
            allowed = answer.headers["Allow"].split(", ")
            assert set(PATHS[path]) <= set(allowed)
            is_for_another = (path, method) == ("/uploads/x", "POST")
            assert (method in allowed) is is_for_another
    for file in service.files():
        http.delete(service.url(f"/files/{file['id']}"))
