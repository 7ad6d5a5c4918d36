"""Compiles the hot rooms with mypyc when the package is built; everything else about the package is in pyproject.toml.

All hot modules are one group: calls between them are plain C calls, and the group is compiled whole or not at all.
Where that fails, for want of a C compiler or of Python's headers, the install goes on and Leveret runs interpreted,
from the same sources. LEVERET_COMPILE=1 makes the failure an error; LEVERET_COMPILE=0 does not try.

An extension module that no longer belongs to its source is worse than none, since Python prefers it: whatever a build
did not make anew, it removes.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

SOURCES = Path("src")
HOT_ROOMS = ("amqp", "broker", "store")
HOT_SERVER_MODULES = ("client.py", "tick.py", "tls_client.py")
# setuptools runs this file for metadata too; compiling then would only cost time.
BUILDING = not {"bdist_wheel", "build", "build_ext", "editable_wheel", "install"}.isdisjoint(sys.argv)
IN_PLACE = not {"editable_wheel", "--inplace", "-i"}.isdisjoint(sys.argv)
COMPILE = os.environ.get("LEVERET_COMPILE", "")


def hot_modules() -> list[str]:
    package = SOURCES / "leveret"
    modules = [module for room in HOT_ROOMS for module in (package / room).rglob("*.py")]
    modules += [module for name in HOT_SERVER_MODULES if (module := package / "server" / name).exists()]
    return sorted(map(str, modules))


def remove_extension_modules(folder: Path, but: frozenset[Path] = frozenset()) -> None:
    for file in folder.rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
        if file.resolve() not in but:
            file.unlink()


def say_interpreted(reason: str) -> None:
    print(f"leveret: {reason}; it is installed all the same, and will run interpreted: slower", file=sys.stderr)


def generate(modules: list[str]) -> list[Extension]:
    """The C code of the modules, as extensions: one that holds it all, and one for each module that leads there."""
    from mypyc.build import include_dir, mypycify

    extensions: list[Extension] = mypycify(
        # Errors in modules that are not compiled are the linter's business.
        ["--follow-imports=silent", *modules],
        opt_level="3",
        debug_level="0",
        # As fast as all in one file, by measurement, and it can be compiled in parts.
        multi_file=True,
        group_name="leveret",
    )
    for extension in extensions:
        extension.depends += ["setup.py", os.path.join(include_dir(), "CPy.h")]
    return extensions


def hot_extensions() -> list[Extension]:
    """The group as extensions, their C code generated under build/; none where they can't or shan't be compiled."""
    if COMPILE not in ("", "0", "1"):
        sys.exit(f"LEVERET_COMPILE is 0, 1 or not set, not {COMPILE!r}")
    if not BUILDING:
        return []
    if COMPILE != "0" and (modules := hot_modules()):
        try:
            return generate(modules)
        except (Exception, SystemExit) as error:  # mypyc leaves by SystemExit when it finds an error in a module
            if COMPILE == "1":
                raise
            say_interpreted(f"mypyc could not compile it ({error!r})")
    if IN_PLACE:
        remove_extension_modules(SOURCES)
    return []


class BuildGroup(build_ext):
    """Builds the whole group, or leaves nothing of it behind.

    The C compiler takes most of the time, so every core gets its share, and only what changed is compiled again.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self) -> None:
        compile_all = self.compiler.compile
        with ThreadPoolExecutor(self.parallel) as pool:

            def compile_changed(sources: list[str], output_dir: str, depends: list[str], **options: Any) -> list[str]:
                objects = self.compiler.object_filenames(sources, output_dir=output_dir)
                makings = [
                    pool.submit(compile_all, [source], output_dir=output_dir, depends=depends, **options)
                    for source, made in zip(sources, objects, strict=True)
                    if self.force or newer_group([source, *depends], made)
                ]
                for making in makings:
                    making.result()
                return objects

            self.compiler.compile = compile_changed
            super().build_extensions()

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            if COMPILE == "1":
                raise
            compiler = os.environ.get("CC") or sysconfig.get_config_var("CC")
            say_interpreted(f"the C compiler ({compiler}) failed with a {type(error).__name__}")
            self.extensions.clear()
            self.distribution.ext_modules = []
            if wheel := self.distribution.command_obj.get("bdist_wheel"):
                wheel.root_is_pure = True
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        folders = [Path(self.build_lib), SOURCES] if IN_PLACE else [Path(self.build_lib)]
        for folder in folders:
            made = [folder / self.get_ext_filename(self.get_ext_fullname(each.name)) for each in self.extensions]
            remove_extension_modules(folder, but=frozenset(file.resolve() for file in made))
            if folder == SOURCES:
                # Not older than its source, even when mypyc made the same C code of a changed source.
                for file in made:
                    os.utime(file)


setup(ext_modules=hot_extensions(), cmdclass={"build_ext": BuildGroup})
