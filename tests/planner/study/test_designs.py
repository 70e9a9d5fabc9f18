"""What a study draws first: uniform networks, and a share whose stages are scaled apart."""

from dataclasses import replace

import numpy as np
import pytest

from planner import PlannerError
from planner.formulas.stages import VARIED
from planner.study.designs import APART, draw_design
from planner.study.opening import open_ledger
from planner.study.settings import StudySettings, read_settings
from planner.training.loop import queue
from sampler import SearchSpace, random_design, rule_named, stratified_design
from sampler.architecture import concatenate
from sampler.uniform import uniform_rows

SPACE = SearchSpace("efficientnet_b0", 64, r=(0.5, 1.4))


def apart_in(architectures, space=SPACE):
    """How many scale stages apart."""
    return int((~uniform_rows(space.network, rule_named(space.rule), architectures)).sum())


@pytest.mark.parametrize("n", [3, 8, 24, pytest.param(61, marks=pytest.mark.slow)])
def test_a_quarter_of_a_stratified_design_scales_stages_apart(n):
    found = draw_design(SPACE, n, "stratified", 3, apart=APART)
    assert len(found) == n and len({tuple(row) for row in found.integers()}) == n
    assert SPACE.inside(found)[0].all()
    assert apart_in(found) == -(-n // 4) >= VARIED * n
    assert np.array_equal(found.integers(), draw_design(SPACE, n, "stratified", 3, apart=APART).integers())


def test_the_share_is_that_of_all_that_was_drawn_however_few_at_a_time():
    seen = draw_design(SPACE, 1, "stratified", 0, apart=APART)
    for before in range(1, 16):
        more = draw_design(SPACE, 1, "stratified", before, apart=APART, before=before, seen=seen)
        seen = concatenate([seen, more])
    assert apart_in(seen) == 4


def test_without_a_share_and_by_other_methods_a_design_is_what_it_was():
    rows = draw_design(SPACE, 12, "stratified", 5).integers()
    assert np.array_equal(rows, stratified_design(SPACE, 12, 5).integers())
    rows = draw_design(SPACE, 12, "random", 5, apart=APART).integers()
    assert np.array_equal(rows, random_design(SPACE, 12, 5).integers())
    stages = replace(SPACE, kind="stage")
    rows = draw_design(stages, 12, "stratified", 5, apart=APART).integers()
    assert np.array_equal(rows, stratified_design(stages, 12, 5).integers())
    held = replace(SPACE, d=(1.0, 1.0), w=(0.5, 0.5))
    assert apart_in(draw_design(held, 6, "stratified", 0, apart=APART), held) == 0
    with pytest.raises(PlannerError, match="method best is unknown|method 'best' is unknown"):
        draw_design(SPACE, 3, "best", 0)


def test_a_study_made_before_goes_on_with_the_design_it_began(mine):
    assert mine.settings.space.apart == 0.0
    asked, seen = mine.asked(), mine.tried()
    queue(mine, asked + 5)
    wanted = stratified_design(mine.space, 5, asked + mine.settings.seed, seen=seen)
    assert {tuple(row) for row in mine.pending().integers()} == {tuple(row) for row in wanted.integers()}


def test_a_new_study_writes_the_share_down_and_keeps_to_it(run, tmp_path):
    data = ("--data", "fractal:classes=2,train=40,validation=4", "--resolution", 32, "--window", 0.2, 1)
    code, _, err = run("sample", "--study", "fresh", "--trials", 8, *data)
    assert code == 0, err
    settings = read_settings(tmp_path / "results" / "fresh" / "study.toml")
    assert settings.space.apart == APART
    ledger = open_ledger("fresh")
    assert apart_in(ledger.pending(), ledger.space) == 2
    old = settings.model_dump()
    del old["space"]["apart"]
    assert StudySettings.model_validate(old).space.apart == 0.0
