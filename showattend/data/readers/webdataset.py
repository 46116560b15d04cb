"""WebDataset's shards: tar files in which the members of one photo, its file and its captions, have one name and follow each other."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby, islice
from pathlib import Path, PurePosixPath

from showattend.data.folders import DataFolder
from showattend.data.images import MAX_BYTES, has_photo_suffix
from showattend.data.json_files import parse_json
from showattend.data.listings import Listing
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, split_by_tenths
from showattend.data.readers.json_records import captions_of_record
from showattend.data.shards import PackedPhoto, unpack
from showattend.data.tar_headers import DAMAGE, BoundedTarFile, read_tar
from showattend.data.text_files import split_lines
from showattend.errors import InputError
from showattend.files import check_readable

TEXTS = (".txt", ".caption", ".text")
FIRST_MEMBERS = 20  # by which a shard is recognised: an archive of photos alone is none
MAX_SHARDS = 100_000


@CAPTION_READERS.register("webdataset")
class WebDatasetReader(CaptionReader):
    """NAME.jpg with NAME.txt, a caption a line, or NAME.json, in tar files, as WebDataset and img2dataset write them."""

    signs = ("*.tar", "*.tar.gz", "*.tgz")
    example = "train-0000.tar with NAME.jpg and NAME.txt in it"

    def find(self, root: DataFolder) -> list[Path]:
        """Tar files that begin with photos and their texts."""
        return root.find(self.signs, _begins_as_shard, most=MAX_SHARDS)

    def read(self, root: DataFolder) -> Listing:
        """Photos of all shards, unpacked; a split is in the name of the shard or of its folder."""
        return split_by_tenths(unpack(root.root, self.all_files(root), read_shard))


def read_shard(shard: Path, split: str) -> Iterator[PackedPhoto]:
    """The photos of one tar file.

    Raises:
        InputError: it is damaged.
    """
    try:
        check_readable(shard)
        with shard.open("rb") as file, read_tar(file) as tar:
            for name, members in groupby(_members(tar, shard), key=lambda member: _key(member[0])):
                if photo := _photo(name, dict(members), split, f"{shard}: {name}"):
                    yield photo
    except InputError:
        raise
    except (*DAMAGE, OSError) as error:
        raise InputError(f"cannot read the shard {shard}: {error}") from error


def _members(tar: BoundedTarFile, shard: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a tar, as far as a photo's."""
    for member in tar:
        name = PurePosixPath(member.name)
        if not member.isfile() or name.name.startswith(".") or not (has_photo_suffix(name) or name.suffix.lower() in (*TEXTS, ".json")):
            continue
        if member.size > MAX_BYTES:
            raise InputError(f"{shard}: {member.name} has {member.size / 1e9:.1f} GB, and at most {MAX_BYTES / 1e9:.1f} GB are read")
        file = tar.extractfile(member)
        yield member.name, file.read() if file else b""


def _begins_as_shard(path: Path) -> bool:
    """Whether a photo and a text of its name are among the first members of a tar file, before it is damaged if it is."""
    names = []
    with suppress(*DAMAGE, OSError), path.open("rb") as file, read_tar(file) as tar:
        for member in islice(tar, FIRST_MEMBERS):
            names.append(member.name)
    photos = {_key(name) for name in names if has_photo_suffix(name)}
    return any(_key(name) in photos for name in names if PurePosixPath(name).suffix.lower() in (*TEXTS, ".json"))


def _key(name: str) -> str:
    """A member's name without what stands behind the first point of its last part."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _photo(name: str, members: dict[str, bytes], split: str, where: str) -> PackedPhoto | None:
    """The photo of members of one name; None: they are no photo and have no caption."""
    photos = [file for file in members if has_photo_suffix(file)]
    texts = [content for file, content in members.items() if PurePosixPath(file).suffix.lower() in TEXTS]
    records = [content for file, content in members.items() if file.lower().endswith(".json")]
    captions: list[str | None] = [line for text in texts for line in split_lines(text.decode("utf-8-sig", "replace")) if line.strip()]
    if not captions and records:
        record = parse_json(records[0].decode("utf-8-sig", "replace"), Path(where))
        captions = captions_of_record(record, where) if isinstance(record, dict) else []
    if not (photos or captions):
        return None
    return PackedPhoto(photos[0] if photos else name, members[photos[0]] if photos else None, captions, split)
