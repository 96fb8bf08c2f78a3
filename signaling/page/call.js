// Call: one RTCPeerConnection and what ringline.v1 says about it.
//
// Three sections from the start, sound, picture, data: video joins by replaceTrack and consent,
// without another offer.  The caller is the only offerer; the callee asks for a restart.
//
// What touches the connection is done one after the other (inOrder): each step may take a while,
// and the next depends on what it left.

import { QualityMeter } from "./quality.js";

const RING_GRACE_MS = 5_000; // after a ring time, before we believe that the server is gone
const FAREWELL_MS = 1_000; // from the other side's goodbye on the path to the end of the call
const RESTART_AFTER_MS = 2_000; // a lost path mostly comes back by itself
const RESTART_EVERY_MS = 5_000;
const GIVE_UP_MS = 30_000; // without a path
const MAX_UNSENT = 256;

const RINGING = ["calling", "ringing", "incoming"];
const CONNECTED = ["connected", "reconnecting"];

const ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export function ulid() {
  let value = BigInt(Date.now());
  for (const byte of crypto.getRandomValues(new Uint8Array(10))) value = value << 8n | BigInt(byte);
  let text = "";
  for (let shift = 125n; shift >= 0n; shift -= 5n) text += ULID[Number(value >> shift & 31n)];
  return text;
}

export function stopTracks(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

export class Call extends EventTarget {
  // Events: "state" (detail: state), "ended" (detail: {reason, detail}), "video-request",
  // "video-response" (detail: allowed), "muted" (detail: {kind, muted}), "text" (detail: string),
  // "picture" (detail: {state, cause}): full, coarser, smaller or paused, by their network or device.
  // What the other side sends is in the MediaStream `remote`.
  constructor(link, { id = ulid(), peer, outgoing, video, relayOnly = false }) {
    super();
    Object.assign(this, { link, id, peer, outgoing, video });
    this.state = outgoing ? "calling" : "incoming";
    this.generation = 0;
    this.negotiation = 0;
    this.answered = false; // offer and answer have passed once
    this.early = []; // candidates that came before the description they belong to
    this.unsent = []; // messages from before there was a channel
    this.lostAt = null; // when the path went
    this.last = Promise.resolve(); // the end of what is being done
    this.pc = new RTCPeerConnection({
      bundlePolicy: "max-bundle",
      iceTransportPolicy: relayOnly ? "relay" : "all",
    });
    this.pc.onicecandidate = ({ candidate }) => this.trickle(candidate);
    this.pc.ontrack = ({ track }) => this.remote.addTrack(track);
    this.pc.ondatachannel = ({ channel }) => this.useChannel(channel);
    this.pc.onconnectionstatechange = () => this.followConnection();
    this.remote = new MediaStream();
  }

  // What the user does

  invite(stream) {
    this.stream = stream;
    return this.inOrder(async () => {
      this.audio = this.pc.addTransceiver("audio", { direction: "sendrecv" });
      this.camera = this.pc.addTransceiver("video", { direction: "sendrecv" });
      this.useChannel(this.pc.createDataChannel("ringline"));
      await this.setStream(stream);
      // The offer follows when the ICE servers are known: a browser takes new ones only with the
      // next gathering.
      this.send("call.invite", { to: this.peer, media: { audio: true, video: this.video } });
    });
  }

  prepare(message) {
    this.takeServers(message);
    this.ringFor(message.expires_in_ms);
    this.send("call.ringing");
    if (!message.offer) return;
    this.generation = message.offer.gen ?? 0;
    return this.inOrder(() => this.takeOffer(message.offer.sdp));
  }

  accept(stream, video) {
    this.video = video;
    this.stream = stream;
    clearTimeout(this.ringTimer);
    return this.inOrder(async () => {
      const body = { media: { audio: true, video } };
      if (this.pc.remoteDescription) { // else the offer is still to come
        await this.setStream(stream);
        await this.pc.setLocalDescription();
        body.answer = { sdp: this.pc.localDescription.sdp, gen: this.generation };
        this.answered = true;
      }
      this.send("call.accept", body);
      this.setState("connecting");
    });
  }

  decline() {
    this.send("call.decline");
    this.end("declined");
  }

  hangUp() {
    const early = this.outgoing && ["calling", "ringing"].includes(this.state);
    this.send(early ? "call.cancel" : "call.end", early ? {} : { reason: "hangup" });
    this.end(early ? "cancelled" : "hangup");
  }

  async setStream(stream) {
    this.stream = stream;
    const track = (kind) => stream?.getTracks().find((one) => one.kind === kind) ?? null;
    await this.audio?.sender.replaceTrack(track("audio"));
    await this.camera?.sender.replaceTrack(this.video ? track("video") : null);
  }

  async setCamera(track) {
    this.video = Boolean(track);
    await this.camera?.sender.replaceTrack(track);
    this.updateMedia();
  }

  setMuted(muted) {
    this.muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
    this.updateMedia();
  }

  requestVideo() { this.send("media.request", { want: "video" }); }
  answerVideo(allow) { this.send("media.response", { want: "video", allow }); }
  say(text) {
    if (this.channel?.readyState === "open") this.channel.send(text);
    else if (this.unsent.length < MAX_UNSENT) this.unsent.push(text);
  }

  // What the server says

  handle(message) {
    switch (message.t) { // an end waits for nothing
      case "call.end": return this.end(message.reason ?? "hangup", message.detail);
      case "call.state": return message.state === "ended" && this.end(message.reason ?? "hangup");
      default: return this.inOrder(() => this.take(message));
    }
  }

  async take(message) {
    switch (message.t) {
      case "call.created":
        this.takeServers(message);
        if (!RINGING.includes(this.state)) return;
        this.ringFor(message.expires_in_ms);
        return this.offer();
      case "turn.refresh": return this.takeServers(message);
      case "call.ringing": return this.state === "calling" && this.setState("ringing");
      case "call.accept":
        clearTimeout(this.ringTimer);
        if (RINGING.includes(this.state)) this.setState("connecting");
        return message.answer && (message.answer.gen ?? 0) === this.generation && this.takeAnswer(message.answer.sdp);
      case "sdp.offer": return this.handleOffer(message);
      case "sdp.answer":
        return (message.neg ?? 0) === this.negotiation && this.takeAnswer(message.sdp);
      case "ice.candidates":
        if ((message.gen ?? 0) !== this.generation) return;
        for (const one of message.list ?? []) await this.addCandidate(one);
        return;
      case "call.restart":
        // Of a generation that we have offered already: that offer is on its way.
        if (!this.outgoing || message.gen <= this.generation || RINGING.includes(this.state)) return;
        this.postponeRestart();
        return this.restart();
      case "media.update":
        for (const track of Object.values(message.tracks ?? {})) {
          this.tell("muted", { kind: track.kind, muted: Boolean(track.muted) });
          if (track.kind === "video") this.tell("picture", { state: track.limited ?? "full", cause: track.cause ?? "network" });
        }
        return;
      case "media.request": return this.tell("video-request");
      case "media.response": return this.tell("video-response", Boolean(message.allow));
      case "error":
        if (message.code === "unknown_call" && (RINGING.includes(this.state) || message.ref === "call.accept")) {
          this.end("signaling_failed", "the server knows nothing of this call");
        } else if (message.ref === "call.invite" && this.state === "calling") {
          this.end("app_error", message.message);
        }
    }
  }

  async handleOffer({ sdp, gen = 0, neg = 0 }) {
    if (this.answered && gen <= this.generation) return; // said twice
    if (gen !== this.generation) this.early = []; // of a generation that is gone
    this.negotiation = neg;
    this.generation = gen;
    this.postponeRestart();
    await this.takeOffer(sdp);
    if (this.state === "incoming") return; // the answer rides in the accept
    await this.setStream(this.stream);
    await this.pc.setLocalDescription();
    this.answered = true;
    this.send("sdp.answer", { sdp: this.pc.localDescription.sdp, gen, neg });
  }

  async takeOffer(sdp) {
    await this.pc.setRemoteDescription({ type: "offer", sdp });
    const find = (kind) => this.pc.getTransceivers().find((one) => one.receiver.track.kind === kind);
    this.audio = find("audio");
    this.camera = find("video");
    for (const one of [this.audio, this.camera]) if (one) one.direction = "sendrecv";
    await this.addEarly();
  }

  async takeAnswer(sdp) {
    if (this.pc.signalingState !== "have-local-offer") return;
    await this.pc.setRemoteDescription({ type: "answer", sdp });
    this.answered = true;
    await this.addEarly();
  }

  async addCandidate(one) {
    if (!this.pc.remoteDescription || this.pc.signalingState === "have-local-offer") {
      if (this.early.length < 128) this.early.push(one);
      return;
    }
    const candidate = { candidate: one.candidate, sdpMid: one.mid ?? null, sdpMLineIndex: one.mline ?? 0 };
    await this.pc.addIceCandidate(candidate).catch((error) => console.debug("candidate dropped", error));
  }

  async addEarly() {
    for (const one of this.early.splice(0)) await this.addCandidate(one);
  }

  async restart() {
    this.generation += 1;
    this.negotiation += 1;
    this.early = [];
    this.pc.restartIce();
    await this.offer();
  }

  async offer() {
    await this.pc.setLocalDescription();
    this.send("sdp.offer", {
      sdp: this.pc.localDescription.sdp, gen: this.generation, neg: this.negotiation,
    });
  }

  // The path

  takeServers({ ice_servers: servers, ice_expires_in_ms: lifetime }) {
    if (!servers?.length) return;
    clearTimeout(this.refreshTimer); // so that a restart always has good credentials
    if (lifetime) this.refreshTimer = setTimeout(() => this.send("turn.refresh"), 0.8 * lifetime);
    this.pc.setConfiguration({
      ...this.pc.getConfiguration(),
      iceServers: servers.map(({ urls, username, credential }) => ({ urls, username, credential })),
    });
  }

  trickle(candidate) {
    if (candidate && !candidate.candidate) return; // end of one component
    const list = candidate
      ? [{ candidate: candidate.candidate, mid: candidate.sdpMid, mline: candidate.sdpMLineIndex }]
      : [];
    this.send("ice.candidates", { gen: this.generation, list, end: !candidate });
  }

  followConnection() {
    const state = this.pc.connectionState;
    switch (state) {
      case "connected":
        clearTimeout(this.restartTimer);
        this.lostAt = null;
        this.setState("connected");
        this.send("call.path", { state: "connected" });
        break;
      case "disconnected":
      case "failed":
        if (!CONNECTED.includes(this.state)) {
          if (state === "failed") this.giveUp("ice_failed");
        } else if (this.lostAt === null) {
          this.lostAt = performance.now();
          this.send("call.path", { state: "lost" });
          this.setState("reconnecting");
          this.lookForPath(state === "failed" ? 0 : RESTART_AFTER_MS);
        }
    }
  }

  lookForPath(after) {
    clearTimeout(this.restartTimer);
    this.restartTimer = setTimeout(() => {
      if (performance.now() - this.lostAt >= GIVE_UP_MS) return this.giveUp("connection_lost");
      if (this.outgoing) this.inOrder(() => this.restart());
      else this.send("call.restart", { gen: this.generation + 1, cause: "path_lost" });
      this.lookForPath(RESTART_EVERY_MS);
    }, after);
  }

  // The other side has begun a restart: ours would only break it off.
  postponeRestart() {
    if (this.lostAt !== null) this.lookForPath(RESTART_EVERY_MS);
  }

  // Bookkeeping

  useChannel(channel) {
    if (channel.label !== "ringline") return;
    this.channel = channel;
    channel.onmessage = ({ data }) => typeof data === "string" && this.tell("text", data);
    channel.onopen = () => this.unsent.splice(0).forEach((text) => channel.send(text));
    if (channel.readyState === "open") channel.onopen();
    // The other side has closed the path; the server's word, if there is a server, says why.
    channel.onclose = () => setTimeout(() => {
      if (this.pc.sctp?.transport.state === "closed") this.giveUp("hangup");
    }, FAREWELL_MS);
  }

  // Do what touches the connection after all that was begun before, unless the call ends first.
  inOrder(work) {
    this.last = this.last.then(async () => {
      if (this.state === "ended") return;
      try {
        await work();
      } catch (error) {
        if (this.state === "ended") return;
        console.error(error);
        // A restart that failed; the next one may do.
        if (!CONNECTED.includes(this.state)) this.giveUp("unsupported", String(error.message ?? error));
      }
    });
    return this.last;
  }

  updateMedia() {
    this.send("media.update", {
      tracks: {
        0: { kind: "audio", purpose: "microphone", muted: Boolean(this.muted) },
        1: { kind: "video", purpose: "camera", muted: !this.video },
      },
    });
  }

  send(t, body = {}) {
    if (this.state !== "ended") this.link.send({ t, call: this.id, ...body });
  }

  ringFor(time) {
    clearTimeout(this.ringTimer);
    this.ringTimer = setTimeout(() => {
      if (this.outgoing) this.send("call.cancel");
      this.end("no_answer");
    }, time + RING_GRACE_MS);
  }

  giveUp(reason, detail = "") {
    if (this.state === "ended") return;
    this.send("call.end", { reason, detail: detail.slice(0, 512) });
    this.end(reason, detail);
  }

  setState(state) {
    if (this.state === "ended" || this.state === state) return;
    this.state = state;
    this.tell("state", state);
  }

  end(reason, detail = "") {
    if (this.state === "ended") return;
    this.setState("ended");
    for (const timer of [this.restartTimer, this.ringTimer, this.refreshTimer]) clearTimeout(timer);
    this.pc.close();
    stopTracks(this.stream);
    this.tell("ended", { reason, detail });
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// Stats: what a person wants to know, from getStats, once a second.
export class Meter {
  constructor(pc) {
    this.pc = pc;
    this.last = null;
    this.quality = new QualityMeter();
  }

  // muted: our sound is.
  async read({ muted }) {
    const report = [...(await this.pc.getStats()).values()];
    const by = new Map(report.map((one) => [one.id, one]));
    const transport = report.find((one) => one.type === "transport" && one.selectedCandidatePairId);
    const pair = transport && by.get(transport.selectedCandidatePairId);
    const types = pair ? [by.get(pair.localCandidateId), by.get(pair.remoteCandidateId)].map((c) => c?.candidateType) : [];
    const sum = (type, field) => report.filter((one) => one.type === type).reduce((all, one) => all + (one[field] ?? 0), 0);
    const video = (type) => report.find((one) => one.type === type && one.kind === "video") ?? {};
    const now = {
      at: performance.now(),
      up: sum("outbound-rtp", "bytesSent"),
      down: sum("inbound-rtp", "bytesReceived"),
      lost: sum("inbound-rtp", "packetsLost"),
      received: sum("inbound-rtp", "packetsReceived"),
    };
    const last = this.last ?? now;
    this.last = now;
    const seconds = Math.max((now.at - last.at) / 1000, 0.001);
    const lost = Math.max(0, now.lost - last.lost);
    const expected = lost + now.received - last.received;
    const [sent, shown] = [video("outbound-rtp"), video("inbound-rtp")];
    const connected = this.pc.connectionState === "connected";
    return {
      quality: this.quality.judge(report, { at: now.at / 1000, muted, connected }),
      path: !pair ? null : types.includes("relay") ? "relay" : types.some((t) => t !== "host") ? "direct, through NAT" : "direct",
      roundTrip: pair?.currentRoundTripTime ?? null,
      up: 8 * (now.up - last.up) / seconds,
      down: 8 * (now.down - last.down) / seconds,
      loss: expected > 0 ? lost / expected : 0,
      sent: { width: sent.frameWidth, height: sent.frameHeight, rate: sent.framesPerSecond },
      received: { width: shown.frameWidth, height: shown.frameHeight, rate: shown.framesPerSecond },
    };
  }
}
