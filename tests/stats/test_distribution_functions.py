"""Distribution functions are scipy's own, and their import is lean."""

from __future__ import annotations

import subprocess
import sys

import scipy.special

from evalkit.stats import distributions


def test_the_functions_are_those_of_scipy():
    """Nothing is written anew."""
    assert distributions.__all__
    for name in distributions.__all__:
        assert getattr(distributions, name) is getattr(scipy.special, name)


def test_the_fortran_interface_is_not_loaded_but_stays_at_hand():
    """A system under test that uses `numpy.f2py` in the same process finds it."""
    program = (
        "import sys; from evalkit.stats import distributions; assert distributions.bdtr(0, 1, 0.5) == 0.5; "
        "assert 'numpy.f2py' not in sys.modules; import numpy; assert callable(numpy.f2py.get_include)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
