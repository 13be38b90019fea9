"""Reads the dashboard with Grafana's own models, which write back what they have understood: whatever differs was not."""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def differences(ours, read, path=""):
    """Everything of `ours` that is not in `read`."""
    if isinstance(ours, dict) and isinstance(read, dict):
        for name, value in ours.items():
            if name in read:
                yield from differences(value, read[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}: not known"
    elif isinstance(ours, list) and isinstance(read, list) and len(ours) == len(read):
        for index, (value, understood) in enumerate(zip(ours, read)):
            yield from differences(value, understood, f"{path}[{index}]")
    elif ours != read:
        yield f"{path}: {ours!r} is read as {read!r}"


def lacking(panel):
    """What every panel must have for the person who looks at it."""
    if not panel.get("description"):
        yield "a description"
    if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
        yield "a unit"
    if not panel.get("targets"):
        yield "a query"


def main(path):
    with open(path, encoding="utf-8") as file:
        ours = json.load(file)
    plugins.register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    wrong = list(differences(ours, read))
    panels = [panel for panel in ours["panels"] if panel["type"] != "row"]
    wrong += [f"{panel['title']}: lacks {part}" for panel in panels for part in lacking(panel)]
    places = [panel["id"] for panel in ours["panels"]]
    wrong += [f"panel id {place} is used twice" for place in sorted(set(places)) if places.count(place) > 1]
    if len(panels) < 40:
        wrong.append(f"only {len(panels)} panels are found")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"dashboard: {len(panels)} panels, {len(wrong)} errors")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
