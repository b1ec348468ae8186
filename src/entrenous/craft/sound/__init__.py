"""Marks in sounds: tiles of time and pitch made a little louder or softer. docs/spec/sound.md."""
