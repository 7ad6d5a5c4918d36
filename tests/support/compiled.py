"""What tests can't do with compiled classes. They run in `make test-interpreted`, so nothing goes untested."""

from __future__ import annotations

import pytest

from leveret.build import is_compiled

COMPILED = is_compiled()

# A compiled class has no subclasses that are not.
subclasses_what_is_compiled = pytest.mark.skipif(COMPILED, reason="subclasses a class that is compiled here")
