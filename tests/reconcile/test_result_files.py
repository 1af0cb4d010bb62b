"""Files that the command writes: whole or not at all, and never over what they are made of."""

import os
from pathlib import Path

import pytest

from app.domain.errors import InvalidError, UnavailableError
from app.reconcile.result_files import check_place, result_file


def test_a_file_is_in_place_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    place.write_text("before")
    with result_file(place) as file:
        file.write(b"after")
        assert place.read_text() == "before"
    assert place.read_text() == "after"
    assert list(tmp_path.iterdir()) == [place]


def test_what_goes_wrong_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    place.write_text("before")

    def interrupted() -> None:
        with result_file(place) as file:
            file.write(b"after")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert place.read_text() == "before"
    assert list(tmp_path.iterdir()) == [place]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("before")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    with result_file(tmp_path / "link.csv") as file:
        file.write(b"after")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "after"


def test_a_full_disk_is_told_with_the_file() -> None:
    with pytest.raises(UnavailableError, match="full cannot be written"), result_file(Path("/dev/full")) as file:
        file.write(b"x")
    assert Path("/dev/full").is_char_device()


def test_places_are_checked_before_anything_is_compared(tmp_path: Path) -> None:
    left = tmp_path / "left.csv"
    left.touch()
    os.link(left, tmp_path / "same.csv")
    others = {"left.csv": left}
    for place, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "out.csv", "there is no folder"),
        (left, "is left.csv itself"),
        (tmp_path / "same.csv", "is left.csv itself"),
    ):
        with pytest.raises(InvalidError, match=words):
            check_place(place, option="--report", others=others)
    check_place(tmp_path / "out.csv", option="--report", others=others)
    check_place(Path("/dev/stdout"), option="--report", others=others)
    with pytest.raises(InvalidError, match="--differences"):
        check_place(tmp_path / "out", option="--report", others={"--differences": tmp_path / "out"})
