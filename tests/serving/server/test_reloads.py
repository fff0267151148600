"""Reloads of several processes: one order, one answer, whoever dies."""

import threading

import grpc
import pytest

from serving.errors import InvalidInputError, UnavailableError
from serving.reloads import Answer, Asked, Do, Done, ReloadOrder, ReloadTurns


@pytest.fixture
def sent() -> list:
    return []


@pytest.fixture
def order(sent) -> ReloadOrder:
    return ReloadOrder(lambda member, message: sent.append((member, message)))


def test_all_are_told_and_the_asker_is_answered_after_the_last(order, sent):
    order.asked("a", Asked(5, "x"), ["a", "b"])
    assert sent == [("a", Do(1, "x")), ("b", Do(1, "x"))]
    order.done("a", Done(1, None))
    assert len(sent) == 2
    order.done("b", Done(1, None))
    assert sent[2:] == [("a", Answer(5, None))]


def test_two_at_once_reach_all_in_the_same_order(order, sent):
    order.asked("a", Asked(1, "x"), ["a", "b"])
    order.asked("b", Asked(1, "y"), ["a", "b"])
    for member in ("a", "b"):
        assert [message.reload for to, message in sent if to == member] == ["x", "y"]
    assert order.latest == "y"
    for member in ("b", "a"):
        order.done(member, Done(2, None))
        order.done(member, Done(1, None))
    assert sent[4:] == [("b", Answer(1, None)), ("a", Answer(1, None))]


def test_the_first_failure_is_the_answer(order, sent):
    order.asked("a", Asked(1, "x"), ["a", "b", "c"])
    for member, failure in (("a", None), ("b", (9, "first")), ("c", (9, "second"))):
        order.done(member, Done(1, failure))
    assert sent[-1] == ("a", Answer(1, (9, "first")))


def test_nobody_waits_for_one_that_has_ended(order, sent):
    order.asked("a", Asked(1, "x"), ["a", "b"])
    order.done("a", Done(1, None))
    order.left("b")
    assert sent[-1] == ("a", Answer(1, None))


def test_an_asker_that_has_ended_is_not_answered_even_if_another_took_its_place(order, sent):
    order.asked("a", Asked(1, "x"), ["a", "b"])
    order.left("a")
    order.done("b", Done(1, None))
    assert not any(isinstance(message, Answer) for _, message in sent)


def test_a_late_word_of_a_closed_reload_is_no_matter(order, sent):
    order.done("a", Done(1, None))
    assert not sent


def asking(turns: ReloadTurns) -> tuple[threading.Thread, list]:
    """A thread that asks for a reload, and what came of it."""
    came: list = []

    def ask() -> None:
        try:
            came.append(turns.everywhere("x"))
        except Exception as error:
            came.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread, came


def test_who_asks_returns_when_it_is_answered():
    asked = threading.Event()
    turns = ReloadTurns(lambda message: asked.set())
    thread, came = asking(turns)
    assert asked.wait(10)
    turns.answer(Answer(2, None))  # of another
    assert thread.is_alive()
    turns.answer(Answer(1, None))
    thread.join(10)
    assert came == [None]


def test_a_failure_elsewhere_is_raised_with_its_code():
    asked = threading.Event()
    turns = ReloadTurns(lambda message: asked.set())
    thread, came = asking(turns)
    assert asked.wait(10)
    turns.answer(Answer(1, (3, "it was wrong")))
    thread.join(10)
    assert isinstance(came[0], InvalidInputError)
    assert came[0].details == "it was wrong"


def test_going_down_answers_those_that_wait_and_those_that_come():
    asked = threading.Event()
    turns = ReloadTurns(lambda message: asked.set())
    thread, came = asking(turns)
    assert asked.wait(10)
    turns.close()
    thread.join(10)
    assert isinstance(came[0], UnavailableError)
    with pytest.raises(UnavailableError, match="going down"):
        turns.everywhere("y")


def test_a_reload_is_carried_out_and_its_failure_told():
    sent, done = [], []
    turns = ReloadTurns(sent.append)
    turns.carry_out(Do(4, "x"), done.append)

    def refuse(reload: object) -> None:
        raise InvalidInputError(f"no {reload}")

    turns.carry_out(Do(5, "y"), refuse)
    assert done == ["x"]
    assert sent == [Done(4, None), Done(5, (grpc.StatusCode.INVALID_ARGUMENT.value[0], "no y"))]


def test_one_that_is_going_down_spoils_nobody_elses_reload():
    sent = []
    turns = ReloadTurns(sent.append)

    def drained(reload: object) -> None:
        raise UnavailableError("going down")

    turns.close()
    turns.carry_out(Do(1, "x"), drained)
    assert sent == [Done(1, None)]
