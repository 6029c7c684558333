"""What `tailrace serve` sees to before it serves."""

import resource
import subprocess
import sys

import pytest

from tailrace.cli import serve
from tailrace.settings import Settings


@pytest.mark.parametrize(
    ("jobs", "workers", "share"), [(16, 1, 16), (16, 2, 8), (16, 3, 6), (1, 4, 1), (100, 3, 34)]
)
def test_each_worker_has_its_share_of_the_jobs_rounded_up(jobs, workers, share):
    assert serve._share(Settings(jobs=jobs), workers) == {"jobs": share}


def test_it_may_open_as_many_files_as_its_user():
    code = "import resource, tailrace.cli.serve as serve\nserve._allow_many_files()\n"
    code += "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"

    def lower():
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))

    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, check=True, preexec_fn=lower).stdout
    soft, hard = told.split()
    assert soft == hard != b"256"
