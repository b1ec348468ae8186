"""What a person is told of a file that she named: with its name, on her own screen only."""

from entrenous.model.errors import Malformed


class EmptyFile(Malformed):
    """
    {path} is empty: there is not one byte in it. Nothing was changed or sent. Perhaps a download
    broke off, or the disk was full: get the file again.
    """


class NothingToSee(Malformed):
    """
    There is no picture, clip or sound in {path} that Entrenous can read. It reads pictures in JPEG,
    PNG, WebP, HEIC, AVIF, GIF, TIFF and BMP; clips in MP4, MOV, WebM and AVI; sounds in Opus, AAC,
    MP3, AMR, WAV, FLAC and Vorbis. Nothing was changed or sent. If it opens in another program,
    save it from there as JPEG, MP4 or M4A and try again.
    """
