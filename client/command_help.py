"""Command help: what ``ringline COMMAND --help`` teaches, with examples.

A line that is a backspace alone keeps the lines of the paragraph behind it as they are.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ANSWER", "CALL", "DEMO", "DOCTOR", "MINT", "ROOT", "SERVE", "TURN"]

ROOT: Final = """Two people call each other by name, with sound and picture.

\b
A first look:      ringline demo
By hand:           ringline serve --dev            (in one terminal)
                   ringline answer --as desk       (in another)
                   ringline call desk --as lab     (in a third)
In a browser:      open the page that 'ringline serve' prints
Something wrong?   ringline doctor

\b
Exit codes: 0 ok, 1 error, 2 usage, 3 busy, 4 declined, 5 no answer, 6 not allowed,
7 no server, nobody there or no path, 8 wrong token or name taken.

'ringline COMMAND --help' has examples of each command."""

DEMO: Final = """Make a whole call on this machine and show how it goes.

Starts a server and two peers as processes of their own; lab calls desk, they talk and hang
up.  Leaves a folder with the recording of what desk saw and heard, a report and plots.  Exit
code 0 only if both sides really saw and heard each other.

\b
Examples:
  ringline demo
  ringline demo --relay                   through the TURN relay
  ringline demo --network g3              over 500 kbit/s with 100 ms and loss
  ringline demo --network list            which networks there are
  ringline demo --play film.mp4 --seconds 30 --out here
  ringline demo --json                    for scripts"""

CALL: Final = """Call somebody by name and talk until one of you hangs up (Ctrl-C).

\b
Examples:
  ringline call desk --as lab
  ringline call desk --as lab --play film.mp4 --record out.mkv
  ringline call desk --video none                       sound only
  ringline call desk --server wss://calls.example --token "$TOKEN"
  ringline call desk --seconds 10 --json | grep stats

\b
What a call reached is kept for the next one on the same network, which is hashed, in
ringline/rates.json in your folder of caches; RINGLINE_NO_RATE_FILE=1 keeps nothing."""

ANSWER: Final = """Wait for calls and answer each; others meanwhile hear that you are busy.

\b
Examples:
  ringline answer --as desk
  ringline answer --as desk --once --record heard.mkv
  ringline answer --as radio --play concert.mp4
  RINGLINE_TOKEN=... ringline answer --server wss://calls.example"""

SERVE: Final = """Run the server: signaling, the page for browsers, the TURN relay.

Without --dev people need a token, signed with a key that only this server has: the first
start makes one and keeps it, readable by you alone; 'ringline token NAME' gives tokens.

\b
Examples:
  ringline serve --dev                      to try things out, on this machine
  ringline serve --dev --host 0.0.0.0 --turn-allow-peer 192.168.0.0/16    in a trusted LAN
  ringline serve --host 0.0.0.0 --external-host calls.example
  RINGLINE_TURN_SECRET=... ringline serve --dev --turn-url 'turn:relay.example:3478?transport=udp'
                                                    a second relay, for when one dies
  ringline serve --port 0 --turn-port 0 --json      free ports; a script reads which"""

TURN: Final = """Run the STUN and TURN server alone: a relay for calls that find no direct path.

Settings come from a file (TOML), then variables (RINGLINE_TURN_REALM=...), then options.  A key of
the file is a variable's name too; all are in examples/deploy/turn.toml, options are the usual ones.
'ringline serve' has this server inside, with credentials for each call.

\b
Examples:
  ringline turn --user ann:secret                        for trying out
  RINGLINE_TURN_SECRETS=... ringline turn --host 0.0.0.0 --realm calls.example
  ringline turn --host 192.0.2.1 --host 2001:db8::1 --user ann:secret      IPv4 and IPv6
  ringline turn --config turn.toml --metrics-port 9641
  ringline turn --user ann:secret --allow-peer 192.168.0.0/16
  ringline turn --config turn.toml --workers 0           a process for each core

\b
A file:
  realm = "calls.example"
  secrets = ["the newest", "the one before"]             of time-limited credentials
  external_address = "192.0.2.1"                         behind a NAT
  tls_certificate = "chain.pem"
  tls_private_key = "key.pem"

\b
Signals: SIGHUP reads certificate and addresses again; SIGTERM drains, a second one does not."""

MINT: Final = """Print a token that lets NAME into a server run without --dev.

\b
Examples:
  ringline token desk
  RINGLINE_TOKEN=$(ringline token lab) ringline call desk
  ringline token desk --key-file /etc/ringline/token.key --seconds 300"""

DOCTOR: Final = """Look at what calls need on this machine, say what is wrong and how to mend it.

Libraries and their versions, which codecs are in use, devices, network, and a server if one
is given.  Exit code 1 if calls cannot work.

\b
Examples:
  ringline doctor
  ringline doctor ws://localhost:8080
  ringline doctor https://calls.example --turn-port 3478
  ringline doctor --json"""
