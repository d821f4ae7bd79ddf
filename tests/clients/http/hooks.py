"""Mends what Schemathesis takes for good requests and an OpenAPI document has no words to exclude."""

import os

import schemathesis
from schemathesis import GenerationMode

# Where requests go that would be for any table or view, if one is named.
ONE = {kind: os.environ.get("SELVAGE_" + kind.upper()) for kind in ("table", "view")}
# What views are made of.
STREAM = os.environ.get("SELVAGE_STREAM")
# In its coverage phase it makes "0" of a header whose pattern needs more than letters and digits.
MADE_UP = "0"
EXAMPLES = {
    "If-Match": '"6f1ed002ab5595859014ebf0951522d9"',
    "If-None-Match": '"6f1ed002ab5595859014ebf0951522d9"',
    "Last-Event-ID": "6f1ed002ab5595859014ebf0951522d9-17",
}


def keep_numbers(value):
    """An integer beyond 64 bits must be one that a double holds."""
    if isinstance(value, dict):
        return {name: keep_numbers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [keep_numbers(element) for element in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def name_once(update):
    """Each field of an update is named once."""
    if not isinstance(update, dict):
        return
    named = set(update.get("set") or {})
    if "increment" in update:
        update["increment"] = {name: by for name, by in update["increment"].items() if name not in named}
        named |= set(update["increment"])
    if "unset" in update:
        update["unset"] = [name for name in update["unset"] if name not in named]


def make_feedable(view):
    """The stream is there, fields of rows have names of their own, and windows stay as long as they take records."""
    view["stream"] = STREAM
    for number, field in enumerate(view.get("group_by", []) + view.get("columns", [])):
        field["name"] = f"f{number}"
    if view.get("keep_ms"):
        view["keep_ms"] = max(view["keep_ms"], view.get("lateness_ms", 0))


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    for kind, name in ONE.items():
        if name and kind in (case.path_parameters or {}):
            case.path_parameters[kind] = name
    if case.query and "ttl_ms" in case.query:
        case.query.pop("expires_at_ms", None)
    for name, example in EXAMPLES.items():
        if case.headers and case.headers.get(name) == MADE_UP:
            case.headers[name] = example
    # Of the two, "If-Match: *" does not go with a list in the other.
    if case.headers and "If-Match" in case.headers:
        case.headers.pop("If-None-Match", None)
    if isinstance(case.body, dict):
        case.body = keep_numbers(case.body)
        if case.operation.definition.raw.get("operationId") == "queryRows":
            # Only what a page of the same query gave is one.
            case.body.pop("next", None)
        if case.operation.definition.raw.get("operationId") == "writeBatch":
            for operation in case.body["operations"]:
                name_once(operation)
        elif case.operation.definition.raw.get("operationId") == "putView":
            make_feedable(case.body)
        elif case.media_type == "application/vnd.selvage.update+json":
            name_once(case.body)
