"""Runs a program, given with its arguments, on a Python that has no `collections.Callable` any more.

pika 0.12 and 0.13 still import on Python 3.10 and newer, but look for that name when they connect.
"""

import collections
import collections.abc
import runpy
import sys

vars(collections)["Callable"] = collections.abc.Callable
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
