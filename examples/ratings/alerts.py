"""The second service, added later: of each film the newest rating with a single star, in a table of its own.

  alerts.py --bootstrap HOST:PORT --api HOST:PORT

It is a plain Kafka consumer. It reads the topic from its beginning, by its own group; neither the producer nor the view nor
the page hear of it. A row says the same however often its rating is read, so what it writes again after a crash changes nothing.
"""
import argparse
import http.client
import json
import signal
import sys
import urllib.parse

from confluent_kafka import Consumer, KafkaException

TOPIC, TABLE = "ratings", "alerts"


class Table:
    def __init__(self, api):
        self.api = api

    def put(self, key, row):
        node = http.client.HTTPConnection(self.api, timeout=30)
        path = f"/v1/tables/{TABLE}/rows/{urllib.parse.quote(key, safe='')}"
        node.request("PUT", path, json.dumps(row), {"Content-Type": "application/json"})
        response = node.getresponse()
        answer = response.read()
        node.close()
        if response.status not in (201, 204):
            raise SystemExit(f"row {key} was not taken: {answer.decode()}")


def rating_of(message):
    """None for what is no rating: one bad record stops nothing."""
    try:
        rating = json.loads(message.value() or b"null")
        return rating if isinstance(rating["film"], str) and isinstance(rating["stars"], int) else None
    except (ValueError, KeyError, TypeError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--api", required=True, metavar="HOST:PORT")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    table = Table(options.api)
    consumer = Consumer({"bootstrap.servers": options.bootstrap, "group.id": "alerts", "auto.offset.reset": "earliest",
                         "enable.auto.offset.store": False})
    consumer.subscribe([TOPIC])
    try:
        while True:
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error() is not None:
                if message.error().fatal():
                    raise KafkaException(message.error())
                continue  # the client tries again by itself
            rating = rating_of(message)
            if rating is not None and rating["stars"] == 1:
                table.put(rating["film"], {"user": rating.get("user"), "at_ms": message.timestamp()[1]})
                print(f"alert: {rating['film']}", flush=True)
            # Done with it: the client commits that now and then.
            consumer.store_offsets(message)
    finally:
        consumer.close()


main()
