"""The settings of the page begin as those of the first model, and each of them can be switched off."""

from dataclasses import fields, replace

import torch
from factories import untrained_model

from showattend.app.models import ModelSet
from showattend.decoding.neighbors import Neighbors
from showattend.generation_config import GenerationConfig
from showattend.inference import Captioner

OWN = GenerationConfig(beam=1, sample=True, temperature=0.8, ban=(4,))


def test_words_and_sampling_of_the_models_own_settings_can_be_switched_off() -> None:
    captioner = Captioner(replace(untrained_model(), generation=OWN))
    models = ModelSet({"model": captioner})
    word = captioner.model.vocabulary.tokens[4]
    assert models.default_words == {"must_include": "", "ban": word}
    given = {field.name: getattr(models.defaults, field.name) for field in fields(GenerationConfig)}
    assert models._config(captioner, {**given, "must_include": [], "ban": [word]}) == OWN
    assert models._config(captioner, {**given, "must_include": [], "ban": [], "sample": False}) == GenerationConfig(beam=1)


def test_neighbors_are_offered_where_a_model_has_some() -> None:
    without = Captioner(untrained_model())
    neighbors = Neighbors.from_photos(torch.randn(2, 6), torch.full((2, 1, 3), 4))
    having = Captioner(replace(without.model, neighbors=neighbors))
    assert ModelSet({"without": without}).unavailable == {"neighbors"}
    assert ModelSet({"without": without, "having": having}).unavailable == set()
