// Link: the browser's side of a ringline.v1 session over one WebSocket that may break.
//
// Reliable messages are numbered, kept until the server has acknowledged them and said again
// after a resume; what the server says twice is dropped.  A broken socket is none of a call's
// business: media flows on, the link comes back.

const UNNUMBERED = new Set(["hello", "ping", "pong", "presence.sub", "call.quality"]);
const BACKOFF_MS = [0, 300, 1200, 2700, 4800, 7000, 7000, 7000, 7000, 7000];
const MAX_OUTBOX = 256;

export class Link extends EventTarget {
  // Events: "message" (detail: the message), "state" (detail: {state, reason}) with
  // state "connecting", "online", "reconnecting" or "closed".
  constructor(url, identity) {
    super();
    this.url = url;
    this.identity = identity; // {name} or {token}
    this.device = crypto.randomUUID();
    this.session = null; // {id, secret}
    this.sequence = 0; // of our last numbered message
    this.received = 0; // highest number had from the server, without a gap
    this.outbox = [];
    this.attempt = 0;
    this.closed = false;
    this.open();
  }

  send(message) {
    if (this.closed) return;
    if (!UNNUMBERED.has(message.t)) {
      message = { ...message, seq: ++this.sequence };
      this.outbox.push(message);
      if (this.outbox.length > MAX_OUTBOX) this.outbox.shift();
    }
    if (this.online) this.transmit(message);
  }

  close() {
    this.finish("left");
    this.socket?.close(1000);
  }

  // Private from here on.

  open() {
    this.online = false;
    const socket = new WebSocket(this.url, "ringline.v1");
    this.socket = socket;
    socket.onopen = () => {
      const hello = { t: "hello", ...this.identity, device: this.device, client: "page", features: [] };
      if (this.session) {
        hello.resume = { session: this.session.id, secret: this.session.secret, last_seq: this.received };
      }
      socket.send(JSON.stringify(hello));
    };
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.heard = performance.now();
      let message;
      try { message = JSON.parse(event.data); } catch { return; }
      this.handle(message);
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.lost(event);
    };
  }

  transmit(message) {
    this.spoke = performance.now();
    this.socket.send(JSON.stringify({ ...message, ack: this.received }));
  }

  handle(message) {
    if (message.ack) this.outbox = this.outbox.filter((kept) => kept.seq > message.ack);
    if (message.seq) {
      if (message.seq <= this.received) return;
      if (message.seq > this.received + 1) return this.socket.close(4010); // a gap: resume
      this.received = message.seq;
    }
    switch (message.t) {
      case "welcome": return this.welcome(message);
      case "ping": return this.transmit({ t: "pong", ts: message.ts, last_seq: this.sequence });
      case "pong": return;
      case "error":
        this.reason = message.message || message.code;
        if (message.code === "resume_refused") this.session = null;
        else if (message.fatal) this.fatal = true;
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  welcome(message) {
    this.online = true;
    this.attempt = 0;
    this.session = { id: message.session, secret: message.resume_secret };
    if (message.resumed) {
      this.outbox = this.outbox.filter((kept) => kept.seq > (message.last_seq ?? 0));
    } else { // a new session counts from the start
      this.received = 0;
      this.sequence = 0;
      this.outbox = this.outbox.map((kept) => ({ ...kept, seq: ++this.sequence }));
    }
    for (const kept of this.outbox) this.transmit(kept);
    this.keepAlive(message);
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
    this.change("online");
  }

  keepAlive({ ping_in_call_ms: every, dead_ms: dead }) {
    clearInterval(this.timer);
    this.timer = setInterval(() => {
      if (!this.online) return;
      if (performance.now() - this.heard > every + dead) this.socket.close();
      else this.transmit({ t: "ping", ts: performance.now(), last_seq: this.sequence });
    }, every);
  }

  lost(event) {
    clearInterval(this.timer);
    this.online = false;
    if (this.closed) return;
    const hopeless = this.fatal && [4001, 4003].includes(event.code);
    if (hopeless || (!this.session && this.attempt >= 2) || this.attempt >= BACKOFF_MS.length) {
      return this.finish(this.reason || event.reason || "the server cannot be reached");
    }
    this.fatal = false;
    const wait = BACKOFF_MS[this.attempt++] * (0.8 + 0.4 * Math.random());
    this.change("reconnecting");
    setTimeout(() => this.closed || this.open(), wait);
  }

  finish(reason) {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    this.change("closed", reason);
  }

  change(state, reason = "") {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, reason } }));
  }
}
