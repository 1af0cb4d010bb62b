"""Where outputs are kept: a folder, the cluster's bucket, or one of their own."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.outputs.configured import configured_outputs
from app.outputs.local import LocalOutputStore
from app.outputs.s3 import S3OutputStore
from app.settings import Settings, SettingsError

EMR = {
    "s3_bucket": "results",
    "s3_path_prefix": "team",
    "access_key": "AK",
    "secret_key": "SK",
    "s3_output_preview_line_count": 7,
    "s3_max_keys_per_request": 9,
}


def loaded(tmp_path: Path, *, emr: dict[str, Any] | None = None, **outputs: Any) -> Settings:
    tree: dict[str, Any] = {"meta_store": {"url": "jdbc:mariadb://localhost/x"}, "outputs": outputs}
    if emr is not None:
        tree["connector"] = {"aws_emr": emr}
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(tree))
    return Settings.load(file, {})


async def test_without_a_cluster_outputs_are_in_the_folder(tmp_path):
    settings = loaded(tmp_path, directory=str(tmp_path))
    assert settings.outputs.bucket(settings.connector.emr) is None
    assert isinstance(configured_outputs(settings), LocalOutputStore)


async def test_with_a_cluster_they_are_in_its_bucket_below_its_prefix(tmp_path):
    settings = loaded(tmp_path, emr=EMR)
    found = settings.outputs.bucket(settings.connector.emr)
    assert found is not None
    assert (found.bucket, found.prefix, found.region) == ("results", "team/outputs", "us-east-1")
    assert (found.preview_line_count, found.max_keys_per_request) == (7, 9)
    assert found.secret_key is not None
    assert found.secret_key.get_secret_value() == "SK"
    store = configured_outputs(settings)
    assert isinstance(store, S3OutputStore)
    await store.close()


def test_a_cluster_of_the_documentation_s_examples_is_none(tmp_path):
    settings = loaded(tmp_path, emr={**EMR, "access_key": "your-access-key"})
    assert settings.outputs.bucket(settings.connector.emr) is None


def test_the_folder_may_be_wanted_beside_a_cluster(tmp_path):
    settings = loaded(tmp_path, emr=EMR, store="local")
    assert settings.outputs.bucket(settings.connector.emr) is None


def test_a_bucket_of_their_own_needs_no_cluster(tmp_path):
    settings = loaded(tmp_path, s3={"bucket": "own", "endpoint_url": "http://minio:9000"})
    found = settings.outputs.bucket(settings.connector.emr)
    assert found is not None
    assert (found.bucket, found.prefix, found.endpoint_url) == ("own", "data-phantom/outputs", "http://minio:9000")


def test_what_the_bucket_of_their_own_leaves_open_is_as_the_cluster_has_it(tmp_path):
    settings = loaded(tmp_path, emr=EMR, s3={"prefix": "elsewhere"})
    found = settings.outputs.bucket(settings.connector.emr)
    assert found is not None
    assert (found.bucket, found.prefix) == ("results", "elsewhere")


def test_s3_without_a_bucket_is_told_at_the_key_that_is_missing(tmp_path):
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, store="s3")
    assert [fault.path for fault in refused.value.faults] == ["outputs.s3.bucket"]


@pytest.mark.parametrize(
    ("outputs", "path"),
    [
        ({"store": "gcs"}, "outputs.store"),
        ({"s3": {"bucket": "A_B"}}, "outputs.s3.bucket"),
        ({"s3": {"bucket": "own", "prefix": "/a"}}, "outputs.s3.prefix"),
        ({"s3": {"bucket": "own", "endpoint_url": "minio:9000"}}, "outputs.s3.endpoint_url"),
        ({"s3": {"bucket": "own", "endpoint_url": "http://user:hunter2@minio"}}, "outputs.s3.endpoint_url"),
    ],
)
def test_wrong_values_are_told(tmp_path, outputs, path):
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, **outputs)
    assert [fault.path for fault in refused.value.faults] == [path]
