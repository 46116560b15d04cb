"""`Captioner` on an untrained model: files and open pictures, alternatives, gates, ensembles and attention modes."""

import io
import itertools
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import VOCABULARY, untrained_model
from PIL import Image

from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig, Hypotheses
from showattend.encoders.feature_extractor import FeatureExtractor
from showattend.errors import InputError
from showattend.inference import Captioner, Failure
from showattend.inference.caption import PhotoGrid, best_caption
from showattend.models.caption_model import CaptionModel
from showattend.ops.additive_attention import compiled_kernels
from showattend.vocabulary import END, PAD

# Captions of an untrained model may end at once: several words are required here.
CONFIG = GenerationConfig(beam=2, max_length=8, min_length=4)
GRID = PhotoGrid((2, 2), (0, 0, 10, 10), (0, 0, 10, 10))


@pytest.fixture
def captioner() -> Captioner:
    return Captioner(untrained_model(), "cpu")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_file_and_an_open_picture_give_the_same_results(captioner: Captioner, photo: Path) -> None:
    for source in (photo, str(photo)):
        with Image.open(photo) as picture:
            assert captioner.caption(source, CONFIG).score == captioner.caption(picture, CONFIG).score
            (from_file,), (from_picture,) = captioner.score(source, ["a red star"]), captioner.score(picture, ["a red star"])
            assert torch.equal(from_file.log_probs, from_picture.log_probs)
            (caption, gates), (other_caption, other_gates) = captioner.gates(source, CONFIG), captioner.gates(picture, CONFIG)
            assert caption.words == other_caption.words
            assert all(torch.equal(gates[0][name], other_gates[0][name]) for name in gates[0])


def test_weights_that_make_nan_are_refused_and_not_said(photo: Path) -> None:
    model = untrained_model()
    for parameter in model.network.decoder.parameters():
        parameter.data.fill_(3e38)  # finite, and their products are not
    captioner = Captioner(model, "cpu")
    for call in (lambda: captioner.caption(photo, CONFIG), lambda: captioner.score(photo, ["a red star"])):
        with pytest.raises(InputError, match="gives NaN, which is no probability"):
            call()


def test_an_open_picture_that_is_cut_off_is_an_error_of_the_input(captioner: Captioner, photo: Path) -> None:
    with pytest.raises(InputError, match="the open picture cannot be read"):
        captioner.caption(Image.open(io.BytesIO(photo.read_bytes()[:2000])))


def test_an_open_picture_is_turned_upright(captioner: Captioner, tmp_path: Path, photo: Path) -> None:
    rotated = tmp_path / "rotated.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright after a quarter turn clockwise
    with Image.open(photo) as picture:
        picture.transpose(Image.Transpose.ROTATE_90).save(rotated, exif=exif)
    with Image.open(rotated) as picture:
        turned, upright = captioner.caption(picture, CONFIG), captioner.caption(photo, CONFIG)
    assert (turned.crop_box, turned.score) == (upright.crop_box, upright.score)


def test_a_broken_file_fails_and_the_others_are_captioned(captioner: Captioner, photo: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    results = dict(captioner.caption_files([photo, broken], CONFIG))
    assert isinstance(results[broken], Failure)
    assert str(results[photo]) == str(captioner.caption(photo, CONFIG))
    with pytest.raises(InputError, match=r"broken\.jpg"):
        captioner.caption(broken)


@pytest.mark.parametrize("workers", [0, 1])
def test_paths_without_an_end_are_captioned_as_they_come(workers: int, captioner: Captioner, photo: Path) -> None:
    taken = itertools.count()
    endless = (photo for number in taken)
    results = captioner.caption_files(endless, CONFIG, batch_size=2, workers=workers)
    assert [path for path, _ in itertools.islice(results, 5)] == [photo] * 5
    assert next(taken) <= 5 + 2 * 5  # the batch at hand, those that a worker prepares, and the one behind
    results.close()  # type: ignore[attr-defined]


def test_an_ensemble_computes_the_features_of_a_shared_encoder_once(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, other = (untrained_model(cell=cell) for cell in ("lstm", "gru", "mgu"))
    two.network.encoder.load_state_dict(one.network.encoder.state_dict())
    with torch.no_grad():
        next(other.network.encoder.parameters()).add_(1.0)
    captioner = Captioner(one, "cpu", ensemble=[two, other, one])
    counts = {}
    for model in (one, two, other):
        counts[model.network.encoder] = 0
        model.network.encoder.register_forward_pre_hook(lambda encoder, _: counts.update({encoder: counts[encoder] + 1}))
    shared = captioner.caption(photo, CONFIG)
    assert [counts[model.network.encoder] for model in (one, two, other)] == [1, 0, 1]
    captioner.ensemble.extractors = [FeatureExtractor(model.network.encoder) for model in (one, two, other, one)]
    assert captioner.caption(photo, CONFIG).score == pytest.approx(shared.score)
    monkeypatch.setattr(two.network.encoder, "spec", lambda: {"graph": "another, of the same weights"})
    separate, twin = Captioner(one, "cpu", ensemble=[two]).ensemble.extractors
    assert separate is not twin


def test_gates_have_a_row_for_each_word(captioner: Captioner, photo: Path) -> None:
    caption, layers = captioner.gates(photo, CONFIG)
    assert len(caption.words) >= 4
    assert [values.shape for layer in layers for values in layer.values()] == [(len(caption.words), 8)] * len(layers[0])


def test_gates_of_a_caption_without_words_are_refused(captioner: Captioner, photo: Path) -> None:
    with torch.no_grad():
        captioner.model.network.decoder.output.bias[END] = 1000.0
    with pytest.raises(InputError, match="no words"):
        Captioner(captioner.model, "cpu").gates(photo, GenerationConfig(beam=1))


def test_hypotheses_that_do_not_exist_are_no_alternatives() -> None:
    token_ids = torch.tensor([[[4, 5, END], [4, END, PAD], [PAD, PAD, PAD]]])
    scores = torch.tensor([[-1.0, -2.0, -math.inf]])
    caption = best_caption(Hypotheses(token_ids, scores, torch.rand(1, 3, 3, 4)), 0, VOCABULARY, GRID)
    assert caption.words == VOCABULARY.tokens[4:6]
    assert [other.words for other in caption.alternatives] == [VOCABULARY.tokens[4:5]]
    assert caption.alphas.shape == (2, 4)


def test_models_with_different_preprocessing_are_no_ensemble() -> None:
    other = replace(untrained_model(), preprocessing=Preprocessing(32, "crop"))
    with pytest.raises(InputError, match="differ in preprocessing"):
        Captioner(untrained_model(), "cpu", ensemble=[other])


def test_an_attention_without_modes_refuses_one() -> None:
    with pytest.raises(InputError, match="an attention mode is for hard attention"):
        Captioner(untrained_model(), "cpu", attention_mode="argmax")


def test_pixels_bytes_and_open_files_are_photos_too(captioner: Captioner, photo: Path) -> None:
    expected = captioner.caption(Image.open(photo)).words
    content = photo.read_bytes()
    for given in (np.asarray(Image.open(photo).convert("RGB")), content, io.BytesIO(content)):
        assert captioner.caption(given).words == expected
    for bad in (np.zeros((4, 4, 3)), np.zeros((4, 4, 7), np.uint8), b"no picture", 3, io.StringIO("text")):
        with pytest.raises(InputError):
            captioner.caption(bad)  # type: ignore[arg-type]


def test_a_captioner_goes_through_a_pickle(captioner: Captioner, photo: Path) -> None:
    copy = pickle.loads(pickle.dumps(captioner))
    assert copy.device == captioner.device
    assert copy.caption(photo, CONFIG).words == captioner.caption(photo, CONFIG).words


def test_loops_are_compiled_where_the_photos_ahead_pay_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[CaptionModel] = []
    monkeypatch.setattr(CaptionModel, "fuse", lambda network: compiled.append(network))
    model, photos = untrained_model(), 10**7  # the maps of so small a model cost little
    for mode, expected in (("never", 0), ("auto", 1), ("always", 1)):
        captioner = Captioner(model, "cpu", fuse=mode)
        captioner.expect(1000)
        assert len(compiled) == (mode == "always")
        captioner.expect(photos)
        captioner.expect(photos)
        assert len(compiled) == expected
        assert pickle.loads(pickle.dumps(captioner)).fuse == mode
        compiled.clear()
    with pytest.raises(InputError, match="unknown fuse 'on'"):
        Captioner(model, "cpu", fuse="on")


def test_without_a_compiler_auto_is_silent_and_always_is_an_error(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(function: object, **options: object) -> object:
        raise RuntimeError("no g++")

    compiled_kernels.cache_clear()
    monkeypatch.setattr(torch, "compile", fail)
    captioner = Captioner(untrained_model(), "cpu")
    captioner.expect(10**7)
    assert not captioner.ensemble.is_fused
    assert captioner.caption(photo, CONFIG).words
    with pytest.raises(InputError, match="cannot be compiled"):
        Captioner(untrained_model(), "cpu", fuse="always")
