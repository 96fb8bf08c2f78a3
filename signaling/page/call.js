// Call: one RTCPeerConnection and what ringline.v1 says about it.
//
// Three sections from the start, sound, picture, data: video joins by replaceTrack and consent,
// without another offer.  The caller is the only offerer; the callee asks for a restart.

const ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export function ulid() {
  let value = BigInt(Date.now());
  for (const byte of crypto.getRandomValues(new Uint8Array(10))) value = value << 8n | BigInt(byte);
  let text = "";
  for (let shift = 125n; shift >= 0n; shift -= 5n) text += ULID[Number(value >> shift & 31n)];
  return text;
}

export class Call extends EventTarget {
  // Events: "state" (detail: state), "ended" (detail: {reason, detail}), "video-request",
  // "video-response" (detail: allowed), "muted" (detail: {kind, muted}), "text" (detail: string).
  // What the other side sends is in the MediaStream `remote`.
  constructor(link, { id = ulid(), peer, outgoing, video, relayOnly = false }) {
    super();
    Object.assign(this, { link, id, peer, outgoing, video });
    this.state = outgoing ? "calling" : "incoming";
    this.generation = 0;
    this.negotiation = 0;
    this.early = []; // candidates that came before the description they belong to
    this.restartTimer = null;
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

  async invite(stream) {
    this.stream = stream;
    this.audio = this.pc.addTransceiver("audio", { direction: "sendrecv" });
    this.camera = this.pc.addTransceiver("video", { direction: "sendrecv" });
    this.useChannel(this.pc.createDataChannel("ringline"));
    await this.setStream(stream);
    // The offer follows when the ICE servers are known: a browser takes new ones only with the
    // next gathering.
    this.send("call.invite", { to: this.peer, media: { audio: true, video: this.video } });
  }

  async prepare(message) {
    this.addServers(message.ice_servers);
    this.send("call.ringing");
    if (message.offer) await this.takeOffer(message.offer.sdp);
  }

  async accept(stream, video) {
    this.video = video;
    this.setState("connecting");
    const body = { media: { audio: true, video } };
    if (this.pc.remoteDescription) {
      await this.setStream(stream);
      await this.pc.setLocalDescription();
      body.answer = { sdp: this.pc.localDescription.sdp, gen: 0 };
    } else {
      this.stream = stream; // the offer is still to come
    }
    this.send("call.accept", body);
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
  say(text) { this.channel?.send(text); }

  // What the server says

  async handle(message) {
    switch (message.t) {
      case "call.created":
        this.addServers(message.ice_servers);
        return this.offer();
      case "turn.refresh": return this.addServers(message.ice_servers);
      case "call.ringing": return this.state === "calling" && this.setState("ringing");
      case "call.accept":
        this.setState("connecting");
        return message.answer && this.takeAnswer(message.answer.sdp);
      case "sdp.offer": return this.handleOffer(message);
      case "sdp.answer":
        return (message.neg ?? 0) === this.negotiation && this.takeAnswer(message.sdp);
      case "ice.candidates":
        if ((message.gen ?? 0) !== this.generation) return;
        for (const one of message.list ?? []) await this.addCandidate(one);
        return;
      case "call.restart": return this.outgoing && this.restart();
      case "media.update":
        for (const track of Object.values(message.tracks ?? {})) {
          this.tell("muted", { kind: track.kind, muted: Boolean(track.muted) });
        }
        return;
      case "media.request": return this.tell("video-request");
      case "media.response": return this.tell("video-response", Boolean(message.allow));
      case "call.state": return message.state === "ended" && this.end(message.reason ?? "hangup");
      case "call.end": return this.end(message.reason ?? "hangup", message.detail);
      case "error":
        if (["calling", "ringing"].includes(this.state)) this.end("app_error", message.message);
    }
  }

  async handleOffer({ sdp, gen = 0, neg = 0 }) {
    this.negotiation = neg;
    this.generation = gen;
    await this.takeOffer(sdp);
    if (this.state === "incoming") return; // the answer rides in the accept
    await this.setStream(this.stream);
    await this.pc.setLocalDescription();
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
    this.send("turn.refresh");
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

  addServers(servers) {
    if (!servers?.length) return;
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
    clearTimeout(this.restartTimer);
    switch (this.pc.connectionState) {
      case "connected":
        this.setState("connected");
        this.send("call.path", { state: "connected" });
        break;
      case "disconnected":
      case "failed":
        if (this.state === "connected") this.send("call.path", { state: "lost" });
        this.setState("reconnecting");
        this.lookForPath(this.pc.connectionState === "failed" ? 0 : 2000);
    }
  }

  lookForPath(after) {
    this.restartTimer = setTimeout(() => {
      if (this.outgoing) this.restart();
      else this.send("call.restart", { gen: this.generation + 1, cause: "path_lost" });
      this.lookForPath(5000);
    }, after);
  }

  // Bookkeeping

  useChannel(channel) {
    if (channel.label !== "ringline") return;
    this.channel = channel;
    channel.onmessage = ({ data }) => typeof data === "string" && this.tell("text", data);
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

  setState(state) {
    if (this.state === "ended" || this.state === state) return;
    this.state = state;
    this.tell("state", state);
  }

  end(reason, detail = "") {
    if (this.state === "ended") return;
    this.setState("ended");
    clearTimeout(this.restartTimer);
    this.pc.close();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
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
  }

  async read() {
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
    return {
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
