"""Shared libraries: where this machine keeps libvpx and libopus.

PyAV's wheel carries both, so an installation by pip alone has them.  Where PyAV was built from
source they are the system's.  Nothing is loaded here: a candidate is a file name and where it is
from, best first.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Literal

__all__ = ["LibraryName", "LibraryOrigin", "SharedLibrary", "find_libraries", "wheel_libraries"]

LibraryName = Literal["vpx", "opus"]

_OVERRIDES: Final[dict[LibraryName, str]] = {"vpx": "RINGLINE_LIBVPX", "opus": "RINGLINE_LIBOPUS"}

# Where the tools that repair wheels put what they bundle, seen from the folder above the package:
# auditwheel (Linux) and delvewheel (Windows) beside it, delocate (macOS) within it.
_WHEEL_FOLDERS: Final = ("av.libs", "av/.dylibs")


class LibraryOrigin(Enum):
    """Who put a library on this machine."""

    OVERRIDE = "environment"
    WHEEL = "PyAV's wheel"
    SYSTEM = "system"
    PROGRAM = "loaded by the program"


@dataclass(frozen=True, slots=True)
class SharedLibrary:
    """A file that may be loaded.

    Attributes:
        path: Absolute, or for :attr:`LibraryOrigin.SYSTEM` a name that the loader resolves.
        origin: Where it is from.

    """

    path: str
    origin: LibraryOrigin

    def __str__(self) -> str:
        return f"{self.path} ({self.origin.value})"


def find_libraries(
    name: LibraryName,
    environment: Mapping[str, str],
    *,
    order: tuple[LibraryOrigin, ...] = (LibraryOrigin.WHEEL, LibraryOrigin.SYSTEM),
) -> list[SharedLibrary]:
    """Return the candidates for a library, best first; empty if there is none.

    ``RINGLINE_LIBVPX`` and ``RINGLINE_LIBOPUS`` name a file, and then nothing else is tried: who
    asks for one library must not silently get another.

    Args:
        name: Which library.
        environment: Usually :data:`os.environ`.
        order: Which of the wheel's and the system's comes first.

    """
    override = environment.get(_OVERRIDES[name])
    if override:
        return [SharedLibrary(override, LibraryOrigin.OVERRIDE)]
    found: list[SharedLibrary] = []
    for origin in order:
        if origin is LibraryOrigin.WHEEL:
            found += wheel_libraries(name)
        elif origin is LibraryOrigin.SYSTEM:
            system = ctypes.util.find_library(name)
            if system is not None:
                found.append(SharedLibrary(system, LibraryOrigin.SYSTEM))
    return found


def wheel_libraries(name: LibraryName, above: Path | None = None) -> list[SharedLibrary]:
    """Return what PyAV's wheel bundles of a library; empty if PyAV is not from a wheel.

    Args:
        name: Which library.
        above: The folder that holds the package ``av``; by default where it is installed.

    """
    if above is None:
        package = importlib.util.find_spec("av")
        if package is None or package.origin is None:
            return []
        above = Path(package.origin).parent.parent
    # libvpx-edb6de90.so.12.0.0, libvpx.12.dylib, libvpx-1-0c4d.dll; "libvpl" is another library.
    files = [
        file
        for folder in _WHEEL_FOLDERS
        for file in sorted((above / folder).glob(f"lib{name}[-.]*"))
        if file.is_file()
    ]
    return [SharedLibrary(str(file), LibraryOrigin.WHEEL) for file in files]
