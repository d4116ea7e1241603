"""Vera programs on Tether's collector.

    import tether_vera
    tether_vera.install()      # from here on Vera's host runs programs on Tether

`python -m tether_vera --help` says what the command does; docs/guide/wat-compiler.md
explains how it works.
"""

from tether_vera.host import install, uninstall
from tether_vera.runtime import RuntimeProblem
from tether_vera.swap import Limits, SwapProblem

__all__ = ["Limits", "RuntimeProblem", "SwapProblem", "install", "uninstall"]
