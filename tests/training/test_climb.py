"""The way up a ladder, with recipes that are only looked up, and the budget that decides."""

import pytest

from zoo.compression.cluster import Cluster
from zoo.compression.prune import Prune
from zoo.compression.round_vectors import RoundVectors
from zoo.recipes.recipe import Flight, Recipe, label
from zoo.tasks.base import AbstractTask
from zoo.tasks.classification import Classification
from zoo.tasks.transcription import Transcription
from zoo.training.budget import Budget
from zoo.training.climb import climb

PRUNING = tuple(Recipe(transforms=(Prune(share),)) for share in (0.5, 0.8, 0.9))
CLUSTERING = tuple(Recipe(transforms=(Cluster(number),)) for number in (32, 16))
ROUNDING = Recipe(transforms=(RoundVectors(),))


class Trainer:
    """Stands in for training: knows what each chain of transforms would score, and notes what was tried."""

    def __init__(self, budget, scores):
        self.budget, self.scores, self.tried = budget, scores, []

    def __call__(self, recipe, start):
        chain = (*start, *(label((transform,)) for transform in recipe.transforms))
        self.tried.append(chain)
        if self.scores[chain] == "as before":
            return start
        return chain if self.budget.holds(self.scores[chain]) else None


def climbed(flights, scores, task: type[AbstractTask] = Classification, dense=0.99, max_loss=0.002):
    budget = Budget.of(task(), {task.MONITOR.removeprefix("val_"): dense}, max_loss)
    trainer = Trainer(budget, scores)
    return climb(flights, (), trainer), trainer.tried


def test_stops_before_the_budget_is_exceeded():
    scores = {("Prune 0.5",): 0.991, ("Prune 0.5", "Prune 0.8"): 0.988, ("Prune 0.5", "Prune 0.8", "Prune 0.9"): 0.987}
    kept, tried = climbed((Flight(rungs=PRUNING),), scores)
    assert kept == ("Prune 0.5", "Prune 0.8")  # a loss of the whole budget still holds
    assert len(tried) == 3


def test_nothing_is_tried_beyond_the_first_rung_that_fails():
    scores = {("Prune 0.5",): 0.98}
    kept, tried = climbed((Flight(rungs=PRUNING),), scores)
    assert kept == ()
    assert tried == [("Prune 0.5",)]


def test_an_error_rate_must_not_rise():
    scores = {("Prune 0.5",): 0.24, ("Prune 0.5", "Prune 0.8"): 0.252, ("Prune 0.5", "Prune 0.8", "Prune 0.9"): 0.26}
    kept, _ = climbed((Flight(rungs=PRUNING),), scores, Transcription, dense=0.25)
    assert kept == ("Prune 0.5", "Prune 0.8")


def test_cold_rungs_begin_where_the_flight_began():
    scores = {("Prune 0.5",): 1.0, ("Prune 0.8",): 1.0, ("Prune 0.9",): 0.0}
    kept, tried = climbed((Flight(rungs=PRUNING, is_warm=False),), scores)
    assert kept == ("Prune 0.8",)
    assert tried == [("Prune 0.5",), ("Prune 0.8",), ("Prune 0.9",)]


def test_the_next_flight_goes_on_from_the_strongest_that_lets_it():
    flights = (Flight(rungs=PRUNING), Flight(rungs=CLUSTERING, is_warm=False))
    half, more, most = ("Prune 0.5",), ("Prune 0.5", "Prune 0.8"), ("Prune 0.5", "Prune 0.8", "Prune 0.9")
    scores = {half: 0.99, more: 0.99, most: 0.988}
    scores |= {(*most, "Cluster 32"): 0.98, (*more, "Cluster 32"): 0.99, (*more, "Cluster 16"): 0.97}
    kept, tried = climbed(flights, scores)
    assert kept == (*more, "Cluster 32")
    assert tried[3:] == [(*most, "Cluster 32"), (*more, "Cluster 32"), (*more, "Cluster 16")]


def test_a_flight_is_given_up_only_when_no_rung_before_lets_it_though_a_later_one_holds():
    flights = (Flight(rungs=PRUNING[:2]), Flight(rungs=CLUSTERING, is_warm=False), Flight(rungs=(ROUNDING,)))
    half, more = ("Prune 0.5",), ("Prune 0.5", "Prune 0.8")
    scores = {half: 0.99, more: 0.99, (*more, "Cluster 32"): 0.9, (*half, "Cluster 32"): 0.99}
    scores |= {(*half, "Cluster 16"): 0.9, (*half, "Cluster 32", "RoundVectors"): 0.99}
    kept, tried = climbed(flights, scores)  # RoundVectors would hold on `more` as well
    assert kept == (*half, "Cluster 32", "RoundVectors")
    assert tried[2:4] == [(*more, "Cluster 32"), (*half, "Cluster 32")]


def test_a_later_flight_goes_back_down_the_flight_before_it_alone():
    flights = (Flight(rungs=PRUNING[:2]), Flight(rungs=CLUSTERING, is_warm=False), Flight(rungs=(ROUNDING,)))
    half, more = ("Prune 0.5",), ("Prune 0.5", "Prune 0.8")
    scores = {half: 0.99, more: 0.99, (*more, "Cluster 32"): 0.99, (*more, "Cluster 16"): 0.99}
    milder = {(*more, "Cluster 16", "RoundVectors"): 0.9, (*more, "Cluster 32", "RoundVectors"): 0.99}
    assert climbed(flights, scores | milder)[0] == (*more, "Cluster 32", "RoundVectors")
    kept, tried = climbed(flights, scores | dict.fromkeys(milder, 0.9))
    assert kept == (*more, "Cluster 16")
    assert len(tried) == 6


def test_a_flight_left_out_does_not_stop_the_next_from_going_back():
    flights = (Flight(rungs=PRUNING[:2]), Flight(rungs=CLUSTERING[:1]), Flight(rungs=(ROUNDING,)))
    half, more = ("Prune 0.5",), ("Prune 0.5", "Prune 0.8")
    scores = {half: 0.99, more: 0.99, (*more, "Cluster 32"): 0.9, (*half, "Cluster 32"): 0.9}
    scores |= {(*more, "RoundVectors"): 0.9, (*half, "RoundVectors"): 0.99}
    assert climbed(flights, scores)[0] == (*half, "RoundVectors")


def test_a_flight_that_holds_nothing_is_left_out():
    flights = (Flight(rungs=PRUNING), Flight(rungs=CLUSTERING, is_warm=False))
    kept, _ = climbed(flights, {("Prune 0.5",): 0.5, ("Cluster 32",): 0.99, ("Cluster 16",): 0.5})
    assert kept == ("Cluster 32",)


def test_a_rung_that_changes_nothing_is_passed_over_and_nothing_is_given_up_for_it():
    flights = (Flight(rungs=PRUNING[:2]), Flight(rungs=(ROUNDING,)), Flight(rungs=CLUSTERING))
    more = ("Prune 0.5", "Prune 0.8")
    scores = {more[:1]: 0.99, more: 0.99, (*more, "RoundVectors"): "as before", (*more, "Cluster 32"): "as before"}
    kept, tried = climbed(flights, scores | {(*more, "Cluster 16"): 0.99})
    assert kept == (*more, "Cluster 16")
    assert len(tried) == 5


def test_what_holds_is_kept_though_the_next_flight_holds_nothing():
    flights = (Flight(rungs=PRUNING[:1]), Flight(rungs=CLUSTERING))
    kept, _ = climbed(flights, {("Prune 0.5",): 0.99, ("Prune 0.5", "Cluster 32"): 0.5})
    assert kept == ("Prune 0.5",)


@pytest.mark.parametrize(("value", "holds"), [(0.988, True), (0.9879, False), (1.0, True), (float("nan"), False)])
def test_budget_of_an_accuracy(value, holds):
    assert Budget(figure="accuracy", mode="max", baseline=0.99, max_loss=0.002).holds(value) is holds
