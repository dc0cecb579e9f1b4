import pytest
import requests

from loki_shipper.google.rules_file import google_rules_file
from loki_shipper.google.storage import CloudStorage, StorageError, open_storage
from loki_shipper.local.loki import free_port
from loki_shipper.shipper.rules.cache import FileUnchanged, FileUnreadable, RulesText
from tests.google.bucket import BUCKET

KEY = "rejected/2026/11/10/2026-11-10T09.40.01-a b+c.json"


def test_an_object_is_read_as_it_was_written(storage: CloudStorage) -> None:
    storage.put(KEY, b"{}")
    assert storage.get(KEY) == b"{}"


def test_writing_again_replaces_an_object(storage: CloudStorage) -> None:
    storage.put(KEY, b"1")
    storage.put(KEY, b"2")
    assert storage.get(KEY) == b"2"
    assert [each.size for each in storage.objects("rejected/")] == [1]


def test_objects_of_a_folder_are_listed_in_the_order_of_keys(storage: CloudStorage) -> None:
    for key in ("rejected/b", "rejected/a", "other/c"):
        storage.put(key, b"x")
    assert [each.key for each in storage.objects("rejected/")] == ["rejected/a", "rejected/b"]


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_fault(storage: CloudStorage) -> None:
    storage.put(KEY, b"x")
    storage.delete(KEY)
    storage.delete(KEY)
    assert storage.get(KEY) is None


def test_a_bucket_that_does_not_exist_is_a_fault(storage_url: str) -> None:
    other = open_storage("other", {"STORAGE_EMULATOR_HOST": storage_url})
    with pytest.raises(StorageError, match="bucket other failed: status 404"):
        other.put(KEY, b"x")


def test_a_storage_that_does_not_answer_is_a_fault() -> None:
    nowhere = CloudStorage(BUCKET, requests.Session(), f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageError, match="ConnectionError"):
        nowhere.get(KEY)


def test_rules_are_read_from_the_bucket_until_they_change(
    storage: CloudStorage, storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_url)
    reference = f"gs://{BUCKET}/rules.toml"
    assert isinstance(google_rules_file(reference, None), FileUnreadable)
    storage.put("rules.toml", b'[[rule]]\ndrop = "a"\n')
    found = google_rules_file(reference, None)
    assert isinstance(found, RulesText)
    assert google_rules_file(reference, found.etag) == FileUnchanged()
    storage.put("rules.toml", b"# none")
    assert google_rules_file(reference, found.etag) != FileUnchanged()
