"""Encoder graphs: wrong values, code in the place of names, foreign references and huge sizes in encoder.json, with the right digest."""

import random

from scripts.torture.fixtures import GRAPH_MODEL
from scripts.torture.model_folders import caption_with, damage_graph
from scripts.torture.outcome import Plan, Record


def run(plan: Plan, record: Record) -> None:
    """Mutations of one graph."""
    for number in range(plan.count(200, 6)):
        rng = random.Random(f"{plan.seed} graph {number}")
        record.attempt(f"graph {number}", lambda folder, rng=rng: caption_with(damage_graph, rng, folder, plan, GRAPH_MODEL))
