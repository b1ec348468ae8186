"""Send tokens: who may write to us, and with what we may write (docs/spec/letter.md, section 9)."""
