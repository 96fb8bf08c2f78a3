from __future__ import annotations

import ctypes.util
import json
import os
import subprocess
import sys
from typing import Any

import opuslib.api
import pytest

from ringline.media.codecs.libopus import Libopus
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.shared_library import LibraryOrigin, wheel_libraries
from ringline.media.errors import CodecError

in_wheel = pytest.mark.skipif(not wheel_libraries("opus"), reason="PyAV is not from a wheel")

# opuslib can be imported once in a process, so each of these has one of its own.
REPORT = """
import ctypes.util, json, os, sys
from ringline.media.codecs.libopus import Libopus
from ringline.media.codecs.opus import OpusConfig, OpusDecoder, OpusEncoder
import numpy as np
looked_up = ctypes.util.find_library
libopus = Libopus.load(os.environ)
import opuslib
packet = OpusEncoder(OpusConfig(), libopus).encode(np.arange(960, dtype=np.int16))
print(json.dumps({
    "path": libopus.library.path,
    "origin": libopus.library.origin.value,
    "in_use": opuslib.api.lib_location,
    "version": libopus.version,
    "undone": ctypes.util.find_library is looked_up is opuslib.api.find_library,
    "decoded": len(OpusDecoder(libopus).decode(packet)),
}))
"""
NO_SYSTEM_LIBRARY = """
import ctypes.util
find_library = ctypes.util.find_library
ctypes.util.find_library = lambda name: None if name == "opus" else find_library(name)
"""
NO_WHEEL = """
from ringline.media.codecs import shared_library
shared_library.wheel_libraries = lambda name: []
"""
ANOTHER_LIBRARY = """
import ctypes.util
from ringline.media.codecs import shared_library
there = shared_library.wheel_libraries
other = shared_library.SharedLibrary(
    ctypes.util.find_library("c"), shared_library.LibraryOrigin.PROGRAM
)
shared_library.wheel_libraries = lambda name: [other, *there(name)]
"""


def report(before: str = "", **environment: str) -> dict[str, Any]:
    """Load libopus in a process of its own, after ``before``; return what it says."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", before + REPORT],
        env={**os.environ, "RINGLINE_LIBOPUS": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@in_wheel
def test_without_a_system_library_the_wheel_s_serves() -> None:
    (bundled,) = wheel_libraries("opus")
    said = report(NO_SYSTEM_LIBRARY)
    assert said == {
        "path": bundled.path,
        "origin": "PyAV's wheel",
        "in_use": bundled.path,
        "version": said["version"],
        "undone": True,
        "decoded": 960,
    }
    assert said["version"].startswith("libopus 1.")


@in_wheel
def test_the_library_of_the_wheel_comes_before_the_system_s() -> None:
    (bundled,) = wheel_libraries("opus")
    said = report()
    assert (said["path"], said["origin"]) == (bundled.path, "PyAV's wheel")
    assert said["undone"]


def test_without_a_wheel_the_system_s_library_serves() -> None:
    system = ctypes.util.find_library("opus")
    if system is None:
        pytest.skip("the system has no libopus")
    said = report(NO_WHEEL)
    assert (said["path"], said["origin"], said["in_use"]) == (system, "system", system)
    assert said["undone"]
    assert said["decoded"] == 960


@in_wheel
def test_the_environment_chooses() -> None:
    (bundled,) = wheel_libraries("opus")
    said = report(RINGLINE_LIBOPUS=bundled.path)
    assert (said["path"], said["origin"]) == (bundled.path, "environment")
    assert said["in_use"] == bundled.path


@in_wheel
def test_a_library_that_is_none_gives_way_to_the_next() -> None:
    assert report(ANOTHER_LIBRARY)["origin"] == "PyAV's wheel"


@in_wheel
def test_an_opuslib_that_the_program_imported_is_taken_as_it_is() -> None:
    if ctypes.util.find_library("opus") is None:
        pytest.skip("the system has no libopus, so a program could not import opuslib by itself")
    before = "import warnings; warnings.simplefilter('ignore'); import opuslib.api\n"
    assert report(before)["origin"] == "system"
    said = report(before, RINGLINE_LIBOPUS=wheel_libraries("opus")[0].path)
    assert said["origin"] == "loaded by the program"
    assert said["path"] == said["in_use"] != wheel_libraries("opus")[0].path


def test_nowhere_to_load_from_is_an_error_with_its_reason() -> None:
    code = """
import os
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.opus import OpusConfig
registry = CodecRegistry()
for make in (registry.audio_decoder, lambda name: registry.audio_encoder(name, OpusConfig())):
    try:
        make("opus")
    except Exception as error:
        print(type(error).__name__, error)
print(registry.implementation("opus"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "RINGLINE_LIBOPUS": "/nowhere/libopus.so"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    one, other, shown = done.stdout.splitlines()
    assert one == other
    assert one.startswith("LibraryError /nowhere/libopus.so (environment) does not load: ")
    assert shown.startswith("opus: none (/nowhere/libopus.so (environment) does not load: ")
    assert "codec opus: none" in done.stderr


def test_a_machine_with_no_libopus_at_all_is_told_so() -> None:
    code = """
import importlib.util
importlib.util.find_spec = lambda name: None  # no wheel of PyAV
from ringline.media.codecs.libopus import Libopus
from ringline.media.errors import LibraryError
try:
    Libopus.load({})
except LibraryError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", NO_SYSTEM_LIBRARY + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "there is no libopus, nor PyAV's wheel with one\n"


def test_it_says_which_library_opuslib_uses(codecs: CodecRegistry) -> None:
    implementation = codecs.implementation("opus")
    assert implementation.path == opuslib.api.lib_location
    assert implementation.name is not None
    assert implementation.name.startswith("libopus 1.")
    assert implementation.origin in {origin.value for origin in LibraryOrigin}


def test_opuslib_s_own_functions_keep_their_declarations() -> None:
    libopus = Libopus.load({})
    assert libopus.encode is not opuslib.api.libopus.opus_encode
    assert libopus.encoder_ctl is not opuslib.api.libopus.opus_encoder_ctl
    # with the two fixed arguments declared, ctypes passes the third as a variadic one
    assert libopus.encoder_ctl.argtypes == (ctypes.c_void_p, ctypes.c_int)  # type: ignore[attr-defined] # a ctypes function


def test_a_failed_call_tells_its_reason() -> None:
    libopus = Libopus.load({})
    assert libopus.check(3, "opus_decode") == 3
    with pytest.raises(CodecError, match=r"^opus_decode: corrupted stream \(-4\)$"):
        libopus.check(-4, "opus_decode")
    with pytest.raises(CodecError, match="invalid argument"):
        libopus.new_decoder(44_100, 1)
    with pytest.raises(CodecError, match="invalid argument"):
        libopus.new_encoder(48_000, 1, 1)
