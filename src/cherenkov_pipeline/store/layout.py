"""What stands where in a store file.

::

    /                    attributes: layout_version, fingerprint, telescope_type, camera_fingerprint, n_images
    /images/image        (n, n_pixels) float16          see `store.packing`
    /images/peak_time    (n, n_pixels) float16
    /images/image_mask   (n, n_pixels / 8) uint8
    /images/time_reference (n,) float32
    /events/<column>     (n,), attribute ``unit``
    /camera/<column>     ctapipe's table of the camera geometry, its metadata and focal_length as attributes
    /productions         names of the DL1 files, at the position that /events/production holds
    /provenance          JSON: inputs, cuts, counts, versions

Every dataset under /images and /events has an attribute ``crc32`` of its content. The pixels are neither compressed
nor interleaved: 5.3 kB an image of 1296 pixels, read in slices at the speed of the disk.
"""

LAYOUT_VERSION = 1

IMAGES = "images"
EVENTS = "events"
CAMERA = "camera"
PRODUCTIONS = "productions"
PROVENANCE = "provenance"

PIXEL_DATASETS = ("image", "peak_time", "image_mask", "time_reference")
"""In the order of the fields of `store.packing.PackedPixels`."""

ROWS_PER_CHUNK = 256
"""Rows of an HDF5 chunk: 0.7 MB of DigiCam charges, large enough for disks and small enough for blocks of a shuffle."""
