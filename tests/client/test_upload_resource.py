"""Each request of an upload, once."""

import pytest
from hostile import Hostile, answer
from receiving import Receiving, cut_after, refused

from tailrace.client.connections import Timeouts
from tailrace.client.service import Service
from tailrace.client.sources import Portion
from tailrace.client.upload_resource import Postponed, UploadResource
from tailrace.errors import ConnectionLost, Refused, TransferError
from tailrace.spans import Span

CONTENT = bytes(range(256)) * 1000
TIMEOUTS = Timeouts(connect_seconds=5, stall_seconds=5)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        yield file


def create(service, length=None):
    asked = Service(service.address, None, TIMEOUTS)
    return UploadResource.create(asked, name="a.txt", media_type=None, length=length)


def test_a_creation_has_the_link_and_no_bytes():
    with Receiving() as service:
        resource = create(service, 5)
    assert resource.link == service.link
    assert str(resource.location) == service.url("/mount/uploads/KEY")
    assert service.requests[0].fields["upload-length"] == "5"


def test_a_portion_goes_to_its_place_wherever_it_lies_in_its_file(file):
    """Bytes 300 to 700 of the upload are those from 100 on in the file."""
    told = []
    with Receiving() as service:
        resource = create(service)
        service.content = bytearray(350)
        resource.append(Portion(file.fileno(), Span(300, 700), 100), 350, told.append)
    assert service.content[350:] == CONTENT[150:500]
    assert told[-1] == 700


def test_the_end_may_be_told_again(file):
    with Receiving() as service:
        resource = create(service, 0)
        empty = bytes.fromhex(
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
        assert resource.complete(0, empty) == resource.complete(0, empty)


def test_the_offset_is_what_has_arrived():
    with Receiving() as service:
        resource = create(service, 5)
        service.content = bytearray(3)
        assert resource.retrieve_offset(5) == 3
        with pytest.raises(TransferError, match="says that it has"):
            resource.retrieve_offset(2)


@pytest.mark.parametrize("status", ["409 Conflict", "423 Locked", "503 Service Unavailable"])
def test_what_may_pass_is_postponed(file, status):
    with Receiving(refused(status, ("Retry-After", "7"))) as service:
        resource = create(service, 0)
        with pytest.raises(Postponed) as caught:
            resource.complete(0, b"")
    assert caught.value.seconds == 7
    assert caught.value.refusal.status == int(status[:3])


def test_a_refusal_for_good_is_none_that_may_pass(file):
    with Receiving(refused("413 Content Too Large")) as service:
        resource = create(service, 0)
        with pytest.raises(Refused):
            resource.complete(0, b"")


def test_a_cut_is_told(file):
    with Receiving(cut_after(10)) as service:
        resource = create(service, len(CONTENT))
        whole = Portion(file.fileno(), Span(0, len(CONTENT)), 0)
        with pytest.raises(ConnectionLost):
            resource.append(whole, 0, lambda _: None)


def test_a_cancellation_that_does_not_arrive_is_none_of_our_business():
    with Receiving() as service:
        resource = create(service)
    resource.cancel()
    with Hostile(answer("500 Internal Server Error")) as service:
        UploadResource(
            Service(service.url("/"), None, TIMEOUTS), resource.location, resource.link
        ).cancel()
