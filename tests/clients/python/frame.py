"""What the clients in Python share: the command line, the records and the results of README.md."""

import json
import signal
import sys
import traceback

DEADLINE_S = 60
UNACKED_MAX = 100
OLD_RETENTION = "3600000"
NEW_RETENTION = "7200000"


class Options:
    """The options of the command line as attributes; those not given are None."""

    def __init__(self, args):
        for name, value in zip(args[::2], args[1::2]):
            setattr(self, name.removeprefix("--").replace("-", "_"), value)

    def __getattr__(self, name):
        return None


def emit(event, **fields):
    """Writes one line of results at once, whole: another process may write to the same file."""
    sys.stdout.write(json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def emit_record(partition, offset, timestamp, key, value, headers):
    def hex_or_null(data):
        return None if data is None else data.hex()

    emit("record", partition=partition, offset=offset, timestamp=timestamp, key=hex_or_null(key),
         value=hex_or_null(value), headers=[[name, hex_or_null(data)] for name, data in headers or []])


def emit_step(step, result):
    emit("step", step=step, result=result)


def read_records(path):
    """Yields (timestamp, key, value, headers) of each line."""

    def field(text):
        return None if text == "-" else bytes.fromhex(text)

    with open(path, encoding="ascii") as lines:
        for line in lines:
            timestamp, key, value, headers = line.rstrip("\n").split("\t")
            pairs = [header.split("=") for header in headers.split(",") if header]
            yield int(timestamp), field(key), field(value), [(name, field(data)) for name, data in pairs]


def flood_value(options, number):
    """The value of a record of `flood`."""
    return str(number).zfill(int(options.first) if number < int(options.partitions) else 0).encode()


class Told:
    """True once the program was told to end (SIGTERM)."""

    def __init__(self):
        self._told = False
        signal.signal(signal.SIGTERM, self._tell)

    def _tell(self, *_):
        self._told = True

    def __bool__(self):
        return self._told


def main(commands):
    """Runs the command that the command line names."""
    try:
        commands[sys.argv[1]](Options(sys.argv[2:]))
    except Exception as failure:  # whatever it is, the test wants to read it
        traceback.print_exc()
        emit("failed", error=repr(failure))
        sys.exit(1)
