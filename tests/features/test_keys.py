"""Golden digests: when one of these changes, what users have kept is lost, so KEY_VERSION must be raised."""

from headstart.features.keys import KEY_VERSION, file_digest, picture_digest, space_digest


def test_digests_stay_the_same():
    assert KEY_VERSION == 1
    assert picture_digest(b"picture") == "841d565d1356521cc037e41595a93b8474632c42"
    assert (
        space_digest({"frozen": "abc", "decode": {"height": 224}, "view": "centre"})
        == "06003bdf85bf964724e1ab76017ccd02f693e550"
    )


def test_the_order_of_an_identity_does_not_matter():
    assert space_digest({"a": 1, "b": 2}) == space_digest({"b": 2, "a": 1})
    assert space_digest({"a": 1}) != space_digest({"a": 2})


def test_a_file_has_the_digest_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"picture")
    assert file_digest(tmp_path / "x") == picture_digest(b"picture")
