from cherenkov_pipeline.simulation.kernels import drop_stale_kernels


def test_kernels_go_when_any_source_changes(tmp_path):
    source, compiled = tmp_path / "a.py", tmp_path / "__pycache__" / "b.f-1.py312.nbi"
    source.write_text("WIDTH = 1")
    assert drop_stale_kernels(tmp_path)
    compiled.write_text("")
    assert not drop_stale_kernels(tmp_path)
    assert compiled.exists()
    source.write_text("WIDTH = 2")
    assert drop_stale_kernels(tmp_path)
    assert not compiled.exists()
