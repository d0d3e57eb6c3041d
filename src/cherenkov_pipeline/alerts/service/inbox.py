"""A folder that files are dropped into: each gets one verdict or one clear rejection, whatever happens.

For every file first what there is to say is written (verdict and page, or the reason), then one line in the audit log,
and last the file is moved out of the inbox. The line is what counts: a service that is killed before it has been
written judges the file anew when it starts again, and one that is killed after it only moves the file away. A file is
known by the SHA-256 of its content: the same content again is a duplicate, wherever it comes from.
"""

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cherenkov_pipeline.alerts.bundle import Bundle
from cherenkov_pipeline.alerts.service.audit import AuditLog
from cherenkov_pipeline.alerts.service.notices import Notice, read_notice
from cherenkov_pipeline.alerts.service.page import render_page, with_notice
from cherenkov_pipeline.alerts.service.record import as_json, notice_part, verdict_record
from cherenkov_pipeline.alerts.single import LARGEST_FILE, read_single
from cherenkov_pipeline.alerts.verdict import judge
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import PART, atomic_path, locked
