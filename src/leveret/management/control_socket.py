"""Where the control socket is: `control.sock` in the data folder, for the broker and leveretctl alike.

An address of a Unix socket has room for about 100 octets, which a data folder may exceed. Both sides hold the folder
open, and where that is possible (Linux) a long path is shortened to one that goes through the open folder's descriptor.

Light, because leveretctl starts with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

NAME: Final = "control.sock"
REQUEST_LIMIT: Final = 65536  # octets of a request's line
ADDRESS_LIMIT: Final = 103  # octets; 107 on Linux, 103 elsewhere
DESCRIPTORS: Final = Path("/proc/self/fd")


class AddressTooLong(Exception):
    """The data folder's path is too long for a socket in it; the text is for the operator."""


def address(data_dir: Path, folder: int) -> str:
    """The control socket's address, given the data folder and its open descriptor. Raises AddressTooLong."""
    path = str(data_dir / NAME)
    if len(os.fsencode(path)) <= ADDRESS_LIMIT:
        return path
    if (DESCRIPTORS / str(folder)).exists():
        return str(DESCRIPTORS / str(folder) / NAME)
    raise AddressTooLong(f"the path of the data folder is too long for the control socket in it: {data_dir}")
