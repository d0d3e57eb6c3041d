"""Building and reading a store take the same memory, whatever its size."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import tables
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1

GROWTH_MB = 60
"""Allowed from the small to the large store; the pixels grow by 146 MB, the tables by 107 MB."""

SCRIPT = textwrap.dedent("""
    import json, sys
    from pathlib import Path
    import numpy as np
    from cherenkov_pipeline.dl1.parameters import SelectionParameters
    from cherenkov_pipeline.file_plans import FileSet, run_plan
    from cherenkov_pipeline.store import EventStore
    from cherenkov_pipeline.store.build import plan_store
    from cherenkov_pipeline.store.parameters import StoreParameters

    def peak_mb():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM:"))

    task, path, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if task == "build":
        files = FileSet("toys", [{"path": path, "fingerprint": path}])
        run_plan(plan_store(files, SelectionParameters(quality={}), StoreParameters(n_workers=1)), folder)
    store = EventStore(sorted(folder.glob("*.store.h5")))
    if task == "read":
        rng = np.random.default_rng(0)
        for rows in np.array_split(rng.permutation(len(store)), max(1, len(store) // 4096)):
            store.records(rows)
        store.verify()
    print(json.dumps([len(store), peak_mb()]))
""")


@pytest.mark.slow
def test_memory_does_not_grow(tmp_path):
    """20,000 and 400,000 images, each in a single DL1 file."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    peaks = {}
    for n_images in (20_000, 400_000):
        path, folder = repeat_events(tmp_path / f"{n_images}.dl1.h5", n_images), tmp_path / str(n_images)
        for task in ("build", "read"):
            done = subprocess.run([sys.executable, script, task, path, folder], capture_output=True, check=True)
            n_found, peaks[task, n_images] = json.loads(done.stdout)
            assert n_found == n_images
        path.unlink()
    for task in ("build", "read"):
        assert peaks[task, 400_000] - peaks[task, 20_000] < GROWTH_MB, peaks


def repeat_events(path: Path, n_images: int) -> Path:
    """Write a DL1 file of many events: a few of them, many times over, under new numbers."""
    few = [ToyEvent(number, number) for number in range(1, 501)]
    write_dl1(path, subarray({tel_id: camera(rings=5) for tel_id in (1, 2)}), few)
    with tables.open_file(str(path), "a") as file:
        for table in file.walk_nodes("/", "Table"):
            if "event_id" in table.colnames:
                rows = table.read()
                for _ in range(n_images // 1000 - 1):
                    rows["event_id"] += len(few)
                    table.append(rows)
    return path
