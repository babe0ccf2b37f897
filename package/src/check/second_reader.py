"""Reads a catalogue with asn1crypto and prints what it says as JSON, beside
the digests of a file that is hashed whole.

A second implementation: nothing of it is shared with the Rust code, and it
knows only the general structure of a certificate trust list.
"""

import hashlib
import json
import sys

from asn1crypto import core


class Attribute(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("values", core.SetOf, {"spec": core.Any})]


class Attributes(core.SetOf):
    _child_spec = Attribute


class Subject(core.Sequence):
    _fields = [("identifier", core.OctetString), ("attributes", Attributes)]


class Subjects(core.SequenceOf):
    _child_spec = Subject


class Extension(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("value", core.OctetString)]


class Extensions(core.SequenceOf):
    _child_spec = Extension


class Usage(core.SequenceOf):
    _child_spec = core.ObjectIdentifier


class Algorithm(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("parameters", core.Null)]


class TrustList(core.Sequence):
    _fields = [
        ("usage", Usage),
        ("identifier", core.OctetString),
        ("updated", core.UTCTime),
        ("algorithm", Algorithm),
        ("subjects", Subjects),
        ("extensions", Extensions, {"explicit": 0}),
    ]


class Content(core.Sequence):
    # Microsoft's form has the list itself where CMS has an octet string.
    _fields = [("type", core.ObjectIdentifier), ("list", TrustList, {"explicit": 0})]


class Anything(core.SetOf):
    _child_spec = core.Any


class Signed(core.Sequence):
    _fields = [
        ("version", core.Integer),
        ("digests", Anything),
        ("content", Content),
        ("certificates", Anything, {"implicit": 0, "optional": True}),
        ("signers", Anything),
    ]


class Message(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("content", Signed, {"explicit": 0})]


class NameValue(core.Sequence):
    _fields = [("name", core.BMPString), ("flags", core.Integer), ("value", core.OctetString)]


class Typed(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("value", core.Any)]


class Digest(core.Sequence):
    _fields = [("algorithm", Algorithm), ("digest", core.OctetString)]


class IndirectData(core.Sequence):
    _fields = [("data", Typed), ("digest", Digest)]


def name_value(der):
    pair = NameValue.load(der, strict=True)
    return [pair["name"].native, hex(pair["flags"].native), pair["value"].native.decode("utf-16-le")]


def attribute(entry):
    # The only value of the set, as it stands: asn1crypto refuses bare tags.
    value = entry["values"].contents
    kind = entry["type"].dotted
    if kind == "1.3.6.1.4.1.311.12.2.1":
        return [kind, name_value(value)]
    if kind == "1.3.6.1.4.1.311.2.1.4":
        data = IndirectData.load(value, strict=True)
        return [
            kind,
            data["data"]["type"].dotted,
            data["data"].contents[len(data["data"]["type"].dump()) :].hex(),
            data["digest"]["algorithm"]["type"].dotted,
            data["digest"]["digest"].native.hex(),
        ]
    return [kind, value.hex()]


with open(sys.argv[1], "rb") as file:
    message = Message.load(file.read(), strict=True)
with open(sys.argv[2], "rb") as file:
    member = file.read()
signed = message["content"]
content = signed["content"]
trust_list = content["list"]
json.dump(
    {
        "message": message["type"].dotted,
        "content": content["type"].dotted,
        "usage": [usage.dotted for usage in trust_list["usage"]],
        "identifier_bytes": len(trust_list["identifier"].native),
        "updated": int(trust_list["updated"].native.timestamp()),
        "algorithm": trust_list["algorithm"]["type"].dotted,
        "members": [
            [subject["identifier"].native.hex(), [attribute(entry) for entry in subject["attributes"]]]
            for subject in trust_list["subjects"]
        ],
        "extensions": [
            [extension["type"].dotted, name_value(extension["value"].native)]
            for extension in trust_list["extensions"]
        ],
        "signers": len(signed["signers"]),
        "file_sha256": hashlib.sha256(member).hexdigest(),
        "file_sha1": hashlib.sha1(member).hexdigest(),
    },
    sys.stdout,
)
