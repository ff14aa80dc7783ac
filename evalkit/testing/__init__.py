"""Provide test doubles for the network: a model server with faults on demand."""

from evalkit.testing.entailment import entailment_judge
from evalkit.testing.faults import Fault
from evalkit.testing.server import FakeModel, Replies

__all__ = ["FakeModel", "Fault", "Replies", "entailment_judge"]
