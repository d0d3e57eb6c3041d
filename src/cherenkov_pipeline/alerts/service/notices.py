"""Notices of SVOM/ECLAIRs (VOEvent 2.0, XML): what the advocate wants to know beside the sub-image.

A notice is read as what it is, somebody's text: DTDs and entities are refused, sizes are bounded, and nothing that it
refers to is fetched.
"""

import math
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from cherenkov_pipeline.errors import UserError

LARGEST_NOTICE = 1_000_000
"""Bytes; real ones have 3,000."""

LONGEST_TEXT = 200


@dataclass(frozen=True)
class Notice:
    """What is taken from a notice; None or empty where it does not say.

    Attributes
    ----------
    burst_id : str
        Of the alert: notices and sub-images with the same one belong together.
    ivorn : str
        Name of the notice.
    level, trigger_type, slew_status : str
        Such as ``N1e``; ``IMT`` (image trigger) or ``CRT`` (count rate trigger); ``accepted``.
    issued, window_start, window_end : str
        Times, as written (UTC).
    snr : float
        Signal to noise on board.
    timescale : float
        s.
    energy_low, energy_high : float
        keV.
    ra, dec, error_radius : float
        deg.
    galactic_longitude, galactic_latitude, sun_angle, moon_angle : float
        deg.
    satellite_longitude, satellite_latitude : float
        deg.
    """

    burst_id: str
    ivorn: str = ""
    level: str = ""
    trigger_type: str = ""
    slew_status: str = ""
    issued: str = ""
    window_start: str = ""
    window_end: str = ""
    snr: float | None = None
    timescale: float | None = None
    energy_low: float | None = None
    energy_high: float | None = None
    ra: float | None = None
    dec: float | None = None
    error_radius: float | None = None
    galactic_longitude: float | None = None
    galactic_latitude: float | None = None
    sun_angle: float | None = None
    moon_angle: float | None = None
    satellite_longitude: float | None = None
    satellite_latitude: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


_PARAMS = {
    "burst_id": "Burst_Id",
    "level": "Notice_Level",
    "trigger_type": "Trigger_Type",
    "slew_status": "Slew_Status",
    "window_start": "Time_Window_Start",
    "window_end": "Time_Window_End",
    "snr": "SNR",
    "timescale": "Timescale",
    "energy_low": "Lower_Energy_Bound",
    "energy_high": "Upper_Energy_Bound",
    "galactic_longitude": "Galactic_Lon",
    "galactic_latitude": "Galactic_Lat",
    "sun_angle": "Sun_Angle",
    "moon_angle": "Moon_Angle",
    "satellite_longitude": "Sat_Longitude",
    "satellite_latitude": "Sat_Latitude",
}
"""Which ``Param`` of the notice holds what."""

_TIMES = ("issued", "window_start", "window_end")
_NUMBERS = tuple(field.name for field in fields(Notice) if field.type == float | None)


def read_notice(content: bytes) -> Notice:
    """Read a notice.

    Parameters
    ----------
    content : bytes
        Of the XML file or Kafka message.

    Raises
    ------
    UserError
        If it is too large, no XML, has a DTD or entities, is no VOEvent of ECLAIRs, names no burst, or a number or
        time in it is none.
    """
    import defusedxml.ElementTree as ElementTree
    from defusedxml.common import DefusedXmlException

    if len(content) > LARGEST_NOTICE:
        raise UserError(f"A notice has at most {LARGEST_NOTICE:,} bytes. Received: {len(content):,}")
    try:
        root = ElementTree.fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UserError("The notice has a DTD or entities, which are refused.") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # of XML, of its encoding
        raise UserError(f"The notice is no XML: {error}.") from error
    if _local(root) != "VOEvent":
        raise UserError(f"The XML is no VOEvent but {_local(root)[:LONGEST_TEXT]}.")
    params = {param.get("name"): param.get("value") or "" for param in root.iter() if _local(param) == "Param"}
    if params.get("Instrument", "ECLAIRs").lower() != "eclairs":
        raise UserError(f"The notice is not of ECLAIRs but of {params['Instrument'][:LONGEST_TEXT]}.")
    values: dict[str, Any] = {name: params.get(param, "") for name, param in _PARAMS.items()}
    values["ivorn"] = root.get("ivorn", "")
    values["issued"] = _text(root, "Who", "Date")
    position = {"ra": ("Position2D", "C1"), "dec": ("Position2D", "C2"), "error_radius": ("Position2D", "Error2Radius")}
    values |= {name: _text(root, *place) for name, place in position.items()}
    notice = Notice(**{name: _checked(name, value.strip()) for name, value in values.items()})
    if not notice.burst_id:
        raise UserError("The notice names no Burst_Id, so that no sub-image can be joined to it.")
    return notice


def _checked(name: str, value: str) -> str | float | None:
    if len(value) > LONGEST_TEXT:
        raise UserError(f"The notice's {name} is longer than {LONGEST_TEXT} characters.")
    if name in _NUMBERS:
        if not value:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UserError(f"The notice's {name} is no number. Received: {value}")
        return number
    if name in _TIMES and value:
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise UserError(f"The notice's {name} is no time. Received: {value}") from error
    return value


def _text(root: Element, parent: str, child: str) -> str:
    """Text of the first element of a name within the first of another; empty if there is none."""
    for element in root.iter():
        if _local(element) == parent:
            return next((inner.text or "" for inner in element.iter() if _local(inner) == child), "")
    return ""


def _local(element: Element) -> str:
    """Name of an element without its namespace; empty for comments."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
