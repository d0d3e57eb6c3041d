import pytest
from ctapipe.instrument import SubarrayDescription

from cherenkov_pipeline.dl1.telescopes import telescopes_by_type, wanted_telescopes
from cherenkov_pipeline.errors import UserError


@pytest.fixture(scope="module")
def subarray(records) -> SubarrayDescription:
    """LST and NectarCam."""
    return SubarrayDescription.from_hdf(records["proton"]["path"], focal_length_choice="EQUIVALENT")


def test_types_share_out_all_telescopes(subarray):
    types = telescopes_by_type(subarray)
    assert len(types) == 2
    assert sorted(tel_id for tel_ids in types.values() for tel_id in tel_ids) == sorted(subarray.tel)


def test_camera_name_or_type_chooses(subarray):
    (lst,) = [name for name in telescopes_by_type(subarray) if name.startswith("LST")]
    by_type = wanted_telescopes(subarray, [lst], None, "here")
    assert by_type == telescopes_by_type(subarray)[lst]
    assert wanted_telescopes(subarray, ["MSTx-NectarCam"], None, "here") == sorted(set(subarray.tel) - set(by_type))
    assert wanted_telescopes(subarray, None, by_type[:1], "here") == by_type[:1]


def test_what_is_not_there_is_told_with_what_is(subarray):
    with pytest.raises(UserError, match=r"here has no telescope of type DigiCam\. It has: LST"):
        wanted_telescopes(subarray, ["DigiCam"], None, "here")
