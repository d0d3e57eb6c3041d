import os
import subprocess
import sys

import pytest

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.keras_backend import choose_backend


def backend_of_a_process(code: str, **environment: str) -> str:
    """Run code in a process of its own; what it prints."""
    inherited = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    command = [sys.executable, "-c", f"from cherenkov_pipeline.keras_backend import choose_backend\n{code}"]
    done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


RUN = "import keras; print(keras.backend.backend())"


def test_the_parameter_acts_before_keras_is_imported():
    assert backend_of_a_process(f"choose_backend('jax'); {RUN}") == "jax"


def test_the_parameter_wins_over_the_environment_which_wins_over_nothing():
    chosen = "import os; choose_backend('jax'); print(os.environ['KERAS_BACKEND'])"
    assert backend_of_a_process(chosen, KERAS_BACKEND="tensorflow") == "jax"
    assert backend_of_a_process("print(choose_backend())", KERAS_BACKEND="jax") == "jax"
    assert backend_of_a_process("print(choose_backend())") == "None"


def test_it_is_too_late_once_keras_runs():
    code = "import keras; choose_backend('jax'); choose_backend('tensorflow')"  # the first is the one that runs
    assert "runs on jax in this process already" in backend_of_a_process(code, KERAS_BACKEND="jax")


def test_an_unknown_or_absent_backend_is_refused(monkeypatch):
    with pytest.raises(UserError, match="choose one of tensorflow, jax, torch"):
        choose_backend("theano")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="torch is not installed"):
        choose_backend("torch")
