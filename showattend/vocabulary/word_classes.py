"""Classes of the words of English captions, from closed lists and from where a word stands; no tagger has to be downloaded.

Descriptions of photos are simple: a noun is the last word of a phrase that a determiner or a preposition opens ("a black dog runs through
the tall grass"). Which words are nouns is decided for each word once, over many captions.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _words("a an the this that these those his her their its my your our another some any each every both")
NUMBERS = _words("one two three four five six seven eight nine ten several many few lots multiple")
PREPOSITIONS = _words(
    "of in on at with by from to into onto near over under through across along around behind beside between up down off out above below "
    "against toward towards for next during inside outside past among about upon underneath before after like"
)
FUNCTION_WORDS = _words(
    "is are was were be been being has have had do does and or but while as when who which where there it he she they we you i him them us "
    "not then something someone very just together doing going whilst away outdoors nearby high others no"
)
# Words that end a phrase and name no thing in the photo.
PLACES = _words("front top back side middle group couple pair bunch lot other left right")
NOUN, VERB, DETERMINER, PREPOSITION, OTHER = WORD_CLASSES = ("noun", "verb", "determiner", "preposition", "other")
MIN_SHARE = 0.5  # of a noun's places: at the end of a phrase
MIN_ING = 0.1  # forms in -ing of a verb, for each time that the word itself occurs: "watering" is rarer than "water"
CONJUNCTIONS = _words("and or but while as")
OPENERS = DETERMINERS | NUMBERS | PREPOSITIONS | CONJUNCTIONS | {""}  # a phrase stands behind these, and at the start
CLOSED = DETERMINERS | NUMBERS | PREPOSITIONS | FUNCTION_WORDS


class WordClasses:
    """The class of each word, learned from captions.

    Args:
        captions: the tokens of many captions
    """

    def __init__(self, captions: Iterable[Sequence[str]]) -> None:
        captions = list(captions)
        counts = Counter(word for words in captions for word in words)
        self.verbs = {word for word in counts if word not in CLOSED and _is_verb_form(word, counts)}
        heads = Counter(head for words in captions for head in self._phrase_heads(words))
        self.nouns = {word for word, count in heads.items() if count >= MIN_SHARE * counts[word]} - PLACES

    def __call__(self, word: str) -> str:
        """One of WORD_CLASSES; articles, possessives and numbers are determiners."""
        if word in DETERMINERS or word in NUMBERS:
            return DETERMINER
        if word in PREPOSITIONS:
            return PREPOSITION
        if word in self.nouns:
            return NOUN
        return VERB if word in self.verbs else OTHER

    def _phrase_heads(self, words: Sequence[str]) -> Iterator[str]:
        """The last word of each phrase; a word with a verb's form ends it, unless a determiner stands right before it."""
        head, before = "", ""
        for word in words:
            is_open = word.isalpha() and word not in CLOSED and (word not in self.verbs or before in DETERMINERS)
            if is_open and (head or before in OPENERS):
                head = word
            elif head:
                yield head
                head = ""
            before = word
        if head:
            yield head


def _is_verb_form(word: str, counts: Counter[str]) -> bool:
    """Whether the captions also have the word's form in -ing often enough, or it is a participle."""
    if word.endswith(("ing", "ed")) and len(word) > 5:
        return True
    stems = {word.removesuffix(ending) for ending in ("", "s", "es", "ed", "d")}
    stems |= {f"{word.removesuffix(ending)}y" for ending in ("ies", "ied") if word.endswith(ending)}
    forms = {form for stem in stems if len(stem) > 1 for form in _ing_forms(stem)}
    return sum(counts[form] for form in forms) >= MIN_ING * counts[word]


def _ing_forms(stem: str) -> tuple[str, str, str]:
    """play, playing; ride, riding; run, running."""
    return f"{stem}ing", f"{stem.removesuffix('e')}ing", f"{stem}{stem[-1]}ing"
