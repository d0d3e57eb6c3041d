import pytest

from cherenkov_pipeline.alerts.service.notices import LARGEST_NOTICE, read_notice
from cherenkov_pipeline.errors import UserError

MINIMAL = """<?xml version="1.0"?>
<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" ivorn="ivo://test#1" version="2.0">
  <!-- a comment -->
  <What><Param name="Instrument" value="ECLAIRs"/>
    <Group name="Svom_Identifiers"><Param name="Burst_Id" value="{burst_id}"/></Group>
    <Param name="SNR" value="{snr}"/><Param name="Time_Window_Start" value="{time}"/></What>
</voe:VOEvent>"""

DTD = '<!DOCTYPE VOEvent [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


def notice(burst_id="sb1", snr="8.1", time="2026-02-18T04:53:28.001Z"):
    return MINIMAL.format(burst_id=burst_id, snr=snr, time=time)


def test_real_notices(test_data):
    paths = sorted((test_data / "eclairs_notices").glob("*.xml"))
    notices = {path.stem: read_notice(path.read_bytes()) for path in paths}
    assert len(notices) == 5
    first = notices["eclairs_298"]
    assert first.burst_id == "sb26021801"
    assert first.ivorn == "ivo://org.svom/fsc#sb26021801_eclairs-wakeup"
    assert (first.snr, first.timescale, first.energy_low, first.energy_high) == (8.29, 1310.72, 5, 20)
    assert (first.ra, first.dec, first.error_radius) == (194.8408, 27.9434, 0.1583)
    assert (first.issued, first.window_start) == ("2026-02-18T05:24:17+00:00", "2026-02-18T04:53:28.001Z")
    assert (first.level, first.slew_status, first.satellite_latitude) == ("N1e", "not-requested", 29.05)
    assert [found.trigger_type for found in notices.values()] == ["IMT", "IMT", "IMT", "CRT", "CRT"]
    assert notices["eclairs_311"].satellite_latitude is None
    assert notices["eclairs_303"].slew_status == "rejected"


def test_what_a_notice_does_not_say_is_none():
    found = read_notice(notice().encode())
    assert found.burst_id == "sb1"
    assert found.snr == 8.1
    assert found.ra is None
    assert found.slew_status == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no XML"),
        (b"Dear all, we report", "no XML"),
        (notice()[:200].encode(), "no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "no XML"),
        (notice().replace("<voe", f"{DTD}<voe", 1).encode(), "DTD or entities"),
        (notice(burst_id="&b;").replace("<voe", f"{DTD}<voe", 1).encode(), "DTD or entities"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "DTD or entities"),
        (b"<html/>", "no VOEvent but html"),
        (notice().replace("ECLAIRs", "GRM").encode(), "not of ECLAIRs but of GRM"),
        (notice(burst_id=" ").encode(), "no Burst_Id"),
        (notice(burst_id="b" * 300).encode(), "burst_id is longer"),
        (notice(snr="bright").encode(), "snr is no number. Received: bright"),
        (notice(snr="nan").encode(), "snr is no number"),
        (notice(time="yesterday").encode(), "window_start is no time"),
        (b" " * (LARGEST_NOTICE + 1), "at most"),
    ],
)
def test_what_is_no_notice_is_refused(content, problem):
    with pytest.raises(UserError, match=problem):
        read_notice(content)
