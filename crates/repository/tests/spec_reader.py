"""Reads a repository of format 1 or 2 with nothing but the knowledge in crates/repository/README.md.

    spec_reader.py STORE_DIRECTORY KEY_RING_FILE

Prints what is in it as JSON. Shares no code with Malle, and no generated code: the messages below are those of
proto/repository.proto, field by field. Needs `blake3`, `cryptography`, `zstandard` from PyPI.
"""

import json
import pathlib
import struct
import sys

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FOOTER = 2**64 - 1

# ---- messages: field number -> (name, kind); a list kind is a repeated field ------------------------------------------

DESCRIPTOR = {1: ("format", "uint"), 2: ("zone", "str"), 3: ("created_ms", "int"), 4: ("single_writer", "uint"), 5: ("id", "bytes")}
WRAPPED_KEY = {1: ("data_key", "bytes")}
TABLE_ROWS = {1: ("table", "uint"), 2: ("rows", "uint")}
SEGMENT_REF = {1: ("name", "bytes"), 2: ("bytes", "uint"), 3: ("rows", [TABLE_ROWS])}
INIT = {1: ("server", "str"), 2: ("account_id", "str"), 3: ("incarnation", "uint"), 4: ("account_name", "str")}
SNAPSHOT = {1: ("base", "uint"), 3: ("segments", [SEGMENT_REF]), 5: ("emails", "uint"), 6: ("email_bytes", "uint"), 10: ("failures", "uint")}
PROGRESS = {1: ("base", "uint"), 2: ("previous", "uint"), 3: ("segments", [SEGMENT_REF])}
FORGET = {1: ("snapshots", ["uint"]), 2: ("progress", "uint")}
REPLACEMENT = {1: ("snapshot", "uint"), 2: ("segments", [SEGMENT_REF])}
CONDEMN = {1: ("objects", ["str"]), 2: ("replacements", [REPLACEMENT])}
SWEPT = {1: ("condemn", "uint"), 2: ("kept", ["str"])}
ERASED = {1: ("reason", "str")}
CHECKPOINT = {1: ("snapshots", [{1: ("number", "uint"), 2: ("snapshot", SNAPSHOT)}]), 4: ("damaged", ["str"]), 5: ("reset", "uint")}
DAMAGED = {1: ("objects", ["str"])}
RESET = {1: ("remembered", "uint"), 2: ("remembered_digest", "bytes"), 3: ("found", "uint"), 4: ("found_digest", "bytes")}
UPGRADE = {1: ("from", "uint")}
HEAD = {1: ("snapshot", "uint"), 2: ("checkpoint", "uint"), 6: ("erased", "uint")}
LOG_ENTRY = {
    1: ("number", "uint"), 2: ("written_ms", "int"), 3: ("writer", "str"), 4: ("head", HEAD), 5: ("previous", "bytes"),
    10: ("init", INIT), 11: ("snapshot", SNAPSHOT), 12: ("progress", PROGRESS), 13: ("forget", FORGET),
    14: ("condemn", CONDEMN), 15: ("swept", SWEPT), 16: ("erased", ERASED), 17: ("checkpoint", CHECKPOINT),
    18: ("damaged", DAMAGED), 19: ("reset", RESET), 20: ("upgrade", UPGRADE),
}
SEGMENT_FOOTER = {
    1: ("blocks", [{1: ("table", "uint"), 2: ("first_key", "bytes"), 3: ("sealed_length", "uint"), 4: ("raw_length", "uint"), 5: ("rows", "uint")}]),
    2: ("packs", ["bytes"]), 3: ("pack_reach", ["uint"]), 4: ("pack_lengths", ["uint"]),
}
PACK_FOOTER = {1: ("frames", [{1: ("sealed_length", "uint"), 2: ("blob_lengths", ["uint"])}])}
EMAIL = {
    1: ("blob", "bytes"), 2: ("server_blob", "fixed64"), 3: ("received_at", "int"), 4: ("size", "uint"), 5: ("folders", ["str"]),
    6: ("keywords", ["str"]), 7: ("from", "str"), 8: ("to", "str"), 9: ("subject", "str"), 10: ("message_id", "str"),
    11: ("date", "int?"), 12: ("attachments", ["str"]), 13: ("envelope_version", "uint"),
}
BLOB = {
    1: ("pack", "uint"), 2: ("frame", "uint"), 3: ("offset", "uint"), 4: ("sealed_length", "uint"), 5: ("raw_length", "uint"),
    6: ("start", "uint"), 7: ("length", "uint"), 8: ("chunks", ["bytes"]),
}
OBJECT = {1: ("json", "bytes"), 2: ("blob", "bytes"), 3: ("json_blob", "bytes")}
FAILURE = {1: ("reason", "str"), 2: ("attempts", "uint"), 3: ("first_ms", "int")}
ROW = {1: ("key", "bytes"), 2: ("gone", {}), 3: ("email", EMAIL), 4: ("blob", BLOB), 5: ("object", OBJECT), 6: ("failure", FAILURE)}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def default(kind):
    if isinstance(kind, list):
        return []
    return {"uint": 0, "int": 0, "fixed64": 0, "str": "", "bytes": b""}.get(kind) if isinstance(kind, str) else None


def scalar(kind, value):
    if isinstance(kind, dict):
        return message(kind, value)
    if kind == "str":
        return value.decode()
    if kind in ("int", "int?"):
        return value - 2**64 if value >= 2**63 else value
    return value


def message(fields, data):
    out = {name: default(kind) for name, kind in fields.values()}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        elif wire == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"wire type {wire}")
        if number not in fields:
            continue
        name, kind = fields[number]
        if not isinstance(kind, list):
            out[name] = scalar(kind, value)
        elif wire == 2 and kind[0] == "uint":  # packed
            inner = 0
            while inner < len(value):
                one, inner = varint(value, inner)
                out[name].append(one)
        else:
            out[name].append(scalar(kind[0], value))
    return out


# ---- keys and sealing ---------------------------------------------------------------------------------------------------


def derive(context, data):
    return blake3(data, derive_key_context=context).digest()


def key_id(key):
    return derive("malle repository format 1: public id of a key", key)[:8]


def read_ring(text):
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "malle key ring, format 1"
    words = [line.split() for line in lines[1:] if line and not line.startswith("#")]
    naming = [bytes.fromhex(value) for word, value in words if word == "naming"]
    masters = [bytes.fromhex(value) for word, value in words if word == "master"]
    check = [value for word, value in words if word == "check"]
    assert len(naming) == 1 and masters
    assert [derive("malle key ring format 1: check line", naming[0] + b"".join(masters))[:8].hex()] == check
    return naming[0], masters


def directory(naming, server, account, incarnation):
    parts = [server.encode(), account.encode(), struct.pack(">I", incarnation)]
    framed = b"".join(struct.pack(">Q", len(part)) + part for part in parts)
    return blake3(framed, key=naming).digest()[:16]


class Sealed:
    """One object whose frames can be opened."""

    def __init__(self, mailbox, kind, name, key, content=None):
        self.bytes = (mailbox.path / name).read_bytes() if content is None else content
        self.name, self.mailbox = name, mailbox
        self.header = self.bytes[:32]
        self.format = self.header[6:8]
        assert self.header[:6] == b"MALLE" + kind and self.format in (b"\0\1", b"\0\2") and self.header[8:16] == key_id(key), name
        self.cipher = AESGCM(derive("malle repository format 1: key of one object", key + self.header))

    def open(self, frame, sealed):
        number = struct.pack(">Q", frame)
        associated = self.header + bytes.fromhex(self.mailbox.path.name) + number + self.name.encode()
        return self.cipher.decrypt(b"\0" * 4 + number, sealed, associated)

    def open_frame(self, frame, offset, sealed_length, raw_length):
        compressed = self.open(frame, self.bytes[offset : offset + sealed_length])
        raw = zstandard.ZstdDecompressor().decompress(compressed, max_output_size=max(raw_length, 1))
        assert len(raw) == raw_length <= 8 << 20
        return raw

    def footer(self):
        (length,) = struct.unpack(">I", self.bytes[-4:])
        start = len(self.bytes) - 4 - length
        return start, self.open(FOOTER, self.bytes[start:-4])


class Mailbox:
    def __init__(self, path, masters):
        self.path = path
        keys = [key for key in (self.unwrap(master) for master in masters) if key]
        first = next(bytes for _, bytes in self.twice(f"log/{1:020}"))
        self.key = next(key for key in keys if key_id(key) == first[8:16])
        self.hash_key = derive("malle repository format 1: hash key of blobs", self.key)
        self.packs, self.segments, self.damaged = {}, {}, set()

    def twice(self, name):
        """An object and its copy, those of them that are there."""
        for place in (name, f"copies/{name}"):
            if (self.path / place).exists():
                yield place, (self.path / place).read_bytes()

    def unwrap(self, master):
        name = f"keys/{key_id(master).hex()}"
        for _, content in self.twice(name):
            try:
                sealed = Sealed(self, b"K", name, master, content)
                return message(WRAPPED_KEY, sealed.open(0, sealed.bytes[32:]))["data_key"]
            except (AssertionError, InvalidTag):
                continue
        return None

    # ---- log

    def entry(self, number):
        """The entry and the digest of its object; (None, digest) if it does not open; None if nothing is there."""
        name, found = f"log/{number:020}", None
        for place, content in self.twice(name):
            if place != name and number != 1:
                continue
            digest = blake3(content).digest()
            try:
                sealed = Sealed(self, b"L", name, self.key, content)
                plain = zstandard.ZstdDecompressor().decompressobj().decompress(sealed.open(0, sealed.bytes[32:]))
            except (AssertionError, InvalidTag):
                found = found or (None, digest)
                continue
            entry = message(LOG_ENTRY, plain)
            assert entry["number"] == number
            return entry, digest
        return found

    def newest(self):
        number = max([int(path.name) for path in (self.path / "log").iterdir()], default=1)
        while self.entry(number + 1) is not None:
            number += 1
        return number

    def snapshots(self):
        newest = self.newest()
        entries = {number: self.entry(number) for number in range(1, newest + 1)}
        self.check_chain(entries)
        readable = {number: found[0] for number, found in entries.items() if found and found[0]}
        start = max(readable[max(readable)]["head"]["checkpoint"], 1)
        snapshots = {}
        for number, entry in readable.items():
            if number < (start if start in readable else 1):
                continue
            if entry["snapshot"]:
                snapshots[number] = entry["snapshot"]
            elif entry["forget"]:
                snapshots = {n: s for n, s in snapshots.items() if n not in entry["forget"]["snapshots"]}
            elif entry["condemn"]:
                for replacement in entry["condemn"]["replacements"]:
                    if replacement["snapshot"] in snapshots:
                        snapshots[replacement["snapshot"]]["segments"] = replacement["segments"]
            elif entry["erased"]:
                snapshots = {}
            elif entry["damaged"]:
                self.damaged = set(entry["damaged"]["objects"])
            elif entry["checkpoint"]:
                snapshots = {s["number"]: s["snapshot"] for s in entry["checkpoint"]["snapshots"]}
                self.damaged = set(entry["checkpoint"]["damaged"])
            else:
                assert entry["init"] or entry["progress"] or entry["swept"] or entry["reset"] or entry["upgrade"]
        return snapshots

    @staticmethod
    def check_chain(entries):
        """What was written behind another entry than the one before it was accepted by a reset."""
        accepted = max([found[0]["reset"]["found"] for found in entries.values() if found and found[0] and found[0]["reset"]], default=0)
        for number, found in entries.items():
            before = entries.get(number - 1)
            if found and found[0] and found[0]["previous"] and before and before[0] and number > accepted:
                assert found[0]["previous"] == before[1], number

    def is_damaged(self, snapshot):
        for reference in snapshot["segments"]:
            name = f"segments/{reference['name'].hex()}"
            if name in self.damaged:
                return True
            _, plain = Sealed(self, b"S", name, self.key).footer()
            if any(f"packs/{pack.hex()}" in self.damaged for pack in message(SEGMENT_FOOTER, plain)["packs"]):
                return True
        return False

    # ---- tables

    def segment(self, reference):
        name = reference["name"].hex()
        if name not in self.segments:
            self.segments[name] = self.read_segment(f"segments/{name}", reference)
        return self.segments[name]

    def read_segment(self, name, reference):
        """Table number -> key -> (row, names of the packs)."""
        sealed = Sealed(self, b"S", name, self.key)
        assert len(sealed.bytes) == reference["bytes"]
        end, plain = sealed.footer()
        footer = message(SEGMENT_FOOTER, plain)
        tables, offset, order, filter_bits = {1: {}, 2: {}, 3: {}, 4: {}}, 32, [], None
        for number, block in enumerate(footer["blocks"]):
            raw = sealed.open_frame(number, offset, block["sealed_length"], block["raw_length"])
            offset += block["sealed_length"]
            if block["table"] == 0:
                filter_bits = raw
                assert number == len(footer["blocks"]) - 1
                continue
            rows = list(self.rows(raw))
            assert len(rows) == block["rows"] and rows[0]["key"] == block["first_key"]
            order += [(block["table"], row["key"]) for row in rows]
            tables[block["table"]].update({row["key"]: (row, footer["packs"]) for row in rows})
        assert offset == end and order == sorted(set(order))
        assert all(may_contain(filter_bits, table, key) for table, key in order)
        assert len(footer["pack_lengths"]) in (0, len(footer["packs"]))
        for pack, length in zip(footer["packs"], footer["pack_lengths"]):
            if length and f"packs/{pack.hex()}" not in self.damaged:
                assert len(self.pack(pack.hex()).bytes) == length
        for said in reference["rows"]:
            assert len(tables[said["table"]]) == said["rows"]
        return tables

    @staticmethod
    def rows(raw):
        at = 0
        while at < len(raw):
            length, at = varint(raw, at)
            yield message(ROW, raw[at : at + length])
            at += length

    def table(self, snapshot, number):
        merged = {}
        for reference in snapshot["segments"]:
            merged.update(self.segment(reference)[number])
        present = ("email", "blob", "object", "failure")[number - 1]
        return {key: (row, packs) for key, (row, packs) in sorted(merged.items()) if row[present]}

    # ---- blobs

    def pack(self, name):
        if name not in self.packs:
            self.packs[name] = Sealed(self, b"P", f"packs/{name}", self.key)
        return self.packs[name]

    def blob(self, index, blob_id):
        row, packs = index[blob_id]
        at = row["blob"]
        if at["chunks"]:
            content = b"".join(self.blob(index, chunk) for chunk in at["chunks"])
        else:
            pack = self.pack(packs[at["pack"]].hex())
            raw = pack.open_frame(at["frame"], at["offset"], at["sealed_length"], at["raw_length"])
            content = raw[at["start"] : at["start"] + at["length"]]
        assert len(content) == at["length"] and blake3(content, key=self.hash_key).digest() == blob_id
        return content

    def check_pack(self, name):
        """A pack can be read without any index."""
        pack = self.pack(name)
        end, plain = pack.footer()
        offset = 32
        for number, frame in enumerate(message(PACK_FOOTER, plain)["frames"]):
            pack.open_frame(number, offset, frame["sealed_length"], sum(frame["blob_lengths"]))
            offset += frame["sealed_length"]
        assert offset == end


def may_contain(bits, table, key):
    (h,) = struct.unpack(">Q", blake3(bytes([table]) + key).digest()[:8])
    first, step = h >> 32, (h & 0xFFFFFFFF) | 1
    places = [(first + i * step) % (8 * len(bits)) for i in range(8)]
    return all(bits[place // 8] >> (place % 8) & 1 for place in places)


# ---- listing --------------------------------------------------------------------------------------------------------------


def listing(mailbox, number, snapshot):
    index = mailbox.table(snapshot, 2)

    def told(blob_id):
        return blake3(mailbox.blob(index, blob_id)).hexdigest() if blob_id else None

    emails, objects, failures = [], [], []
    for key, (row, _) in mailbox.table(snapshot, 1).items():
        email = dict(row["email"], id=key.decode(), bytes=told(row["email"]["blob"]))
        assert len(mailbox.blob(index, email.pop("blob"))) == email["size"]
        if not email["envelope_version"]:  # before versions
            del email["envelope_version"]
        emails.append(email)
    for key, (row, _) in mailbox.table(snapshot, 3).items():
        stored = row["object"]
        text = mailbox.blob(index, stored["json_blob"]) if stored["json_blob"] else stored["json"]
        objects.append({"type": key[0], "id": key[1:].decode(), "json": blake3(text).hexdigest(), "blob": told(stored["blob"])})
    for key, (row, _) in mailbox.table(snapshot, 4).items():
        failures.append(dict(row["failure"], type=key[0], id=key[1:].decode()))
    assert (len(emails), len(failures)) == (snapshot["emails"], snapshot["failures"])
    assert sum(email["size"] for email in emails) == snapshot["email_bytes"]
    return {"number": number, "base": snapshot["base"], "emails": emails, "objects": objects, "failures": failures}


def read_descriptor(root):
    for name in ("malle-store", "malle-store-copy"):
        if (root / name).exists():
            descriptor = (root / name).read_bytes()
            if descriptor[:8] == b"MALLESTR" and blake3(descriptor[:-32]).digest() == descriptor[-32:]:
                return message(DESCRIPTOR, descriptor[8:-32])
    raise ValueError("no descriptor")


def read_store(root, ring_text):
    naming, masters = read_ring(ring_text)
    store = read_descriptor(root)
    assert store["format"] in (1, 2)
    mailboxes = []
    for path in sorted((root / "mailboxes").iterdir()):
        mailbox = Mailbox(path, masters)
        who = mailbox.entry(1)[0]["init"]
        assert directory(naming, who["server"], who["account_id"], who["incarnation"]).hex() == path.name
        all_snapshots = sorted(mailbox.snapshots().items())
        for pack in (path / "packs").iterdir():
            if f"packs/{pack.name}" not in mailbox.damaged:
                mailbox.check_pack(pack.name)
        damaged = [number for number, snapshot in all_snapshots if mailbox.is_damaged(snapshot)]
        snapshots = [listing(mailbox, number, snapshot) for number, snapshot in all_snapshots if number not in damaged]
        mailboxes.append({**who, "snapshots": snapshots, **({"damaged": damaged} if damaged else {})})
    return {"zone": store["zone"], "mailboxes": mailboxes}


if __name__ == "__main__":
    result = read_store(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text())
    json.dump(result, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()
