"""Closure: showers are put up, seen by telescopes without any error, and must be found again."""

import numpy as np
import pytest

from cherenkov_pipeline.models.stereo_geometry import (
    ESTIMATE,
    PAIR,
    SHOWER,
    START,
    JoinDirections,
    OtherTelescopes,
    PairGeometry,
    PoolTelescopes,
    ShowerGeometry,
)
from cherenkov_pipeline.models.telescopes import PresentTelescopes

N = 20
TELESCOPES = np.array([[-1.0, 0.3, 0.0], [0.9, -0.4, 0.1], [0.2, 1.1, -0.1]])


@pytest.fixture
def showers():
    """Direction [deg], core [100 m], H [100 m / deg] of each shower; centres and axes of its images."""
    rng = np.random.default_rng(0)
    direction, core, distance = rng.normal(0, 1, (N, 2)), rng.uniform(-2, 2, (N, 2)), rng.uniform(0.8, 1.6, N)
    offset = (core[:, np.newaxis] - TELESCOPES[:, :2]) / distance[:, np.newaxis, np.newaxis]
    return {
        "direction": direction,
        "core": core,
        "distance": distance,
        "frame": frames(direction[:, np.newaxis] + offset, np.arctan2(*np.moveaxis(offset[..., ::-1], -1, 0))),
        "positions": np.tile(TELESCOPES, (N, 1, 1)),
        "telescopes": np.ones((N, 3)),
    }


def frames(centre, angle):
    return np.concatenate([centre, np.stack([np.cos(angle), np.sin(angle)], axis=-1)], axis=-1)


def call(layer, *values):
    return np.asarray(layer(*(np.asarray(value, dtype=np.float32) for value in values)))


def column(names, values, name):
    return values[..., names.index(name)]


def estimates(**values):
    """What each telescope says, relative to the start."""
    wanted = {name: values.get(name, start) for name, start in zip(ESTIMATE, START, strict=True)}
    parts = [np.broadcast_to(value, (N, 3)) - start for value, start in zip(wanted.values(), START, strict=True)]
    return np.stack(parts, axis=-1)


def test_thin_axes_cross_at_the_direction(showers):
    """Whatever is said about head and tail: with sharp axes and vague places along them, the crossing is the source."""
    rng = np.random.default_rng(1)
    said = estimates(logit_head=rng.normal(0, 3, (N, 3)), log_head=-1.5, log_tail=-1.5, log_across=3.5)
    found = call(JoinDirections(), said, showers["frame"], showers["telescopes"])
    np.testing.assert_allclose(found, showers["direction"], atol=0.02)


def test_one_telescope_that_is_sure_of_its_side_points_there(showers):
    """Of an absent telescope, nothing counts."""
    telescopes = showers["telescopes"] * [0, 1, 0]
    centre, axis = showers["frame"][:, 1, :2], showers["frame"][:, 1, 2:]
    garbage = np.where(telescopes[..., np.newaxis] > 0, showers["frame"], 7.0)
    for logit, along in ((30.0, 1.4), (-30.0, -0.8)):
        found = call(JoinDirections(), estimates(logit_head=logit, head=1.4, tail=-0.8), garbage, telescopes)
        np.testing.assert_allclose(found, centre + along * axis, atol=1e-4)


def test_two_telescopes_resolve_the_side(showers):
    """Each of them gives both sides the same probability, with the right distances: only one pair is at one place."""
    offset = np.linalg.norm(showers["frame"][..., :2] - showers["direction"][:, np.newaxis], axis=-1)
    said = estimates(head=offset, tail=-offset, log_head=2.0, log_tail=2.0, log_across=3.0)
    both = call(JoinDirections(), said, showers["frame"], showers["telescopes"])
    one = call(JoinDirections(), said, showers["frame"], showers["telescopes"] * [1, 0, 0])
    error = np.linalg.norm(both - showers["direction"], axis=-1)
    assert np.median(error) < 0.5 * np.median(np.linalg.norm(one - showers["direction"], axis=-1))


def test_core_and_maximum_are_found(showers):
    given = (showers[name] for name in ("direction", "frame", "positions", "telescopes"))
    found = call(ShowerGeometry(), *given)
    impact = np.linalg.norm(showers["core"][:, np.newaxis] - TELESCOPES[:, :2], axis=-1)
    np.testing.assert_allclose(np.exp(column(SHOWER, found, "log_impact")) - 0.05, impact, rtol=0.02, atol=0.02)
    distance = np.exp(column(SHOWER, found, "log_distance")) - 0.05
    np.testing.assert_allclose(distance, np.tile(showers["distance"][:, np.newaxis], 3), rtol=0.02)
    np.testing.assert_allclose(column(SHOWER, found, "across"), 0, atol=1e-4)


def test_pairs_know_crossing_and_parallax(showers):
    found = call(PairGeometry(), *(showers[name] for name in ("frame", "positions", "telescopes")))
    centre, axis = showers["frame"][..., :2], showers["frame"][..., 2:]
    wanted = np.sum((showers["direction"][:, np.newaxis] - centre) * axis, axis=-1)
    for i in range(3):
        for j in range(3):
            if i == j:
                assert not found[:, i, j].any()
                continue
            crossed = np.abs(column(PAIR, found, "sine")[:, i, j]) > 0.7
            np.testing.assert_allclose(column(PAIR, found, "crossing")[crossed, i, j], wanted[crossed, i], rtol=0.05)
            parallax = np.linalg.norm(centre[:, i] - centre[:, j], axis=-1)
            distance = np.exp(column(PAIR, found, "log_distance")[:, i, j]) - 0.05
            seen = parallax > 0.3
            np.testing.assert_allclose(distance[seen], showers["distance"][seen], rtol=0.03)


@pytest.mark.parametrize("mirror", [1.0, -1.0], ids=["turned", "mirrored"])
def test_turning_everything_turns_the_direction_alone(showers, mirror):
    """Images, telescopes and sky together: what the dense layers see stays, and the direction turns along."""
    angle = 1.234
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1, mirror])
    frame, positions, telescopes = (showers[name] for name in ("frame", "positions", "telescopes"))
    # mirrored images whose axis passes close to the camera's centre may change sides by rounding
    turned_frame = np.concatenate([frame[..., :2] @ matrix.T, frame[..., 2:] @ matrix.T], axis=-1)
    turned_positions = np.concatenate([positions[..., :2] @ matrix.T, positions[..., 2:]], axis=-1)
    before = call(PairGeometry(), frame, positions, telescopes)
    np.testing.assert_allclose(call(PairGeometry(), turned_frame, turned_positions, telescopes), before, atol=2e-4)
    said = np.random.default_rng(2).normal(0, 1, (N, 3, len(ESTIMATE)))
    direction = call(JoinDirections(), said, frame, telescopes)
    turned = call(JoinDirections(), said, turned_frame, telescopes)
    np.testing.assert_allclose(turned, direction @ matrix.T, atol=1e-3)
    shower = call(ShowerGeometry(), direction, frame, positions, telescopes)
    again = call(ShowerGeometry(), turned, turned_frame, turned_positions, telescopes)
    np.testing.assert_allclose(again, shower, atol=5e-3)


def test_all_is_finite_where_nothing_is_there(showers):
    """A single telescope, an image without a cleaned pixel (its frame is 0), parallel axes, equal centres."""
    nothing, alone = np.zeros((N, 3, 4)), showers["telescopes"] * [1, 0, 0]
    same = np.tile(showers["frame"][:, :1], (1, 3, 1))
    said = np.random.default_rng(3).normal(0, 100, (N, 3, len(ESTIMATE)))
    for frame, telescopes in ((showers["frame"], alone), (nothing, alone), (same, showers["telescopes"])):
        direction = call(JoinDirections(), said, frame, telescopes)
        shower = call(ShowerGeometry(), direction, frame, showers["positions"], telescopes)
        pairs = call(PairGeometry(), frame, showers["positions"], telescopes)
        for values in (direction, shower, pairs):
            assert np.isfinite(values).all()
    assert not pairs[..., 0, 0, :].any()
    assert not call(PairGeometry(), showers["frame"], showers["positions"], alone).any()


def test_pools_leave_absent_telescopes_out(showers):
    rng = np.random.default_rng(4)
    telescopes = showers["telescopes"] * [1, 0, 1]
    values, pairs = rng.uniform(0, 1, (N, 3, 5)), rng.uniform(0, 1, (N, 3, 3, 5))
    pooled = call(PoolTelescopes(), values, telescopes)
    np.testing.assert_allclose(pooled[:, :5], values[:, ::2].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(pooled[:, 5:10], values[:, ::2].max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(pooled[:, 10], np.log(2), rtol=1e-5)
    heard = call(OtherTelescopes(), pairs, telescopes)
    np.testing.assert_allclose(heard[:, 0, :5], pairs[:, 0, 2], rtol=1e-5)
    np.testing.assert_allclose(heard[:, 0, 10], 1)
    assert not call(OtherTelescopes(), pairs, showers["telescopes"] * [1, 0, 0])[:, 0].any()


@pytest.mark.parametrize("kind", [PairGeometry, OtherTelescopes, JoinDirections, ShowerGeometry, PresentTelescopes])
def test_layers_keep_their_names(kind):
    """A model that is saved and loaded has the same fingerprint."""
    layer = kind.from_config(kind(name="backbone_own").get_config())
    assert layer.name == "backbone_own"
