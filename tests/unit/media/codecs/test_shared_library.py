from __future__ import annotations

from pathlib import Path

import pytest

from ringline.media.codecs.shared_library import (
    LibraryName,
    LibraryOrigin,
    SharedLibrary,
    find_libraries,
    wheel_libraries,
)


@pytest.mark.parametrize(("name", "variable"), [("vpx", "LIBVPX"), ("opus", "LIBOPUS")])
def test_an_override_is_the_only_candidate(name: LibraryName, variable: str) -> None:
    found = find_libraries(name, {f"RINGLINE_{variable}": "/opt/lib/mine.so"})
    assert found == [SharedLibrary("/opt/lib/mine.so", LibraryOrigin.OVERRIDE)]


def test_an_empty_override_is_none() -> None:
    assert find_libraries("vpx", {"RINGLINE_LIBVPX": ""}) == find_libraries("vpx", {})


def test_the_wheel_comes_before_the_system_unless_told_otherwise() -> None:
    there = [library.origin for library in find_libraries("vpx", {})]
    assert there == sorted(there, key=[LibraryOrigin.WHEEL, LibraryOrigin.SYSTEM].index)
    order = (LibraryOrigin.SYSTEM, LibraryOrigin.WHEEL)
    turned = [library.origin for library in find_libraries("vpx", {}, order=order)]
    assert turned == sorted(there, key=order.index)


def test_every_wheel_tool_s_names_are_known(tmp_path: Path) -> None:
    names = [
        "av.libs/libvpx-1-0c4d.dll",
        "av.libs/libvpx-edb6de90.so.12.0.0",
        "av/.dylibs/libvpx.12.dylib",
    ]
    for name in [*names, "av.libs/libvpl-e4e9cae8.so.2", "av.libs/libvpxenc", "libvpx.so"]:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "av.libs/libvpx.d").mkdir()
    found = wheel_libraries("vpx", tmp_path)
    assert found == [SharedLibrary(str(tmp_path / name), LibraryOrigin.WHEEL) for name in names]


def test_a_pyav_that_bundles_nothing_gives_nothing(tmp_path: Path) -> None:
    assert wheel_libraries("opus", tmp_path) == []


def test_a_library_tells_its_file_and_origin() -> None:
    assert str(SharedLibrary("libvpx.so.7", LibraryOrigin.SYSTEM)) == "libvpx.so.7 (system)"
