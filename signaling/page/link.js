// Link: the browser's side of a ringline.v1 session over one WebSocket that may break.
//
// Reliable messages are numbered, kept until the server has acknowledged them and said again
// after a resume; what the server says twice is dropped.  A broken socket is none of a call's
// business: media flows on, the link comes back, and in a call it never gives up.

const UNNUMBERED = new Set(["hello", "ping", "pong", "presence.sub", "call.quality"]);
const ACCEPTED = new Set(["accepted", "connecting", "active", "reconnecting"]);
const BACKOFF_MS = [0, 300, 1200, 2700, 4800, 7000, 7000, 7000, 7000, 7000];
const FIRST_TRIES = 3; // before the first welcome a wrong address is more likely than an outage
const WELCOME_MS = 10_000; // from the opening of a socket; a browser alone would wait for minutes
const MAX_OUTBOX = 256;
const ACK_EVERY = 32;

// Errors after which coming back with the same words is of no use.
const HOPELESS = new Set([
  "unauthorized", "token_expired", "name_taken", "name_invalid", "bad_message", "replaced",
]);

// Close codes of ours: browsers let pages give 1000 and these.
const GAP = 4010;
const DEAD = 4011;

export class Link extends EventTarget {
  // Events: "message" (detail: the message), "state" (detail: {state, reason}) with
  // state "online", "reconnecting" or "closed".
  constructor(url, identity) {
    super();
    this.url = url;
    this.identity = identity; // {name} or {token}
    // Not crypto.randomUUID, which pages of plain http do not have.
    this.device = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.session = null; // {id, secret}
    this.entered = false; // been welcome once
    this.sequence = 0; // of our last numbered message
    this.received = 0; // highest number had from the server, without a gap
    this.acknowledged = 0; // what we last told the server about that
    this.outbox = [];
    this.forgotten = 0; // highest number that fell out of a full outbox
    this.calls = new Set(); // accepted ones
    this.attempt = 0;
    this.closed = false;
    this.open();
  }

  send(message) {
    if (this.closed) return;
    this.noteCall(message);
    if (!UNNUMBERED.has(message.t)) {
      message = { ...message, seq: ++this.sequence };
      this.outbox.push(message);
      if (this.outbox.length > MAX_OUTBOX) this.forgotten = this.outbox.shift().seq;
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
    this.patience = setTimeout(() => this.drop(DEAD), WELCOME_MS);
    socket.onopen = () => {
      if (socket !== this.socket) return;
      const hello = { t: "hello", ...this.identity, device: this.device, client: "page", features: [] };
      if (this.session) {
        hello.resume = { session: this.session.id, secret: this.session.secret, last_seq: this.received };
      }
      socket.send(JSON.stringify(hello));
    };
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.heard = performance.now();
      this.pinged = null;
      let message;
      try { message = JSON.parse(event.data); } catch { return; }
      this.handle(message);
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.lost(event.reason);
    };
  }

  transmit(message) {
    this.spoke = performance.now();
    this.acknowledged = this.received;
    this.socket.send(JSON.stringify({ ...message, ack: this.received }));
  }

  handle(message) {
    if (message.ack) this.outbox = this.outbox.filter((kept) => kept.seq > message.ack);
    if (message.seq) {
      if (message.seq <= this.received) return;
      if (message.seq > this.received + 1) return this.drop(GAP); // and resume
      this.received = message.seq;
      if (this.received - this.acknowledged >= ACK_EVERY) this.transmit({ t: "pong", last_seq: this.sequence });
    }
    switch (message.t) {
      case "welcome": return this.welcome(message);
      case "ping":
        this.transmit({ t: "pong", ts: message.ts, last_seq: this.sequence });
        // falls through
      case "pong":
        if ((message.last_seq ?? 0) > this.received) this.drop(GAP);
        return;
      case "error":
        if (message.fatal) { // the socket is about to be closed
          this.refusal = message.code;
          this.reason = message.message || message.code;
          return;
        }
    }
    this.noteCall(message);
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  welcome(message) {
    clearTimeout(this.patience);
    const last = message.last_seq ?? 0;
    this.session = { id: message.session, secret: message.resume_secret };
    if (message.resumed && last < this.forgotten) {
      // More was said without a socket than is kept: no resume closes that hole.
      this.session = null;
      return this.drop(GAP);
    }
    this.online = true;
    this.entered = true;
    this.attempt = 0;
    if (message.resumed) {
      this.outbox = this.outbox.filter((kept) => kept.seq > last);
    } else { // a new session counts from the start
      this.received = this.acknowledged = this.sequence = this.forgotten = 0;
      this.outbox = this.outbox.map((kept) => ({ ...kept, seq: ++this.sequence }));
    }
    for (const kept of this.outbox) this.transmit(kept);
    this.keepAlive(message);
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
    this.change("online");
  }

  // In a call pings are more frequent: somebody waits for what comes over this socket.
  noteCall({ t, call, state }) {
    if (t === "call.accept" || (t === "call.state" && ACCEPTED.has(state))) this.calls.add(call);
    else if (t === "call.end" || t === "call.state") this.calls.delete(call);
  }

  keepAlive({ ping_ms: idle, ping_in_call_ms: inCall, dead_ms: dead }) {
    clearInterval(this.timer);
    this.pinged = null;
    this.spoke ??= performance.now();
    this.timer = setInterval(() => {
      const now = performance.now();
      if (this.pinged !== null) {
        if (now >= this.pinged + dead) this.drop(DEAD);
      } else if (now >= Math.min(this.spoke, this.heard) + (this.calls.size ? inCall : idle)) {
        this.pinged = now;
        this.transmit({ t: "ping", ts: now, last_seq: this.sequence });
      }
    }, 1000);
  }

  // A dead socket would take a long time to say that it is closed: go on without its word.
  drop(code) {
    const socket = this.socket;
    this.socket = null;
    socket?.close(code);
    this.lost("");
  }

  lost(reason) {
    clearInterval(this.timer);
    clearTimeout(this.patience);
    this.online = false;
    if (this.closed) return;
    const refusal = this.refusal;
    this.refusal = null;
    if (refusal === "resume_refused") { // the server is there: enter anew at once
      this.session = null;
      return this.open();
    }
    const enough = this.entered ? BACKOFF_MS.length : FIRST_TRIES;
    if (HOPELESS.has(refusal) || (this.attempt >= enough && !this.calls.size)) {
      return this.finish(this.reason || reason || "the server cannot be reached");
    }
    this.reason = "";
    const wait = BACKOFF_MS[Math.min(this.attempt++, BACKOFF_MS.length - 1)] * (0.8 + 0.4 * Math.random());
    this.change("reconnecting");
    setTimeout(() => this.closed || this.open(), wait);
  }

  finish(reason) {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    clearTimeout(this.patience);
    this.change("closed", reason);
  }

  change(state, reason = "") {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, reason } }));
  }
}
