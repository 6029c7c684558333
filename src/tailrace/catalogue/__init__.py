"""What is known of the bytes. The contract is `contract`; `sql` keeps it in a database."""

from tailrace.catalogue.contract import Catalogue
from tailrace.catalogue.records import (
    CredentialRecord,
    FileId,
    FileRecord,
    FileState,
    JobRecord,
    LinkId,
    LinkRecord,
    Origin,
    UploadRecord,
)

__all__ = [
    "Catalogue",
    "CredentialRecord",
    "FileId",
    "FileRecord",
    "FileState",
    "JobRecord",
    "LinkId",
    "LinkRecord",
    "Origin",
    "UploadRecord",
]
