from collections.abc import Mapping
from typing import Any

import pytest
import requests

from loki_shipper.doctor.finding import Level
from loki_shipper.doctor.google import check_bucket, check_sink, check_subscription, check_tokens
from loki_shipper.google.settings import GoogleSettings
from loki_shipper.google.storage import CloudStorage
from loki_shipper.google.token import CertificatesError
from loki_shipper.local.loki import free_port

URL = "https://loki-shipper-abc.a.run.app"
EMAIL = "push@shop-prod.iam.gserviceaccount.com"
GOOGLE = GoogleSettings(push_audience=URL, push_service_account=EMAIL)
SUBSCRIPTION: Mapping[str, Any] = {
    "name": "projects/shop-prod/subscriptions/loki-shipper",
    "pushConfig": {
        "pushEndpoint": f"{URL}/",
        "oidcToken": {"serviceAccountEmail": EMAIL, "audience": URL},
    },
    "ackDeadlineSeconds": 60,
    "messageRetentionDuration": "604800s",
    "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"},
}


def problems(**fields: Any) -> dict[str, Level]:
    found = {name: value for name, value in {**SUBSCRIPTION, **fields}.items() if value is not None}
    findings = check_subscription(found, GOOGLE)
    return {each.check: each.level for each in findings if each.level is not Level.OK}


def test_a_subscription_as_documented_is_fine() -> None:
    assert problems() == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"pushConfig": {}}, {"push": Level.WRONG}),
        ({"pushConfig": {"pushEndpoint": URL}}, {"oidc": Level.WRONG}),
        (
            {
                "pushConfig": {
                    "pushEndpoint": URL,
                    "oidcToken": {"serviceAccountEmail": EMAIL, "audience": "https://other"},
                }
            },
            {"oidc": Level.WRONG},
        ),
        (
            {"pushConfig": {**SUBSCRIPTION["pushConfig"], "noWrapper": {}}},
            {"wrapper": Level.WRONG},
        ),
        ({"ackDeadlineSeconds": 10}, {"deadline": Level.WRONG}),
        ({"messageRetentionDuration": "600s"}, {"retention": Level.WARN}),
        ({"deadLetterPolicy": {"deadLetterTopic": "x"}}, {"deadletter": Level.WARN}),
        ({"retryPolicy": None}, {"retry": Level.WARN}),
    ],
)
def test_each_fault_of_a_subscription_is_found(
    fields: dict[str, Any], expected: dict[str, Level]
) -> None:
    assert problems(**fields) == expected


def test_the_bucket_takes_and_gives_back_an_object(storage: CloudStorage) -> None:
    assert check_bucket(storage).level is Level.OK
    assert [*storage.objects("")] == []


def test_a_bucket_that_cannot_be_reached_is_a_fault() -> None:
    nowhere = CloudStorage("b", requests.Session(), f"http://127.0.0.1:{free_port()}")
    assert check_bucket(nowhere).level is Level.WRONG
    assert check_bucket(None).level is Level.WARN


def test_tokens_are_checked_with_the_certificates_of_google() -> None:
    def unread() -> Mapping[str, str]:
        raise CertificatesError("ConnectionError")

    assert check_tokens(GOOGLE, dict).level is Level.OK
    assert check_tokens(GOOGLE, unread).level is Level.WRONG
    assert check_tokens(GoogleSettings(verify_pushes=False), unread).level is Level.WARN


@pytest.mark.parametrize(
    ("sink", "level"),
    [
        ({"filter": 'NOT resource.labels.service_name="loki-shipper"'}, Level.OK),
        ({"exclusions": [{"filter": 'resource.labels.service_name="loki-shipper"'}]}, Level.OK),
        ({"filter": "severity>=INFO"}, Level.WARN),
        ({}, Level.WARN),
    ],
)
def test_a_sink_must_leave_out_the_log_of_the_service(sink: dict[str, Any], level: Level) -> None:
    assert check_sink(sink, "loki-shipper").level is level
