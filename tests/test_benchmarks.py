"""The benchmarks: what they make of figures, and that rows run, against our own server."""

import subprocess
import sys

import pytest

from benchmarks import __main__ as program
from benchmarks import processes, report
from benchmarks.bars import bars
from benchmarks.measures import PEAK_RSS, RATE
from benchmarks.peers import LINK, NGINX, PEERS, RESPONSE, STARLETTE, Peer
from benchmarks.rounds import Measured, turns
from benchmarks.rows import ROWS, Row, Target
from benchmarks.rows.row import Processors
from benchmarks.running import Bench
from benchmarks.servers import serving
from benchmarks.sinks import SinkFailed, Sinks
from benchmarks.trials import QUICK, SMALL, prepare


def row(*targets, **more):
    return Row(
        **{
            "name": "row",
            "title": "Work",
            "how": "How.",
            "peers": (NGINX, RESPONSE),
            "measure": lambda trial: {},
            "targets": targets,
            "rounds": 3,
            "baseline": NGINX,
        }
        | more
    )


def measured(of_nginx, of_ours, *targets):
    result = Measured(row(*targets))
    for rate in of_nginx:
        result.add(NGINX, {RATE: rate, PEAK_RSS: 10})
    for rate in of_ours:
        result.add(RESPONSE, {RATE: rate, PEAK_RSS: 30})
    return result


def test_turns_go_there_and_back():
    assert "".join(turns("abc", 3)) == "abccbaabc"


def test_a_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_medians():
    result = measured([1, 2, 4], [2, 2, 4])
    assert result.median(RESPONSE, RATE) / result.median(NGINX, RATE) == 1
    assert measured([1, 2, 10], [3, 4, 10]).ratio(RESPONSE, NGINX, RATE) == 2
    assert result.extremes(NGINX, RATE) == (1, 4)


def test_a_peer_that_failed_has_no_figures():
    result = measured([1], [2], Target(RATE, RESPONSE, at_least=1, times=NGINX))
    result.failures[NGINX] = "it did not start"
    assert result.ratio(RESPONSE, NGINX, RATE) is None
    [line] = report.shortfalls([result])
    assert line.endswith("not measured: it did not start")


@pytest.mark.parametrize(
    ("target", "is_met"),
    [
        (Target(RATE, RESPONSE, at_least=3, times=NGINX), True),
        (Target(RATE, RESPONSE, at_least=3.1, times=NGINX), False),
        (Target(RATE, RESPONSE, at_least=6), True),
        (Target(PEAK_RSS, RESPONSE, at_most=29), False),
        (Target(PEAK_RSS, RESPONSE, at_most=3, times=NGINX), True),
    ],
)
def test_what_falls_short_is_told(target, is_met):
    result = measured([2, 2], [6, 6], target)
    assert (report.shortfalls([result]) == []) is is_met


def test_the_report_has_targets_first_and_then_each_peer_with_its_ratio():
    target = Target(RATE, RESPONSE, at_least=4, times=NGINX)
    text = report.markdown("Title", "A machine.", [measured([2, 2], [5, 7], target)])
    assert text.startswith("# Title\n\nA machine.\n")
    assert "| Work | GB/s of tailrace.FileResponse: ≥ 4 × nginx | **3.00 ×** |\n" in text
    assert "|  | GB/s | × nginx | peak RSS, MiB |\n" in text
    assert "| nginx | 2.00 | 1.00 | 10.0 |\n" in text
    assert "| tailrace.FileResponse | 6.00 (5.00 to 7.00) | 3.00 | 30.0 |\n" in text


def test_a_row_that_cannot_be_measured_here_says_why():
    result = Measured(row(Target(RATE, RESPONSE, at_least=1)), reason_against="no disk")
    assert "Not measured: no disk." in report.markdown("T", "M", [result])
    assert report.shortfalls([result]) == [
        "Work: GB/s of tailrace.FileResponse: ≥ 1: not measured: no disk"
    ]


def test_bars_are_ratios_with_the_longest_first_and_marks_where_they_are_to_be():
    result = measured([2], [5], Target(RATE, RESPONSE, at_least=4, times=NGINX))
    first, second = bars(result)
    assert (first.label, first.ratio, first.is_ours, first.target) == (
        RESPONSE.name,
        2.5,
        True,
        4,
    )
    assert (second.label, second.ratio, second.is_ours, second.target) == (
        NGINX.name,
        1,
        False,
        None,
    )


def test_names_are_unique_and_targets_are_about_peers_of_their_row():
    assert len({each.name for each in ROWS}) == len(ROWS)
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    for each in ROWS:
        for target in each.targets:
            assert {target.peer, target.times or target.peer} <= set(each.peers)


def test_the_cost_of_a_process_is_that_of_its_children_too():
    burning = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', '''\n"
        "for _ in range(3_000_000): pass\n"
        "print('burnt', flush=True)\n"
        "input()\n"
        "'''], stdin=subprocess.PIPE)\n"
        "input()\n"
    )
    command = [sys.executable, "-c", burning]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"burnt\n"
        family = processes.family(parent.pid)
        assert len(family) == 2
        alone, both = (processes.cpu_seconds(pids) for pids in (family[:1], family))
        assert both > alone > 0
        assert processes.peak_rss_mib(family) > processes.peak_rss_mib(family[:1]) > 1
        assert processes.threads(family) >= 2
        parent.communicate(b"\n\n")


@pytest.fixture
def sinks(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    return Sinks(programs)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "put").mkdir(parents=True)
    prepare(root / SMALL, 4096)
    return root


def test_prepared_files_have_their_length_and_no_block_twice(tmp_path):
    path = tmp_path / "file"
    prepare(path, 3 * 2**20 + 5)
    content = path.read_bytes()
    assert len(content) == 3 * 2**20 + 5
    assert len({content[start : start + 2**20] for start in range(0, 3 * 2**20, 2**20)}) == 3


def test_a_reader_that_gets_less_than_it_was_told_of_fails(sinks, root):
    with serving(RESPONSE, root, [SMALL]) as server:
        whole = sinks.run("get", port=server.port, target=f"/{SMALL}", length=4096)
        assert whole["bytes"] == whole["least_bytes"] == 4096
        copied = sinks.run("get", port=server.port, target=f"/{SMALL}", length=4096, copy=1)
        assert copied["bytes"] == 4096
        with pytest.raises(SinkFailed, match="get: status 200, 4096 octets"):
            sinks.run("get", port=server.port, target=f"/{SMALL}", length=4097)
        with pytest.raises(SinkFailed, match="status 404"):
            sinks.run("get", port=server.port, target="/nothing/here", length=4096)


def test_a_returning_reader_that_gets_other_bytes_than_the_source_fails(sinks, root, tmp_path):
    source = tmp_path / "source"
    source.write_bytes((root / SMALL).read_bytes()[:-1] + b"?")
    with (
        serving(RESPONSE, root, [SMALL]) as server,
        pytest.raises(SinkFailed, match="wrong content at offset"),
    ):
        sinks.run(
            "rejoin",
            port=server.port,
            target=f"/{SMALL}",
            source=source,
            connections=3,
            seconds=0.01,
        )


def test_rows_run_on_our_own_servers(capsys):
    names = ("get-1", "small", "put", "rejoin")
    only = [word for name in names for word in ("--only", name)]
    ours = ["--peer", RESPONSE.name, "--peer", LINK.name]
    assert program.main(["--quick", *only, *ours]) == 0
    printed, progress = capsys.readouterr()
    assert "failed" not in progress
    for each in ROWS:
        assert (f"## {each.title}\n" in printed) is (each.name in names)
    assert f"| {RESPONSE.name} | " in printed
    assert f"| {LINK.name} | 20 | " in printed  # readers of the row "rejoin", all of them


def test_a_peer_that_is_missing_or_does_not_start_is_told_and_the_others_are_measured(
    tmp_path, root, sinks
):
    missing = Peer("missing", lambda ground: [], tmp_path / "nowhere")
    broken = Peer(
        "broken", lambda ground: [sys.executable, "-c", "raise SystemExit('no')"], root
    )
    said = []
    place = row().place
    bench = Bench({place: root}, sinks.directory, QUICK, said.append)
    counted = row(
        peers=(missing, broken, STARLETTE),
        measure=lambda trial: {RATE: trial.server.cpu_seconds()},
        processors=Processors.SHARED,
    )
    result = bench.run(counted, [missing, broken, STARLETTE])
    assert result.failures == {
        missing: "not installed",
        broken: "broken did not start: no",
    }
    assert result.median(STARLETTE, RATE) > 0
    assert any("broken did not start" in line for line in said)
