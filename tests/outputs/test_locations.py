"""Locations never lead out of the local store, and tell what is there from what is not."""

import pytest

from app.domain.errors import InvalidError, NotFoundError
from app.domain.outputs import OutputFormat
from tests.outputs.stored_files import PLAYGROUND, content, files, written


@pytest.mark.parametrize(
    "location",
    [
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "../secret",
        "a/../../secret",
        "a/./b",
        "a//b",
        "a/",
        "a\0b",
        "a\\..\\b",
        ".partial/x",
        "a/.hidden",
        "~/x",
        "file:///etc/passwd",
        "s3://bucket/key",
        "a b",
        "é",
        "\ud800",
        "a\n",
        "a" * 300,
        "/".join(["a"] * 1000),
        "*",
    ],
)
async def test_what_is_no_location_is_refused_by_every_door(store, tmp_path, location):
    (tmp_path / "secret").write_text("s")

    async def write() -> None:
        async with store.open_writer(location) as writer:
            await writer.write(b"x")

    async def local() -> None:
        store.local_path(location)

    doors = [
        store.size(location),
        content(store, location),
        store.preview(location, format=OutputFormat.CSV, delimiter=",", limit=1),
        store.delete(location),
        write(),
        local(),
    ]
    for door in doors:
        with pytest.raises(InvalidError):
            await door
    assert (tmp_path / "secret").read_text() == "s"


async def test_links_out_of_the_store_are_refused(store, tmp_path):
    await written(store, [(1, "a")])
    (tmp_path / "secret").write_text("s")
    (tmp_path / "outputs" / "link").symlink_to(tmp_path)
    (tmp_path / "outputs" / "file").symlink_to(tmp_path / "secret")
    for location in ("link/secret", "file", "link"):
        with pytest.raises(InvalidError):
            await store.size(location)
        with pytest.raises(InvalidError):
            await store.delete(location)
    assert (tmp_path / "secret").exists()


async def test_what_is_not_there_is_not_found(store):
    stored = await written(store, [(1, "a")])
    for location in ("2026-01-05/none.csv", "2026-01-05", f"{stored.location}/deeper"):
        with pytest.raises(NotFoundError):
            await store.size(location)
        with pytest.raises(NotFoundError):
            store.local_path(location)
        with pytest.raises(NotFoundError):
            await content(store, location)


async def test_delete_removes_a_file_or_a_folder_and_may_be_repeated(store, tmp_path):
    first = await written(store, [(1, "a")])
    await written(store, [(1, "a")], attempt=2)
    await store.delete(first.location)
    await store.delete(first.location)
    assert len(files(tmp_path)) == 1
    await store.delete(f"2026-01-05/{PLAYGROUND}")
    await store.delete(f"2026-01-05/{PLAYGROUND}")
    assert files(tmp_path) == []
