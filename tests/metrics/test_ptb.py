"""Penn Treebank tokens against those of the official Java tokeniser (Stanford CoreNLP 3.4.1, as coco-caption runs it).

`ptb_cases.tsv` holds hard cases and the words that the Java gave, `ptb_scripts.tsv` the same for captions of twenty scripts; for
Flickr8k's captions the digest of its words stands here.
"""

import hashlib
from pathlib import Path

from showattend.metrics.ptb import ptb_tokenize

CASES = Path(__file__).with_name("ptb_cases.tsv")
SCRIPT_CASES = Path(__file__).with_name("ptb_scripts.tsv")
# What still differs: telephone numbers in brackets, a unit after a decimal number, half of something, an initial that ends a sentence.
DIFFERENT = {
    "The cars cost $1,000.50 each, €20 or £3.5m.",
    "tel. 555-1234 (555) 123-4567",
    "(555)555-5555",
    "½-eaten",
    'The sign reads: "No parking 8am-6pm, Mon.-Fri."',
    "Mr. T and Mrs. X.",
}
FLICKR8K = "d921f04ff0a2bb979ce27f11f8af7dd50941f192bccf2b28fb4f931a391aa69d"


def test_hard_cases_have_the_official_tokens() -> None:
    cases = [line.split("\t") for line in CASES.read_text(encoding="utf-8").splitlines()]
    assert len(cases) > 370
    assert {caption for caption, words in cases if " ".join(ptb_tokenize(caption)) != words} == DIFFERENT


def test_all_captions_of_flickr8k_have_the_official_tokens(flickr8k: Path) -> None:
    digest = hashlib.sha256()
    lines = (flickr8k / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 35000
    for line in lines:
        digest.update((" ".join(ptb_tokenize(line.partition("\t")[2])) + "\n").encode())
    assert digest.hexdigest() == FLICKR8K


def test_captions_of_twenty_scripts_have_the_official_tokens() -> None:
    cases = [line.split("\t") for line in SCRIPT_CASES.read_text(encoding="utf-8").split("\n") if line]
    assert len(cases) > 350
    different = {caption for caption, words in cases if " ".join(ptb_tokenize(caption)) != words}
    # What still differs: hyphens after decomposed accents, three dots between letters, a slash after a quotation mark, a full stop
    # before a comma or a semicolon.
    marks = ("a...b", "e\u0301-the", '"a/b', ".,", ".;")
    assert all(any(mark in caption for mark in marks) for caption in different)
    assert len(different) == 14


def test_entities_superscripts_and_characters_without_width_are_treated_as_the_official_tokeniser_does() -> None:
    assert ptb_tokenize("Tom &amp; Jerry") == ["tom", "&", "jerry"]
    assert ptb_tokenize("a sign <stop here> on a wall") == ["a", "sign", "<stop", "here>", "on", "a", "wall"]
    assert ptb_tokenize("zero\u200bwidth \ufeffmark") == ["zero", "width", "mark"]
    assert ptb_tokenize("x² qu'il d'à non\u2011stop 3.5-inch ol' man") == [
        "x",
        "²",
        "qu'il",
        "d'",
        "à",
        "non\u2011stop",
        "3.5-inch",
        "ol'",
        "man",
    ]
