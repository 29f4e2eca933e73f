"""Every built-in criterion has the parameters of a criterion; further ones are options with a default."""

from inspect import signature
from typing import get_type_hints

import pytest

from verl_vision_r1 import Target
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.criteria import BUILT_IN, CRITERIA
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage


@pytest.mark.parametrize("name", BUILT_IN)
def test_parameters_and_result(name: str) -> None:
    hints, parameters = get_type_hints(CRITERIA[name]), list(signature(CRITERIA[name]).parameters.values())
    assert [hints[parameter.name] for parameter in parameters[:4]] == [Answer, Target, Match, Stage]
    assert hints["return"] is float
    assert all(option.kind is option.KEYWORD_ONLY and option.default is not option.empty for option in parameters[4:])
