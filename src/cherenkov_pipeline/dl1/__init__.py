"""From raw or simulated events to DL1 files in ctapipe's data model: convert, strip, merge, select."""
