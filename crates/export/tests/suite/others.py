"""Reads exports with Python's own modules: others.py maildir|mbox|vandelay PATH EXPECTED.json"""

import datetime
import email.policy
import email.utils
import json
import mailbox
import os
import re
import sqlite3
import sys
from email.parser import BytesParser


def decoded(name):
    """Modified UTF-7, then Dovecot's escapes."""
    def shifted(match):
        digits = match.group(1)
        if not digits:
            return "&"
        import base64
        padded = digits.replace(",", "/") + "=" * (-len(digits) % 4)
        return base64.b64decode(padded).decode("utf-16-be")
    text = re.sub("&([^-]*)-", shifted, name)
    return re.sub("%([0-9a-f]{2})", lambda m: chr(int(m.group(1), 16)), text)


def maildir(path, expected):
    root = mailbox.Maildir(os.path.join(path, "Maildir"), factory=None, create=False)
    folders = {"INBOX": root}
    for name in root.list_folders():
        folders["/".join(decoded(part).replace("/", "%2f") for part in name.split("."))] = root.get_folder(name)
    found = {}
    for name, box in folders.items():
        listed = os.path.join(box._path, "dovecot-keywords")
        lines = open(listed).read().splitlines() if os.path.exists(listed) else []
        keywords = {chr(ord("a") + int(line.split(" ")[0])): line.split(" ")[1] for line in lines}
        found[name] = []
        for key in box.keys():
            message = box.get_message(key)
            flags = sorted(message.get_flags())
            upper, lower = [f for f in flags if f.isupper()], [f for f in flags if f.islower()]
            named = sorted(keywords[letter] for letter in lower)
            found[name].append([box.get_bytes(key).hex(), "".join(upper), int(message.get_date()), named])
        found[name].sort()
    assert found == {name: sorted(mails) for name, mails in expected.items()}, (found.keys(), expected.keys())


def mbox(path, expected):
    added = re.compile(rb"Status: R?O\r?\n(X-Status: [AFT]+\r?\n)?(X-Keywords: [!-~ ]+\r?\n)?")
    for name, mails in expected.items():
        box = mailbox.mbox(os.path.join(path, "mail", name), create=False)
        assert len(box) == len(mails), (name, len(box), len(mails))
        for key, (raw, flags, date) in zip(box.keys(), mails):
            raw = bytes.fromhex(raw)
            head, end, body = re.match(rb"(?s)(.*?)(^\r?\n|\Z)(.*)", raw, re.M | re.S).groups()
            head = re.sub(rb"(?mi)^(>*(?:Status|X-Status|X-Keywords|X-Mozilla-Status2?|X-Mozilla-Keys):)", rb">\1", head)
            quoted = re.sub(rb"(?m)^(>*From )", rb">\1", head + end + body)
            quoted += b"" if quoted.endswith(b"\n") or not quoted else b"\n"
            text = box.get_bytes(key)
            assert text.endswith(quoted) and added.fullmatch(text[: len(text) - len(quoted)]), (name, text)
            message = box.get_message(key)
            assert set(message.get_flags()) == set(flags), (name, text, message.get_flags())
            when = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=date)
            date = when.strftime("%a %b %e %H:%M:%S ") + f"{when.year:04}"
            assert message.get_from() == "MAILER-DAEMON " + date, message.get_from()


IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
START, END, PARENT, ROOT = 1, 2, 4, 8


def compress(chain, block, counter, length, flags):
    words = [int.from_bytes(block[i : i + 4], "little") for i in range(0, 64, 4)]
    v = list(chain) + IV[:4] + [counter & 0xFFFFFFFF, counter >> 32, length, flags]
    turned = lambda x, n: ((x >> n) | (x << (32 - n))) & 0xFFFFFFFF
    for _ in range(7):
        for at, (a, b, c, d) in enumerate(COLUMNS + DIAGONALS):
            for word, first, second in ((words[2 * at], 16, 12), (words[2 * at + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & 0xFFFFFFFF
                v[d] = turned(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & 0xFFFFFFFF
                v[b] = turned(v[b] ^ v[c], second)
        words = [words[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def packed(chain):
    return b"".join(word.to_bytes(4, "little") for word in chain)


def blake3(data):
    """From the paper: chunks of 1024 bytes, blocks of 64, a tree whose left side is a power of two."""
    def tree(data, counter, root):
        if len(data) <= 1024:
            blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
            chain = IV
            for i, block in enumerate(blocks):
                last = i == len(blocks) - 1
                flags = (START if i == 0 else 0) | ((END | root) if last else 0)
                chain = compress(chain, block.ljust(64, b"\0"), counter, len(block), flags)
            return chain
        left = 1024
        while left * 2 < len(data):
            left *= 2
        sides = packed(tree(data[:left], counter, 0)) + packed(tree(data[left:], counter + left // 1024, 0))
        return compress(IV, sides, 0, 64, PARENT | root)
    return packed(tree(data, 0, ROOT))


def message_match(raw):
    """For messages without anything odd in them."""
    message = BytesParser(policy=email.policy.default).parsebytes(raw)
    addresses = lambda field: ",".join(a.addr_spec.lower() for a in message[field].addresses) if message[field] else ""
    ids = [m.strip().strip("<>").lower() for m in str(message["message-id"] or "").split()]
    date = email.utils.parsedate_to_datetime(message["date"]).isoformat().replace("+00:00", "Z") if message["date"] else ""
    fields = [addresses("from"), str(message["subject"] or ""), date, addresses("to")]
    return {"m": sorted(set(ids)), "f": blake3("\x1f".join(fields).encode()).hex()}


def vandelay(path, expected):
    assert blake3(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    path = os.path.join(path, "archive.sqlite")
    with open(path, "rb") as file:
        assert file.read(20)[18:20] == b"\x01\x01", "the journal is a write-ahead log"
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert not os.path.exists(path + "-wal") and not os.path.exists(path + "-journal")
    for identity, data in db.execute("SELECT hash, data FROM blobs WHERE length(data) < 5000"):
        assert blake3(data) == identity, data
    folders = {row[0]: row for row in db.execute("SELECT id, name, parent_id, role FROM mailboxes")}
    assert all(row[2] is None or row[2] < row[0] for row in folders.values()), "parents come first"
    roles = [row[3] for row in folders.values() if row[3]]
    assert len(roles) == len(set(roles)) and all(role == role.lower() for role in roles)
    found = []
    query = "SELECT data, received_at, mailbox_ids, keywords, message_match FROM emails JOIN blobs ON blobs.id = blob_id ORDER BY emails.id"
    for data, received_at, ids, keywords, match in db.execute(query):
        names = [folders[local][1] for local in json.loads(ids)]
        assert names, "an email without a folder"
        datetime.datetime.strptime(received_at, "%Y-%m-%dT%H:%M:%SZ")
        found.append([data.hex(), received_at, names, json.loads(keywords)])
        match = json.loads(match)
        assert sorted(match) == ["f", "m"] and len(match["f"]) == 64
        if b"X-Plain" in data:
            assert match == message_match(data), (match, message_match(data), data)
    assert found == expected["emails"], found
    for table, count in expected["counts"].items():
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,), table
    assert "vacation" not in [row[0] for row in db.execute("SELECT name FROM sieve_scripts")]
    assert db.execute("SELECT sum(is_active) FROM sieve_scripts").fetchone() == (1,)
    kinds = dict(db.execute("SELECT type_name, count(*) FROM sync_id_jmap GROUP BY 1"))
    assert kinds["Email"] == len(found) and kinds["SieveScript"] == 2, kinds
    assert dict(db.execute("SELECT type_name, state FROM sync_state_jmap")) == {"Email": "s1", "Mailbox": "s2"}
    assert len(db.execute("SELECT * FROM sources").fetchall()) == 1
    for (data,) in db.execute("SELECT data FROM contact_cards"):
        assert not {"id", "uid", "addressBookIds"} & json.loads(data).keys()
    for (data,) in db.execute("SELECT data FROM calendar_events"):
        data = json.loads(data)
        assert "uid" in data and not {"id", "calendarIds", "isDraft", "utcStart"} & data.keys()


with open(sys.argv[3]) as file:
    {"maildir": maildir, "mbox": mbox, "vandelay": vandelay}[sys.argv[1]](sys.argv[2], json.load(file))
