"""What is measured: each row names its peers, how to measure one of them, and its targets."""

from benchmarks.rows import cold, dialects, follow, idle, large, memory, slow, small, upload
from benchmarks.rows.row import Place, Processors, Row, Target

__all__ = ["ROWS", "Place", "Processors", "Row", "Target"]

ROWS: tuple[Row, ...] = (
    *large.ROWS,
    *small.ROWS,
    *slow.ROWS,
    *cold.ROWS,
    *upload.ROWS,
    *dialects.ROWS,
    *follow.ROWS,
    *idle.ROWS,
    *memory.ROWS,
)
