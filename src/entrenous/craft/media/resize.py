"""Make a picture smaller, for whoever asks for less."""

from dataclasses import replace

from PIL import Image

from entrenous.model.picture import Picture


def resize(picture: Picture, longest_side_px: int) -> Picture:
    """The picture with its longest side at most ``longest_side_px``; a smaller one stays as it is.

    Lanczos, three lobes, on the encoded values. Colours are weighted by alpha, so that what is
    transparent does not bleed into what is not.

    Raises:
        ValueError: ``longest_side_px`` is less than 1.
    """
    if longest_side_px < 1:
        raise ValueError("a picture has at least one pixel")
    longest = max(picture.width_px, picture.height_px)
    if longest <= longest_side_px:
        return picture
    size = (
        max(1, round(picture.width_px * longest_side_px / longest)),
        max(1, round(picture.height_px * longest_side_px / longest)),
    )
    smaller = _image(picture).resize(size, Image.Resampling.LANCZOS)
    alpha = smaller.getchannel("A").tobytes() if picture.alpha is not None else None
    samples = smaller.convert("RGB").tobytes() if alpha is not None else smaller.tobytes()
    return replace(picture, width_px=size[0], height_px=size[1], samples=samples, alpha=alpha)


def _image(picture: Picture) -> Image.Image:
    size = (picture.width_px, picture.height_px)
    image = Image.frombuffer("RGB", size, picture.samples, "raw", "RGB", 0, 1)
    if picture.alpha is not None:
        image.putalpha(Image.frombuffer("L", size, picture.alpha, "raw", "L", 0, 1))
    return image
