"""Which message was bought and which payment paid it, whatever became known first."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

from domain.messages import MessageId
from domain.purchases import Payment, Priced, Purchase, paid, purchased

START = datetime(2026, 6, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def priced(number: int, minutes: float) -> Priced:
    return Priced(MessageId(number), str(number), at(minutes), None)


def test_a_purchase_is_of_the_newest_message_before_it_that_is_not_bought() -> None:
    messages = [priced(1, 0), priced(2, 10), priced(3, 20)]

    found = purchased(
        messages, [Purchase("a", at(15)), Purchase("b", at(30)), Purchase("c", at(40))]
    )

    assert found == {2: at(15), 3: at(30), 1: at(40)}


def test_a_purchase_before_every_message_is_of_none() -> None:
    assert purchased([priced(1, 10)], [Purchase("a", at(5))]) == {}


def test_the_moment_of_a_purchase_is_rounded_down_to_its_minute() -> None:
    assert purchased([priced(1, 10.9)], [Purchase("a", at(10))]) == {1: at(10)}


def test_the_order_of_knowing_makes_no_difference() -> None:
    messages = [priced(1, 0), priced(2, 0), priced(3, 20)]
    purchases = [Purchase("a", at(5)), Purchase("b", at(5)), Purchase("c", at(21))]
    payments = [Payment(9, "x", at(5), None), Payment(8, "y", at(21), None)]
    bought = purchased(messages, purchases)
    links = paid(messages, bought, payments)

    for some in permutations(messages):
        for others in permutations(purchases):
            assert purchased(some, others) == bought
        assert paid(some, bought, payments[::-1]) == links
    assert links[8] == 3


def test_a_payment_far_from_every_purchase_pays_none() -> None:
    messages = [priced(1, 0)]

    assert paid(messages, {MessageId(1): at(1)}, [Payment(9, "x", at(2000), None)]) == {}
