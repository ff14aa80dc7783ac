"""Distribution functions of scipy, imported without what they do not use.

`scipy.special` copies every attribute of numpy, and so loads its Fortran interface: a third of the time that it takes.
"""

from __future__ import annotations

import numpy

_FORTRAN = "f2py"
_spared = vars(numpy).setdefault(_FORTRAN, None) is None
try:
    from scipy.special import bdtr, bdtrc, betaln, gammaincc, gammaln, ndtr, stdtr, stdtrit
finally:
    if _spared:  # numpy loads it if someone asks for it
        vars(numpy).pop(_FORTRAN, None)

__all__ = ["bdtr", "bdtrc", "betaln", "gammaincc", "gammaln", "ndtr", "stdtr", "stdtrit"]
