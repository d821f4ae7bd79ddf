"""Looks at the page of examples/ratings in a browser, and compares it with what it reads of the topic itself.

  page_check.py check --page URL --bootstrap HOST:PORT --partitions N [--screenshot FILE]

Says `live` when the page shows all ratings and has followed new ones; then the connection to the node has to be lost, and to
come back once this says `lost`. Results are those of ../README.md.
"""

import json
import pathlib
import sys
from decimal import ROUND_HALF_UP, Decimal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))

from browser import Browser
from confluent_kafka import Consumer, Producer, TopicPartition
from frame import emit, main

TOPIC = "ratings"
DEADLINE_S = 60
# What the page shows: a list of texts for each film, in the order of the films' names.
SHOWN = """JSON.stringify([...document.querySelectorAll("#films tbody tr")].map(tr => [...tr.cells].map(td => td.textContent)).sort())"""
STATE = """document.querySelector("#state")?.textContent"""


def rate(options, *ratings):
    producer = Producer({"bootstrap.servers": options.bootstrap, "acks": "all"})
    for user, film, stars in ratings:
        producer.produce(TOPIC, key=user, value=json.dumps({"user": user, "film": film, "stars": stars}))
    if producer.flush(DEADLINE_S):
        raise TimeoutError("ratings are not acknowledged")


def ratings(options):
    """All that the topic holds now."""
    consumer = Consumer({"bootstrap.servers": options.bootstrap, "group.id": "none", "enable.auto.commit": False})
    read = []
    for partition in range(int(options.partitions)):
        low, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), DEADLINE_S)
        consumer.assign([TopicPartition(TOPIC, partition, low)])
        while low < high:
            message = consumer.poll(DEADLINE_S)
            if message is None:
                raise TimeoutError(f"partition {partition} ends at {high} and was read to {low}")
            if message.error() is None:
                low = message.offset() + 1
                read.append(json.loads(message.value()))
    consumer.close()
    return read


def rounded(mean):
    """As JavaScript's toFixed does it."""
    return str(Decimal(mean).quantize(Decimal("0.01"), ROUND_HALF_UP))


def expected(options):
    films = {}
    for rating in ratings(options):
        films.setdefault(rating["film"], []).append(rating)
    lines = []
    for film, rated in films.items():
        stars = [rating["stars"] for rating in rated if isinstance(rating["stars"], (int, float))]
        of_stars = [rounded(sum(stars) / len(stars)), str(min(stars)), str(max(stars))] if stars else ["–"] * 3
        users = {rating["user"] for rating in rated}
        lines.append([str(film), of_stars[0], str(len(rated)), str(len(users)), *of_stars[1:]])
    return json.dumps(sorted(lines, key=",".join), ensure_ascii=False, separators=(",", ":"))


def expect(options, browser):
    wanted = expected(options)
    try:
        browser.wait(f"{SHOWN} === {json.dumps(wanted)}")
    except TimeoutError as late:
        raise TimeoutError(f"the page has\n{browser.evaluate(SHOWN)}\nand not\n{wanted}") from late


def order(browser):
    return browser.evaluate("""[...document.querySelectorAll("#films tbody tr")].map(tr => tr.cells[0].textContent)""")


def click(browser, column):
    browser.evaluate(f"""document.querySelector('th[data-of="{column}"]').click()""")


def check(options):
    with Browser() as browser:
        browser.open(options.page)
        browser.wait(f"""{STATE} === "live\"""")
        expect(options, browser)
        if options.screenshot:
            browser.screenshot(options.screenshot)

        # The document stays, and what is new comes to it.
        browser.evaluate("window.untouched = true")
        rate(options, ("ann", "Playtime", 5), ("bob", "Häxan <i>1922</i>", 1))
        expect(options, browser)
        # What is no rating as one thinks of it is shown all the same.
        rate(options, ("bob", "La Jetée", "five"), ("ann", "Sans Soleil", 3.5))
        expect(options, browser)

        click(browser, "film")
        by_name = order(browser)
        if by_name != sorted(by_name):
            raise AssertionError(f"not by name: {by_name}")
        browser.evaluate("""document.querySelector("#filter").value = "sans"; document.querySelector("#filter").oninput()""")
        if order(browser) != ["Sans Soleil"]:
            raise AssertionError(f"the filter leaves {order(browser)}")
        browser.evaluate("""document.querySelector("#filter").value = ""; document.querySelector("#filter").oninput()""")

        emit("live")
        browser.wait(f"""{STATE} === "no connection\"""")
        rate(options, ("cid", "Playtime", 2), ("cid", "Vertigo", 4))
        emit("lost")
        browser.wait(f"""{STATE} === "live\"""")
        expect(options, browser)
        if not browser.evaluate("window.untouched"):
            raise AssertionError("the page was loaded again")
    emit("closed")


main({"check": check})
