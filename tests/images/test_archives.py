"""A zip is as good as a folder, is never unpacked, and nothing in it does harm."""

import io
import stat
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.images import archives, places
from headstart.images.archives import Archive, ArchiveError
from headstart.images.places import entries, is_folder, read_file, stat_of
from headstart.images.sources import list_any, list_for_evaluation, list_labelled


def make_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def zipped(folder: Path, path: Path, below: str = "") -> Path:
    """A zip of a folder's content."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return make_zip(path, {below + file.relative_to(folder).as_posix(): file.read_bytes() for file in files})


def summary(data: Path, **options) -> list[tuple]:
    """Everything about the pictures but where they are."""
    listing = list_labelled(data, **options)
    return [(p.name, p.label, p.side, read_file(p.path)) for p in listing.pictures]


@pytest.mark.parametrize("below", ["", "pets/"])
def test_a_zip_of_class_folders_holds_the_same_pictures_as_the_folder(pictures, tmp_path, below):
    data = pictures(cat=3, dog=2)
    archive = zipped(data, tmp_path / "pets.zip", below)
    assert summary(archive) == summary(data)
    assert list_labelled(archive).classes == ("cat", "dog")


@pytest.mark.parametrize("below", ["", "pets/"])
def test_a_zip_of_train_and_val_folders_has_these_sides(pictures, tmp_path, below):
    pictures(at="data/train", cat=3, dog=3)
    data = pictures(at="data/val", cat=1, dog=1).parent
    assert summary(zipped(data, tmp_path / "pets.zip", below)) == summary(data)


def test_a_zip_for_each_class(pictures, tmp_path):
    data = pictures(cat=3, dog=2)
    for name in ("cat", "dog"):
        zipped(data / name, tmp_path / "zips" / f"{name}.zip")
    (tmp_path / "zips" / "README").write_text("pets")
    listing = list_labelled(tmp_path / "zips")
    assert listing.classes == ("cat", "dog")
    assert [read_file(p.path) for p in listing.pictures] == [row[-1] for row in summary(data)]
    assert [p.name for p in listing.pictures][:1] == ["cat.zip/000.png"]
    assert [(Path(item.path).name, item.reason) for item in listing.skipped] == [("README", "it is in no class folder")]


def test_a_zip_for_each_side(pictures, tmp_path):
    for side, count in (("train", 3), ("val", 1)):
        zipped(pictures(at=f"data/{side}", cat=count, dog=count), tmp_path / "zips" / f"{side}.zip", f"{side}/")
    listing = list_labelled(tmp_path / "zips")
    assert [len(listing.on(side)) for side in ("train", "val")] == [6, 2]
    assert listing.classes == ("cat", "dog")


def test_a_zip_left_beside_the_folders_that_came_out_of_it_is_no_class(pictures, tmp_path):
    data = pictures(cat=2, dog=2)
    zipped(data, data / "pets.zip")
    listing = list_labelled(data)
    assert listing.classes == ("cat", "dog")
    assert len(listing.pictures) == 4
    assert [item.reason for item in listing.skipped] == ["it is in no class folder"]


def test_zips_are_listed_for_evaluation_and_for_prediction(pictures, tmp_path):
    archive = zipped(pictures(cat=2, dog=2), tmp_path / "pets.zip")
    assert [p.label for p in list_for_evaluation(archive).pictures] == ["cat", "cat", "dog", "dog"]
    assert [p.path for p in list_any([archive])] == [
        f"{archive}/{name}" for name in ("cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png")
    ]
    assert [p.path for p in list_any([f"{archive}/cat", f"{archive}/dog/000.png"])] == [
        f"{archive}/{name}" for name in ("cat/000.png", "cat/001.png", "dog/000.png")
    ]
    with pytest.raises(DataError, match="no such file or folder: .*pets.zip/cow"):
        list_any([f"{archive}/cow"])


def test_what_archivers_leave_behind_is_passed_over(pictures, tmp_path):
    data = pictures(cat=2, dog=2)
    (data / "__MACOSX" / "cat").mkdir(parents=True)
    (data / "__MACOSX" / "cat" / "._000.png").write_bytes(b"x")
    (data / "cat" / ".DS_Store").write_bytes(b"x")
    assert len(list_labelled(zipped(data, tmp_path / "pets.zip")).pictures) == 4


def test_names_with_backslashes_are_folders_as_windows_meant_them(pictures, tmp_path):
    data = pictures(cat=2, dog=2)
    members = {f"{p.label}\\{Path(p.path).name}": Path(p.path).read_bytes() for p in list_labelled(data).pictures}
    assert summary(make_zip(tmp_path / "pets.zip", members)) == summary(data)


def problems(path: Path) -> dict[str, str]:
    return Archive(str(path)).problems


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "cat/../../evil.png", "..\\evil.png", "C:/../e.png"])
def test_a_name_that_leads_out_is_refused_and_nothing_is_written(tmp_path, name):
    archive = make_zip(tmp_path / "a" / "slip.zip", {name: b"evil", "cat/1.png": b"good"})
    assert list(problems(archive).values()) == ["its name leads out of the archive"]
    assert read_file(f"{archive}/cat/1.png") == b"good"
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "slip.zip"]
    for entry in entries(archive):
        if entry.problem:
            with pytest.raises(ArchiveError, match="its name leads out of the archive"):
                read_file(entry.path)


def test_a_bomb_is_refused_by_its_size_without_being_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
    archive = make_zip(tmp_path / "bomb.zip", {"cat/1.png": bytes((1 << 20) + 1), "cat/2.png": bytes(1 << 20)})
    assert archive.stat().st_size < 10_000
    assert problems(archive) == {"cat/1.png": "larger than 1 MiB"}
    assert len(read_file(f"{archive}/cat/2.png")) == 1 << 20


def test_a_size_that_lies_gives_no_more_than_it_says(tmp_path):
    archive = make_zip(tmp_path / "liar.zip", {"cat/1.png": bytes(1 << 20)})
    data = archive.read_bytes()
    place = data.index(b"PK\x01\x02") + 24
    archive.write_bytes(data[:place] + (100).to_bytes(4, "little") + data[place + 4 :])
    with pytest.raises(ArchiveError, match="damaged in the archive"):
        read_file(f"{archive}/cat/1.png")


def test_encrypted_members_links_and_second_ones_of_a_name_are_named(tmp_path):
    path = tmp_path / "odd.zip"
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("cat/1.png", b"one")
        archive.writestr("cat/secret.png", b"x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("cat/1.png", b"two")
    data = path.read_bytes()
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"cat/secret.png")) + 8
    path.write_bytes(data[:place] + b"\x01" + data[place + 1 :])
    assert problems(path) == {
        "cat/link.png": "a link",
        "cat/1.png": "another member of the archive has the same name",
        "cat/secret.png": "encrypted",
    }


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_a_truncated_zip_is_refused_in_one_line(pictures, tmp_path, keep):
    archive = zipped(pictures(cat=2, dog=2), tmp_path / "pets.zip")
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(DataError) as caught:
        list_labelled(archive)
    assert str(caught.value).startswith(f"{archive} is a file, neither a folder nor an archive.")


def test_a_zip_with_a_damaged_index_is_refused_in_one_line(pictures, tmp_path):
    archive = zipped(pictures(cat=2, dog=2), tmp_path / "pets.zip")
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02")] = 0
    archive.write_bytes(data)
    with pytest.raises(DataError) as caught:
        list_labelled(archive)
    assert str(caught.value) == f"{archive} is not a zip that can be read: Bad magic number for central directory."


def test_a_damaged_member_is_one_unreadable_picture(pictures, tmp_path):
    archive = zipped(pictures(cat=2, dog=2), tmp_path / "pets.zip")
    data = bytearray(archive.read_bytes())
    data[data.index(b"cat/001.png") + 30] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match="damaged in the archive"):
        read_file(f"{archive}/cat/001.png")
    assert read_file(f"{archive}/cat/000.png")


def test_a_member_has_the_stat_of_its_zip_and_a_changed_zip_is_opened_again(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"x/1.png": b"one"})
    member = f"{archive}/x/1.png"
    assert stat_of(member) == stat_of(str(archive))
    assert read_file(member) == b"one"
    make_zip(archive, {"x/1.png": b"another"})
    assert read_file(member) == b"another"


def test_paths_that_lead_through_no_zip_are_what_they_were(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    assert not is_folder(tmp_path / "file" / "inside")
    assert not is_folder(tmp_path / "missing")
    with pytest.raises(ArchiveError, match="not a zip that can be read"):
        read_file(f"{tmp_path}/file/inside")
    with pytest.raises(FileNotFoundError):
        stat_of(f"{tmp_path}/missing/inside")


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MAX_BYTES", 10)
    (tmp_path / "a.png").write_bytes(bytes(11))
    with pytest.raises(ArchiveError, match="larger than"):
        read_file(f"{tmp_path}/a.png")


def test_several_threads_read_one_zip(tmp_path):
    contents = {f"x/{number}": bytes([number]) * 5000 for number in range(200)}
    archive = make_zip(tmp_path / "a.zip", contents)
    names = list(contents) * 5
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: read_file(f"{archive}/{name}"), names))
    assert found == [contents[name] for name in names]


def test_an_empty_zip_has_no_classes(tmp_path):
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    (tmp_path / "empty.zip").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="no classes in .*: it is empty"):
        list_labelled(tmp_path / "empty.zip")
