"""What the lab's peer writes down of a picture is the picture."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from ringline.media.frames import VideoFrame

_spec = importlib.util.spec_from_file_location("lab_peer", Path(__file__).with_name("peer.py"))
assert _spec is not None
assert _spec.loader is not None
peer = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = peer
_spec.loader.exec_module(peer)


@pytest.mark.parametrize("size", [(640, 360), (480, 270), (320, 180)])
@pytest.mark.parametrize("level", [16, 120, 235])
def test_scaling_leaves_the_luma_as_bright_as_it_is(size: tuple[int, int], level: int) -> None:
    width, height = size
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    planes[:height] = level
    luma = peer.scaled(VideoFrame(planes))
    assert luma.shape == (360, 640)
    assert np.abs(luma.astype(int) - level).max() <= 1
