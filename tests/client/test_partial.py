import errno
import json
import os
import stat

import pytest

from tailrace.client.moves import Held, Representation
from tailrace.client.partial import Busy, Partial, refuse_taken
from tailrace.errors import StorageFull, StorageUnavailable, UnsafeTarget
from tailrace.protocol.validators import EntityTag
from tailrace.spans import Span

URL = "http://host/file.bin"
KNOWN = Representation(EntityTag("one"), 10, {"sha-256": b"digest"})


@pytest.fixture
def partial(tmp_path):
    partial = Partial(tmp_path, "file.bin", URL)
    yield partial
    partial.close()


def reopened(tmp_path):
    partial = Partial(tmp_path, "file.bin", URL)
    partial.close()
    return partial


def record_of(partial):
    return partial.path.with_name(partial.path.name + ".json")


def test_it_lies_hidden_beside_its_target(tmp_path, partial):
    assert partial.path.parent == tmp_path
    assert partial.path.name.startswith(".file.bin.")
    assert partial.held is None


def test_bytes_land_where_they_belong(partial):
    partial.land(3, memoryview(b"lo"))
    partial.land(0, memoryview(b"hel"))
    assert partial.path.read_bytes() == b"hello"


def test_what_was_recorded_is_held_by_the_next_run(tmp_path, partial):
    partial.land(0, memoryview(b"hello"))
    partial.record("named.txt", KNOWN, (Span(0, 3), Span(4, 5)))
    partial.close()
    again = reopened(tmp_path)
    assert again.held == Held(KNOWN, (Span(0, 3), Span(4, 5)))
    assert again.name == "named.txt"


def test_what_is_not_known_is_recorded_as_such(tmp_path, partial):
    partial.land(0, memoryview(b"hello"))
    partial.record("x", Representation(None, None, {}), (Span(0, 5),))
    partial.close()
    assert reopened(tmp_path).held.representation == Representation(None, None, {})


def test_bytes_beyond_the_record_are_cut_off(tmp_path, partial):
    partial.land(0, memoryview(b"hello"))
    partial.record("x", KNOWN, (Span(0, 3),))
    partial.close()
    assert reopened(tmp_path).path.read_bytes() == b"hel"


def test_bytes_without_a_record_are_cut_off(tmp_path, partial):
    partial.land(0, memoryview(b"hello"))
    partial.close()
    assert reopened(tmp_path).path.read_bytes() == b""


SPOILED = {
    "no JSON": "{",
    "another kind": "[]",
    "nothing landed": {"landed": []},
    "more landed than there is": {"landed": [[0, 6]]},
    "a span that is none": {"landed": [[3, 0]]},
    "landed is no list": {"landed": 5},
    "another URL": {"url": "http://other/"},
    "no URL": {"url": None},
    "a digest that is none": {"digests": {"sha-256": "xyz"}},
    "a length that is none": {"complete_length": "ten"},
    "a tag that is none": {"entity_tag": 5},
}


@pytest.mark.parametrize("change", SPOILED.values(), ids=SPOILED)
def test_a_record_that_is_not_ours_is_not_trusted(tmp_path, partial, change):
    partial.land(0, memoryview(b"hello"))
    partial.record("x", KNOWN, (Span(0, 5),))
    partial.close()
    said = json.loads(record_of(partial).read_text())
    spoiled = change if isinstance(change, str) else json.dumps({**said, **change})
    record_of(partial).write_text(spoiled)
    assert reopened(tmp_path).held is None
    assert partial.path.read_bytes() == b""


def test_a_record_is_for_nobody_else(partial):
    partial.record("x", KNOWN, ())
    assert stat.S_IMODE(record_of(partial).stat().st_mode) == 0o600


def test_discarded_bytes_are_forgotten(tmp_path, partial):
    partial.land(0, memoryview(b"hello"))
    partial.record("x", KNOWN, (Span(0, 5),))
    partial.discard()
    assert partial.path.read_bytes() == b""
    partial.close()
    assert reopened(tmp_path).held is None


def test_it_is_locked(tmp_path, partial):
    with pytest.raises(Busy, match="another run"):
        Partial(tmp_path, "file.bin", URL)


def test_each_url_has_its_own(tmp_path, partial):
    other = Partial(tmp_path, "file.bin", URL + "?other")
    assert other.path != partial.path
    other.close()


@pytest.mark.parametrize("label", ["x" * 255, "\u00fc" * 127, "\udcff" * 255])
def test_a_long_name_is_no_obstacle(tmp_path, label):
    partial = Partial(tmp_path, label, URL)
    partial.record("x", KNOWN, ())
    partial.remove()
    assert not list(tmp_path.iterdir())


# --- publishing ---------------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True])
def test_published_it_has_its_name_and_no_other(tmp_path, partial, force):
    partial.land(0, memoryview(b"hello"))
    partial.record("x", KNOWN, (Span(0, 5),))
    partial.publish(tmp_path / "final", force=force)
    assert os.listdir(tmp_path) == ["final"]
    assert (tmp_path / "final").read_bytes() == b"hello"


def test_a_published_file_has_the_mode_of_any_new_file(tmp_path, partial):
    before = os.umask(0o027)
    try:
        fresh = Partial(tmp_path, "fresh", URL)
        fresh.publish(tmp_path / "final", force=False)
        fresh.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "final").stat().st_mode) == 0o640


def test_a_taken_name_stays_with_its_file(tmp_path, partial):
    (tmp_path / "final").write_bytes(b"mine")
    with pytest.raises(UnsafeTarget, match="final exists already"):
        partial.publish(tmp_path / "final", force=False)
    assert (tmp_path / "final").read_bytes() == b"mine"
    assert partial.path.exists()


def test_a_name_taken_at_the_last_moment_stays_with_its_file(tmp_path, partial, monkeypatch):
    def link(source, target):
        target.write_bytes(b"mine")
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(UnsafeTarget, match="final exists already"):
        partial.publish(tmp_path / "final", force=False)
    assert (tmp_path / "final").read_bytes() == b"mine"


def test_a_dangling_link_is_a_taken_name(tmp_path, partial):
    (tmp_path / "final").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnsafeTarget):
        partial.publish(tmp_path / "final", force=False)
    assert not (tmp_path / "nowhere").exists()


def test_a_file_system_without_hard_links_will_do(tmp_path, partial, monkeypatch):
    def link(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    partial.land(0, memoryview(b"hello"))
    partial.publish(tmp_path / "final", force=False)
    assert os.listdir(tmp_path) == ["final"]


@pytest.mark.parametrize("force", [False, True])
def test_a_free_name_may_be_had(tmp_path, force):
    refuse_taken(tmp_path / "free", force=force)


def test_a_name_that_can_be_none_is_refused(tmp_path):
    with pytest.raises(UnsafeTarget, match="cannot be written"):
        refuse_taken(tmp_path / ("x" * 300), force=True)


# --- what may be there already ------------------------------------------------------------


def place(tmp_path):
    """The path of the partial file, with nothing there."""
    partial = Partial(tmp_path, "file.bin", URL)
    partial.remove()
    return partial.path


def test_a_link_is_not_followed(tmp_path):
    place(tmp_path).symlink_to(tmp_path / "victim")
    with pytest.raises(UnsafeTarget):
        Partial(tmp_path, "file.bin", URL)
    assert not (tmp_path / "victim").exists()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(place(tmp_path))
    with pytest.raises(UnsafeTarget, match="regular"):
        Partial(tmp_path, "file.bin", URL)


def test_a_missing_directory_is_told(tmp_path):
    with pytest.raises(UnsafeTarget, match="No such file"):
        Partial(tmp_path / "missing", "file.bin", URL)


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StorageFull), (errno.EIO, StorageUnavailable)]
)
def test_what_the_disk_says_is_told_apart(partial, monkeypatch, number, error):
    def pwrite(fd, content, offset):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(error):
        partial.land(0, memoryview(b"hello"))
