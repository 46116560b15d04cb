"""Penn Treebank tokens against those of the official Java tokeniser (Stanford CoreNLP 3.4.1, as coco-caption runs it).

`ptb_cases.tsv` holds hard cases and the words that the Java gave; for Flickr8k's captions the digest of its words stands here.
"""

import hashlib
from pathlib import Path

from showattend.metrics.ptb import ptb_tokenize

CASES = Path(__file__).with_name("ptb_cases.tsv")
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
