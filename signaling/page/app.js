// The page: who is there, one call at a time, and how good it is.

import { Link } from "./link.js";
import { Call, Meter, stopTracks } from "./call.js";

const $ = (id) => document.getElementById(id);
const show = (id, on) => { $(id).hidden = !on; };
const relayOnly = new URLSearchParams(location.search).has("relay");

const people = new Map();
let link = null;
let me = "";
let call = null;
let incoming = null;
let meter = null;

const REASONS = {
  offline: "is not there", busy: "is in another call", declined: "declined",
  no_answer: "did not answer", hangup: "the call has ended", cancelled: "the call was cancelled",
  connection_lost: "the connection was lost", ice_failed: "no path was found",
  connect_timeout: "no path was found", answered_elsewhere: "answered on another device",
};

const PICTURES = {
  coarser: "their picture becomes coarser: their {cause}",
  smaller: "their picture becomes smaller: their {cause}",
  paused: "their video is paused: their {cause}",
};

function status(text, { failed = false } = {}) {
  $("status").textContent = text;
  $("status").classList.toggle("failed", failed);
}
function overlay(text) { $("overlay").textContent = text; }

// Entering

$("token").addEventListener("input", () => { $("name").required = !$("token").value.trim(); });

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  link = new Link(url, token ? { token } : { name: $("name").value.trim() });
  link.addEventListener("message", ({ detail }) => receive(detail));
  link.addEventListener("state", ({ detail }) => followLink(detail));
  $("join").disabled = true;
});

function followLink({ state, reason }) {
  if (state === "online") {
    show("enter", false);
    show("lobby", !call);
    link.send({ t: "presence.sub", on: true });
    status(call ? `in a call with ${call.peer}` : `you are ${me}`);
  } else if (state === "reconnecting") {
    status("the server is out of reach; trying again …");
  } else if (state === "closed") {
    if (reason === "left") status("not connected");
    else status(reason, { failed: true });
    show("enter", true);
    show("lobby", false);
    $("join").disabled = false;
  }
}

function receive(message) {
  switch (message.t) {
    case "welcome": me = message.you.name; return;
    case "presence.update": return updatePeople(message);
    case "call.incoming": return ring(message);
    case "error":
      if (!message.call) return status(message.message || message.code, { failed: true });
  }
  for (const one of [call, incoming?.call]) {
    if (one && message.call === one.id) one.handle(message);
  }
}

function fail(error) {
  console.error(error);
  status(error.message, { failed: true });
}

// Who is there

function updatePeople({ people: changed = [], full }) {
  if (full) people.clear();
  for (const one of changed) one.state === "offline" ? people.delete(one.name) : people.set(one.name, one.state);
  people.delete(me);
  $("people").replaceChildren(...[...people].sort().map(([name, state]) => {
    const row = document.createElement("li");
    const label = document.createElement("span");
    label.textContent = name;
    const note = document.createElement("small");
    note.textContent = state === "in_call" ? "in a call" : "";
    const button = (text, video) => {
      const element = document.createElement("button");
      element.textContent = text;
      element.dataset.call = name;
      element.dataset.video = video;
      element.addEventListener("click", () => dial(name, video));
      return element;
    };
    row.append(label, note, button("Call", false), button("Video call", true));
    return row;
  }));
  show("nobody", people.size === 0);
}

$("dial").addEventListener("submit", (event) => {
  event.preventDefault();
  dial($("callee").value.trim(), true);
});

// Calling and being called

async function capture(video) {
  if (!navigator.mediaDevices) {
    status("no camera or microphone: browsers give them to pages of https and of localhost only");
    return null;
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: true, video: video ? { width: 640, height: 360, frameRate: 30 } : false,
    });
  } catch (error) {
    status(`no ${video ? "camera or microphone" : "microphone"}: ${error.message}`);
    return video ? capture(false) : null;
  }
}

async function dial(name, video) {
  if (call || !name) return;
  if (incoming?.call.peer === name) return answer(video && incoming.video);
  const mine = new Call(link, { peer: name, outgoing: true, video, relayOnly });
  enterCall(mine);
  overlay(`calling ${name} …`);
  mine.capturing = capture(video);
  const stream = await mine.capturing;
  if (mine.crossed) return; // their call has the stream
  if (mine.state === "ended") return stopTracks(stream);
  await mine.invite(stream);
  showLocal();
}

function ring(message) {
  const known = call?.id === message.call || incoming?.call.id === message.call;
  if (known) return;
  const crossing = call && call.peer === message.from && ["calling", "ringing"].includes(call.state);
  // Of two that cross the earlier one wins; if that is ours, the server tells both sides.
  if (crossing && call.id < message.call) return;
  if ((call && !crossing) || incoming) return link.send({ t: "call.decline", call: message.call, reason: "busy" });
  const next = new Call(link, { id: message.call, peer: message.from, outgoing: false, video: Boolean(message.media.video), relayOnly });
  if (crossing) return cross(next, message);
  incoming = { call: next, video: next.video };
  next.addEventListener("ended", () => {
    if (incoming?.call !== next) return;
    incoming = null;
    show("ring", false);
  });
  next.prepare(message);
  $("ring-text").textContent = `${message.from} calls${next.video ? " with video" : ""}`;
  show("accept-video", next.video);
  show("ring", true);
}

// Both called each other at once and theirs won: our own call was the consent.
async function cross(next, message) {
  const old = call;
  next.video = next.video && old.video;
  enterCall(next);
  next.prepare(message);
  old.crossed = true;
  old.stream = null; // it goes on in theirs
  old.end("glare_replaced");
  const stream = await old.capturing;
  if (next.state === "ended") return stopTracks(stream);
  await next.accept(stream, next.video);
  showLocal();
}

async function answer(video) {
  const { call: mine } = incoming;
  incoming = null;
  show("ring", false);
  enterCall(mine);
  overlay("connecting …");
  const stream = await capture(video);
  if (mine.state === "ended") return stopTracks(stream);
  await mine.accept(stream, video);
  showLocal();
}

$("accept-video").addEventListener("click", () => answer(true));
$("accept-audio").addEventListener("click", () => answer(false));
$("decline").addEventListener("click", () => incoming?.call.decline());

function enterCall(mine) {
  call = mine;
  show("lobby", false);
  show("call", true);
  show("ask-video", false);
  $("messages").replaceChildren();
  mine.theirs = {}; // muted or not, by kind
  $("remote").classList.remove("off");
  show("local", false);
  mine.addEventListener("state", ({ detail }) => {
    document.body.dataset.state = detail;
    const text = { ringing: `it rings at ${mine.peer} …`, connecting: "connecting …", reconnecting: "looking for another path …" };
    overlay(text[detail] ?? "");
    if (detail === "connected") paintTheirs(mine);
    else status(detail);
  });
  $("remote").srcObject = mine.remote; // tracks join it as they come
  mine.addEventListener("ended", ({ detail }) => { if (call === mine) leaveCall(mine, detail); });
  mine.addEventListener("muted", ({ detail }) => {
    if (Boolean(mine.theirs[detail.kind]) === detail.muted) return; // a message tells of both kinds
    mine.theirs[detail.kind] = detail.muted;
    paintTheirs(mine);
  });
  mine.addEventListener("picture", ({ detail }) => {
    const { state, cause } = mine.theirs.picture ?? { state: "full" };
    if (state === detail.state && (state === "full" || cause === detail.cause)) return;
    mine.theirs.picture = detail;
    paintTheirs(mine);
  });
  mine.addEventListener("video-request", () => askForVideo(mine));
  mine.addEventListener("video-response", ({ detail }) => {
    if (detail) turnCamera(true);
    else status(`${mine.peer} prefers not to use video`);
  });
  mine.addEventListener("text", ({ detail }) => note(mine.peer, detail));
  mine.hadVideo = mine.video; // the people agreed to video: the camera may go on and off
  paintControls();
  meter = new Meter(mine.pc);
}

function leaveCall(mine, { reason, detail }) {
  call = null;
  meter = null;
  $("remote").srcObject = null;
  $("local").srcObject = null;
  delete document.body.dataset.state;
  show("call", false);
  show("lobby", !link.closed);
  const text = REASONS[reason] ?? reason.replaceAll("_", " ");
  const theirs = ["offline", "busy", "declined", "no_answer"].includes(reason);
  const failed = !["hangup", "cancelled", "answered_elsewhere"].includes(reason);
  status(theirs ? `${mine.peer} ${text}` : detail || text, { failed });
}

// What the other side has switched off; its last picture would look like a frozen one.
function paintTheirs({ peer, theirs, state, hadVideo }) {
  if (state !== "connected") return;
  const picture = PICTURES[theirs.picture?.state]?.replace("{cause}", theirs.picture.cause) ?? "";
  status(`in a call with ${peer}${theirs.audio ? ", who is muted" : ""}${picture && `; ${picture}`}`);
  const paused = theirs.picture?.state === "paused" ? picture : "";
  overlay(hadVideo && theirs.video ? `${peer} has the camera off` : paused);
  $("remote").classList.toggle("off", Boolean(theirs.video));
}

function showLocal() {
  if (call) $("local").srcObject = call.stream ?? null;
  show("local", Boolean(call?.stream?.getVideoTracks().length));
  paintControls();
}

// In a call

function paintControls() {
  $("mute").setAttribute("aria-pressed", Boolean(call?.muted));
  $("mute").textContent = call?.muted ? "Unmute" : "Mute";
  $("camera").setAttribute("aria-pressed", !call?.video);
  $("camera").textContent = call?.video ? "Camera off" : "Camera on";
}

$("hangup").addEventListener("click", () => call?.hangUp());
$("mute").addEventListener("click", () => {
  call?.setMuted(!call.muted);
  paintControls();
});
$("camera").addEventListener("click", () => {
  if (!call) return;
  if (call.video) turnCamera(false);
  else if (call.hadVideo) turnCamera(true);
  else { call.requestVideo(); status(`asked ${call.peer} for video`); }
});

async function turnCamera(on) {
  const mine = call;
  if (!mine) return;
  mine.hadVideo = true;
  for (const track of mine.stream?.getVideoTracks() ?? []) {
    track.stop();
    mine.stream.removeTrack(track);
  }
  let track = null;
  if (on) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360, frameRate: 30 } }).catch(fail);
    track = stream?.getVideoTracks()[0] ?? null;
    if (track && mine.stream) mine.stream.addTrack(track);
  }
  await mine.setCamera(track);
  showLocal();
}

function askForVideo(mine) {
  $("ask-video").querySelector("span").textContent = `${mine.peer} would like to use video`;
  show("ask-video", true);
}
$("allow-video").addEventListener("click", () => { call?.answerVideo(true); show("ask-video", false); turnCamera(true); });
$("deny-video").addEventListener("click", () => { call?.answerVideo(false); show("ask-video", false); });

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text || !call) return;
  call.say(text);
  note(me, text);
  $("text").value = "";
});

function note(who, text) {
  const row = document.createElement("li");
  row.textContent = `${who}: ${text}`;
  $("messages").append(row);
  if ($("messages").children.length > 200) $("messages").firstChild.remove();
}

// Once a second

const rate = (bits) => bits >= 1e6 ? `${(bits / 1e6).toFixed(2)} Mbit/s` : `${Math.round(bits / 1000)} kbit/s`;
const size = ({ width, height, rate: frames }) => width ? `${width}×${height}, ${Math.round(frames ?? 0)}/s` : "–";

function paintQuality(cell, quality) {
  const blame = quality?.side ? `: ${quality.cause}, ${quality.side}` : "";
  cell.textContent = quality ? `${quality.score.toFixed(1)} of 5${blame}` : "–";
  cell.classList.toggle("bad", Boolean(quality?.side));
}

setInterval(async () => {
  if (!meter || !call) return;
  const now = await meter.read({ muted: Boolean(call.muted) }).catch(() => null);
  if (!now || !call) return;
  $("stat-path").textContent = now.path ?? "–";
  $("stat-rtt").textContent = now.roundTrip === null ? "–" : `${Math.round(1000 * now.roundTrip)} ms`;
  $("stat-up").textContent = rate(now.up);
  $("stat-down").textContent = rate(now.down);
  $("stat-loss").textContent = `${(100 * now.loss).toFixed(1)} %`;
  $("stat-sent").textContent = size(now.sent);
  $("stat-received").textContent = size(now.received);
  paintQuality($("stat-quality-down"), now.quality.receiving);
  paintQuality($("stat-quality-up"), now.quality.sending);
}, 1000);

// Who closes the page hangs up; the other side need not wait until it looks like a broken path.
addEventListener("pagehide", () => {
  call?.hangUp();
  link?.close();
});

// For the console and for tests.
globalThis.ringline = { get call() { return call; }, get link() { return link; } };
