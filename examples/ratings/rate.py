"""Rates films: a Kafka producer, which knows nothing of those who read.

  rate.py --bootstrap HOST:PORT --user ann --film Stalker --stars 5    one rating
  rate.py --bootstrap HOST:PORT --count 200 [--every SECONDS]          made up ones, the same at each run

Each rating is a JSON object under the user's name as its key, so a user's ratings are in one partition and stay in order.
"""
import argparse
import json
import random
import signal
import time

from confluent_kafka import Producer

TOPIC = "ratings"
# How good they are said to be, about.
FILMS = {"Alien": 4.3, "Brazil": 4.0, "Ikiru": 4.6, "Metropolis": 3.9, "Plan 9 from Outer Space": 1.4, "Playtime": 4.1,
         "Ran": 4.4, "Solaris": 3.7, "Stalker": 4.5, "The Room": 1.8}


def made_up(count):
    chance = random.Random(7)
    for _ in range(count):
        film = chance.choice(list(FILMS))
        stars = min(5, max(1, round(chance.gauss(FILMS[film], 0.8))))
        yield {"user": f"user-{chance.randrange(40)}", "film": film, "stars": stars}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--every", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--user")
    parser.add_argument("--film")
    parser.add_argument("--stars", type=int)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    one = {"user": options.user, "film": options.film, "stars": options.stars}

    acknowledged = 0

    def delivered(error, _):
        nonlocal acknowledged
        if error is not None:
            raise SystemExit(f"a rating was not taken: {error}")
        acknowledged += 1

    # acks=all: acknowledged is what the edge has synced to its disk.
    producer = Producer({"bootstrap.servers": options.bootstrap, "acks": "all"})
    for rating in made_up(options.count) if options.film is None else [one]:
        producer.produce(TOPIC, key=rating["user"], value=json.dumps(rating), on_delivery=delivered)
        producer.poll(0)
        time.sleep(options.every)
    producer.flush(30)
    print(f"{acknowledged} ratings acknowledged")
    if len(producer) > 0:
        raise SystemExit(f"{len(producer)} ratings were not acknowledged")


main()
