from cherenkov_pipeline.models import cost
from cherenkov_pipeline.models.build import Scales, build_model
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.tasks import TASKS

MODEL = ModelParameters(options={"filters": [4, 8]}, head={"options": {"units": [8]}})


def make():
    return build_model(MODEL, TASKS["energy"], {"image": (16, 16, 2)}, Scales([0], [1], {"image": ([0, 0], [1, 1])}))


def test_cost_by_hand():
    found = cost.model_cost(make())
    first, second = 3 * 3 * 2 * 4 + 4, 3 * 3 * 4 * 8 + 8
    head, raw = 4 * 4 * 8 * 8 + 8, 8 * 2 + 2
    constants = make().get_layer("head_energy").count_params()
    assert found.parameters == first + second + head + raw + constants
    assert found.layers == 4
    products = 2 * (16 * 16 * 3 * 3 * 2 * 4 + 8 * 8 * 3 * 3 * 4 * 8 + 4 * 4 * 8 * 8 + 8 * 2)
    assert products < found.gflops * 1e9 < 1.2 * products


def test_layer_table_names_parts_and_sources():
    table = cost.layer_table(make())
    assert set(table["part"]) == {"input", "backbone", "head"}
    row = table[list(table["name"]).index("backbone_pooling_1")]
    assert (row["kind"], row["output_shape"], row["inputs"]) == ("MaxPooling2D", "8x8x4", "backbone_convolution_1")
    text = cost.summary_text(make())
    assert all(name in text for name in table["name"])
