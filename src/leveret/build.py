"""How this copy of Leveret runs: compiled or interpreted.

The answer is read from what the import system finds for the hot rooms, never from a note made when the package was
built, so it holds after a build that failed, with another interpreter, and under LEVERET_INTERPRETED. Nothing is
imported for it: `leveret --version` must not wait for the broker to load.
"""

import sys
from importlib.machinery import SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, PathFinder, SourceFileLoader
from pathlib import Path

import leveret


def import_sources_only() -> None:
    """Let every later import from the package's folders find source files, and no extension module."""
    package = Path(__file__).parent

    def find_sources(folder: str) -> FileFinder:
        if not Path(folder).is_relative_to(package):
            raise ImportError(f"{folder} is not a folder of leveret")
        return FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, find_sources)
    sys.path_importer_cache.pop(str(package), None)


def is_compiled() -> bool:
    """Whether the broker's rules run as extension modules. mypyc builds the hot rooms all together or not at all."""
    spec = PathFinder.find_spec("leveret.broker", leveret.__path__)
    return spec is not None and isinstance(spec.loader, ExtensionFileLoader)


def description() -> str:
    """`compiled` or `interpreted`, for `--version` and the log line at start."""
    return "compiled" if is_compiled() else "interpreted"
