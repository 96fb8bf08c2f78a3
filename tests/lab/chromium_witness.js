// Runs in the page before its own scripts: logs what the page sends, shows and plays.
//
// Rows and times are those of peer.py; a frame's time is when it was put on the screen.
"use strict";
globalThis.witness = (() => {
  const WIDTH = 640, HEIGHT = 360, GRAB_EVERY = 15, MAX_GRABBED = 250;
  const log = { sent: [], got: [], state: [], grabbed: [], stats: [] };
  const sound = []; // Int16Array each
  const now = () => performance.timeOrigin + performance.now();

  const base64 = (bytes) => {
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) {
      text += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
    }
    return btoa(text);
  };

  // The strip: 16 blocks over the top 16 rows, the highest bit first.
  const frameNumber = (context) => {
    const row = context.getImageData(0, 8, WIDTH, 1).data;
    let number = 0;
    for (let bit = 0; bit < 16; bit++) number = number * 2 + (row[(40 * bit + 20) * 4 + 1] > 127 ? 1 : 0);
    return number;
  };

  const luma = (context) => {
    const rgba = context.getImageData(0, 0, WIDTH, HEIGHT).data;
    const values = new Uint8Array(WIDTH * HEIGHT);
    for (let i = 0; i < values.length; i++) {
      values[i] = ((66 * rgba[4 * i] + 129 * rgba[4 * i + 1] + 25 * rgba[4 * i + 2] + 128) >> 8) + 16;
    }
    return base64(values);
  };

  const watch = (video, rows, grabbed) => {
    const context = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", { willReadFrequently: true });
    const take = (at) => {
      context.drawImage(video, 0, 0, WIDTH, HEIGHT);
      const number = frameNumber(context);
      rows.push([number, performance.timeOrigin + at, video.videoWidth, video.videoHeight]);
      if (grabbed && rows.length % GRAB_EVERY === 1 && grabbed.length < MAX_GRABBED) {
        grabbed.push([number, luma(context)]);
      }
      video.requestVideoFrameCallback(take);
    };
    video.requestVideoFrameCallback(take);
  };

  const listen = (track) => {
    const audio = new AudioContext({ sampleRate: 48000 });
    const tap = audio.createScriptProcessor(4096, 1, 1);
    tap.onaudioprocess = ({ inputBuffer }) => {
      const samples = inputBuffer.getChannelData(0);
      sound.push(Int16Array.from(samples, (one) => Math.max(-32768, Math.min(32767, one * 32767))));
    };
    audio.createMediaStreamSource(new MediaStream([track])).connect(tap);
    tap.connect(audio.destination);
  };

  const Connection = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Connection {
    constructor(...configuration) {
      super(...configuration);
      witness.connection = this;
      this.addEventListener("track", ({ track }) => track.kind === "audio" && listen(track));
      this.addEventListener("connectionstatechange", () => log.state.push([this.connectionState, now()]));
    }
  };

  addEventListener("DOMContentLoaded", () => {
    watch(document.getElementById("local"), log.sent, null);
    watch(document.getElementById("remote"), log.got, log.grabbed);
  });

  // A closed connection forgets what it counted.
  setInterval(async () => {
    const stats = [...(await witness.connection?.getStats() ?? new Map()).values()];
    if (stats.some((one) => one.type === "inbound-rtp")) log.stats = stats;
  }, 1000);

  return {
    log,
    // 48 kHz mono, little-endian.
    sound: () => {
      const joined = new Int16Array(sound.reduce((length, one) => length + one.length, 0));
      let at = 0;
      for (const one of sound) { joined.set(one, at); at += one.length; }
      return base64(new Uint8Array(joined.buffer));
    },
  };
})();
