"""The commands of ../README.md with kcat; it has none of the administrative calls and says no offset of what it
produced."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from frame import DEADLINE_S, Told, emit, emit_record, flood_value, main, read_records

PR_SET_PDEATHSIG = 1
FORMAT = r"%p\t%o\t%T\t%K\t%S\t%h\n%k%s\n"


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(options, *args, **more):
    debug = os.environ.get("SELVAGE_CLIENTS_DEBUG")
    command = ["kcat", "-b", options.bootstrap, "-X", "reconnect.backoff.max.ms=500",
               *(["-X", f"debug={debug}"] if debug else []), *args]
    return subprocess.Popen(command, preexec_fn=die_with_parent, **more)


def check(code):
    if code != 0:
        raise RuntimeError(f"kcat ended with {code}")


def produce(options):
    for number, (_, key, value, headers) in enumerate(read_records(options.input)):
        args = ["-P", "-t", options.topic, "-p", options.partition, "-z", options.codec]
        for name, data in headers:
            args += ["-H", f"{name}={data.decode()}"]
        if value is None:  # only a line can be null, and a whole file only be a value with newlines
            line = subprocess.PIPE
            process = start(options, *args, "-K", "\t", "-Z", stdin=line)
            process.communicate((key or b"") + b"\t\n", DEADLINE_S)
        else:
            args += [] if key is None else ["-k", key.decode()]
            with tempfile.NamedTemporaryFile() as file:
                file.write(value)
                file.flush()
                process = start(options, *args, file.name)
                process.wait(DEADLINE_S)
        check(process.returncode)
        emit("acked", id=number, partition=int(options.partition), offset=None)


def flood(options):
    """All records go to partition 0; they are acknowledged when kcat has ended well."""
    told, number = Told(), 0
    # kcat gives up when all the brokers it knows are down at once: one that accepts and never answers is not down.
    silent = socket.create_server(("127.0.0.1", 0))
    options.bootstrap += f",127.0.0.1:{silent.getsockname()[1]}"
    # A line is a record.
    process = start(options, "-X", "api.version.request.timeout.ms=300000", "-P", "-t", options.topic, "-p", "0", "-X", "enable.idempotence=true",
                    "-X", "linger.ms=5", "-X", "retry.backoff.ms=50", stdin=subprocess.PIPE)
    while not told:
        process.stdin.write(flood_value(options, number) + b"\n")
        process.stdin.flush()
        emit("sent", id=number)
        number += 1
        time.sleep(0.001)
    process.stdin.close()
    check(process.wait(DEADLINE_S))
    for acked in range(number):
        emit("acked", id=acked, partition=0, offset=None)
    emit("closed")


def header(text):
    name, data = text.split("=", 1)
    return name, None if data == "NULL" else data.encode("latin-1")


def emit_output(stream):
    """Writes out the records that kcat prints, one by one as the caller asks."""
    for line in iter(stream.readline, b""):
        partition, offset, timestamp, key_size, size, headers = line.decode("latin-1").rstrip("\n").split("\t")
        key = stream.read(int(key_size)) if int(key_size) >= 0 else None
        value = stream.read(int(size)) if int(size) >= 0 else None
        stream.read(1)
        emit_record(int(partition), int(offset), int(timestamp), key, value,
                    [header(each) for each in headers.split(",") if each])
        yield


def consume(options):
    process = start(options, "-C", "-q", "-t", options.topic, "-p", options.partition, "-o", options.offset,
                    "-c", options.count, "-f", FORMAT, "-X", "check.crcs=true", stdout=subprocess.PIPE)
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.alarm(DEADLINE_S)
    for _ in emit_output(process.stdout):
        pass
    check(process.wait())


def seek(options):
    for at in options.times.split(","):
        where = f"{options.topic}:{options.partition}:{at}"
        process = start(options, "-Q", "-t", where, stdout=subprocess.PIPE)
        output = process.communicate(timeout=DEADLINE_S)[0].decode()
        check(process.returncode)
        emit("offset", offset=int(re.search(r"offset (-?\d+)", output)[1]))


def member(options):
    """kcat commits in the background, and once more at its end."""
    instance = ["-X", f"group.instance.id={options.instance}"] if options.instance else []
    count = ["-c", options.count] if options.count else []
    records_in, records_out = os.pipe()
    process = start(options, "-G", options.group, "-u", "-f", FORMAT, "-X", "auto.offset.reset=earliest",
                    "-X", f"session.timeout.ms={options.session_timeout}", "-X", "heartbeat.interval.ms=300",
                    "-X", "auto.commit.interval.ms=100", *instance, *count, options.topic,
                    stdout=records_out, stderr=subprocess.PIPE)
    os.close(records_out)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    if os.fork() == 0:
        with os.fdopen(records_in, "rb") as stream:
            for _ in emit_output(stream):
                pass
        os._exit(0)
    os.close(records_in)
    for line in process.stderr:
        text = line.decode()
        change = re.search(r"(assigned|revoked): (.*)", text)
        if change:
            partitions = re.findall(r"\[(\d+)\]", change[2]) if change[1] == "assigned" else []
            emit("assigned", partitions=sorted(int(each) for each in partitions))
        else:
            sys.stderr.write(text)
    check(process.wait())
    os.wait()
    emit("closed")


main({"produce": produce, "flood": flood, "consume": consume, "seek": seek, "member": member})
