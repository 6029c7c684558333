"""Jobs: runs of producers that outlive the request, and the process, that began them."""

from tailrace.intake.jobs.attempts import STOPPED
from tailrace.intake.jobs.contract import Queue
from tailrace.intake.jobs.job import Job
from tailrace.intake.jobs.runner import LOST_WITH_READER, Jobs
from tailrace.intake.jobs.signs import ENDED

__all__ = ["ENDED", "LOST_WITH_READER", "STOPPED", "Job", "Jobs", "Queue"]
