"""Files of a downloaded package: inside its wheel, which is never unpacked, or in a folder."""

import zipfile
import zlib
from pathlib import Path

from parc.configuration.errors import UserError
from parc.configuration.files import refuse_too_large

MOST_FILES = 200_000
LARGEST_WHEEL = 2**31  # bytes


def file_names(source: Path) -> list[str]:
    """Return the names of all files of a wheel (or another zip archive), or of a folder: paths with "/", sorted.

    Raises:
        UserError: there is no such file or folder, it is no whole archive, or holds too many files.
    """
    try:
        if source.is_dir():
            found = (path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
            names = [name for name, _ in zip(found, range(MOST_FILES + 1), strict=False)]
        elif source.is_file():
            refuse_too_large(source, LARGEST_WHEEL)
            with zipfile.ZipFile(source) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        else:
            raise UserError(f"{source}: there is no such wheel or folder")
    except zipfile.BadZipFile as error:
        raise UserError(f"{source}: not a whole wheel ({error}); download it again") from error
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror or error})") from error
    if len(names) > MOST_FILES:
        raise UserError(f"{source}: holds more than {MOST_FILES} files; give the folder of the motions alone")
    return sorted(names)


def read_file(source: Path, name: str, largest: int) -> bytes:
    """Return what a file of a wheel or of a folder holds.

    Args:
        source: the wheel or folder.
        name: one of `file_names`.
        largest: bytes that it may have, whatever the archive says of it.

    Raises:
        UserError: it cannot be read, or is larger.
    """
    try:
        if source.is_dir():
            refuse_too_large(source / name, largest)
            return (source / name).read_bytes()
        with zipfile.ZipFile(source) as archive, archive.open(name) as stream:
            content = stream.read(largest + 1)
    except (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"{source}: {name} cannot be read from it ({error}); download it again") from error
    except OSError as error:
        raise UserError(f"{source}: {name} cannot be read ({error.strerror or error})") from error
    if len(content) > largest:
        raise UserError(f"{source}: {name} is larger than {largest / 2**20:.0f} MiB; is it the right file?")
    return content


def read_text_file(source: Path, name: str, largest: int) -> str:
    """Return what a text file of a wheel or of a folder holds (see `read_file`).

    Raises:
        UserError: it cannot be read, is larger, or is not UTF-8.
    """
    content = read_file(source, name, largest)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{source}: line {line} of {name} is not UTF-8 text, expected text") from error
