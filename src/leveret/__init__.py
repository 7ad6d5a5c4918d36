"""Leveret, a message broker that takes RabbitMQ's place.

The hot rooms are compiled by mypyc when the package is built, and their sources lie beside the compiled modules. With
LEVERET_INTERPRETED set (to anything but 0) those sources run instead; that has to be settled here, before any other
module of the package is found. This module is never compiled, and says little, because every start waits for it.
"""

import os

__version__ = "0.1.0"

if os.environ.get("LEVERET_INTERPRETED", "0") not in ("", "0"):
    from leveret.build import import_sources_only

    import_sources_only()
