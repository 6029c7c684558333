"""Functions that make files: how they are declared, and how they are run."""

from tailrace.intake.producers.declared import AnyProducer, Producer, producer
from tailrace.intake.producers.running import content_of

__all__ = ["AnyProducer", "Producer", "content_of", "producer"]
