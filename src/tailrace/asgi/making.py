"""A run that an application began, in its own hands."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from tailrace.asgi.job_response import JobResponse
from tailrace.blobs import BlobState
from tailrace.catalogue import FileState
from tailrace.errors import BlobMissing, ConfigurationError, ProducerError, TailraceError
from tailrace.intake.jobs import Job
from tailrace.service import Service


@dataclass(frozen=True, slots=True)
class Making:
    """A file that is being made, or was; see `Tailrace.make`."""

    _service: Service
    _job: Job

    @property
    def id(self) -> str:
        """The id of the file."""
        return self._job.file_id

    @property
    def path(self) -> str:
        """Where the file can be read from now on, below the address of the routes."""
        token = self._service.links.token(self._job.link.id)
        return f"/l/{token}/{quote(self._job.file.name, safe='')}"

    @property
    def url(self) -> str:
        """The same with the public address.

        Raises:
            ConfigurationError: none is set.
        """
        public_url = self._service.settings.public_url
        if public_url is None:
            raise ConfigurationError(
                "tailrace does not know its public address: set public_url, or put the"
                " address where its routes are mounted before the path"
            )
        return public_url.rstrip("/") + self.path

    def response(self) -> Response:
        """Return a response that sends the file as it is made, and waits for its first byte."""
        return JobResponse(self._service, self._job)

    async def wait(self) -> None:
        """Wait until the file is whole.

        Raises:
            ProducerError: the run failed or was cancelled; so it may be another error of ours.
        """
        while (file := await self._service.file(self.id)).state is FileState.GROWING:
            try:
                async with self._service.store.open(file.blob) as reader:
                    while (status := reader.status).state is BlobState.GROWING:
                        await reader.wait_beyond(status.length)
            except BlobMissing:
                continue  # it is made anew, or was given up
            if status.state is BlobState.SEALED:
                return
        if file.state is FileState.ABANDONED:
            failure = self._job.failure
            if isinstance(failure, TailraceError):
                raise failure
            raise ProducerError(file.reason or "the run was cancelled")

    async def cancel(self, reason: str = "it was cancelled") -> None:
        """Have the run end soon, and its file given up; if it has ended, do nothing."""
        await self._service.jobs.cancel(self._job, reason)
