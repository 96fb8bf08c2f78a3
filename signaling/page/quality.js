// Quality: how good each way of a call is, 1 (bad) to 5, what is to blame, and on whose side.
//
// The formulas of ringline.media (e_model, picture_score, quality_judge, quality_window), which say
// why the numbers are what they are, fed by the browser's own getStats.  A test compares the two.

const GOOD = 4; // score from which nothing needs a cause
const WINDOW_S = 6; // that a judgement is about

// Sound: the E-model, ITU-T G.107

const BEST = 93.2;
const ROBUSTNESS = 7.5; // of Opus' own concealment
const BURST_LOSS = 2; // percent up to which bursts count in full
const IMPAIRMENTS = [[6e3, 55], [8e3, 42], [12e3, 25], [16e3, 16], [24e3, 1], [32e3, 0]]; // by bit/s

// loss: share made up after all repair; bitrate: net, null if unknown; mouthToEar: seconds.
export function rateSound({ loss, burstRatio = 1, bitrate, mouthToEar }) {
  const codec = bitrate === null ? 0 : bitrateImpairment(bitrate);
  const percent = 100 * Math.min(Math.max(loss, 0), 1);
  let burst = Math.max(1, burstRatio);
  if (percent > BURST_LOSS) burst = 1 + (burst - 1) * BURST_LOSS / percent;
  const missing = (95 - codec) * percent / (percent / burst + ROBUSTNESS);
  const delay = delayImpairment(mouthToEar);
  const r = Math.max(0, BEST - delay - codec - missing);
  return { delay, codec, loss: missing, score: 1 + 4 * (opinion(r) - 1) / (opinion(BEST) - 1) };
}

function opinion(r) {
  return r <= 0 ? 1 : Math.max(1, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}

function delayImpairment(seconds) {
  if (seconds <= 0.1) return 0;
  const x = Math.log2(seconds / 0.1);
  return 25 * ((1 + x ** 6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2);
}

function bitrateImpairment(bitrate) {
  const next = IMPAIRMENTS.findIndex(([rate]) => bitrate <= rate);
  if (next < 0) return 0;
  if (next === 0) return IMPAIRMENTS[0][1];
  const [[low, worse], [high, better]] = [IMPAIRMENTS[next - 1], IMPAIRMENTS[next]];
  return worse + (bitrate - low) / (high - low) * (better - worse);
}

// Picture: five troubles, each takes a part of what the others left

const points = (taken) => Math.min(Math.max(taken, 0), 4);

// frozen: share of the time; quantizer: VP8's, 0 to 127, null if unknown; delay: seconds.
export function ratePicture({ frozen, pixels, frameRate, quantizer, delay }) {
  const slower = Math.max(0, Math.log2(25 / Math.max(0.1, frameRate)));
  const coarser = Math.max(0, ((quantizer ?? 0) - 30) / 97);
  const taken = {
    freezes: 4 * (1 - Math.exp(-6 * Math.min(Math.max(frozen, 0), 1))),
    size: points(0.3 * Math.log2(640 * 360 / Math.max(1, pixels))),
    frameRate: points(0.75 * slower ** 1.5),
    coarseness: points(2.4 * coarser ** 1.5),
    delay: points(Math.log2(Math.max(delay, 0.15) / 0.15)),
  };
  const left = Object.values(taken).reduce((rest, one) => rest * (1 - one / 4), 1);
  return { ...taken, score: 1 + 4 * left };
}

// The judge: the dearest trouble of one cause on one side is named

const blameSound = (heard, side, missing) => [
  [heard.loss / 20, missing, side], [heard.codec / 20, "bandwidth", side], [heard.delay / 20, "delay", side],
];

export function judgeReceiving(sound, picture) {
  const blames = [];
  const heard = sound && rateSound({ ...sound, loss: sound.madeUp });
  const seen = picture && ratePicture(picture);
  if (sound) blames.push(...blameSound(heard, "their upload", sound.packetLoss >= 0.25 * sound.madeUp ? "loss" : "delay"));
  if (picture) {
    const slow = picture.decoding >= 0.7 && ["cpu", "our device"];
    const roomForMore = picture.quantizer !== null && picture.quantizer < 55 && ["cpu", "their device"];
    blames.push(
      [seen.freezes, ...(slow || [picture.packetLoss >= 0.002 ? "loss" : "delay", "their upload"])],
      [seen.frameRate, ...(slow || roomForMore || ["bandwidth", "their upload"])],
      [seen.size + seen.coarseness, "bandwidth", "their upload"],
      [seen.delay, "delay", "their upload"],
    );
  }
  return sumUp(heard, seen, blames);
}

export function judgeSending(sound, picture) {
  const blames = [];
  const heard = sound && rateSound({ ...sound, loss: sound.loss >= 0.01 ? sound.loss / 2 : sound.loss });
  if (sound) blames.push(...blameSound(heard, "our upload", "loss"));
  let seen = null;
  if (picture) {
    const stop = picture.keyFrameRequests * (picture.roundTrip + 0.15) / picture.seconds;
    seen = ratePicture({ ...picture, frozen: picture.paused ? 1 : stop + 2 * picture.loss ** 2 });
    const busy = picture.limitation === "cpu" || picture.encoding >= 0.7;
    const limit = busy ? ["cpu", "our device"] : ["bandwidth", "our upload"];
    blames.push(
      [seen.freezes, ...(picture.paused ? limit : ["loss", "our upload"])],
      [seen.frameRate + seen.size, ...limit],
      [seen.coarseness, "bandwidth", "our upload"],
      [seen.delay, "delay", "our upload"],
    );
  }
  return sumUp(heard, seen, blames);
}

function sumUp(heard, seen, blames) {
  if (!heard && !seen) return null;
  const [sound, picture] = [heard?.score ?? null, seen?.score ?? null];
  let score = sound ?? picture;
  if (heard && seen) {
    const mean = 0.6 * sound + 0.4 * picture;
    score = mean + 0.5 * (Math.min(sound, picture) - mean);
  }
  if (score >= GOOD) return { score, sound, picture, cause: "none", side: null };
  const costs = new Map();
  for (const [cost, ...blame] of blames) costs.set(blame.join(), (costs.get(blame.join()) ?? 0) + cost);
  const [cause, side] = [...costs].reduce((most, one) => (one[1] > most[1] ? one : most))[0].split(",");
  return { score, sound, picture, cause, side };
}

// The window: what happened between two reports of getStats

const SOUND_OVERHEAD_S = 0.045; // a frame, the codec, what devices hold
const PICTURE_OVERHEAD_S = 0.03;
const FAR_BUFFER_S = 0.04; // that the other side's jitter buffer is taken to hold, and twice its jitter

export class QualityMeter {
  samples = [];

  // report: of getStats, as an array; at: seconds; muted: our sound is; connected: the path carries.
  judge(report, { at, muted = false, connected = true }) {
    const rtp = (type, kind) => report.find((one) => one.type === type && one.kind === kind);
    const all = (type) => report.filter((one) => one.type === type);
    const sum = (type, field) => all(type).reduce((total, one) => total + (one[field] ?? 0), 0);
    const transport = all("transport").find((one) => one.selectedCandidatePairId);
    const pair = report.find((one) => one.id === transport?.selectedCandidatePairId);
    const codec = (one) => report.find((other) => other.id === one?.codecId)?.mimeType;
    const [seen, shown] = [rtp("inbound-rtp", "video"), rtp("outbound-rtp", "video")];
    this.samples.push({
      at, muted, connected,
      arrived: transport?.packetsReceived ?? 0,
      left: sum("outbound-rtp", "packetsSent"),
      roundTrip: pair?.currentRoundTripTime ?? 0,
      remote: rtp("remote-inbound-rtp", "audio"),
      loss: (rtp("remote-inbound-rtp", "audio") ?? rtp("remote-inbound-rtp", "video"))?.fractionLost ?? 0,
      heard: rtp("inbound-rtp", "audio"),
      seen: seen?.framesDecoded ? seen : undefined,
      spoken: rtp("outbound-rtp", "audio"),
      shown: shown?.framesEncoded ? shown : undefined,
      // Of another codec than VP8 the quantizer has another scale.
      seenIsVp8: codec(seen) === "video/VP8",
      shownIsVp8: codec(shown) === "video/VP8",
    });
    while (this.samples.length > 2 && this.samples[1].at <= at - WINDOW_S) this.samples.shift();
    this.newest = this.samples.at(-1);
    this.way = this.newest.roundTrip / 2;
    this.silence = this.silentShare();
    return {
      receiving: judgeReceiving(this.heard(), this.seen()),
      sending: judgeSending(this.spoken(), this.shown()),
    };
  }

  heard() {
    const span = this.span("heard");
    if (!span) return null;
    const { grown, loss } = span;
    const played = grown("totalSamplesReceived");
    if (played <= 0 || (grown("packetsReceived") <= 0 && !this.silence)) return null;
    const [concealed, events, emitted] = ["concealedSamples", "concealmentEvents", "jitterBufferEmittedCount"].map(grown);
    const madeUp = Math.min(1, Math.max(concealed / played, this.silence));
    return {
      madeUp,
      burstRatio: Math.max(1, (events > 0 ? concealed / 960 / events : 1) * (1 - madeUp)),
      packetLoss: Math.max(loss, this.silence),
      bitrate: emitted > 0 ? grown("bytesReceived") * 8 * 48000 / emitted : null,
      mouthToEar: this.way + SOUND_OVERHEAD_S + (emitted > 0 ? grown("jitterBufferDelay") / emitted : 0),
    };
  }

  seen() {
    const span = this.span("seen");
    if (!span || (span.grown("packetsReceived") <= 0 && !this.silence)) return null;
    const { seconds, grown, loss, now } = span;
    const [decoded, emitted] = [grown("framesDecoded"), grown("jitterBufferEmittedCount")];
    // A browser counts a freeze when it is over.
    const counted = Math.max(grown("totalFreezesDuration"), this.silence * seconds);
    const frozen = decoded > 0 ? Math.min(seconds, Math.max(0, counted)) : seconds;
    return {
      frozen: frozen / seconds,
      packetLoss: Math.max(loss, this.silence),
      pixels: (now.frameWidth ?? 0) * (now.frameHeight ?? 0),
      // A picture that never moved is frozen; that it came seldom is the same trouble.
      frameRate: frozen < 0.9 * seconds ? (decoded - grown("framesDropped")) / (seconds - frozen) : 30,
      quantizer: decoded > 0 && this.newest.seenIsVp8 ? grown("qpSum") / decoded : null,
      decoding: grown("totalDecodeTime") / seconds,
      delay: this.way + PICTURE_OVERHEAD_S + (emitted > 0 ? grown("jitterBufferDelay") / emitted : 0),
    };
  }

  spoken() {
    const span = this.span("spoken");
    if (!span || this.newest.muted || span.grown("packetsSent") <= 0) return null;
    return {
      loss: this.reportedLoss(),
      bitrate: span.now.targetBitrate || null,
      mouthToEar: this.way + SOUND_OVERHEAD_S + FAR_BUFFER_S + 2 * (this.newest.remote?.jitter ?? 0),
    };
  }

  shown() {
    const span = this.span("shown");
    if (!span || !span.now.mediaSourceId) return null; // the camera is off
    const { seconds, grown, now } = span;
    const encoded = grown("framesEncoded");
    const limitation = now.qualityLimitationReason ?? "none";
    const paused = encoded <= 0 && limitation !== "none";
    if (encoded <= 0 && !paused) return null;
    return {
      seconds, paused, limitation,
      loss: this.reportedLoss(),
      keyFrameRequests: grown("pliCount") + grown("firCount"),
      pixels: (now.frameWidth ?? 0) * (now.frameHeight ?? 0),
      frameRate: paused ? 30 : encoded / seconds,
      quantizer: this.newest.shownIsVp8 && grown("qpSum") > 0 ? grown("qpSum") / encoded : null,
      encoding: grown("totalEncodeTime") / seconds,
      roundTrip: this.newest.roundTrip,
      delay: this.way + PICTURE_OVERHEAD_S,
    };
  }

  // One stream from the first sample that has it, if it is still the same.
  span(name) {
    const first = this.samples.find((sample) => sample[name]);
    const [old, now] = [first?.[name], this.newest[name]];
    if (!old || !now || old.id !== now.id || this.newest.at <= first.at) return null;
    const grown = (field) => (now[field] ?? 0) - (old[field] ?? 0);
    const lost = Math.max(0, grown("packetsLost"));
    const loss = lost ? lost / (lost + Math.max(0, grown("packetsReceived"))) : 0;
    return { seconds: this.newest.at - first.at, now, grown, loss };
  }

  reportedLoss() {
    const sum = this.samples.reduce((total, { loss }) => total + loss, 0);
    return Math.max(sum / this.samples.length, this.silence);
  }

  // Share of the time in which nothing at all came although it should have.
  silentShare() {
    let [silent, total] = [0, 0];
    this.samples.slice(1).forEach((now, index) => {
      const old = this.samples[index];
      total += now.at - old.at;
      const owed = now.left > old.left || !now.connected;
      if (now.arrived === old.arrived && old.arrived && owed) silent += now.at - old.at;
    });
    return total ? silent / total : 0;
  }
}
