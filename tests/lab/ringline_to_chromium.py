"""A Ringline peer calls Chromium over the lab's links; what Chromium shows and plays is scored.

``RINGLINE_LAB=FOLDER python tests/lab/ringline_to_chromium.py NAME SECONDS UP_A DOWN_A [UP_B
DOWN_B]``, as root, from the project's root: RINGLINE_LAB is the folder of the lab (labenv.py,
score.py, net_up.sh ...).  Prints one JSON line, as the lab's own pairs do, with what Chromium
counts beside.  POLICY=relay has both use the relay only.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SERVER = "10.77.0.1"


def inbound(stats: list[dict[str, Any]]) -> dict[str, Any]:
    """What Chromium counts of what it is sent, in the words of the lab's chrome_pair.py."""

    def of(kind: str) -> dict[str, Any]:
        found = (one for one in stats if one["type"] == "inbound-rtp" and one["kind"] == kind)
        return next(found, {})

    video, audio = of("video"), of("audio")
    emitted = max(1, audio.get("jitterBufferEmittedCount", 1))
    return {
        "freezeCount": video.get("freezeCount"),
        "totalFreezesDuration": video.get("totalFreezesDuration"),
        "fps": video.get("framesPerSecond"),
        "h": video.get("frameHeight"),
        "bytes": video.get("bytesReceived"),
        "nack": video.get("nackCount"),
        "pli": video.get("pliCount"),
        "keyframes": video.get("keyFramesDecoded"),
        "rtx": video.get("retransmittedPacketsReceived"),
        "fec": video.get("fecPacketsReceived"),
        "lost": video.get("packetsLost"),
        "concealed": audio.get("concealedSamples"),
        "samples": audio.get("totalSamplesReceived"),
        "conceal_events": audio.get("concealmentEvents"),
        "jb_ms": round(1000 * audio.get("jitterBufferDelay", 0) / emitted),
    }


def run(command: list[str], namespace: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command], stdout=output, stderr=subprocess.STDOUT
        )


def main() -> None:
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    folder = os.environ.get("RINGLINE_LAB")
    if not folder or not (Path(folder) / "labenv.py").exists():
        sys.exit("RINGLINE_LAB must be the lab's folder, the one that labenv.py is in")
    sys.path.insert(0, folder)
    lab, score = importlib.import_module("labenv"), importlib.import_module("score")

    name, seconds, *links = sys.argv[1:]
    lab.clip()
    out = Path(lab.fresh(name))
    lab.net_up(*(links + ["delay=0"] * 2)[:4])
    ringline = Path(sys.executable).with_name("ringline")
    serve = [str(ringline), "serve", "--host", SERVER, "--port", "8080", "--turn-port", "3478"]
    server = run([*serve, "--dev"], "inet", out / "server.log")
    time.sleep(2)

    def peer(script: str, role: str, namespace: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(HERE / script), "--role", role]
        command += ["--server", f"ws://{SERVER}:8080", "--media", lab.MEDIA]
        command += ["--out", str(out), "--seconds", seconds]
        if os.environ.get("POLICY") == "relay":
            command += ["--policy", "relay"]
        return run(command, namespace, out / f"{role}.log")

    callee = peer("chromium_peer.py", "b", "hostB")
    time.sleep(6)  # a browser takes its time to be there
    caller = peer("peer.py", "a", "hostA")
    for process in (caller, callee):
        try:
            process.wait(timeout=float(seconds) + 60)
        except subprocess.TimeoutExpired:
            process.kill()
    server.send_signal(signal.SIGTERM)
    server.wait(10)
    sys.stdout.write(lab.net_down())
    for role in "ab":
        if not (out / f"{role}.json").exists():
            sys.exit(f"peer {role} failed; {out}/{role}.log tells")
    ours, theirs = (json.loads((out / f"{role}.json").read_text()) for role in "ab")
    heard = np.load(out / "b.npz")
    pictures = list(zip(heard["ids"], heard["ys"], strict=True))
    lab.report(
        {
            "name": name,
            "video": score.video(ours["sent"], theirs["got"], pictures, lab.MEDIA),
            "sound": score.sound(heard["pcm"], lab.MEDIA),
            "stats": inbound(theirs["stats"]),
            "cpu_s": [ours["cpu_s"], theirs["cpu_s"]],
            "rss_mb": [ours["rss_mb"], theirs["rss_mb"]],
            "seconds": float(seconds),
            "path": ours["path"],
            "setup": lab.setup(ours["state"], theirs["got"], "calling"),
        }
    )


if __name__ == "__main__":
    main()
