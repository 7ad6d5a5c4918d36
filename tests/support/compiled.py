"""Whether the tests run against compiled classes, which have no subclasses that are not."""

from __future__ import annotations

from typing import Final

from leveret.build import is_compiled

COMPILED: Final = is_compiled()
