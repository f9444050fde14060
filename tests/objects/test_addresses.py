"""Addresses are paths in every respect but how they are written."""

import os
import pickle
from pathlib import Path

import pytest

from headstart.errors import InputError
from headstart.objects.addresses import Address, absolute, as_path, is_address, joined, other_scheme, require_local
from headstart.recipe import Recipe


def test_an_address_keeps_both_slashes_wherever_it_goes():
    address = as_path("s3://bucket/a b/1.jpg")
    assert str(address) == f"{address}" == os.fspath(address) == address.as_posix() == "s3://bucket/a b/1.jpg"
    assert str(address.parent / "2.jpg") == "s3://bucket/a b/2.jpg"
    assert str(pickle.loads(pickle.dumps(address))) == "s3://bucket/a b/1.jpg"
    assert str(as_path(Path("s3://bucket/a"))) == "s3://bucket/a"  # pathlib took one
    assert (address.scheme, address.bucket, address.key) == ("s3", "bucket", "a b/1.jpg")
    assert (as_path("gs://bucket").bucket, as_path("gs://bucket").key) == ("bucket", "")
    assert address.relative_to("s3://bucket") == Path("a b/1.jpg")
    assert os.path.relpath(address, "s3://bucket/a b") == "1.jpg"
    assert isinstance(address, Path)


@pytest.mark.parametrize("text", ["", "a", "/a", "s3", "s3:", "as3://b", "data/s3:/b", "https://b", "file:///a"])
def test_what_is_no_address_stays_a_path(text):
    assert not is_address(text)
    assert type(as_path(text)) is type(Path())


def test_names_are_joined_as_on_disk_and_addresses_in_tables_lead_there():
    assert joined("s3://bucket/tables", "../pictures/./1.jpg") == "s3://bucket/pictures/1.jpg"
    assert joined("s3://bucket/tables", "gs://other/1.jpg") == "gs://other/1.jpg"
    assert joined("/data", "../other/1.jpg") == "/other/1.jpg"
    assert joined("/data", "s3://bucket/a/../1.jpg") == "s3://bucket/1.jpg"
    assert absolute("s3:/bucket/a") == "s3://bucket/a"
    assert absolute("a") == os.path.abspath("a")


def test_other_schemes_are_known_as_such():
    assert other_scheme("https://x/y") == "https"
    assert other_scheme("s3://x/y") is None
    assert other_scheme("C:/x") is None


def test_what_is_written_is_not_in_object_storage():
    with pytest.raises(InputError) as caught:
        require_local(Path("s3://bucket/run"), "a RUN")
    assert str(caught.value) == (
        "a RUN cannot be in object storage, as s3://bucket/run is. Give a folder on this machine, and copy it."
    )
    require_local("runs/s3", "a RUN")
    assert Address("s3://b") == as_path("s3:/b")


def test_a_recipe_takes_an_address_as_a_path():
    assert Recipe(Path("s3://bucket/a"), val=Path("gs://bucket/b")).data == "s3://bucket/a"
    assert Recipe(Path("a/b")).data == os.path.join("a", "b")
