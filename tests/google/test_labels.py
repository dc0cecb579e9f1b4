from typing import Any

import pytest

from loki_shipper.google.labels import LabelledEntry, label_entry
from loki_shipper.google.settings import GoogleSettings
from loki_shipper.settings import Settings
from tests.google.logged import logged, sample

SETTINGS = Settings(loki_url="http://loki")


def labelled(name: str, **settings: Any) -> LabelledEntry:
    return label_entry(sample(name), Settings(loki_url="http://loki", **settings), GoogleSettings())


def test_a_stream_has_the_origin_and_the_few_valued_labels() -> None:
    assert dict(labelled("gke").stream.labels) == {
        "cluster_name": "prod",
        "container_name": "server",
        "k8s_pod_app": "cart",
        "location": "europe-west3",
        "log_name": "stderr",
        "namespace_name": "shop",
        "project": "shop-prod",
        "resource_type": "k8s_container",
        "service_name": "cart",
        "source": "cloud-logging",
    }


def test_many_valued_labels_become_structured_metadata() -> None:
    metadata = dict(labelled("gke").metadata)
    assert metadata["pod_name"] == "cart-6f7d9c8b5d-2xk9p"
    assert metadata["k8s_pod_pod_template_hash"] == "6f7d9c8b5d"
    assert metadata["compute_googleapis_com_resource_name"] == "gke-prod-pool-1-7c9d2f41-x2kq"


def test_a_many_valued_label_is_a_label_if_you_ask_for_it() -> None:
    found = labelled("gke", tag_labels=(("pod_name", "pod"), ("k8s-pod/app", "app")))
    labels = dict(found.stream.labels)
    assert labels["pod"] == "cart-6f7d9c8b5d-2xk9p"
    assert labels["app"] == "cart"
    assert "cluster_name" not in labels
    assert dict(found.metadata)["cluster_name"] == "prod"


def test_no_label_of_an_entry_replaces_its_origin() -> None:
    found = label_entry(logged(labels={"project": "other"}), SETTINGS, GoogleSettings())
    assert dict(found.stream.labels)["project"] == "shop-prod"


def test_trace_span_and_source_are_structured_metadata() -> None:
    metadata = dict(labelled("cloud-run").metadata)
    assert metadata["detected_level"] == "error"
    assert metadata["trace_id"] == "7d9f2c4b8a1e3f5d6c7b8a9f0e1d2c3b"
    assert metadata["span_id"] == "0be8f2b3a1d4c596"
    assert (metadata["source_file"], metadata["source_line"]) == ("checkout/cards.py", "87")


def test_a_severity_that_loki_lacks_stays_visible() -> None:
    metadata = dict(labelled("audit").metadata)
    assert (metadata["detected_level"], metadata["severity"]) == ("info", "notice")


def test_the_cluster_of_skypilot_is_left_to_the_preset() -> None:
    found = labelled("skypilot")
    assert "skypilot_cluster_name" not in dict(found.metadata) | dict(found.stream.labels)
    assert dict(found.stream.labels)["service_name"] == "skypilot-logs"


def test_built_in_labels_are_chosen_and_renamed() -> None:
    google = GoogleSettings(builtin_labels=(("log_name", "log"),))
    found = label_entry(logged(), SETTINGS, google)
    assert found.stream.labels == (("log", "app"),)


@pytest.mark.parametrize(
    ("labels", "own", "tenant", "missing"),
    [
        ({"team": "a"}, None, "a", None),
        ({}, "all", "all", None),
        ({}, None, None, "no_tenant"),
        ({"team": "a/b"}, "all", None, "tenant_invalid"),
    ],
)
def test_the_tenant_is_that_of_a_label(
    labels: dict[str, str], own: str | None, tenant: str | None, missing: str | None
) -> None:
    settings = Settings(loki_url="http://loki", tenant_tag="team", loki_tenant=own)
    found = label_entry(logged(labels=labels), settings, GoogleSettings())
    assert (found.stream.tenant, found.missing_tenant) == (tenant, missing)


def test_metadata_stays_within_the_limits_of_loki() -> None:
    many = {f"session{n}": "x" * 3_000 for n in range(64)}
    found = label_entry(logged(labels=many, severity="ERROR"), SETTINGS, GoogleSettings())
    assert sum(len(name) + len(value) for name, value in found.metadata) <= 16 * 1024
    assert ("detected_level", "error") in found.metadata


@pytest.mark.parametrize("key", ["1st", "__", "größe", "a.b/c-d", "keep"])
def test_any_key_gives_a_name_that_loki_takes(key: str) -> None:
    found = label_entry(
        logged(labels={f"{key}_id": "1"}), Settings(loki_url="x", tag_labels=()), GoogleSettings()
    )
    [(name, _)] = found.metadata
    assert name[0].isalpha()
    assert name.isascii()
    assert name.isidentifier()
