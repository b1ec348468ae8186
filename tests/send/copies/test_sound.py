"""Tests of making marked copies of a sound."""

from functools import cache

import numpy as np
import pytest

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import NoSoundFound, SoundTooShortToMark
from entrenous.base.identifiers import RecipientId
from entrenous.base.picture import DecoderDidNotStart
from entrenous.crypto.hashing import sha256
from entrenous.media.sound_reader import read_sound
from entrenous.send.copies.mark_file import CopyNotWritten
from entrenous.send.copies.sound_copies import mark_sound_copies
from entrenous.watermark.audio_location import compute_contour
from entrenous.watermark.audio_mark import prepare_sound
from tests.send.sounds import device_for_sounds
from tests.trace.test_trace_picture import offline_device

RECIPIENTS = [RecipientId(label) for label in ("ben", "caro", "dan")]


@cache
def encode_voice_note() -> bytes:
    return coded(voice(3.0, 48_000), 48_000, "libopus", "ogg", 32_000)


def test_every_yielded_copy_is_in_the_ledger() -> None:
    device = device_for_sounds()
    marked_copies = list(mark_sound_copies(encode_voice_note(), RECIPIENTS, device))
    (message,) = device.ledger.messages()
    (sent,) = message.sounds
    assert message.pictures == ()
    assert {name for name, _ in marked_copies} == {message.name}
    assert [file.to for _, file in marked_copies] == [copy.to for copy in sent.copies] == RECIPIENTS
    assert [sha256(file.data) for _, file in marked_copies] == [copy.sha256 for copy in sent.copies]
    assert len({file.data for _, file in marked_copies}) == 3
    assert {file.suffix for _, file in marked_copies} == {".ogg"}
    assert device.vault.read_stored_file(sent.original) == encode_voice_note()
    sound = read_sound(encode_voice_note())
    kept = compute_contour(prepare_sound(np.asarray(sound), sound.rate_hz).mono)
    assert device.vault.read_stored_file(sent.contour) == kept
    assert sent.length_s == pytest.approx(3.0)


def test_copy_yielded_before_a_stop_is_in_the_ledger() -> None:
    device = device_for_sounds()
    marked_copies = mark_sound_copies(encode_voice_note(), RECIPIENTS, device)
    first = next(marked_copies)[1]
    marked_copies.close()
    (message,) = device.ledger.messages()
    assert [copy.sha256 for copy in message.sounds[0].copies] == [sha256(first.data)]


def test_unwritten_copy_is_removed_from_the_ledger() -> None:
    device = device_for_sounds()
    marked_copies = mark_sound_copies(encode_voice_note(), RECIPIENTS, device)
    first = next(marked_copies)[1]
    next(marked_copies)
    with pytest.raises(CopyNotWritten):
        marked_copies.throw(CopyNotWritten())
    (message,) = device.ledger.messages()
    assert [copy.sha256 for copy in message.sounds[0].copies] == [sha256(first.data)]
    marked_copies = mark_sound_copies(encode_voice_note(), RECIPIENTS, device)
    next(marked_copies)
    with pytest.raises(CopyNotWritten):
        marked_copies.throw(CopyNotWritten())
    assert len(list(device.ledger.messages())) == 1


def test_mark_is_20_to_32_db_quieter_than_the_sound() -> None:
    device = device_for_sounds()
    wave = coded(voice(3.0, 16_000), 16_000, "pcm_s16le", "wav", 0)
    ((_, file),) = mark_sound_copies(wave, RECIPIENTS[:1], device)
    own, other = (np.asarray(read_sound(data)) for data in (wave, file.data))
    change = other - own
    assert 20.0 < 10 * np.log10(np.sum(own**2) / np.sum(change**2)) < 32.0


def test_unmarkable_sound_is_refused_and_not_recorded() -> None:
    device = device_for_sounds()
    short = coded(voice(0.4, 48_000), 48_000, "pcm_s16le", "wav", 0)
    for data, error in ((b"no sound", NoSoundFound), (short, SoundTooShortToMark)):
        with pytest.raises(error):
            next(mark_sound_copies(data, RECIPIENTS, device))
    assert list(device.ledger.messages()) == []


def test_missing_decoder_is_reported() -> None:
    with pytest.raises(DecoderDidNotStart):
        next(mark_sound_copies(encode_voice_note(), RECIPIENTS, offline_device()))
