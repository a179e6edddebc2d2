"""Finding the captures and files that runs left behind, and finishing or removing them."""

from edgecap.reconcile.findings import Action, Finding, Life, Limits, Reconciled
from edgecap.reconcile.reconciler import Adopt, Reconciler
from edgecap.reconcile.snapshot import LifeOf

__all__ = ["Action", "Adopt", "Finding", "Life", "LifeOf", "Limits", "Reconciled", "Reconciler"]
