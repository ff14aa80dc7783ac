"""Compute agreement between raters beyond chance, trust in a judge, and differences between two judges.

The first rater is the reference (a person), the second the one that is tested (a judge).
"""

from evalkit.stats.agreement.alpha import krippendorff_alpha
from evalkit.stats.agreement.change import KappaDifference, kappa_difference, stuart_maxwell
from evalkit.stats.agreement.design import LabelDesign, rarer_labels
from evalkit.stats.agreement.gwet import gwet_ac
from evalkit.stats.agreement.kappa import MIN_RARER_LABELS, Weights, cohen_kappa, confusion, quadratic_kappa
from evalkit.stats.agreement.trust import labels_needed, trust

__all__ = [
    "MIN_RARER_LABELS",
    "KappaDifference",
    "LabelDesign",
    "Weights",
    "cohen_kappa",
    "confusion",
    "gwet_ac",
    "kappa_difference",
    "krippendorff_alpha",
    "labels_needed",
    "quadratic_kappa",
    "rarer_labels",
    "stuart_maxwell",
    "trust",
]
