"""What stands where in the files of an event store.

A store is a set of parts: one file for each DL1 file and telescope type. All parts of a telescope type have the same
pixel order, selection and split, and are opened together as one store.

::

    /            attributes: layout_version, fingerprint (of what the part was made from), telescope_type,
                 camera_fingerprint, settings (fingerprint of selection and split), n_images
    /pixels      (n_images,) records of `store.packing.pixel_dtype`: contiguous, neither compressed nor in chunks
    /events      (n_images,) records: keys, shower, split, true values, pointing, place of the
                 telescope, image parameters; ``units``: JSON
    /telescopes  one record a telescope of this type in the file's subarray: tel_id, x, y, z [m] in ctapipe's ground
                 frame, wherever there are images of it or not
    /camera/<column>  ctapipe's table of the camera geometry, its metadata and focal_length as attributes
    /provenance  JSON: input, cuts, counts, versions

The pixels begin at a page of the file and can be read with the offset alone. The events' floating point numbers are
float32: a relative error of 2^-24, so at most 1.5e-5 deg of a direction; keys stay as they are. ``/pixels`` and
``/events`` have an attribute ``crc32`` of their content.
"""

import numpy as np

LAYOUT_VERSION = 4

PIXELS = "pixels"
EVENTS = "events"
TELESCOPES = "telescopes"
CAMERA = "camera"
PROVENANCE = "provenance"

TELESCOPE_DTYPE = np.dtype([("tel_id", np.int32), ("x", np.float64), ("y", np.float64), ("z", np.float64)])
"""A telescope and its place [m]."""

ROWS_PER_CHUNK = 256
"""Rows of an HDF5 chunk of the events."""

PAGE = 4096
"""Bytes; where the pixels begin is a multiple of it."""
