"""Archives of every kind, damaged."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

from fuzz import bent, sample_and_all, try_all, wrong

from rws.data.download.unpack import unpack
from rws.errors import exit_code

NAMES = (
    "a/b.txt",
    "a/b.txt",
    "../x",
    "/x",
    "a\\b",
    "C:x",
    ".",
    "",
    "a" * 300,
    "日本",
    "\x1b[2J",
    "a/../../x",
    "a/./b",
)


def archive(rng: random.Random) -> bytes:
    file = io.BytesIO()
    members = [
        (rng.choice(NAMES), rng.randbytes(rng.choice((0, 10, 3000)))) for _ in range(rng.choice((0, 1, 4)))
    ]
    if rng.random() < 0.5:
        method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        with zipfile.ZipFile(file, "w", method) as made:
            for name, content in dict(members).items():
                made.writestr(name or "x", content)
    else:
        kinds = (
            tarfile.REGTYPE,
            tarfile.REGTYPE,
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
            tarfile.FIFOTYPE,
            tarfile.DIRTYPE,
        )
        with tarfile.open(fileobj=file, mode=rng.choice(("w", "w:gz", "w:bz2", "w:xz"))) as made:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.type, info.size, info.linkname = rng.choice(kinds), len(content), rng.choice(NAMES)
                made.addfile(info, io.BytesIO(content))
    return bent(rng, file.getvalue()) if rng.random() < 0.8 else file.getvalue()


@sample_and_all(30, 1500)
def test_archives(numbers, tmp_path):
    def attempt(rng: random.Random, place: Path) -> str:
        file = place / f"x{rng.choice(('.zip', '.tar', '.tar.gz', '.tgz', ''))}"
        file.write_bytes(archive(rng))

        def main(flags: list[str]) -> int:
            return exit_code(lambda: unpack(file, place / "root") and 0, results="", interrupted="")

        said = wrong(main)
        left = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.name[0] == ".")
        outside = [path.name for path in place.iterdir() if path not in (file, place / "root")]
        return said or (f"left behind: {left}" if left else "") or (f"outside: {outside}" if outside else "")

    try_all(tmp_path, numbers, attempt, "archive")
