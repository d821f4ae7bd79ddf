"""Writes records, makes views of them at an edge and at the core, and compares each row with what DuckDB makes of the same.

  equality.py --ctl SELVAGECTL --identity FILE --data DIR --node EDGE-0 --node EDGE-1 --node CORE

A node is its addresses for operators, Kafka clients and HTTP, with commas between them. DIR has series of sensors, as
timestamp,value; where it has none, one is made up. DuckDB reads the JSON itself and groups it. What it adds up as doubles is
rounded at each step, so sums of fractions are compared with it approximately, and to the last bit with the exact sum of the
numbers that it has put into the group.
"""
import argparse
import csv
import datetime
import http.client
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from fractions import Fraction

import duckdb
from confluent_kafka import Producer

DEADLINE_S = 300
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
START_MS = 1_700_000_000_000
RECORDS = 20_000  # at each edge
INT64 = range(-(1 << 63), 1 << 63)
EXACT_DISTINCT, DISTINCT_ERROR = 256, 4 * 0.016  # docs/views.md; four standard errors


class Node:
    def __init__(self, ctl, identity, addresses):
        self.admin, self.kafka, self.api = addresses.split(",")
        self.ctl, self.identity = ctl, identity

    def run(self, *arguments):
        command = [self.ctl, "--address", self.admin, "--identity", self.identity, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def await_read(self, view, records):
        """Waits until a view has read so many records, and all that its logs hold; what it says of itself."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            status = json.loads(self.run("view", "describe", view, "-o", "json"))
            at = [(int(log["next"]), int(log["end"])) for log in status.get("logs", [])]
            if sum(read for read, _ in at) == records and all(read == end for read, end in at):
                return status
            if time.monotonic() > deadline:
                raise SystemExit(f"view {view} does not come to {records} records: {json.dumps(status)}")
            time.sleep(0.1)

    def rows(self, table):
        node = http.client.HTTPConnection(self.api, timeout=60)
        found, more = {}, ""
        while True:
            node.request("GET", f"/v1/tables/{table}/rows?limit=10000{more}")
            response = node.getresponse()
            page = json.loads(response.read())
            if response.status != 200:
                raise SystemExit(f"rows of {table}: {page}")
            found.update((row["key"], row["row"]) for row in page["rows"])
            if "next" not in page:
                return found
            more = f"&next={page['next']}"


# --- Records -------------------------------------------------------------------------------------------------------------


def number_text(chance, widest=12):
    """An integer or a fraction, as some producer may write it, of at most about 10^widest."""
    kind = chance.randrange(10)
    if kind < 4:
        return str(chance.randrange(-1000, 1000))
    if kind < 7:
        return repr(chance.uniform(-1e3, 1e3))
    if kind == 7:
        return f"{chance.randrange(-99, 99)}.0"
    if kind == 8:
        return repr(chance.choice([-1, 1]) * 10.0 ** chance.randrange(-300, widest) * chance.random())
    return chance.choice(["-0.0", "5e-324", "1E3", "0.1", "1e-7", f"1e{widest}", f"-9.99e{widest - 1}"])


def integer_text(chance):
    if chance.random() < 0.9:
        return str(chance.randrange(-1_000_000, 1_000_000))
    return str(chance.choice([INT64.start, INT64.stop - 1, 1 << 53, (1 << 53) + 1, -(1 << 62), 1 << 62, 0, -1]))


def anything_text(chance):
    """None: the field is not there."""
    if chance.random() < 0.5:
        return number_text(chance, 300)
    return chance.choice([None, "null", "9007199254740993", "1.7976931348623157e308", "1.5e308", "-1e308", "true", "false", '"text"', '"1"', "1", "1.0", '""', '"\\u00e9\\n"', '"é\\n"', "[]", "[1,2]",
                          '{"deep":1}', "123456789012345678901234567890", "9223372036854775808", "9223372036854775809", "1e999", "-1e999"])


def mixed_records(edge):
    """(partition, timestamp, key, value): what a careful producer writes, and what others do."""
    chance = random.Random(100 + edge)
    keys = [f"pump-{i}" for i in range(30)] + ['say "hi"\\', "ключ", " ", ""]
    for i in range(RECORDS):
        partition = chance.randrange(3)
        timestamp = START_MS + i * 20_000 + partition * 7_000 - chance.randrange(60_000)
        if chance.random() < 0.02:
            timestamp -= chance.randrange(3 * HOUR_MS)  # late for short windows
        if chance.random() < 0.001:
            timestamp = int(time.time() * 1000) + DAY_MS  # of a clock that is wrong
        key = chance.choice(keys).encode()
        if chance.random() < 0.01:
            key = chance.choice([None, b"\xff\xfe", b"pump-\xc3"])
        fields = {"n": integer_text(chance), "x": number_text(chance), "mixed": anything_text(chance),
                  "tag": json.dumps(chance.choice(["a", "b", "ü", "c d", 'q"'])), "id": f'"id-{edge}-{chance.randrange(15_000)}"',
                  "flag": chance.choice(["true", "false"])}
        fields["site"] = '{"id":%s,"line":%d}' % (
            chance.choice(["7", "7.0", '"7"', "true", "7.5", "-3", "null", "[1]", '"north"', '"north"']), chance.randrange(3))
        for name in list(fields):
            if fields[name] is None or chance.random() < 0.01:
                del fields[name]
        names = list(fields)
        chance.shuffle(names)
        value = "{%s}" % ", ".join(f'"{name}": {fields[name]}' for name in names)
        if chance.random() < 0.01:
            value = chance.choice(['{"n":1', "hello", "", "[1,2]", "3", '"text"', "null", None, "{}", "  { }  "])
        yield partition, timestamp, key, None if value is None else value.encode()


def latest_records(edge):
    """Each key in one partition, and the second edge's records after those of the first, so what is newest is plain."""
    chance = random.Random(200 + edge)
    for i in range(RECORDS // 4):
        number = chance.randrange(500)
        value = json.dumps({"i": i, "by": edge, "x": chance.uniform(-1, 1), "list": [number, {"of": "é"}]})
        if chance.random() < 0.1:
            value = chance.choice([None, None, "{", "[]", '{"i": 123456789012345678901234567890}', '{"big": 9007199254740993}'])
        key = chance.choice([f"user-{number}".encode()] * 50 + [b"", None])
        at = START_MS + edge * 30 * DAY_MS + i * 1000
        yield number % 2, at, key, value and value.encode()


def series(directory):
    """(name, [(timestamp, value as text)]) of each file."""
    files = sorted(pathlib.Path(directory).glob("*_failure.csv")) if pathlib.Path(directory).is_dir() else []
    if not files:
        print("no series of a sensor is there: one is made up")
        yield "made-up", [(START_MS + i * 300_000, repr(75 + 20 * math.sin(i / 300) + i * 0.618 % 1)) for i in range(22_695)]
    for file in files:
        lines = []
        with open(file, newline="", encoding="ascii") as text:
            for line in csv.DictReader(text):
                at = datetime.datetime.fromisoformat(line["timestamp"]).replace(tzinfo=datetime.timezone.utc)
                lines.append((int(at.timestamp()) * 1000, line["value"]))
        yield file.stem, lines


def series_records(directory):
    """Each series in a partition of its own: none is late for another."""
    for number, (name, lines) in enumerate(series(directory)):
        for at, value in lines:
            yield number % 2, at, name.encode(), f'{{"value":{value},"at":{at}}}'.encode()


def write(node, topic, records):
    """All of them as they were acknowledged: (partition, offset, timestamp, key, value)."""
    producer = Producer({"bootstrap.servers": node.kafka, "acks": "all", "linger.ms": 5})
    written = []

    def acknowledged(record):
        def take(error, message):
            if error is not None:
                raise SystemExit(f"{topic}: {error}")
            partition, *rest = record
            written.append((partition, message.offset(), *rest))

        return take

    for record in records:
        partition, timestamp, key, value = record
        while True:
            try:
                producer.produce(topic, partition=partition, timestamp=timestamp, key=key, value=value,
                                 on_delivery=acknowledged(record))
                break
            except BufferError:
                producer.poll(1)
        producer.poll(0)
    if producer.flush(DEADLINE_S):
        raise SystemExit(f"{topic}: {len(producer)} records are not acknowledged")
    return written


# --- What DuckDB makes of them ---------------------------------------------------------------------------------------------


class Database:
    """All records of all edges, in tables by stream: edge, partition, offset, ts, key and value, as bytes and as text."""

    MACROS = """
      -- What a path leads to, as docs/views.md has it.
      CREATE MACRO digits(text) AS regexp_full_match(text, '-?[0-9]+');
      CREATE MACRO whole(text) AS digits(text) AND TRY_CAST(text AS BIGINT) IS NOT NULL;
      CREATE MACRO kind(v, path) AS CASE json_type(v, path)
          WHEN 'VARCHAR' THEN 'text' WHEN 'BOOLEAN' THEN 'boolean' WHEN 'ARRAY' THEN 'composite' WHEN 'OBJECT' THEN 'composite'
          WHEN 'NULL' THEN 'absent' ELSE
            CASE WHEN json_type(v, path) IS NULL THEN 'absent'
                 -- An integer beyond 64 bits has to be one that a double holds.
                 WHEN digits(json_extract_string(v, path)) THEN
                   CASE WHEN TRY_CAST(json_extract_string(v, path) AS HUGEINT)
                           = TRY_CAST(TRY_CAST(json_extract_string(v, path) AS DOUBLE) AS HUGEINT)
                          OR whole(json_extract_string(v, path)) THEN 'number' ELSE 'out' END
                 WHEN coalesce(isfinite(TRY_CAST(json_extract_string(v, path) AS DOUBLE)), false) THEN 'number' ELSE 'out' END END;
      -- One text for values that are one.
      CREATE MACRO canonical(kind, text) AS CASE kind
          WHEN 'number' THEN 'n' || CASE WHEN whole(text) THEN TRY_CAST(text AS BIGINT)::VARCHAR
              WHEN TRY_CAST(text AS DOUBLE) = trunc(TRY_CAST(text AS DOUBLE)) AND abs(TRY_CAST(text AS DOUBLE)) < 9e15
                THEN CAST(TRY_CAST(text AS DOUBLE) AS BIGINT)::VARCHAR
              ELSE TRY_CAST(text AS DOUBLE)::VARCHAR END
          ELSE kind[1] || text END;
    """

    def __init__(self):
        self.database = duckdb.connect()
        self.database.execute("SET threads = 1")
        self.database.execute(self.MACROS)

    def load(self, table, records):
        with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="ascii") as file:
            for edge, partition, offset, timestamp, key, value in records:
                texts = ["null" if data is None else "x" + data.hex() for data in (key, value)]
                file.write(f"{edge},{partition},{offset},{timestamp},{texts[0]},{texts[1]}\n")
            file.flush()
            # The watermark is what the log's records before this one came to.
            self.database.execute(f"""
              CREATE TABLE {table} AS
              SELECT edge, partition, "offset", ts, key IS NULL AS no_key, TRY(decode(key)) AS key, value IS NULL AS no_value, v,
                     coalesce(json_valid(v), false) AS valid,
                     max(ts) FILTER (ts <= {int(time.time() * 1000) + HOUR_MS}) OVER before AS watermark,
                     max(ts) OVER log AS time
              FROM (SELECT column0 AS edge, column1 AS partition, column2 AS "offset", column3 AS ts,
                           CASE WHEN column4 <> 'null' THEN from_hex(column4[2:]) END AS key,
                           CASE WHEN column5 <> 'null' THEN from_hex(column5[2:]) END AS value,
                           TRY(decode(CASE WHEN column5 <> 'null' THEN from_hex(column5[2:]) END)) AS v
                    FROM read_csv('{file.name}', header = false, nullstr = '\\N', all_varchar = false))
              WINDOW log AS (PARTITION BY edge, partition ORDER BY "offset"),
                     before AS (PARTITION BY edge, partition ORDER BY "offset"
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)""")

    def rows(self, query):
        return self.database.execute(query).fetchall()


def path_in_json(path):
    return "'$." + path + "'"


def field_name(path):
    return "key" if path == "$key" else path.replace(".", "_")


class Aggregate:
    """A view, and the same as a query."""

    def __init__(self, name, stream, group_by, columns, window_ms=0, lateness_ms=0):
        self.name, self.stream, self.group_by, self.columns = name, stream, group_by, columns
        self.window_ms, self.lateness_ms = window_ms, lateness_ms

    def create(self, node):
        arguments = ["view", "create", self.name, "--stream", self.stream]
        for path in self.group_by:
            arguments += ["--group-by", path]
        for function, path in self.columns:
            arguments += ["--column", f"{function}({path})" if path else function]
        if self.window_ms:
            arguments += ["--window", f"{self.window_ms}ms", "--lateness", f"{self.lateness_ms}ms"]
        node.run(*arguments)

    def fields(self):
        """The names of what the rows are for, as the view gives them."""
        names = [field_name(path) for path in self.group_by]
        return names + (["window"] if self.window_ms else [])

    def query(self, edges):
        """Each usable record with its group, and of each column kind and text; the others with the reason."""
        now = int(time.time() * 1000)
        reasons, chosen = [], []
        if self.window_ms:
            chosen.append(f"ts // {self.window_ms} * {self.window_ms} AS begin")
            reasons.append(f"WHEN ts > {now + HOUR_MS} THEN 'bad_timestamp'")
            reasons.append(f"WHEN watermark >= (ts // {self.window_ms} + 1) * {self.window_ms} + {self.lateness_ms} THEN 'late'")
        paths = self.group_by + [path for _, path in self.columns]
        if any(path not in ("", "$key") for path in paths):
            reasons.append("WHEN NOT valid THEN 'not_json' WHEN json_type(v) <> 'OBJECT' THEN 'not_an_object'")
        for i, path in enumerate(self.group_by):
            if path == "$key":
                reasons.append("WHEN no_key THEN 'no_key' WHEN key IS NULL THEN 'bad_key'")
                chosen.append(f"'t' || key AS g{i}")
            else:
                at = path_in_json(path)
                reasons.append(f"WHEN kind(v, {at}) = 'absent' THEN 'no_field' WHEN kind(v, {at}) = 'out' THEN 'out_of_range' "
                               f"WHEN kind(v, {at}) = 'composite' THEN 'not_a_scalar'")
                chosen.append(f"canonical(kind(v, {at}), json_extract_string(v, {at})) AS g{i}")
        for i, (_, path) in enumerate(self.columns):
            if path == "$key":
                chosen.append(f"CASE WHEN no_key THEN 'absent' WHEN key IS NULL THEN 'bad' ELSE 'text' END AS k{i}, key AS t{i}")
            elif path:
                at = path_in_json(path)
                text = f"CASE WHEN kind(v, {at}) = 'number' THEN json_extract_string(v, {at}) END"
                chosen.append(f"kind(v, {at}) AS k{i}, json_extract_string(v, {at}) AS t{i}, whole({text}) AS whole{i}, "
                              f"TRY_CAST({text} AS BIGINT) AS n{i}, TRY_CAST({text} AS DOUBLE) AS d{i}")
        reason = f"CASE {' '.join(reasons)} END" if reasons else "NULL"
        where = f"edge IN ({', '.join(map(str, edges))})"
        # A value is looked into only where the record is usable.
        usable = "CASE WHEN valid AND json_type(v) = 'OBJECT' THEN v END AS v"
        return f"""WITH readable AS (SELECT * REPLACE ({usable}), v AS whole_v FROM {self.stream} WHERE {where}),
                        judged AS (SELECT *, {reason.replace('json_type(v)', 'json_type(whole_v)')} AS reason FROM readable),
                        used AS (SELECT {', '.join(chosen) or '1'} FROM judged WHERE reason IS NULL)"""

    def group_columns(self):
        return [f"g{i}" for i in range(len(self.group_by))] + (["begin"] if self.window_ms else [])

    def expected(self, database, edges):
        """By group: of each column what it is compared by."""
        made = []
        for i, (function, path) in enumerate(self.columns):
            number = f"FILTER (k{i} = 'number')"
            if function == "count":
                made.append(f"count(*) FILTER (k{i} <> 'absent')" if path else "count(*)")
            elif function == "distinct":
                made.append(f"count(DISTINCT canonical(k{i}, t{i})) FILTER (k{i} IN ('number', 'text', 'boolean'))")
            elif function in ("sum", "mean"):
                made.append(f"""{{'texts': list(t{i}) {number}, 'whole': bool_and(whole{i}) {number}, 'count': count(*) {number},
                                'total': sum(n{i}::HUGEINT) FILTER (whole{i}),
                                'about': fsum(d{i}) {number}, 'size': fsum(abs(d{i})) {number}}}""")
            else:
                made.append(f"[({function}(n{i}) FILTER (whole{i}))::VARCHAR, "
                            f"({function}(d{i}) FILTER (NOT whole{i}))::VARCHAR]")
        groups = self.group_columns()
        by = f"GROUP BY {', '.join(groups)}" if groups else "HAVING count(*) > 0"
        found = database.rows(f"{self.query(edges)} SELECT {', '.join(groups + made)} FROM used {by}")
        return {row[:len(groups)]: row[len(groups):] for row in found}

    def expected_skips(self, database, edges):
        counts = dict(database.rows(f"{self.query(edges)} SELECT reason, count(*) FROM judged WHERE reason IS NOT NULL GROUP BY 1"))
        for i, (function, path) in enumerate(self.columns):
            if not path or function == "count":
                continue
            words = {"absent": "no_key" if path == "$key" else "no_field", "bad": "bad_key", "out": "out_of_range"}
            if function == "distinct":
                words["composite"] = "not_a_scalar"
            else:
                words.update({kind: "not_a_number" for kind in ("text", "boolean", "composite")})
            for kind, count in database.rows(f"{self.query(edges)} SELECT k{i}, count(*) FROM used GROUP BY 1"):
                if kind in words:
                    counts[words[kind]] = counts.get(words[kind], 0) + count
        return counts

    def compare(self, database, edges, rows, status):
        expected = self.expected(database, edges)
        found = {self.group_of(row): row for row in rows.values()}
        if found.keys() != expected.keys():
            raise SystemExit(f"{self.name}: rows {sorted(found.keys() - expected.keys())[:5]} are too many, "
                             f"{sorted(expected.keys() - found.keys())[:5]} are missing")
        worst = 0.0
        for group, values in expected.items():
            row = dict(found[group])
            for name in self.fields():
                row.pop(name)
            for (function, path), value in zip(self.columns, values):
                name = f"{function}_{field_name(path)}" if path else function
                shown = row.pop(name, None)
                wrong, error = CHECKS[function](shown, value)
                worst = max(worst, error)
                if wrong:
                    raise SystemExit(f"{self.name}, {group}: {name} is {shown!r}, and {wrong}")
            if row:
                raise SystemExit(f"{self.name}, {group}: {row} is not asked for")
        skipped = {reason: int(count) for reason, count in status.get("skipped", {}).items()}
        wanted = self.expected_skips(database, edges)
        if skipped != wanted:
            raise SystemExit(f"{self.name}: skipped are {skipped}, and not {wanted}")
        about = f", distinct off by at most {worst:.1%}" if worst else ""
        return f"{len(expected)} rows with {len(self.columns)} columns{about}; skipped {sum(skipped.values())}"

    def group_of(self, row):
        """As Database.MACROS has it."""
        group = []
        for name in self.fields():
            value = row[name]
            if name == "window":
                at = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
                group.append(int(at.timestamp() * 1000))
            elif isinstance(value, bool):
                group.append("b" + str(value).lower())
            elif isinstance(value, str):
                group.append("t" + value)
            else:
                group.append(f"n{value}")
        return tuple(group)


def exact(text):
    return Fraction(int(text)) if text.lstrip("-").isdigit() else Fraction(float(text))


def nearest(total):
    """The nearest double, at most the largest of them."""
    try:
        return float(total)
    except OverflowError:
        return sys.float_info.max if total > 0 else -sys.float_info.max


def of_sum(shown, value):
    if value["count"] == 0:
        return (shown is not None and "there is no number"), 0.0
    total = sum(map(exact, value["texts"]))
    wanted = int(total) if total.denominator == 1 and int(total) in INT64 else nearest(total)
    if shown != wanted:
        return f"the exact sum is {wanted!r}", 0.0
    return of_duckdb(shown, value), 0.0


def of_duckdb(shown, value):
    """What is wrong beside DuckDB's own sum; None where it is the same, or as near as rounding at each step leaves it."""
    if value["whole"]:
        total = value["total"] if value["total"] in INT64 else float(value["total"])
        return None if shown == total else f"DuckDB's sum is {total}"
    if math.isfinite(value["size"]) and abs(shown - value["about"]) > 1e-9 * value["size"]:
        return f"DuckDB's sum is {value['about']!r}"
    return None


def of_mean(shown, value):
    if value["count"] == 0:
        return (shown is not None and "there is no number"), 0.0
    wanted = nearest(sum(map(exact, value["texts"]))) / value["count"]
    return (shown != wanted and f"the exact mean is {wanted!r}"), 0.0


def of_extreme(pick):
    def check(shown, value):
        found = [int(value[0])] if value[0] is not None else []
        found += [float(value[1])] if value[1] is not None else []
        wanted = pick(found, default=None)
        return (shown != wanted and f"DuckDB has {wanted!r}"), 0.0

    return check


def of_distinct(shown, value):
    if value <= EXACT_DISTINCT:
        return (shown != value and f"DuckDB counts {value}"), 0.0
    error = abs(shown - value) / value
    return (error > DISTINCT_ERROR and f"DuckDB counts {value}"), error


CHECKS = {"count": lambda shown, value: (shown != value and f"DuckDB counts {value}", 0.0), "sum": of_sum, "mean": of_mean,
          "min": of_extreme(min), "max": of_extreme(max), "distinct": of_distinct}


class Newest:
    def __init__(self, name, stream):
        self.name, self.stream = name, stream

    def create(self, node):
        node.run("view", "create", self.name, "--stream", self.stream, "--newest")

    def compare(self, database, edges, rows, status):
        judged = f"""SELECT *, CASE WHEN no_key THEN 'no_key' WHEN key IS NULL OR key = '' THEN 'bad_key' WHEN no_value THEN NULL
                              WHEN NOT valid THEN 'not_json' WHEN json_type(v) <> 'OBJECT' THEN 'not_an_object'
                              WHEN kind(v, '$.i') = 'out' THEN 'not_json' END AS reason
                     FROM {self.stream} WHERE edge IN ({', '.join(map(str, edges))})"""
        newest = database.rows(f"""SELECT key, arg_max(struct_pack(gone := no_value, v := v), row(time, edge, "offset"))
                                   FROM ({judged}) WHERE reason IS NULL GROUP BY key""")
        wanted = {key: json.loads(value["v"]) for key, value in newest if not value["gone"]}
        for key in rows.keys() | wanted.keys():
            if rows.get(key) != wanted.get(key):
                raise SystemExit(f"{self.name}, {key}: {rows.get(key)}, and DuckDB has {wanted.get(key)}")
        skipped = {reason: int(count) for reason, count in status.get("skipped", {}).items()}
        reasons = dict(database.rows(f"SELECT reason, count(*) FROM ({judged}) WHERE reason IS NOT NULL GROUP BY 1"))
        if skipped != reasons:
            raise SystemExit(f"{self.name}: skipped are {skipped}, and not {reasons}")
        return f"{len(wanted)} rows; skipped {sum(skipped.values())}"


def every_function(path):
    return [(function, path) for function in ("count", "sum", "mean", "min", "max", "distinct")]


VIEWS = [
    Aggregate("by-key", "mixed", ["$key"], [("count", ""), *every_function("n"), *every_function("x"), *every_function("mixed")]),
    Aggregate("by-fields", "mixed", ["site.id", "tag"], [("count", ""), *every_function("n"), ("distinct", "$key"), ("mean", "x")]),
    Aggregate("counted", "mixed", ["$key"], [("count", "")]),
    Aggregate("many", "mixed", ["flag"], [("distinct", "id"), ("distinct", "x"), ("distinct", "tag"), ("count", "site.line")]),
    Aggregate("hourly", "mixed", [], [("count", ""), *every_function("x"), *every_function("n")], HOUR_MS, 3650 * DAY_MS),
    Aggregate("quarters", "mixed", ["site.id"], [("count", ""), ("sum", "n"), ("max", "mixed")], HOUR_MS // 4, HOUR_MS // 6),
    Aggregate("daily-by-key", "mixed", ["$key", "flag"], [("count", ""), ("sum", "x"), ("distinct", "id")], DAY_MS, 0),
    Newest("newest", "latest"),
    Aggregate("series-daily", "series", ["$key"], [("count", ""), *every_function("value")], DAY_MS, 0),
    Aggregate("series-all", "series", ["$key"], every_function("value")),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ctl", required=True)
    parser.add_argument("--identity", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--node", action="append", required=True)
    options = parser.parse_args()
    edges, core = [Node(options.ctl, options.identity, node) for node in options.node[:2]], None
    core = Node(options.ctl, options.identity, options.node[2])

    # At the core the views are there before the records, at the edge they find a backlog.
    for view in VIEWS:
        view.create(core)
    streams = {"mixed": mixed_records, "latest": latest_records, "series": lambda edge: [] if edge else series_records(options.data)}
    database, counts = Database(), {}
    for stream, records in streams.items():
        written = [(edge, *record) for edge, node in enumerate(edges) for record in write(node, stream, records(edge))]
        database.load(stream, written)
        for of in ([0], [0, 1]):
            counts[stream, len(of)] = sum(record[0] in of for record in written)
    for view in VIEWS:
        view.create(edges[0])
    for name, node, of in (("edge", edges[0], [0]), ("core", core, [0, 1])):
        for view in VIEWS:
            status = node.await_read(view.name, counts[view.stream, len(of)])
            print(f"{name}: {view.name}: {view.compare(database, of, node.rows(view.name), status)}", flush=True)


main()
