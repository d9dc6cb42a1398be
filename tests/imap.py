"""Prints every folder and message of an IMAP account as lines of JSON: imap.py HOST:PORT USER, the password in IMAP_PASSWORD.

{"folder": NAME} for each folder, {"folder", "uid", "flags", "date" (seconds since 1970), "sha256", "length"} for each message.
"""

import base64
import hashlib
import imaplib
import json
import os
import re
import sys

LIST = re.compile(rb'\(([^)]*)\) (?:NIL|"(?:\\.|[^"])*") (.+)', re.DOTALL)
HEAD = re.compile(rb'UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE " ?(\d+)-(\w+)-(\d+) (\d+):(\d+):(\d+) ([-+]\d\d)(\d\d)"')
MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
# Messages in one FETCH.
BATCH = 50


def from_utf7(name):
    """RFC 3501's modified UTF-7."""

    def decode(match):
        word = match[1]
        if not word:
            return "&"
        padded = word.replace(",", "/") + "=" * (-len(word) % 4)
        return base64.b64decode(padded).decode("utf-16-be")

    return re.sub("&([^-]*)-", decode, name.decode("ascii"))


def unquoted(name):
    return re.sub(rb"\\(.)", rb"\1", name[1:-1]) if name.startswith(b'"') else name


def seconds(day, month, year, hour, minute, second, zone_hours, zone_minutes):
    """Of any year, which Python's own calendar does not know."""
    year, month, day = int(year), MONTHS.index(month) + 1, int(day)
    year -= month <= 2
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468
    zone = int(zone_hours) * 60 + int(zone_hours[:1] + zone_minutes)
    return ((days * 24 + int(hour)) * 60 + int(minute) - zone) * 60 + int(second)


def done(answer):
    status, data = answer
    if status != "OK":
        raise SystemExit(f"the server says {status}: {data}")
    return data


def folders(server):
    for line in done(server.list()):
        if isinstance(line, tuple):
            raise SystemExit(f"a name as a literal: {line}")
        attributes, name = LIST.fullmatch(line).groups()
        if b"\\Noselect" not in attributes:
            yield name


def messages(server, folder):
    done(server.select(folder.decode("ascii"), readonly=True))
    uids = done(server.uid("SEARCH", "ALL"))[0].split()
    for start in range(0, len(uids), BATCH):
        batch = b",".join(uids[start : start + BATCH]).decode("ascii")
        answer = done(server.uid("FETCH", batch, "(UID FLAGS INTERNALDATE BODY.PEEK[])"))
        parts = [part for part in answer if isinstance(part, tuple)]
        if len(parts) != len(uids[start : start + BATCH]):
            raise SystemExit(f"{len(parts)} messages instead of {batch}")
        for head, raw in parts:
            uid, flags, *date = HEAD.search(head).groups()
            yield {
                "uid": int(uid),
                "flags": flags.decode("utf-8").split(),
                "date": seconds(*date),
                "sha256": hashlib.sha256(raw).hexdigest(),
                "length": len(raw),
            }


def main(address, user):
    host, port = address.rsplit(":", 1)
    server = imaplib.IMAP4(host, int(port))
    server.login(user, os.environ["IMAP_PASSWORD"])
    for folder in folders(server):
        name = from_utf7(unquoted(folder))
        print(json.dumps({"folder": name}))
        for message in messages(server, folder):
            print(json.dumps({"folder": name, **message}))
    server.logout()


main(*sys.argv[1:])
