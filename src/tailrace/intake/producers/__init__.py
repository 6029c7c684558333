"""Functions that make files: how they are declared, and how they are run."""

from tailrace.intake.producers.commands import Command
from tailrace.intake.producers.declared import AnyProducer, Producer, producer
from tailrace.intake.producers.making import content_made
from tailrace.intake.producers.run import Progress, Run

__all__ = [
    "AnyProducer",
    "Command",
    "Producer",
    "Progress",
    "Run",
    "content_made",
    "producer",
]
