"""The package list, the folders and the links for the type checker say the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("client", "media", "signaling", "turn")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_folder_is_listed() -> None:
    folders = {
        "ringline." + ".".join(init.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
    }
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == folders


def test_every_module_is_in_a_package() -> None:
    stray = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    ]
    assert stray == []


def test_the_four_roots_are_mapped_linked_and_typed() -> None:
    mapped = PYPROJECT["tool"]["setuptools"]["package-dir"]
    for package in PACKAGES:
        assert mapped[f"ringline.{package}"] == package
        assert (ROOT / "typecheck/ringline" / package).resolve() == ROOT / package
        assert (ROOT / package / "py.typed").exists()


def test_ringline_is_a_namespace() -> None:
    assert not (ROOT / "typecheck/ringline/__init__.py").exists()


def test_the_page_is_shipped() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["ringline.signaling"]
    assert "page/*" in patterns
    assert (ROOT / "signaling/page/index.html").exists()
