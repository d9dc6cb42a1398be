"""Lives in an IMAP account until standard input ends: imap_life.py HOST:PORT USER, the password in IMAP_PASSWORD.

Appends messages to INBOX, flags, moves and deletes earlier ones of its own. Prints the SHA-256 of each message as a line of
JSON, {"appended": …} once the server has said that it has it, {"expunged": …} before it is deleted.
"""

import hashlib
import imaplib
import json
import os
import select
import sys


def done(answer):
    status, data = answer
    if status != "OK":
        raise SystemExit(f"the server says {status}: {data}")
    return data


def say(what, raw):
    print(json.dumps({what: hashlib.sha256(raw).hexdigest()}), flush=True)


def uids_of(server, number):
    return done(server.uid("SEARCH", "HEADER", "Message-ID", f"imap-{number}@example.org"))[0].split()


def letter(number):
    head = f"From: i@example.org\r\nSubject: by IMAP {number}\r\nMessage-ID: <imap-{number}@example.org>\r\n"
    return f"{head}\r\nHello {number}\r\n".encode()


def main(address, user):
    host, port = address.rsplit(":", 1)
    server = imaplib.IMAP4(host, int(port))
    server.login(user, os.environ["IMAP_PASSWORD"])
    done(server.select("INBOX"))
    number = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        done(server.append("INBOX", r"(\Seen)" if number % 2 else None, None, letter(number)))
        say("appended", letter(number))
        done(server.noop())
        earlier = b",".join(uids_of(server, number - 2)).decode()
        if earlier and number % 3 == 0:
            done(server.uid("STORE", earlier, "+FLAGS", r"(\Flagged)"))
        elif earlier and number % 3 == 1:
            done(server.uid("MOVE", earlier, '"Sent Items"'))
        elif earlier:
            say("expunged", letter(number - 2))
            done(server.uid("STORE", earlier, "+FLAGS", r"(\Deleted)"))
            done(server.expunge())
        number += 1
    server.logout()


main(*sys.argv[1:])
