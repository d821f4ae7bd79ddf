#!/usr/bin/env python3
"""Prints golden_bytes.inc: every message in every version that the codec knows, as kafka-python 3.0.12 encodes it.

    pip install kafka-python==3.0.12 && tests/unit/kafka/protocol/golden_bytes.py > tests/unit/kafka/protocol/golden_bytes.inc

The values follow from the names of the fields and their order on the wire, by the rule of tests/support/kafka_sample.h:
so a field in a wrong place, of a wrong type or under another's name shows.
"""
import importlib
import pathlib
import pkgutil
import re
import uuid

import kafka.protocol
from kafka.protocol.api_message import ApiMessage

ROOT = pathlib.Path(__file__).resolve().parents[4]
MASK = 2**32 - 1


def protocol_name(field):
    """kafka-python calls these fields by one name."""
    if field.name == "authorized_operations":
        for owner in ("topic", "cluster"):
            if "for this %s." % owner in field._json["about"]:
                return owner + "_authorized_operations"
    return field.name


class Sample:
    def __init__(self, version, records_are_empty_for_null):
        self.version = version
        self.records_are_empty_for_null = records_are_empty_for_null
        self.count = 101 * version

    def draw(self, name):
        value = 2166136261
        for byte in name.encode():
            value = (value ^ byte) * 16777619 & MASK
        value = (value + 7919 * self.count) * 2654435761 & MASK
        self.count += 1
        return value >> 8

    def field(self, field):
        version = self.version
        nullable = field.nullable_for_version_q(version)
        if field.is_struct():
            return self.values(field._fields)
        name = protocol_name(field)
        draw = self.draw(name)
        if nullable and draw % 4 == 0:
            return b"" if self.records_are_empty_for_null and field.type_str == "records" else None
        if not field.is_array() and not field.is_struct_array():
            return self.value(field.type_str, name, draw)
        count = 0 if draw % 8 == 1 else 1 + draw % 2
        if field.is_struct_array():
            return [self.values(field._fields) for _ in range(count)]
        kind = field.type_str.removeprefix("[]")
        return [self.value(kind, name, self.draw(name)) for _ in range(count)]

    def value(self, kind, name, draw):
        if kind == "bool":
            return draw % 2 == 1
        if kind == "bitfield":  # what kafka-python makes of an int32 that is a set of bits
            number = self.value("int32", name, draw)
            return {bit for bit in range(32) if number >> bit & 1}
        if kind.startswith("int"):
            bits = int(kind[3:])
            wide = draw * 0x9E3779B97F4A7C15 & (2**64 - 1)
            cut = wide >> (64 - bits)
            return cut - 2**bits if cut >= 2 ** (bits - 1) else cut
        if kind == "uuid":
            return uuid.UUID(bytes=bytes((draw + i) & 0xFF for i in range(16)))
        text = "%s-%d" % (name, draw % 1000)
        return text if kind == "string" else text.encode()

    def values(self, fields):
        here = [f for f in fields if f.for_version_q(self.version)]
        tagged = sorted((f for f in here if f.tag is not None), key=lambda f: f.tag)
        return {f.name: self.field(f) for f in [f for f in here if f.tag is None] + tagged}


def messages():
    for module in pkgutil.walk_packages(kafka.protocol.__path__, "kafka.protocol."):
        if ".old" not in module.name and ".schemas" not in module.name:
            importlib.import_module(module.name)
    return {c.__name__: c for c in ApiMessage.__subclasses__()}


def main():
    classes = messages()
    table = (ROOT / "fabric/kafka/protocol/api.cc").read_text()
    print("// Printed by golden_bytes.py with kafka-python 3.0.12.")
    for name, low, high in re.findall(r'ApiKey::k\w+, "(\w+)", (\d+), (\d+),', table):
        for half in ("Request", "Response"):
            kind = classes[name + half]
            for version in range(int(low), int(high) + 1):
                flexible = kind.flexible_version_q(version)
                values = Sample(version, half == "Response").values(kind._struct._fields)
                body = kind._struct.encode(values, version=version, compact=flexible, tagged=flexible)
                print('{"%s", %d, "%s"},' % (name + half, version, bytes(body).hex()))


main()
