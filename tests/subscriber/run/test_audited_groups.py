"""The audit is about log groups that are linked or should be."""

from loki_shipper.subscriber.groups.select import Selection
from loki_shipper.subscriber.memory import Memory
from loki_shipper.subscriber.model import Filter, Filters, LogGroup, ObservedGroup
from loki_shipper.subscriber.run.audited_groups import audited_groups
from loki_shipper.subscriber.settings import settings as subscriber_settings

SHIPPER = "arn:aws:lambda:eu-central-1:123456789012:function:shipper:live"
SETTINGS = subscriber_settings({"SHIPPER_ARN": SHIPPER, "INCLUDE": "*"})
LINKED = ObservedGroup(LogGroup("/linked", 0), Filters(Filter("", SHIPPER, 5)))
FREE = ObservedGroup(LogGroup("/free", 0), Filters())


def names_of(selection: Selection) -> list[str]:
    return [each.name for each in audited_groups([LINKED, FREE], Memory(), selection)]


def test_a_selected_log_group_is_audited_also_if_its_filter_is_gone() -> None:
    assert names_of(Selection(settings=SETTINGS)) == ["/linked", "/free"]


def test_a_log_group_that_a_person_unlinked_is_not_audited() -> None:
    assert names_of(Selection(settings=SETTINGS, by_hand={"/free": False})) == ["/linked"]


def test_after_everything_was_unlinked_only_filters_that_are_left_are_audited() -> None:
    assert names_of(Selection(settings=SETTINGS, stopped=True)) == ["/linked"]
