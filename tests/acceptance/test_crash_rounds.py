"""The service is killed at random moments, again and again; what it acknowledged stays.

Clients of every kind go on with their uploads from round to round. A suite has few rounds;
CRASH_ROUNDS=500 in the environment makes it as many.
"""

import base64
import hashlib
import http.client
import json
import os
import random
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "20"))
LONGEST_SECONDS = 0.15

CONTENT = random.Random(1).randbytes(3_000_000)
LENGTH = str(len(CONTENT))
DIGEST = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {**TUS, "Content-Type": "application/offset+octet-stream"}
PARTIAL = {"Content-Type": "application/partial-upload"}


class Service:
    """One life of the service, as a client reaches it."""

    def __init__(self, address):
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc)

    def ask(self, method, path, fields, content=b""):
        self._connection.request(method, path, content, fields)
        response = self._connection.getresponse()
        return response, response.read()

    def close(self):
        self._connection.close()


@dataclass
class Upload:
    """A client that knows of its upload what it was told."""

    name: str
    chance: random.Random
    path: str | None = None
    acknowledged: int = 0
    completed: int = 0
    faults: list[str] = field(default_factory=list)

    def go_on(self, address, is_over):
        """Send until the service is gone."""
        service = Service(address)
        try:
            while not is_over.is_set():
                self.step(service)
        except (OSError, http.client.HTTPException):
            pass  # it was killed
        except AssertionError as exc:
            self.faults.append(f"{self.name}: {exc!r}")
        finally:
            service.close()

    def step(self, service):
        if self.path is None:
            self.create(service)
        offset, is_complete = self.ask(service)
        assert offset >= self.acknowledged, (offset, self.acknowledged)
        self.acknowledged = offset
        while not is_complete:
            offset, is_complete = self.append(service, offset)
            self.acknowledged = offset
        self.check_whole(service)
        self.path, self.acknowledged, self.completed = None, 0, self.completed + 1

    def create(self, service):
        response, _ = service.ask("POST", "/uploads", self.creation)
        assert response.status == 201, response.status
        self.path = urllib.parse.urlsplit(response.headers["Location"]).path

    def check_whole(self, service):
        _, content = service.ask("GET", self.path, {})
        file = json.loads(content)
        assert file["state"] == "sealed"
        assert file["digest"] == {"sha-256": DIGEST}

    def part(self, offset):
        return CONTENT[offset : offset + self.chance.randint(1, 400_000)]


class Tus(Upload):
    creation = {**TUS, "Upload-Length": LENGTH}  # noqa: RUF012

    def ask(self, service):
        response, _ = service.ask("HEAD", self.path, TUS)
        return self.offset_of(response, 200)

    def append(self, service, offset):
        fields = {**OCTETS, "Upload-Offset": str(offset)}
        response, _ = service.ask("PATCH", self.path, fields, self.part(offset))
        return self.offset_of(response, 204)

    def offset_of(self, response, status):
        assert response.status == status, response.status
        offset = int(response.headers["Upload-Offset"])
        return offset, offset == len(CONTENT)


class Draft(Upload):
    creation = {"Upload-Complete": "?0", "Upload-Length": LENGTH}  # noqa: RUF012

    def ask(self, service):
        response, _ = service.ask("HEAD", self.path, {})
        assert response.status == 204, response.status
        return self.progress_of(response)

    def append(self, service, offset):
        part = self.part(offset)
        is_last = offset + len(part) == len(CONTENT)
        fields = {
            **PARTIAL,
            "Upload-Offset": str(offset),
            "Upload-Complete": "?1" if is_last else "?0",
        }
        response, _ = service.ask("PATCH", self.path, fields, part)
        assert response.status == (200 if is_last else 204), response.status
        return self.progress_of(response)

    def progress_of(self, response):
        is_complete = response.headers["Upload-Complete"] == "?1"
        return int(response.headers["Upload-Offset"]), is_complete


class Landing(Draft):
    """All that is left in one request, which goes from the socket into the file."""

    def part(self, offset):
        return CONTENT[offset:]


class AtOnce(Upload):
    """PUT, of which nothing is known until it is whole."""

    def step(self, service):
        fields = {"Accept": "application/json"}
        response, _ = service.ask("PUT", "/uploads/whole", fields, CONTENT)
        assert response.status == 201, response.status
        self.path = urllib.parse.urlsplit(response.headers["Location"]).path
        self.check_whole(service)
        self.completed += 1


def test_what_was_acknowledged_survives_whenever_the_service_is_killed(serve, tmp_path, http):
    data = tmp_path / "data"
    chance = random.Random()  # another course each time; what fails is told in full
    clients = [
        kind(kind.__name__, random.Random(chance.random()))
        for kind in (Tus, Draft, Landing, AtOnce)
    ]
    for _ in range(ROUNDS):
        with serve(data) as service:
            run(clients, service, lambda: time.sleep(chance.uniform(0, LONGEST_SECONDS)))
            assert [fault for client in clients for fault in client.faults] == []
    with serve(data) as service:
        for client in clients:
            if client.path is not None and not isinstance(client, AtOnce):
                last = Service(service.address)
                client.step(last)
                last.close()
        files = service.files()
        whole = [file for file in files if file["state"] == "sealed"]
        assert all(file["digest"] == {"sha-256": DIGEST} for file in whole)
        assert len(whole) >= sum(client.completed for client in clients)
        for file in files:
            assert file["state"] != "abandoned" or file["reason"]
        bytes_of = {path.name: path for path in (data / "blobs").rglob("*") if path.is_file()}
        kept = [file for file in files if file["state"] != "abandoned"]
        assert len(bytes_of) == len(kept)
        for file in whole[:5]:
            assert http.get(file["links"][0]["url"]).content == CONTENT
    assert all(client.completed for client in clients)


def run(clients, service, wait):
    """Let all clients send at once, until the service is killed."""
    is_over = threading.Event()
    threads = [
        threading.Thread(target=client.go_on, args=(service.address, is_over))
        for client in clients
    ]
    for thread in threads:
        thread.start()
    wait()
    service.kill()
    is_over.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
